"""Rigs from files: the default head and users' own."""

import os
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError, MissingFileError
from facelm.motion.layout import SHAPES
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.parts import guess_groups

HEAD = Path(__file__).parent / "assets" / "head.npz"
UNITS = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001}
FACE_HEIGHT = 0.17  # metres; of what the shapes move on a grown-up's face


def load_rig(path: str | os.PathLike[str] | None = None, unit: str | None = None) -> BlendshapeRig:
    """The default CC0 head, or the user's own from an npz with `names` (n,), `vertices` (V, 3), `deltas` (n, V, 3) and
    `quads` or `faces_quads` (F, 4; -1 in the last column of a triangle) or `triangles` (F, 3).

    The shapes may come in any order and spelling of the sides (browDownLeft, browDown_L, ...); where the two halves of
    a shape have shapes of their own (browInnerUp_L and _R), both follow it. Shapes that are absent do nothing, and a
    warning names them. Optional arrays: `unit` ("m", "dm", "cm" or "mm"), `face_group` (F,), `neck_pivot` (3,),
    `head_weight` (V,) and masks `region_lips`, `region_<name>` (V,). What is not given is worked out: the unit is that
    in which the moving part of the face is nearest to 0.17 m high, parts and neck as in `facelm.rig.parts`.
    Raises FacelmError naming the file and what it lacks; MissingFileError when there is no such file.
    """
    path = Path(path or HEAD)
    if not path.is_file():
        raise MissingFileError(f"there is no rig file {path}; leave the rig out to use the default head")
    return _from_npz(path, unit)


def _from_npz(path: Path, unit: str | None) -> BlendshapeRig:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise FacelmError(f"{path} is no npz of plain arrays; save the rig with numpy.savez_compressed") from error
    faces = next((arrays[key] for key in ("quads", "faces_quads", "triangles") if key in arrays), None)
    lacking = [key for key in ("names", "vertices", "deltas") if key not in arrays]
    if lacking or faces is None:
        raise FacelmError(f"{path} has no {', '.join(lacking) or 'quads or triangles'}; see load_rig for the arrays")
    return assemble(
        str(path),
        [str(name) for name in arrays["names"]],
        arrays["vertices"],
        arrays["deltas"],
        faces,
        unit or (str(arrays["unit"]) if "unit" in arrays else None),
        arrays.get("face_group"),
        arrays.get("neck_pivot"),
        arrays.get("head_weight"),
        {key.removeprefix("region_"): mask for key, mask in arrays.items() if key.startswith("region_")},
    )


def assemble(
    source: str,
    names: Sequence[str],
    vertices: np.ndarray,
    deltas: np.ndarray,
    faces: np.ndarray,
    unit: str | None = None,
    groups: np.ndarray | None = None,
    pivot: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    masks: Mapping[str, np.ndarray] | None = None,
) -> BlendshapeRig:
    """A rig from the arrays `load_rig` describes, in the file's own unit; `source` names the file in errors.

    names: (n,). vertices: (V, 3). deltas: (n, V, 3). faces: (F, 3 or 4), pivot: (3,), weight: (V,), masks: (V,) each.
    Raises FacelmError as `load_rig` does.
    """
    rest, own = np.asarray(vertices, np.float32), np.asarray(deltas, np.float32)
    if rest.ndim != 2 or rest.shape[1] != 3 or own.shape != (len(names), *rest.shape):
        raise FacelmError(
            f"{source} has vertices {rest.shape} and deltas {own.shape} for {len(names)} names; "
            "a rig needs (V, 3) and (number of names, V, 3)"
        )
    if not (np.isfinite(rest).all() and np.isfinite(own).all()):
        raise FacelmError(f"{source} has vertices or deltas that are no finite numbers; save the rig again")
    faces = _corners(source, np.asarray(faces), len(rest))
    arkit = _arkit_deltas(source, names, own)
    scale = np.float32(_metres(source, rest, arkit, unit))
    rest, arkit = rest * scale, arkit * scale
    if groups is None:
        groups = guess_groups(rest, arkit, faces)
    elif len(groups) != len(faces):
        raise FacelmError(f"{source} has {len(groups)} entries in face_group for {len(faces)} faces")
    if weight is not None and len(weight) != len(rest):
        raise FacelmError(f"{source} has {len(weight)} entries in head_weight for {len(rest)} vertices")
    try:
        return BlendshapeRig(
            rest, arkit, faces, groups, None if pivot is None else np.asarray(pivot) * scale, weight, masks
        )
    except FacelmError as error:
        raise FacelmError(f"{source}: {error}") from error


