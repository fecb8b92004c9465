"""Reading a user's own FLAME files: the model, its region masks and SMIRK's eyelids. Nothing in them is run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError, MissingFileError
from facelm.motion.formats.arrays import read_npz
from facelm.motion.formats.pickles import load_pickle

VARIABLE = "FACELM_FLAME"  # the environment variable that may hold the path of the model file
SHAPES, EXPRESSIONS = 300, 100  # how the components of shapedirs are divided
JOINTS = ("global", "neck", "jaw", "leftEye", "rightEye")
KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
WHERE = (
    "FLAME is a head model that its makers license to each user, so facelm neither ships nor downloads it: register at "
    "flame.is.tue.mpg.de, accept the licence, download the model and give the path of generic_model.pkl "
    f"(load_rig(path), --rig path, or the environment variable {VARIABLE})"
)
WHERE_MASKS = (
    "the regions of FLAME stand in FLAME_masks.pkl, which flame.is.tue.mpg.de offers to those registered there "
    '("FLAME vertex masks"): put it beside the model file or give its path as masks'
)


@dataclass(frozen=True, eq=False)
class FlameModel:
    """The arrays of a FLAME file, in metres.

    template: (V, 3) float32. shape: (V, 3, S), expression: (V, 3, E): displacements per unit of each coefficient.
    pose: (36, V, 3), displacements per entry of the rotations of neck, jaw and eyes less the identity.
    joints: (5, V), from vertices to the places of JOINTS. weights: (V, 5), rows sum to 1. parents: of each joint, -1
    for the first. faces: (F, 3) int32.
    """

    template: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    faces: np.ndarray


def flame_path() -> Path:
    """The model file that $FACELM_FLAME names. Raises FacelmError where it is not set."""
    path = os.environ.get(VARIABLE)
    if not path:
        raise FacelmError(f"no FLAME model is given; {WHERE}")
    return Path(path)


def read_flame(path: Path) -> FlameModel:
    """The model in a pkl (FLAME 2017, 2020, 2023; sparse matrices and chumpy arrays included) or an npz of its arrays.

    Of the components of shapedirs the first 300 are shape and the rest expression; a file of 20 has 10 of each.
    Raises FacelmError naming what is missing or wrong; MissingFileError when there is no such file.
    """
    held = _arrays(path, KEYS)
    missing = [key for key in KEYS if key not in held]
    if missing:
        raise FacelmError(f"{path} is no FLAME model, it lacks {', '.join(missing)}; {WHERE}")
    arrays = {key: _numbers(path, key, held[key]) for key in KEYS}
    template, shapedirs = arrays["v_template"], arrays["shapedirs"]
    count, joints = len(template), len(JOINTS)
    components = shapedirs.shape[-1] if shapedirs.ndim == 3 else 0
    expected = {
        "v_template": (count, 3),
        "shapedirs": (count, 3, components),
        "posedirs": (count, 3, 9 * (joints - 1)),
        "J_regressor": (joints, count),
        "weights": (count, joints),
        "kintree_table": (2, joints),
        "f": (len(arrays["f"]), 3),
    }
    wrong = [
        f"{key} {arrays[key].shape} instead of {shape}" for key, shape in expected.items() if arrays[key].shape != shape
    ]
    if wrong:
        raise FacelmError(f"{path} is no FLAME model: {', '.join(wrong)}; {WHERE}")
    divide = SHAPES if components > SHAPES else 10 if components == 20 else None
    if divide is None:
        raise FacelmError(
            f"{path} has {components} components in shapedirs; facelm knows files of more than {SHAPES} "
            "(that many shapes, then expressions) and of 20 (10 and 10)"
        )
    parents = (-1, *(int(parent) for parent in arrays["kintree_table"][0, 1:]))
    faces = arrays["f"].astype(np.int32)
    if any(not 0 <= parent < i for i, parent in enumerate(parents) if i) or not _within(faces, count):
        raise FacelmError(f"{path} has joints or faces that do not exist; get the file again: {WHERE}")
    return FlameModel(
        template=template.astype(np.float32),
        shape=shapedirs[..., :divide].astype(np.float32),
        expression=shapedirs[..., divide : divide + EXPRESSIONS].astype(np.float32),
        pose=np.ascontiguousarray(arrays["posedirs"].transpose(2, 0, 1), np.float32),
        joints=arrays["J_regressor"].astype(np.float32),
        weights=arrays["weights"].astype(np.float32),
        parents=parents,
        faces=faces,
    )


def read_masks(path: Path, count: int) -> dict[str, np.ndarray]:
    """Boolean masks (count,) by name, of FLAME_masks.pkl or an npz: indices of vertices, or masks of that length.

    Raises FacelmError for files of something else; MissingFileError when there is no such file.
    """
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}; {WHERE_MASKS}")
    held = _arrays(path)
    masks = {}
    for name, given in held.items():
        indices = _numbers(path, str(name), given)
        if indices.dtype == bool and indices.shape == (count,):
            masks[str(name)] = indices
            continue
        whole = indices.astype(np.int64)
        if indices.ndim != 1 or (whole != indices).any() or not _within(whole, count):
            raise FacelmError(f"{path}: {name} holds no vertices of a mesh of {count}; {WHERE_MASKS}")
        masks[str(name)] = np.zeros(count, bool)
        masks[str(name)][whole] = True
    return masks


def read_eyelids(left: Path, right: Path, count: int) -> np.ndarray:
    """Displacements (2, count, 3), metres, of a closed left and right lid, from SMIRK's l_eyelid.npy and r_eyelid.npy.

    Raises FacelmError for arrays of another shape; MissingFileError when a file is absent.
    """
    lids = []
    for path in (left, right):
        if not path.is_file():
            raise MissingFileError(f"there is no file {path}; it comes with SMIRK (l_eyelid.npy and r_eyelid.npy)")
        try:
            lid = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise FacelmError(f"{path} is no array ({error}); get it again from SMIRK") from error
        if not isinstance(lid, np.ndarray) or lid.size != count * 3:
            raise FacelmError(f"{path} is no displacement of {count} vertices; use the eyelids made for this model")
        lids.append(lid.reshape(count, 3).astype(np.float32))
    return np.stack(lids)


def beside(path: Path, *names: str) -> Path | None:
    """The first of these files in the folder of `path`, or None."""
    return next((path.parent / name for name in names if (path.parent / name).is_file()), None)


def _arrays(path: Path, keys: tuple[str, ...] | None = None) -> Mapping[Any, Any]:
    """What a pickle holds by name, or the arrays of an npz, of which only those of `keys` are read."""
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}; {WHERE}")
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        try:
            held = load_pickle(path, allow=("chumpy", "scipy.sparse"))
        except FacelmError as error:
            raise FacelmError(f"{error}; expected is a file of FLAME: {WHERE}") from error
        if not isinstance(held, dict):
            raise FacelmError(f"{path} holds a {type(held).__name__} instead of arrays with names; {WHERE}")
        return held
    return read_npz(path, keys)


def _numbers(path: Path, key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise FacelmError(f"{path}: {key} holds no finite numbers; get the file again")
    return array


def _within(indices: np.ndarray, count: int) -> bool:
    return not indices.size or (indices.min() >= 0 and indices.max() < count)
