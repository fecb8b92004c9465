"""Other meshes of the default head, to match and fit."""

import numpy as np
from scipy.spatial.transform import Rotation

from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.landmarks import triangles_of


def moved_copy(
    rig: BlendshapeRig, scale: float = 1.0, degrees: float = 0.0, seed: int = 0
) -> tuple[BlendshapeRig, np.ndarray]:
    """The rig scaled, turned and shifted, its vertices in another order; and the new number of each vertex (V,)."""
    order = np.random.default_rng(seed).permutation(len(rig.rest))
    number = np.argsort(order)
    turn = Rotation.from_euler("yx", [degrees, degrees / 2], degrees=True).as_matrix().astype(np.float32)
    rest = scale * rig.rest[order] @ turn.T + np.float32([0.1, -0.3, 0.05])
    deltas = scale * rig.deltas[:, order] @ turn.T
    return BlendshapeRig(rest, deltas, number[rig.faces], rig.groups), number


def finer_copy(rig: BlendshapeRig) -> BlendshapeRig:
    """The rig's surface with every triangle split in four at the middles of its edges."""
    triangles = triangles_of(rig.faces)
    sides = np.sort(np.stack([triangles, np.roll(triangles, -1, 1)], -1).reshape(-1, 2), 1)
    edges, number = np.unique(sides, axis=0, return_inverse=True)
    middle = len(rig.rest) + number.reshape(-1, 3)  # of the edges ab, bc, ca
    a, b, c = triangles.T
    ab, bc, ca = middle.T
    faces = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])

    def refine(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, values[edges].mean(1)])

    deltas = np.array([refine(delta) for delta in rig.deltas])
    return BlendshapeRig(refine(rig.rest), deltas, faces, np.tile(rig.groups, 8))
