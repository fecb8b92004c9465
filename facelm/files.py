"""Writing without half-written files: everything is written beside its place and renamed when complete."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facelm.errors import FacelmError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path`, with the same ending, which takes its place when the block succeeds.

    The folder is made if needed. When the block fails (or is interrupted) the temporary file is removed and what
    stood at `path` stays; a killed process leaves at most a hidden `.NAME.tmp-*` file, never half of `path`.

    Raises FacelmError when the folder cannot be made or written, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise FacelmError(f"{path} is a folder; give the name of a file to write")
    _writable(path.parent)
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    temporary = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `path`, which takes its place when the block succeeds; see `atomic_path`.

    Where `path` is already a folder with files, the new files replace those of the same name one by one and the
    others stay, so that a wrong `--out` never deletes anything.

    Raises FacelmError when the folder above cannot be made or written, or `path` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise FacelmError(f"{path} is a file; give the name of a folder to write")
    path = path.resolve()  # "." and ".." have no name to put a temporary folder beside
    _writable(path.parent)
    if path.exists():
        _writable(path)
    temporary = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            _move_into(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FacelmError(f"cannot make the folder {folder} ({error.strerror}); choose another output") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FacelmError(f"the folder {folder} is not writable; choose another output")


def _move_into(source: Path, target: Path) -> None:
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move_into(entry, place)
        else:
            os.replace(entry, place)
