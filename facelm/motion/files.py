"""Loading and saving motions: what a file is, its content says; the ending of the name only helps."""

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from facelm.errors import FacelmError, MissingFileError
from facelm.motion.formats import ReadOptions, arrays, beat, documents, flame, gltf, livelink, read_head, weights
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion

if TYPE_CHECKING:
    from facelm.motion.names import NameTable

READERS: tuple[ModuleType, ...] = (arrays, flame, livelink, gltf, beat, documents, weights)  # asked in this order
ENDINGS = (".csv", ".csv.gz", ".json", ".npz")

# Who writes a file, and whose error is told of one that nobody knows.
_BY_ENDING = {".npz": arrays, ".csv": livelink, ".csv.gz": livelink, ".json": beat}


def load_motion(
    path: str | os.PathLike[str],
    short_rows: str = "bridge",
    names: "NameTable | str | Path | None" = None,
    fps: float | None = None,
) -> tuple[FaceMotion, LoadReport]:
    """The motion in a file (or folder of frames), and what was done to make it; the report names the dialect.

    What the file is, its content says. ARKit: Live Link Face CSV (layout livelink, with its timecode), CSV, JSON and
    npz of named weights, BEAT JSON, Face Cap, glTF (arkit). FLAME (flame56, flame106, flame): MMHead, ARTalk, DECA,
    EMOCA, DiffPoseTalk, VHAP, SMIRK, BEAT2; as npz, npy, pickle (nothing in it is run), torch file or folder. And what
    `FaceMotion.save` wrote.
    short_rows: rows in which no face was seen are filled in between their neighbours by time ("bridge", as are frames
    that are missing), left out so that the frames follow one another regardless of time ("drop"), or an error
    ("refuse").
    names: the table of the file's channel names, for files of rigs with other names than ARKit's: a NameTable, its
    YAML file or the name of a built-in one. fps: the rate of a file that states none (frames/s).
    Raises FacelmError naming file, row or frame, and channel; MissingFileError when there is no such file.
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
    shapes and the rate. dialect: for FLAME layouts the tool that is to read the npz: "diffposetalk", "artalk" (also
    .npy) or "vhap"; what the tool has no place for is told in a warning.
    Raises FacelmError for other endings and dialects, layouts that need a map, and folders that are not writable.
    """
    path = Path(path)
    ending = _ending(path)
    if dialect is not None:
        flame.write(motion, path, dialect)
    elif ending is None:
        raise FacelmError(f"{path}: facelm writes motion to files ending in {', '.join(ENDINGS)}")
    else:
        _BY_ENDING[ending].write(motion, path)


def _reader(path: Path) -> ModuleType:
    head = read_head(path)
    for reader in READERS:
        if reader.sniff(path, head):
            return reader
    if path.is_dir():
        raise FacelmError(f"{path} is a folder without frames of FLAME coefficients; give one of the files in it")
    if not head:
        raise FacelmError(f"{path} is empty; get or export it again")
    ending = _ending(path)
    if ending is None:
        raise FacelmError(
            f"{path} is no motion that facelm knows; it reads CSV, JSON, glTF, npz, npy, pickles, torch files and Face "
            "Cap's text"
        )
    return _BY_ENDING[ending]


def _ending(path: Path) -> str | None:
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
