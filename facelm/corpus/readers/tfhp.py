"""TFHP and HDTF_TFHP (DiffPoseTalk, Sun et al., 2024): FLAME at 25 fps with head motion, and speech.

Both layouts are those of the authors' scripts (github.com/DiffPoseTalk/DiffPoseTalk):

    lmdb/data.mdb, lock.mdb         the data base that is given out: "TH_00001/000/metadata", "TH_00001/000/000", ...
    lmdb/keys.txt                   every take; train.txt, val.txt and test.txt: the released splits, "TH_00001/000"

    FLAME_coeffs/TH_00001/000.npz   what the data base was made from: shape, exp, pose (head and jaw)
    audio/TH_00001/000.flac

The data base holds pickles, which are read without running anything in them, and needs `pip install 'facelm[tfhp]'`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from facelm.corpus.readers.sides import load_sound, read_lines, sound_beside
from facelm.corpus.readers.take import SkipReport, Sound, Take
from facelm.errors import FacelmError
from facelm.motion import FaceMotion, LoadReport, load_motion
from facelm.motion.formats.pickles import unpickle
from facelm.motion.layout import FLAME106

NAME = "tfhp"
FPS = 25
BASE = "data.mdb"
SPLITS = {"train.txt": "train", "val.txt": "validation", "test.txt": "test"}
_PART = 100  # frames of a piece of a take in the data base, unless its metadata says another number


def recognises(root: Path) -> bool:
    """Whether the folder (or lmdb/ in it) holds the data base with its keys, or the coefficients."""
    return (root / "FLAME_coeffs").is_dir() or _base(root) is not None


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every take with its person, sound and split."""
    base = _base(root)
    splits = _splits(base or root)
    if base is not None:
        found = [Take(key, NAME, base, key, audio=base, subject=key.partition("/")[0]) for key in _keys(base)]
    else:
        found = [_coefficients(root, path) for path in sorted((root / "FLAME_coeffs").glob("*/*.npz"))]
    for take in found:
        yield replace(take, split=splits.pop(take.id, None))
    for key, split in splits.items():
        report.remark(NAME, key, base or root, f"the list of the split {split} names {key}, but it is not here")


def _coefficients(root: Path, path: Path) -> Take:
    person, video = path.parent.name, path.stem
    key = f"{person}/{int(video):03d}" if video.isdigit() else f"{person}/{video}"
    audio = sound_beside(root / "audio" / person, video)
    notes = () if audio else (f"there is no sound audio/{person}/{video}.flac",)
    return Take(key, NAME, path, audio=audio, subject=person, notes=notes)


def load(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The motion at 25 fps: expression, head and jaw (flame106 when it comes from the data base)."""
    if take.part is None:
        return load_motion(take.motion, fps=FPS)
    pieces = [piece["coef"] for piece in _pieces(take)]
    where = f"{take.motion}, {take.part}"
    try:
        expression = np.concatenate([np.asarray(piece["exp"], np.float32) for piece in pieces])  # (T, 50)
        pose = np.concatenate([np.asarray(piece["pose"], np.float32) for piece in pieces])  # (T, 6): head, jaw
        identity = np.asarray(pieces[0]["shape"], np.float32)[0]
        values = np.zeros((len(expression), FLAME106.width), np.float32)
        values[:, : expression.shape[1]] = expression
        values[:, 100:] = pose
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FacelmError(f"{where} holds no exp (T, 50), pose (T, 6) and shape ({error!r}); get it again") from error
    try:
        motion = FaceMotion(values, FPS, FLAME106, identity)
    except FacelmError as error:
        raise FacelmError(f"{where}: {error}") from error
    return motion, LoadReport(where, len(motion), motion.fps, dialect="DiffPoseTalk data base")


def sound(take: Take, begin: float = 0.0, seconds: float | None = None) -> Sound | None:
    """What is heard; from the data base the pieces that hold it are read."""
    if take.part is None:
        return load_sound(take, begin, seconds)
    parts, rate = [], 16_000
    for piece in _pieces(take):
        try:
            samples, rate = soundfile.read(io.BytesIO(piece["audio"]), dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, KeyError, TypeError) as error:
            raise FacelmError(f"{take.motion}, {take.part}: its sound cannot be read ({error})") from error
        parts.append(samples.mean(axis=1))
    samples = np.concatenate(parts)
    first = round(begin * rate)
    return Sound(samples[first : None if seconds is None else first + round(seconds * rate)], rate)


def _base(root: Path) -> Path | None:
    return next((place for place in (root, root / "lmdb") if (place / BASE).is_file()), None)


def _splits(folder: Path) -> dict[str, str]:
    files = [(folder / name, split) for name, split in SPLITS.items() if (folder / name).is_file()]
    return {line.split()[0]: split for path, split in files for line in read_lines(path)}


def _keys(base: Path) -> list[str]:
    if (base / "keys.txt").is_file():
        return sorted(set(read_lines(base / "keys.txt")))
    ending = "/metadata"
    with _opened(base) as stored, stored.cursor() as cursor:
        names = (bytes(key).decode("utf-8", "replace") for key in cursor.iternext(keys=True, values=False))
        return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))


def _pieces(take: Take) -> Iterator[dict[str, Any]]:
    """The pieces of a take in the data base, in order."""
    with _opened(take.motion) as stored:
        length = _value(stored, "metadata", take).get("seg_len", _PART)
        frames = _value(stored, f"{take.part}/metadata", take).get("n_frames")
        if not (isinstance(length, int) and length > 0 and isinstance(frames, int) and frames > 0):
            raise FacelmError(f"{take.motion}, {take.part}: its metadata names no number of frames; get it again")
        for number in range(-(-frames // length)):
            yield _value(stored, f"{take.part}/{number:03d}", take)


def _value(stored: Any, key: str, take: Take) -> dict[str, Any]:
    data = stored.get(key.encode())
    if data is None:
        raise FacelmError(f"{take.motion} has no {key}; get the data base again")
    value = unpickle(bytes(data), take.motion / key)
    if not isinstance(value, dict):
        raise FacelmError(f"{take.motion}, {key}: a dict is needed, not a {type(value).__name__}")
    return value


@contextmanager
def _opened(base: Path) -> Iterator[Any]:
    """A read transaction on the data base."""
    try:
        import lmdb
    except ImportError as error:
        raise FacelmError(f"reading {base} needs the package lmdb: pip install 'facelm[tfhp]'") from error
    try:
        with lmdb.open(str(base), readonly=True, lock=False, readahead=False) as opened, opened.begin() as stored:
            yield stored
    except lmdb.Error as error:
        raise FacelmError(f"{base} is a damaged data base ({error}); get it again") from error