def _corners(source: str, faces: np.ndarray, count: int) -> np.ndarray:
    """Faces (F, 3 or 4) whose corners all exist; a mixture of both, marked by -1, becomes triangles."""
    if faces.ndim != 2 or faces.shape[1] not in (3, 4) or not np.issubdtype(faces.dtype, np.integer):
        raise FacelmError(f"{source} has faces {faces.dtype} {faces.shape}; a rig needs whole numbers (F, 3 or 4)")
    if faces.shape[1] == 4 and (faces[:, 3] < 0).any():
        quads = faces[faces[:, 3] >= 0]
        faces = np.concatenate([faces[:, :3], quads[:, [0, 2, 3]]])
    if not len(faces) or faces.min() < 0 or faces.max() >= count:
        raise FacelmError(f"{source} has faces of vertices that do not exist; there are {count}, counted from 0")
    return faces


def _arkit_deltas(source: str, names: Sequence[str], own: np.ndarray) -> np.ndarray:
    """Deltas (52, V, 3) in the order of the `arkit` layout."""
    out = np.zeros((len(SHAPES), *own.shape[1:]), np.float32)
    whole: dict[str, str] = {}
    halves: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        shape, is_half = _spellings().get(_plain(name), (None, False))
        if shape is None:
            continue
        if is_half:
            halves.setdefault(shape, []).append(i)
        elif shape in whole:
            raise FacelmError(f"{source} has two shapes for {shape}: {whole[shape]} and {name}; keep one")
        else:
            whole[shape] = name
            out[SHAPES.index(shape)] = own[i]
    for shape in halves.keys() - whole.keys():
        out[SHAPES.index(shape)] = own[halves[shape]].sum(0)
    absent = [name for name in SHAPES if name not in whole and name not in halves]
    if len(absent) == len(SHAPES):
        own_names = ", ".join(names[:5]) or "none"
        raise FacelmError(f"{source} has no shape with an ARKit name such as jawOpen (it has {own_names}); rename them")
    if absent:
        warnings.warn(f"{source} has no shape {', '.join(absent)}: these channels do nothing on it", stacklevel=5)
    return out


@lru_cache(maxsize=1)
def _spellings() -> dict[str, tuple[str, bool]]:
    """Plain spelling of a shape's name: the ARKit shape, and whether it is one half of it."""
    found = {}
    for shape in SHAPES:
        sided = re.fullmatch(r"(.*)(Left|Right)", shape)
        if sided:
            found[_plain(sided[1] + sided[2][0])] = shape, False
        else:
            found |= {_plain(shape + half): (shape, True) for half in ("L", "R", "Left", "Right")}
    return found | {_plain(shape): (shape, False) for shape in SHAPES}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.split(r"[.:|/]", name)[-1].lower())


def _metres(source: str, rest: np.ndarray, deltas: np.ndarray, unit: str | None) -> float:
    """Metres per unit of the file: of the unit given, else of that in which the face is nearest to FACE_HEIGHT."""
    if unit is not None:
        if unit not in UNITS:
            raise FacelmError(f"{source}: unknown unit {unit!r}; it is one of {', '.join(UNITS)}")
        return UNITS[unit]
    moved = np.linalg.norm(deltas, axis=2).max(0)
    height = float(np.ptp(rest[moved > 0.1 * moved.max(), 1])) if moved.max() > 0 else 0.0
    if height <= 0:
        raise FacelmError(f"{source} has shapes that move nothing, so that its unit cannot be told; give the unit")
    return min(UNITS.values(), key=lambda metres: abs(np.log(height * metres / FACE_HEIGHT)))
