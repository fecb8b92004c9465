"""What several verbs share."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelm.errors import FacelmError
from facelm.files import atomic_path

if TYPE_CHECKING:
    from facelm.agent import FaceLM
    from facelm.motion import FaceMotion
    from facelm.rig import BlendshapeRig, FlameRig

SHORT_ROWS = click.Choice(["bridge", "drop", "refuse"])


def quiet() -> None:
    """Spare the user the warnings of libraries about each other; errors stay."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.simplefilter("ignore", FutureWarning)
    for name in ("DeepSpeed", "bitsandbytes.backends.cpu.ops"):  # DeepSpeed sets its level itself when it is imported
        logging.getLogger(name).addFilter(_is_error)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def load_lm(folder: str) -> "FaceLM":
    """The model of a folder."""
    quiet()
    from facelm.agent import FaceLM

    return FaceLM.from_pretrained(folder)


def load_take(path: str, short_rows: str = "bridge") -> "FaceMotion":
    """The motion in a file; what had to be mended is told on stderr."""
    from facelm.motion import load_motion

    motion, report = load_motion(path, short_rows)
    if report.mended:
        click.echo(f"facelm: {report}", err=True)
    return motion


def load_head(path: str | None) -> "BlendshapeRig | FlameRig | None":
    """The user's own head, or None without a path; what it lacks is told on stderr."""
    if path is None:
        return None
    from facelm.rig import load_rig

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        rig = load_rig(path)
    for warning in told:
        click.echo(f"facelm: {warning.message}", err=True)
    return rig


@contextmanager
def output(path: str, endings: Iterable[str]) -> Iterator[Path]:
    """A file to write that becomes `path` at the end of the block; that it can be written is checked at its start.

    Raises FacelmError for an ending that is not among `endings`, and a place that cannot be written.
    """
    if not path.lower().endswith(tuple(endings)):
        raise FacelmError(f"{path} does not end in one of {', '.join(endings)}; choose what to write by the ending")
    with atomic_path(path) as temporary:
        try:
            temporary.touch()
        except OSError as error:
            raise FacelmError(f"{path} cannot be written ({error.strerror}); choose another output") from error
        yield temporary


def about(motion: "FaceMotion") -> str:
    """Length and rate in words."""
    return f"{motion.seconds:.2f} s, {len(motion)} frames at {motion.fps:.6g} fps"
