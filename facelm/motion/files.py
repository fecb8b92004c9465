"""Loading and saving motions: what a file is, its content says; the ending of the name only helps."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from facelm.errors import FacelmError, MissingFileError
from facelm.motion.formats import ReadOptions, arrays, beat, documents, gltf, livelink, read_head, weights
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion

READERS: tuple[ModuleType, ...] = (arrays, livelink, gltf, beat, documents, weights)  # asked in this order
ENDINGS = (".csv", ".csv.gz", ".json", ".npz")

# Who writes a file, and whose error is told of one that nobody knows.
_BY_ENDING = {".npz": arrays, ".csv": livelink, ".csv.gz": livelink, ".json": beat}


def load_motion(
    path: str | os.PathLike[str], short_rows: str = "bridge", names: Any = None, fps: float | None = None
) -> tuple[FaceMotion, LoadReport]:
    """The motion in a file, and what was done to make it.

    .csv, .csv.gz: Live Link Face (layout livelink, the file's timecode as start). .npz: what `FaceMotion.save` wrote,
    or any file with `values` (T, D), `fps` and `layout`; never a pickle.
    short_rows: rows of a CSV in which no face was seen are filled in between their neighbours by timecode ("bridge",
    as are frames whose timecodes are missing), left out so that the frames follow one another regardless of time
    ("drop"), or an error ("refuse").
    names: the table of the file's channel names, for files of rigs with other names than ARKit's: a NameTable, its
    YAML file or the name of a built-in one. fps: the rate of a file that states none (frames/s).
    Raises FacelmError naming file, row and column; MissingFileError when there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"there is no file {path}")
    options = ReadOptions(short_rows, names, fps)
    try:
        return _reader(path).read(path, options)
    except PermissionError as error:
        raise FacelmError(f"{path} may not be read; change its permissions") from error


def save_motion(motion: FaceMotion, path: str | os.PathLike[str], dialect: str | None = None) -> None:
    """Write a motion as .csv, .csv.gz, .json (BEAT) or .npz; the file appears when it is complete.

    npz keeps everything; CSV keeps values, rate and timecode (to 1/60000 s), in the layout livelink; BEAT JSON keeps 51
    shapes and the rate.
    Raises FacelmError for other endings and folders that are not writable.
    """
    path = Path(path)
    ending = _ending(path)
    if ending is None:
        raise FacelmError(f"{path}: facelm writes motion to files ending in {', '.join(ENDINGS)}")
    _BY_ENDING[ending].write(motion, path)


def _reader(path: Path) -> ModuleType:
    head = read_head(path)
    for reader in READERS:
        if reader.sniff(path, head):
            return reader
    if path.is_dir():
        raise FacelmError(f"{path} is a folder; give a file ending in {', '.join(ENDINGS)}")
    if not head:
        raise FacelmError(f"{path} is empty; get or export it again")
    ending = _ending(path)
    if ending is None:
        raise FacelmError(f"{path} is no motion that facelm knows; it reads {', '.join(ENDINGS)}")
    return _BY_ENDING[ending]


def _ending(path: Path) -> str | None:
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
