"""Loading and saving motions; the ending of the name chooses the format."""

import json
import os
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError, MissingFileError
from facelm.files import atomic_path
from facelm.motion.layout import layout
from facelm.motion.livelink import LoadReport, read_livelink, write_livelink
from facelm.motion.sequence import FaceMotion

ENDINGS = (".csv", ".csv.gz", ".npz")


def load_motion(path: str | os.PathLike[str], short_rows: str = "bridge") -> tuple[FaceMotion, LoadReport]:
    """The motion in a file, and what was done to make it.

    .csv, .csv.gz: Live Link Face (layout livelink, the file's timecode as start). .npz: what `FaceMotion.save` wrote,
    or any file with `values` (T, D), `fps` and `layout`; never a pickle.
    short_rows: rows of a CSV in which no face was seen are filled in between their neighbours by timecode ("bridge",
    as are frames whose timecodes are missing), left out so that the frames follow one another regardless of time
    ("drop"), or an error ("refuse").
    Raises FacelmError naming file, row and column; MissingFileError when there is no such file.
    """
    path = Path(path)
    ending = _ending(path)
    if path.is_dir():
        raise FacelmError(f"{path} is a folder; give a file ending in {', '.join(ENDINGS)}")
    if not path.exists():
        raise MissingFileError(f"there is no file {path}")
    try:
        return _read_npz(path) if ending == ".npz" else read_livelink(path, short_rows)
    except PermissionError as error:
        raise FacelmError(f"{path} may not be read; change its permissions") from error


def save_motion(motion: FaceMotion, path: str | os.PathLike[str]) -> None:
    """Write a motion as .csv, .csv.gz or .npz; the file appears when it is complete.

    npz keeps everything; CSV keeps values, rate and timecode (to 1/60000 s), in the layout livelink.
    Raises FacelmError for other endings and folders that are not writable.
    """
    path = Path(path)
    if _ending(path) == ".npz":
        _write_npz(motion, path)
    else:
        write_livelink(motion, path)


def _ending(path: Path) -> str:
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return ending
    raise FacelmError(f"{path}: facelm reads and writes motion in files ending in {', '.join(ENDINGS)}")


def _write_npz(motion: FaceMotion, path: Path) -> None:
    arrays: dict[str, Any] = {
        "values": motion.values,
        "fps": np.float64(motion.fps),  # exact_rate gives the same fraction again
        "layout": motion.layout.name,
        "channels": np.array(motion.layout.names),
        "metadata": json.dumps(motion.metadata, sort_keys=True),
    }
    if motion.start is not None:
        arrays["start"] = np.array([motion.start.numerator, motion.start.denominator], dtype=np.int64)
    if motion.identity is not None:
        arrays["identity"] = motion.identity
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def _read_npz(path: Path) -> tuple[FaceMotion, LoadReport]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FacelmError(f"{path} is a single array; facelm needs an npz file with values, fps and layout")
            arrays = {name: archive[name] for name in archive.files}
    except FacelmError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FacelmError(f"{path} is no npz file of plain arrays ({error}); save it from numpy again") from error
    missing = [name for name in ("values", "fps", "layout") if name not in arrays]
    if missing:
        raise FacelmError(f"{path} has no array {', '.join(missing)}; it needs values (T, D), fps and layout")
    try:
        named = layout(str(arrays["layout"]))
        values = arrays["values"]
        channels = [str(name) for name in np.atleast_1d(arrays.get("channels", named.names))]
        if channels != list(named.names):  # saved by a version with another order
            values = values[:, [channels.index(name) for name in named.names]]
        start = arrays.get("start")
        metadata = json.loads(str(arrays.get("metadata", "{}")))
        motion = FaceMotion(
            values,
            float(arrays["fps"]),
            named,
            arrays.get("identity"),
            None if start is None else Fraction(int(start[0]), int(start[1])),
            metadata,
        )
    except FacelmError as error:
        raise FacelmError(f"{path}: {error}") from error
    except (TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise FacelmError(f"{path} holds no motion as facelm saves it ({error})") from error
    return motion, LoadReport(path=str(path), rows=len(motion), fps=motion.fps)
