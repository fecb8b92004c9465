"""Named arrays over the frames of a take, whatever they were put into: npz, npy, pickle, torch file or folders.

Fitters write one file a take, one file a frame, one folder a frame (with a hole where no face was found), a list of
dicts, or a dict of lists. All of it becomes one array a name, with the number of each frame.
"""

import re
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.motion.formats.arrays import BROKEN_ZIP, npz_names, npz_shapes, parse_npy, read_npz
from facelm.motion.formats.pickles import MAX_BYTES, load_pickle

NPY = b"\x93NUMPY"
ALONE = ""  # the name of an array that has none
PICKLES = (".pkl", ".pickle", ".p")

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Held:
    """What a file or folder holds.

    kind: "npz", "npy", "pickle", "torch file" or "folder". arrays: name -> numbers, (T, ...) or without frames. other:
    the names of what is there besides and was not read. frames: int64 (T,), the number of each frame from 0,
    increasing; None when they follow one another.
    """

    kind: str
    arrays: dict[str, np.ndarray]
    other: tuple[str, ...] = ()
    frames: np.ndarray | None = None


def kind_of(path: Path) -> str | None:
    """The kind of container, or None when it is none of them (a gzipped one is not)."""
    if path.is_dir():
        return "folder"
    with open(path, "rb") as file:
        head = file.read(len(NPY))
    if head == NPY:
        return "npy"
    if head.startswith(b"PK"):
        if npz_names(path):
            return "npz"
        return "torch file" if _is_torch(path) else None
    old = head[:1] in b"(c]}" and path.suffix.lower() in PICKLES  # of Python 2; any text may begin like this
    return "pickle" if (head[:1] == b"\x80" and head[1:2] <= b"\x05") or (head and old) else None


def read_held(path: Path, kind: str, wanted: Collection[str], widths: Collection[int] = ()) -> Held:
    """The arrays of a container whose names are in `wanted`, or which have as many columns as one of `widths`.

    Raises FacelmError naming the file and what is wrong with it.
    """
    if kind == "folder":
        return _folder(path, wanted)
    if kind == "npz":
        shapes = npz_shapes(path)
        named = [name for name, shape in shapes.items() if name in wanted or _wide(shape, widths)]
        arrays = {name: _numbers(path, name, value) for name, value in read_npz(path, named).items()}
        return Held(kind, arrays, tuple(name for name in shapes if name not in named))
    if kind == "npy":
        if (size := path.stat().st_size) > MAX_BYTES:
            raise FacelmError(f"{path} is an array of {size:,} bytes; facelm reads at most {MAX_BYTES:,}")
        return _plain(path, kind, parse_npy(path.read_bytes(), path), wanted, widths)
    return _plain(path, kind, _torch(path) if kind == "torch file" else load_pickle(path), wanted, widths)


def _plain(path: Path, kind: str, held: Any, wanted: Collection[str], widths: Collection[int]) -> Held:
    """What a pickle gave: an array, a dict of arrays, or one of these for each frame."""
    if isinstance(held, np.ndarray) and held.dtype.hasobject:
        held = held.tolist()  # of numpy.save(path, {...}): the dict itself
    if isinstance(held, dict):
        inner = list(held.values())
        if not any(name in wanted for name in held) and inner and all(v is None or isinstance(v, dict) for v in inner):
            if len(held) == 1:  # {"flame": {...}}
                return _plain(path, kind, inner[0], wanted, widths)
            return _frames(path, kind, _in_order(held.items()), wanted)  # {"000001.png": {...}, ...}
        named = {
            str(name): _numbers(path, str(name), value)
            for name, value in held.items()
            if name in wanted or _wide(np.shape(value) if isinstance(value, np.ndarray) else (), widths)
        }
        return Held(kind, named, tuple(str(name) for name in held if str(name) not in named))
    if isinstance(held, list | tuple) and any(isinstance(frame, dict) for frame in held):
        return _frames(path, kind, list(enumerate(held)), wanted)
    return Held(kind, {ALONE: _numbers(path, "the array", held)})


def _wide(shape: tuple[int, ...], widths: Collection[int]) -> bool:
    return len(shape) > 1 and shape[-1] in widths


