"""Linear maps from the values of one layout to those of another, fitted between two rigs or brought by the user."""

import csv
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError, MissingFileError
from facelm.files import atomic_path
from facelm.motion.layout import ARKIT, FLAME, FLAME56, FLAME106, HEAD, LIVELINK, SHAPES, Layout, head_angles, layout
from facelm.motion.rotations import rotation_vectors_of
from facelm.motion.sequence import FaceMotion

__all__ = ["LinearMap", "with_head"]

_ALPHABETICAL = tuple(sorted(SHAPES))
_ORDERS: dict[str, dict[int, tuple[str, ...]]] = {
    "arkit": {
        51: tuple(name for name in SHAPES if name != "tongueOut"),
        52: SHAPES,
        55: ARKIT.names,
        61: LIVELINK.names,
    },
    "alphabetical": {51: tuple(name for name in _ALPHABETICAL if name != "tongueOut"), 52: _ALPHABETICAL},
    "mediapipe": {
        51: tuple(name for name in _ALPHABETICAL if name != "tongueOut"),
        52: ("_neutral", *(name for name in _ALPHABETICAL if name != "tongueOut")),
        53: ("_neutral", *_ALPHABETICAL),
    },
}
_JAW = ("jawX", "jawY", "jawZ")
_EXPRESSIONS = tuple(f"expression{i}" for i in range(100))
_FLAMES: dict[int, tuple[Layout, tuple[str, ...]]] = {
    50: (FLAME56, _EXPRESSIONS[:50]),
    53: (FLAME56, (*_EXPRESSIONS[:50], *_JAW)),
    56: (FLAME56, FLAME56.names),
    100: (FLAME106, _EXPRESSIONS),
    103: (FLAME106, (*_EXPRESSIONS, *_JAW)),
    106: (FLAME106, FLAME106.names),
    117: (FLAME, FLAME.names),
}


