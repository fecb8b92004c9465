"""Made-up FLAME files: a grid of vertices with random bases, in the shapes and pickles of the real ones."""

import pickle
import sys
import types

import numpy as np
from scipy import sparse

SIDE = 8
COUNT = SIDE * SIDE


def flame_arrays(seed=0, components=400):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, SIDE), np.linspace(-0.12, 0.12, SIDE))
    template = np.stack([x.ravel(), y.ravel(), 0.08 - 4 * x.ravel() ** 2], 1)
    corner = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + SIDE], 1), np.stack([corner + 1, corner + SIDE + 1, corner + SIDE], 1)]
    )
    return {
        "v_template": template,
        "shapedirs": rng.normal(0, 0.001, (COUNT, 3, components)),
        "posedirs": rng.normal(0, 0.002, (COUNT, 3, 36)),
        "J_regressor": rng.dirichlet(np.full(COUNT, 0.1), 5),
        "weights": rng.dirichlet(np.full(5, 0.5), COUNT),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
        "f": triangles.astype(np.uint32),
    }


def write_flame_npz(path, **changes):
    np.savez(path, **(flame_arrays() | changes))
    return path


def write_flame_pkl(path, chumpy=True, protocol=2, **changes):
    """A pickle as the real one: the regressor sparse, some arrays wrapped by chumpy, words beside them."""
    arrays = flame_arrays() | changes | {"bs_style": "lbs", "bs_type": "lrotmin"}
    arrays["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch")}
    Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    modules["chumpy.ch"].Ch = Ch
    if chumpy:
        for name in ("v_template", "shapedirs", "posedirs", "weights"):
            wrapped = Ch()
            wrapped.x = arrays[name]
            arrays[name] = wrapped
    sys.modules.update(modules)
    try:
        path.write_bytes(pickle.dumps(arrays, protocol=protocol))
    finally:
        for name in modules:
            del sys.modules[name]
    return path


def write_masks(path, **changes):
    """FLAME_masks.pkl over the grid; the eyeballs follow no joint in particular."""
    rows = np.arange(COUNT).reshape(SIDE, SIDE)
    masks = {
        "lips": rows[2, 2:6],
        "face": rows[1:].ravel(),
        "forehead": rows[6:].ravel(),
        "eye_region": rows[4:6].ravel(),
        "nose": rows[3, 3:5],
        "left_eyeball": rows[5, 5:7],
        "right_eyeball": rows[5, 1:3],
        "left_eye_region": rows[4:6, 4:].ravel(),
        "neck": rows[0],
    }
    path.write_bytes(pickle.dumps(masks | changes, protocol=2))
    return path
