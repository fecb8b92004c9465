"""The small files beside a motion: text, JSON, tables, sound. Errors name file and row."""

import csv
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import soundfile

from facelm.corpus.readers.take import SPLITS, SkipReport, Sound, Take
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import FaceMotion, LoadReport, load_motion

TABLE, PEOPLE = "labels.csv", "subjects.csv"  # a row a take, a row a person: in the uppermost folder of any data set
SOUNDS = (".wav", ".flac", ".mp3", ".ogg")
MOTIONS = (
    ".csv",
    ".csv.gz",
    ".npz",
    ".npy",
    ".pkl",
    ".pickle",
    ".glb",
    ".gltf",
)  # surely a motion; JSON and text may be
_ARRAYS = {"exp.npy", "expcode.npy", "expression.npy"}  # one of several arrays that are one motion
LONGER = 1.0  # s that sound may go on after the motion before it is worth a word
SHORTER = 0.2  # s that it may end before the motion

_SPLITS = {"train": "train", "training": "train", "trn": "train", "test": "test", "tst": "test", "testing": "test"} | {
    name: "validation" for name in ("validation", "val", "valid", "dev", "vali")
}


# ---------------------------------------------------------------- text


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises FacelmError naming the line that is not UTF-8."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"there is no file {path}") from None
    except OSError as error:
        raise FacelmError(f"{path} cannot be read ({error.strerror})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FacelmError(f"{path} line {line} is not UTF-8 text; save the file as UTF-8") from None


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a UTF-8 file that are not blank, without the white space around them."""
    return tuple(line.strip() for line in read_text(path).splitlines() if line.strip())


def read_json(path: Path, *kinds: type) -> Any:
    """The contents of a JSON file whose outermost value is of one of these kinds (a dict, when none is given).

    Raises FacelmError naming file and line.
    """
    kinds = kinds or (dict,)
    try:
        found = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise FacelmError(f"{path} line {error.lineno}: this is not JSON ({error.msg})") from error
    except RecursionError:
        raise FacelmError(f"{path} is nested too deeply to be read") from None
    if not isinstance(found, kinds):
        raise FacelmError(f"{path} holds a {type(found).__name__}; a {kinds[0].__name__} is needed")
    return found


def read_table(path: Path, needed: tuple[str, ...] = (), delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header: line number, and the fields by lower-case column name.

    Raises FacelmError naming the missing column, or the row with a wrong number of fields.
    """
    rows = csv.reader(read_text(path).splitlines(), delimiter=delimiter)
    header = [name.strip().lower() for name in next(rows, [])]
    missing = [name for name in needed if name not in header]
    if missing:
        raise FacelmError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(header) or 'none'}")
    for row in rows:
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            raise FacelmError(f"{path} row {rows.line_num} has {len(row)} fields, but the header has {len(header)}")
        yield rows.line_num, {name: field.strip() for name, field in zip(header, row, strict=True)}


def split_name(name: str, where: str) -> str | None:
    """The split a data set's word means, None for an empty one. Raises FacelmError naming `where` for other words."""
    if not name.strip():
        return None
    found = _SPLITS.get(name.strip().lower())
    if found is None:
        raise FacelmError(f"{where}: unknown split {name!r}; write one of {', '.join(SPLITS)}")
    return found


def several(value: str) -> tuple[str, ...]:
    """The words of a field that holds several, between ";" or "|"."""
    return tuple(word.strip() for word in value.replace("|", ";").split(";") if word.strip())


# ---------------------------------------------------------------- sound


def sound_beside(folder: Path, stem: str) -> Path | None:
    """The sound file of that name in a folder, or None."""
    for ending in SOUNDS:
        for name in (stem + ending, stem + ending.upper()):
            if (folder / name).is_file():
                return folder / name
    return None


def load_sound(take: Take, begin: float = 0.0, seconds: float | None = None) -> Sound | None:
    """The sound of a take from `begin` on (s), `seconds` long (to the end when None), mixed to mono.

    None where the take has none; shorter where the file ends before. Raises FacelmError naming the file.
    """
    if take.audio is None:
        return None
    try:
        with soundfile.SoundFile(take.audio) as file:
            first = min(file.frames, max(0, round(begin * file.samplerate)))
            count = -1 if seconds is None else round(seconds * file.samplerate)
            file.seek(first)
            samples = file.read(count, dtype="float32", always_2d=True)  # (N, channels)
            return Sound(samples.mean(axis=1), file.samplerate)
    except (soundfile.SoundFileError, OSError) as error:
        raise _bad_sound(take.audio, error) from error


def sound_seconds(path: Path) -> float:
    """How long a sound file is, s. Raises FacelmError for files that are damaged or hold nothing."""
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise _bad_sound(path, error) from error
    if not info.frames:
        raise FacelmError(f"{path} holds no sound; record or export it again")
    return float(info.frames / info.samplerate)


def _bad_sound(path: Path, error: Exception) -> FacelmError:
    if not path.exists():
        return MissingFileError(f"there is no file {path}")
    said = " ".join(str(error).replace(str(path), "it").split())
    return FacelmError(f"{path} is no readable sound file ({said}); export it again, as WAV for example")


def sound_notes(heard: float, motion: FaceMotion, name: str) -> tuple[str, ...]:
    """A sentence when the sound (`heard` seconds) and the motion do not end together, else nothing."""
    difference = heard - motion.seconds
    if -SHORTER <= difference <= LONGER:
        return ()
    word = "shorter" if difference < 0 else "longer"
    return (f"{name} is {abs(difference):.2f} s {word} than the motion ({heard:.2f} s against {motion.seconds:.2f} s)",)


# ---------------------------------------------------------------- motion


def stem_of(path: Path) -> str:
    """The name of a motion file without its ending (both of them for .csv.gz); of a folder, its name."""
    ending = next((e for e in sorted(MOTIONS, key=len, reverse=True) if path.name.lower().endswith(e)), "")
    return path.name[: len(path.name) - len(ending)]


def takes_below(root: Path, dataset: str, take: Callable[[Path, Path], Take], report: SkipReport) -> Iterator[Take]:
    """`take(root, path)` of every motion below a folder; those that raise FacelmError are reported as skipped."""
    for path in motions_below(root):
        try:
            yield take(root, path)
        except FacelmError as error:
            report.skip(dataset, inside(root, path), path, error)


def motions_below(root: Path) -> Iterator[Path]:
    """Every file below a folder that ends like a motion, in a stable order; a folder of EMOCA's arrays is one."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if _ARRAYS & set(files):
            folders.clear()
            yield Path(folder)
            continue
        for name in sorted(files):
            if name.lower().endswith(MOTIONS) and name not in (TABLE, PEOPLE) and not name.startswith("."):
                yield Path(folder, name)


def inside(root: Path, motion: Path) -> str:
    """The id of a take: where its motion lies in the data set, without its ending."""
    return (motion.relative_to(root).parent / stem_of(motion)).as_posix()


def load_file(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The motion of a take that is a file of its own, in whatever dialect; `extra["fps"]` is its rate if named."""
    return load_motion(take.motion, fps=float(take.extra["fps"]) if "fps" in take.extra else None)


def plain_number(value: str, where: str) -> float:
    """A finite number. Raises FacelmError naming `where`."""
    try:
        number = float(value)
    except ValueError:
        raise FacelmError(f"{where}: {value!r} is no number") from None
    if not math.isfinite(number):
        raise FacelmError(f"{where}: {value} is not a finite number")
    return number


def npz_names(path: Path) -> set[str]:
    """The names of the arrays in an npz file; none where it is not one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()