@dataclass(frozen=True, eq=False)
class LinearMap:
    """`values @ matrix.T + offset`, clipped to the target's ranges; the head's angles are carried over as angles.

    matrix: (target D, source D). offset: (target D,). note: what it was fitted on.
    Raises FacelmError for arrays of other shapes, or that are not finite.
    """

    source: Layout
    target: Layout
    matrix: np.ndarray
    offset: np.ndarray
    note: str = field(default="")

    def __post_init__(self) -> None:
        matrix, offset = np.array(self.matrix, np.float32), np.array(self.offset, np.float32)
        wanted = (self.target.width, self.source.width)
        if matrix.shape != wanted or offset.shape != wanted[:1]:
            raise FacelmError(
                f"a map from {self.source.name} to {self.target.name} needs a matrix {wanted} and an offset "
                f"({wanted[0]},), not {matrix.shape} and {offset.shape}"
            )
        if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
            raise FacelmError("the matrix or offset of the map has values that are not finite")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "offset", offset)

    def apply(self, motion: FaceMotion) -> FaceMotion:
        """The motion in the target's layout. Raises FacelmError when it cannot be brought into the source's."""
        motion = motion.to(self.source)
        values = motion.values @ self.matrix.T + self.offset
        low, high = (np.array([getattr(c, end) for c in self.target.channels], np.float32) for end in ("low", "high"))
        values = with_head(np.clip(values, low, high), self.target, head_angles(motion.values, motion.layout))
        return FaceMotion(values, motion.rate, self.target, None, motion.start, motion.metadata)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as npz."""
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                source=self.source.name,
                target=self.target.name,
                matrix=self.matrix,
                offset=self.offset,
                note=self.note,
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str], order: str = "arkit") -> "LinearMap":
        """What `save` wrote, or a matrix of one's own from ARKit shapes to FLAME: .npy, .npz (the array `matrix`, or
        the only matrix in it; `offset` if there is one) or .csv, in either orientation.

        Without names, ARKit's side has 51 (no tongueOut), 52, 55 (with the head) or 61 (Live Link) entries in this
        `order`: "arkit" (as Live Link Face), "alphabetical", or "mediapipe" (`_neutral` first, also 53). FLAME's has
        50, 53 (jaw), 56 (neck, jaw), 100, 103 (jaw), 106 (global, jaw) or 117 (layout `flame`). A CSV may name its
        columns in the first row and its rows in the first column; an npz in `source_names` and `target_names`.
        Raises FacelmError naming the file and what does not fit; MissingFileError when there is none.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingFileError(f"there is no file {path}")
        if order not in _ORDERS:
            raise FacelmError(f"unknown order {order!r} of ARKit's shapes; it is one of {', '.join(_ORDERS)}")
        arrays = _read_csv(path) if path.suffix.lower() == ".csv" else _read_numpy(path)
        try:
            if "source" in arrays and "target" in arrays:
                ends = layout(str(arrays["source"])), layout(str(arrays["target"]))
                return cls(*ends, arrays["matrix"], arrays["offset"], str(arrays.get("note", "")))
            return _to_flame(arrays, order, path.name)
        except (FacelmError, KeyError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise FacelmError(f"{path}: {reason}") from error


def with_head(values: np.ndarray, target: str | Layout, angles: np.ndarray) -> np.ndarray:
    """Values (T, D) of a layout with the head turned by yaw, pitch, roll (T, 3), radians: FLAME's by its neck where it
    has one, else by its global joint; the other one is 0.
    """
    target = layout(target)
    out = np.array(values, np.float32)
    if not target.is_flame:
        out[:, target.indices(HEAD)] = angles
        return out
    joints = [joint for joint in ("neck", "global") if f"{joint}X" in target]
    for joint in joints:
        out[:, target.indices(joint + axis for axis in "XYZ")] = 0
    out[:, target.indices(joints[0] + axis for axis in "XYZ")] = rotation_vectors_of(angles)
    return out


def _to_flame(arrays: dict[str, np.ndarray], order: str, note: str) -> LinearMap:
    matrix = np.asarray(arrays["matrix"], np.float64)
    names = [arrays.get("target_names"), arrays.get("source_names")]
    if matrix.ndim != 2:
        raise FacelmError(f"the matrix has the shape {matrix.shape}; it must be one of ARKit shapes and FLAME channels")
    sides = [None if side is None else [str(name) for name in np.atleast_1d(side)] for side in names]
    lengths = [None if side is None else len(side) for side in sides]
    straight, turned = (
        all(length in (None, size) for length, size in zip(lengths, shape, strict=True)) and _fits(shape, sides, order)
        for shape in (matrix.shape, matrix.shape[::-1])
    )
    if straight and turned and matrix.shape[0] == matrix.shape[1] and None in sides:
        raise FacelmError(f"a matrix {matrix.shape} may be meant either way round; give names to rows and columns")
    if not straight and not turned:
        raise FacelmError(
            f"the matrix has the shape {matrix.shape}; from ARKit to FLAME it needs {_numbers(_ORDERS[order])} "
            f"(shapes, order {order!r}) by {_numbers(_FLAMES)} (channels), or names"
        )
    matrix = matrix if straight else matrix.T
    target, rows = _FLAMES[len(matrix)] if sides[0] is None else _flame_of(sides[0])
    columns = _ORDERS[order][matrix.shape[1]] if sides[1] is None else sides[1]
    source = LIVELINK if any(name in LIVELINK and name not in ARKIT for name in columns) else ARKIT
    whole, offset = np.zeros((target.width, source.width)), np.zeros(target.width)
    kept = [i for i, name in enumerate(columns) if name != "_neutral"]
    whole[np.ix_(target.indices(rows), source.indices(columns[i] for i in kept))] = matrix[:, kept]
    if "offset" in arrays:
        given = np.asarray(arrays["offset"], np.float64)
        if given.shape != (len(rows),):
            raise FacelmError(f"the offset has the shape {given.shape}; the matrix needs ({len(rows)},)")
        offset[target.indices(rows)] = given
    return LinearMap(source, target, whole, offset, note)


def _fits(shape: tuple[int, ...], sides: list[list[str] | None], order: str) -> bool:
    return (sides[0] is not None or shape[0] in _FLAMES) and (sides[1] is not None or shape[1] in _ORDERS[order])


def _flame_of(names: list[str]) -> tuple[Layout, tuple[str, ...]]:
    for known in (FLAME56, FLAME106, FLAME):
        if all(name in known for name in names):
            return known, tuple(names)
    strange = next((name for name in names if name not in FLAME), names[0])
    raise FacelmError(f"{strange!r} is no channel of FLAME; they are called expression0, jawX, neckX, ...")


def _numbers(known: Iterable[int]) -> str:
    return ", ".join(map(str, known))


def _read_numpy(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return {"matrix": found}
            arrays = {name: found[name] for name in found.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FacelmError(f"{path} is no npy or npz of plain arrays ({error}); save the matrix from numpy") from error
    if "matrix" not in arrays:
        matrices = [array for array in arrays.values() if array.ndim == 2]
        if len(matrices) != 1:
            raise FacelmError(f"{path} has {len(matrices)} matrices ({', '.join(arrays)}); call the one `matrix`")
        arrays["matrix"] = matrices[0]
    return arrays


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FacelmError(f"{path} is no CSV in UTF-8 ({error})") from error
    if not rows:
        raise FacelmError(f"{path} is empty")
    header = None if all(map(_is_number, rows[0][1:])) else rows.pop(0)
    named = bool(rows) and not _is_number(rows[0][0])
    columns = None if header is None else [name.strip() for name in header[1 if named else 0 :]]
    labels = [row[0].strip() for row in rows] if named else None
    numbers = []
    for line, row in enumerate(rows, 2 if header else 1):
        cells = row[1:] if named else row
        if len(cells) != len(columns or rows[0][1 if named else 0 :]) or not all(map(_is_number, cells)):
            raise FacelmError(f"{path}, line {line}: not the numbers of one row of the matrix")
        numbers.append([float(cell) for cell in cells])
    matrix = np.array(numbers)
    sides = [labels, columns] if _flameness(labels) >= _flameness(columns) else [columns, labels]
    arrays = {"matrix": matrix if sides[0] is labels else matrix.T}
    for key, names in zip(("target_names", "source_names"), sides, strict=True):
        if names is not None:
            arrays[key] = np.array(names)
    return arrays


def _flameness(names: list[str] | None) -> int:
    """How much names look like FLAME's channels (above 0) or ARKit's (below 0)."""
    return sum((name in FLAME) - (name in LIVELINK) for name in names or ())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
