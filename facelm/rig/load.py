"""Rigs from files: the default head and users' own."""

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np

from facelm.errors import FacelmError, MissingFileError
from facelm.motion.formats.arrays import npz_names, read_npz
from facelm.motion.layout import SHAPES
from facelm.motion.names import NameTable, best_table, load_names
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.flame import FlameRig, load_flame
from facelm.rig.flame_model import WHERE, flame_path
from facelm.rig.gltf_head import read_head
from facelm.rig.parts import guess_groups

HEAD = Path(__file__).parent / "assets" / "head.npz"
UNITS = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001}
LARGEST = 1e9  # what is further from the middle is no place on a head in any unit
FACE_HEIGHT = 0.17  # metres; of what the shapes move on a grown-up's face


@overload
def load_rig(path: None = None) -> BlendshapeRig: ...


@overload
def load_rig(
    path: str | os.PathLike[str] | None, unit: str | None = None, names: str | Path | NameTable | None = None
) -> BlendshapeRig | FlameRig: ...


def load_rig(
    path: str | os.PathLike[str] | None = None, unit: str | None = None, names: str | Path | NameTable | None = None
) -> BlendshapeRig | FlameRig:
    """The default CC0 head, or the user's own; the content of the file tells which of these it is:

    - FLAME (pkl or npz), see `facelm.rig.flame.load_flame`; "flame" stands for the file that $FACELM_FLAME names.
    - A GLB or glTF head with morph targets, see `facelm.rig.gltf_head.read_head`.
    - An npz with `names` (n,), `vertices` (V, 3), `deltas` (n, V, 3) and `quads` or `faces_quads` (F, 4; -1 in the last
      column of a triangle) or `triangles` (F, 3). Optional: `unit`, `face_group` (F,), `neck_pivot` (3,),
      `head_weight` (V,) and masks `region_lips`, `region_<name>` (V,).

    Shapes may come in any order and spelling of ARKit's names (browDownLeft, browDown_L, ...), or with those of a name
    table (`names`, see `facelm.motion.names`); where a shape is split in parts (browInnerUp_L and _R), all follow it.
    Shapes that are absent do nothing, and a warning names them. unit: "m", "dm", "cm" or "mm"; without it, that in
    which the moving part of the face is nearest to 0.17 m high. What the file does not say of parts and neck is worked
    out, see `facelm.rig.parts`.
    Raises FacelmError naming the file and what it lacks; MissingFileError when there is no such file.
    """
    if path is not None and str(path) == "flame" and not Path(path).exists():
        return load_flame()
    path = Path(path or HEAD)
    kind = _kind(path)
    if kind == "flame":
        return load_flame(path)
    return _from_gltf(path, unit, names) if kind == "gltf" else _from_npz(path, unit, names)


def rig_for(layout: str) -> BlendshapeRig | FlameRig:
    """The rig that shows motions of a layout where none is given: the default head, loaded once, or for the layouts of
    FLAME that which $FACELM_FLAME names. Raises FacelmError saying what FLAME is where it is not set.
    """
    return _flame_rig(flame_path()) if layout.startswith("flame") else default_rig()


@lru_cache(maxsize=1)
def default_rig() -> BlendshapeRig:
    """The default head, loaded once; do not change its arrays."""
    return _from_npz(HEAD, None, None)


@lru_cache(maxsize=1)
def _flame_rig(path: Path) -> FlameRig:
    return load_flame(path)


def _kind(path: Path) -> str:
    """Which of "flame", "gltf" and "npz" the file is, by its first bytes and the names of its arrays."""
    if not path.is_file():
        if path.suffix == ".pkl":
            raise MissingFileError(f"there is no file {path}; {WHERE}")
        raise MissingFileError(f"there is no rig file {path}; leave the rig out to use the default head")
    with path.open("rb") as file:
        begin = file.read(64)
    if begin[:4] == b"glTF" or begin.lstrip()[:1] == b"{":
        return "gltf"
    if begin[:2] == b"PK":
        return "flame" if {"shapedirs", "v_template"} & set(npz_names(path)) else "npz"
    return "flame" if path.suffix == ".pkl" or begin[:1] == b"\x80" else "npz"


def _from_npz(path: Path, unit: str | None, names: str | Path | NameTable | None) -> BlendshapeRig:
    try:
        arrays = read_npz(path)
    except FacelmError as error:
        raise FacelmError(f"{error}; or export the head as .glb with its shape keys") from error
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
        names,
        arrays.get("face_group"),
        arrays.get("neck_pivot"),
        arrays.get("head_weight"),
        {key.removeprefix("region_"): mask for key, mask in arrays.items() if key.startswith("region_")},
    )


def _from_gltf(path: Path, unit: str | None, names: str | Path | NameTable | None) -> BlendshapeRig:
    head = read_head(path)
    return assemble(str(path), head.names, head.vertices, head.deltas, head.triangles, unit, names)


def assemble(
    source: str,
    names: Sequence[str],
    vertices: np.ndarray,
    deltas: np.ndarray,
    faces: np.ndarray,
    unit: str | None = None,
    table: str | Path | NameTable | None = None,
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
    if not rest.size or not all((np.abs(values) < LARGEST).all() for values in (rest, own)):
        raise FacelmError(f"{source} has vertices or deltas that are no finite lengths; save the rig again")
    faces = _corners(source, np.asarray(faces), len(rest))
    arkit = _arkit_deltas(source, names, own, load_names(table) if table is not None else best_table(names))
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


def _arkit_deltas(source: str, names: Sequence[str], own: np.ndarray, table: NameTable) -> np.ndarray:
    """Deltas (52, V, 3) in the order of the `arkit` layout; the parts of a shape follow it all."""
    whole: dict[str, int] = {}
    parts: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        targets = table.find(name) or {}
        if len(targets) != 1:
            continue  # unknown, or a mixture, which no single channel stands for
        shape, weight = next(iter(targets.items()))
        if weight != 1:
            parts.setdefault(shape, []).append(i)
        elif shape in whole:
            raise FacelmError(f"{source} has two shapes for {shape}: {names[whole[shape]]} and {name}; keep one")
        else:
            whole[shape] = i
    absent = [shape for shape in SHAPES if shape not in whole and shape not in parts]
    if len(absent) == len(SHAPES):
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise FacelmError(
            f"{source} has no shape with an ARKit name such as jawOpen (it has {shown}); rename them or give a name "
            "table"
        )
    if absent:
        warnings.warn(f"{source} has no shape {', '.join(absent)}: these channels do nothing on it", stacklevel=5)
    out = np.zeros((len(SHAPES), *own.shape[1:]), np.float32)
    for row, shape in enumerate(SHAPES):
        if shape in whole:
            out[row] = own[whole[shape]]
        elif shape in parts:
            out[row] = own[parts[shape]].sum(0)
    return out


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
