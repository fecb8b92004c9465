"""The work folder of a build: what is done so far survives a kill at any moment, and is used once.

`.NAME.unfinished` lies beside the corpus it becomes. It holds `request.json` (what was asked), a pair of files for
every chunk that is done, `00012.arrow` (rows) and `00012.json` (what is known of their takes), the second written last,
and at the end the folder `corpus`, which takes its place in one rename.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from facelm.corpus.schema import schema
from facelm.corpus.shards import NOTE, read_note, refuse_full
from facelm.errors import FacelmError
from facelm.files import atomic_folder, atomic_path

if TYPE_CHECKING:
    from pyarrow import Table


class Unfinished:
    """The work folder for a corpus folder `out`; a context manager that lets one build at a time work in it.

    `request` is what was asked, as JSON can hold it: only a build that asks the same goes on with what is there.
    `fresh` throws away what another build left. Raises FacelmError when there is work of another request, when another
    process works on it, or when the corpus folder holds something.
    """

    def __init__(self, out: str | Path, request: Mapping[str, Any], fresh: bool = False) -> None:
        self.out = Path(out).absolute()
        self.folder = work_folder(out)
        self._lock = FileLock(self.folder / "lock", timeout=0)
        self._request, self._fresh = dict(request), fresh

    def __enter__(self) -> "Unfinished":
        refuse_full(self.out)
        if not self.folder.exists():
            with atomic_folder(self.folder):  # makes what is missing above it, and names what cannot be written
                pass
        try:
            self._lock.acquire()
        except Timeout:
            raise FacelmError(f"another process builds {self.out}; wait for it or name another folder") from None
        try:
            self._check_request()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.folder.exists() and not self._started():
            shutil.rmtree(self.folder)
        self._lock.release()

    def _started(self) -> bool:
        return any(self.folder.glob("[0-9]*.json"))

    def _check_request(self) -> None:
        if self._fresh:
            for entry in self.folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != "lock":
                    entry.unlink()
        path = self.folder / "request.json"
        if path.is_file() and self._started():
            asked = json.loads(path.read_text(encoding="utf-8"))
            changed = next((name for name in self._request if asked.get(name) != self._request[name]), None)
            if changed is not None:
                raise FacelmError(
                    f"{self.folder} holds an unfinished build whose {changed} differ from these; repeat that build to "
                    "finish it, or give --fresh to throw it away"
                )
            return
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self._request, indent=1), encoding="utf-8")

    def done(self, chunk: int) -> bool:
        """Whether a chunk is done."""
        return (self.folder / f"{chunk:05d}.json").is_file()

    def takes(self, chunk: int) -> dict[str, Any]:
        """What was said of a chunk that is done."""
        return dict(json.loads((self.folder / f"{chunk:05d}.json").read_text(encoding="utf-8")))

    def rows(self, chunk: int) -> "Table":
        """The rows of a chunk that is done."""
        import pyarrow as pa

        with pa.OSFile(str(self.folder / f"{chunk:05d}.arrow")) as file:
            return pa.ipc.open_file(file).read_all()

    def corpus(self) -> Path:
        """An empty folder for the corpus; what a killed build left there is gone."""
        folder = self.folder / "corpus"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def finish(self) -> None:
        """Put the corpus in its place and forget the rest."""
        if self.out.is_dir():
            self.out.rmdir()  # it is empty
        os.replace(self.folder / "corpus", self.out)
        shutil.rmtree(self.folder)


def write_chunk(folder: Path, chunk: int, tables: Iterable["Table"], said: Mapping[str, Any]) -> None:
    """Write the rows of a chunk, a table at a time, then what is said of it, which `tables` may still fill in.

    Each file appears when it is complete.
    """
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with atomic_path(folder / f"{chunk:05d}.arrow") as temporary:
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema(), options=options) as writer:
            for table in tables:
                writer.write_table(table)
    with atomic_path(folder / f"{chunk:05d}.json") as temporary:
        temporary.write_text(json.dumps(said), encoding="utf-8")


def work_folder(out: str | Path) -> Path:
    """Where the unfinished build of a corpus folder lies."""
    out = Path(out).absolute()
    return out.with_name(f".{out.name}.unfinished")


def finished(out: str | Path, arguments: Mapping[str, Any], inputs: str) -> dict[str, Any] | None:
    """What `corpus.json` says where the folder is the complete corpus of these arguments and inputs; else None."""
    if not (Path(out) / NOTE).is_file():
        return None
    note = read_note(out)
    if note.get("arguments") != arguments or note.get("inputs") != inputs:
        return None
    shutil.rmtree(work_folder(out), ignore_errors=True)  # of a build that was killed between its last two steps
    return note
