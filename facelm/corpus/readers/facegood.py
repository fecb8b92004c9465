"""FACEGOOD Audio2Face's training data: Mandarin speech and weights of a rig with its own names, 30 fps.

The layout is that of github.com/FACEGOOD/FACEGOOD-Audio2Face, in code/train:

    bs_value/bs_value_1114_2_01.npy      weights (T, 116), without names
    wav/1114_2_01.wav
    shirley_1119_bs_name.npy             the names of the columns

or takes that hold their names: 1114_2_01.npz with `weights`, `names` and `fps`, and 1114_2_01.wav beside it. About 24
channels move, those of the mouth; the table `facegood` turns them into ARKit's (facelm.motion.names).
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facelm.corpus.readers.sides import load_sound, npz_names, sound_beside
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import Labels
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import ARKIT, FaceMotion, LoadReport, load_motion
from facelm.motion.names import load_names

NAME = "facegood"
TABLE = "facegood"
FPS = 30
NAMES = "shirley_1119_bs_name.npy"
VALUES = "bs_value"
_TAKE = re.compile(r"\d{4}_\d_\d{2}$")

sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the folder holds bs_value/ and wav/, or nothing but takes of that name with their names and sound."""
    if (root / VALUES).is_dir():
        return (root / "wav").is_dir()
    paths = sorted(root.glob("*.npz"))
    return bool(paths) and all(_TAKE.match(path.stem) for path in paths) and {"weights", "names"} <= npz_names(paths[0])


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every take with its sound; sound without weights is noted."""
    values = root / VALUES
    paths = sorted(values.glob("*.npy")) if values.is_dir() else sorted(root.glob("*.npz"))
    sounds = root / "wav" if values.is_dir() else root
    names = [path.stem.removeprefix(f"{VALUES}_") for path in paths]
    for path, name in zip(paths, names, strict=True):
        audio = sound_beside(sounds, name)
        yield Take(
            id=name,
            dataset=NAME,
            motion=path,
            audio=audio,
            labels=Labels(actions=("talk",)),
            subject=NAME,  # one talker
            extra={"language": "Chinese", "names": str(root / NAMES)} if values.is_dir() else {"language": "Chinese"},
            notes=() if audio else (f"there is no sound {name}.wav",),
        )
    for path in sorted(sounds.glob("*.wav")):
        if path.stem not in names:
            report.remark(NAME, path.stem, path, f"{path} has no weights")


def load(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The motion in the layout arkit."""
    if "names" not in take.extra:
        return load_motion(take.motion, names=TABLE, fps=FPS)
    names = _names(Path(take.extra["names"]))
    weights = _array(take.motion, "fiu")
    if weights.ndim != 2 or weights.shape[1] != len(names):
        raise FacelmError(f"{take.motion} has the shape {weights.shape}, but {NAMES} has {len(names)} names")
    if not np.isfinite(weights).all():
        frame, column = np.argwhere(~np.isfinite(weights))[0]
        raise FacelmError(f"{take.motion}: {names[column]} in frame {frame} is {weights[frame, column]}; mend the file")
    try:
        motion = FaceMotion(load_names(TABLE).apply(weights, names), FPS, ARKIT)
    except FacelmError as error:
        raise FacelmError(f"{take.motion}: {error}") from error
    notes = (f"the names were read with the table {TABLE}.",)
    return motion, LoadReport(str(take.motion), len(motion), motion.fps, dialect="FACEGOOD weights", notes=notes)


def _names(path: Path) -> list[str]:
    found = _array(path, "U")
    codes = np.frombuffer(found.tobytes(), found.dtype.byteorder + "u4")  # a damaged file may hold what is no character
    if found.ndim != 1 or (codes > 0x10FFFF).any():
        raise FacelmError(f"{path} holds no list of names; get it again")
    return [str(name) for name in found]


def _array(path: Path, kinds: str) -> np.ndarray:
    """A plain array whose dtype is of one of these kinds; never a pickle."""
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise MissingFileError(f"there is no file {path}; it lies in code/train of FACEGOOD-Audio2Face") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FacelmError(f"{path} is no npy file of a plain array ({error}); get it again") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in kinds:
        raise FacelmError(f"{path} does not hold what is needed; get it again")
    return found