def _frames(path: Path, kind: str, numbered: list[tuple[int, Any]], wanted: Collection[str]) -> Held:
    """One dict a frame, or None where no face was found: arrays stacked over the dicts."""
    found = [(number, frame) for number, frame in numbered if frame is not None]
    if not found:
        raise FacelmError(f"{path} holds no frame with a face; nothing was tracked in this take")
    begin, first = found[0]
    names = [str(name) for name in first if name in wanted] if isinstance(first, dict) else []
    stacked: dict[str, list[np.ndarray]] = {name: [] for name in names}
    size = 0
    for number, frame in found:
        if not isinstance(frame, dict):
            raise FacelmError(f"{path}, frame {number}: a dict of arrays is needed, not a {type(frame).__name__}")
        for name in names:
            if name not in frame:
                raise FacelmError(f"{path}, frame {number} has no {name} but frame {begin} has; fit it again")
            value = _numbers(path, f"{name} of frame {number}", frame[name])
            if value.ndim > 1 and len(value) != 1:
                raise FacelmError(
                    f"{path}: {name} of frame {number} has the shape {value.shape}, more than one frame; "
                    "load these as takes of their own"
                )
            stacked[name].append(value.reshape(-1))
            if stacked[name][-1].shape != stacked[name][0].shape:
                raise FacelmError(
                    f"{path}, frame {number}: {name} has {value.size} values, but {stacked[name][0].size} in frame "
                    f"{begin}; fit it again"
                )
            size += value.nbytes
        if size > MAX_BYTES:
            raise FacelmError(f"{path} holds more than {MAX_BYTES:,} bytes in its frames; split it")
    numbers = np.array([number for number, _ in found], dtype=np.int64)
    arrays = {name: np.stack(values) for name, values in stacked.items()}
    return Held(kind, arrays, tuple(str(name) for name in first if name not in wanted), numbers - begin)


def _folder(path: Path, wanted: Collection[str]) -> Held:
    files = sorted(path.glob("*.npy"))
    if any(file.stem in wanted for file in files):
        arrays = {file.stem: _numbers(path, file.stem, _npy(file)) for file in files if file.stem in wanted}
        return Held("folder", arrays, tuple(file.stem for file in files if file.stem not in wanted))
    if folders := frame_folders(path, wanted):
        return _frames(path, "folder", [(number, _npys(folder, wanted)) for number, folder in folders], wanted)
    numbered = [(number, dict.fromkeys(npz_names(file)) | read_npz(file, wanted)) for number, file in frame_files(path)]
    return _frames(path, "folder", numbered, wanted)


def _npys(folder: Path, wanted: Collection[str]) -> dict[str, Any]:
    """The arrays of one frame; of those nobody wants the names alone."""
    return {file.stem: _npy(file) if file.stem in wanted else None for file in sorted(folder.glob("*.npy"))}


def _npy(file: Path) -> Any:
    return parse_npy(file.read_bytes(), file)


def frame_folders(path: Path, wanted: Collection[str]) -> list[tuple[int, Path]]:
    """The folders of a take that has one for each frame, as EMOCA and SMIRK write them, with their numbers."""
    inside = [(entry.name, entry) for entry in path.iterdir() if entry.is_dir() and _NUMBER.search(entry.name)]
    return _in_order((name, entry) for name, entry in inside if any((entry / f"{w}.npy").is_file() for w in wanted))


def frame_files(path: Path) -> list[tuple[int, Path]]:
    """The npz files of a folder whose names are frame numbers, as VHAP exports them, with their numbers."""
    return _in_order((file.name, file) for file in path.glob("*.npz") if file.stem.isdecimal())


def _in_order(named: Iterable[tuple[Any, Any]]) -> list[tuple[int, Any]]:
    """Things named after frames, by number: "000012_000" is the first face found in frame 12, others are left out.

    Names without numbers keep their order.
    """
    things = list(named)
    matches = [_NUMBER.search(str(name)) for name, _ in things]
    if not all(matches):
        return list(enumerate(thing for _, thing in things))
    by_number: dict[int, tuple[str, Any]] = {}
    for match, (name, thing) in zip(matches, things, strict=True):
        assert match is not None
        number = int(match.group()[:18])
        if number not in by_number or str(name) < by_number[number][0]:
            by_number[number] = str(name), thing
    return [(number, by_number[number][1]) for number in sorted(by_number)]


def _numbers(path: Path, name: str, value: Any) -> np.ndarray:
    """The numbers of an array, or of lists of them of the same length; words come as they are."""
    try:
        array = np.asarray(value.tolist() if isinstance(value, np.ndarray) and value.dtype.hasobject else value)
    except (ValueError, TypeError):
        raise FacelmError(f"{path}: the parts of {name} differ in length; save it as one array") from None
    if array.dtype.kind not in "biufSU":
        raise FacelmError(f"{path}: {name} holds {type(value).__name__} rather than numbers; save it as an array")
    return array


def _is_torch(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except BROKEN_ZIP:
        return False


def _torch(path: Path) -> Any:
    """What a file of torch.save holds, with arrays for tensors; torch itself loads nothing but weights here."""
    import torch

    if (size := path.stat().st_size) > MAX_BYTES:
        raise FacelmError(f"{path} is a torch file of {size:,} bytes; facelm reads at most {MAX_BYTES:,}")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything for a damaged file
        said = " ".join(str(error).split())[:200]
        raise FacelmError(f"{path} is no torch file of plain tensors ({said}); save them with numpy.savez") from None
    return _without_tensors(held)


def _without_tensors(held: Any) -> Any:
    import torch

    if isinstance(held, torch.Tensor):
        return held.detach().cpu().to_dense().float().numpy()
    if isinstance(held, dict):
        return {name: _without_tensors(value) for name, value in held.items()}
    if isinstance(held, list | tuple):
        return [_without_tensors(value) for value in held]
    return held
