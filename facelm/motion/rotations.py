"""Head angles and rotation vectors: the same rotation, said in two ways.

Axes: x to the person's left, y up, z out of the face, right-handed. Head angles yaw, pitch, roll (radians) are the
rotation Ry(yaw) Rx(pitch) Rz(roll); FLAME's rotation vectors are axis times angle (radians) about the same axes. For
one axis alone the two agree: rx is pitch (> 0 down), ry yaw (> 0 to the person's left), rz roll (> 0 tilts right).
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike


def head_angles_of(vectors: ArrayLike) -> np.ndarray:
    """Yaw, pitch, roll, float32 (..., 3), of rotation vectors (..., 3); pitch lies between -pi/2 and pi/2."""
    from scipy.spatial.transform import Rotation

    flat = np.asarray(vectors, dtype=np.float64).reshape(-1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # straight down or up, roll is 0: as good as any
        angles = Rotation.from_rotvec(flat).as_euler("YXZ")
    return angles.reshape(np.shape(vectors)).astype(np.float32)


def rotation_vectors_of(angles: ArrayLike) -> np.ndarray:
    """Rotation vectors, float32 (..., 3), at most pi long, of head angles yaw, pitch, roll (..., 3)."""
    from scipy.spatial.transform import Rotation

    flat = np.asarray(angles, dtype=np.float64).reshape(-1, 3)
    return Rotation.from_euler("YXZ", flat).as_rotvec().reshape(np.shape(angles)).astype(np.float32)


def compose(outer: ArrayLike, inner: ArrayLike) -> np.ndarray:
    """The rotation vector, float32 (..., 3), of two joints in a chain: R(outer) R(inner), as global and neck.

    Where one of them is zero it is the other, bit for bit.
    """
    from scipy.spatial.transform import Rotation

    outer, inner = np.asarray(outer, dtype=np.float32), np.asarray(inner, dtype=np.float32)
    first, second = (Rotation.from_rotvec(v.reshape(-1, 3).astype(np.float64)) for v in (outer, inner))
    both = (first * second).as_rotvec().reshape(outer.shape).astype(np.float32)
    both = np.where((inner == 0).all(-1, keepdims=True), outer, both)
    return np.where((outer == 0).all(-1, keepdims=True), inner, both)


def unwrap(vectors: np.ndarray) -> np.ndarray:
    """Rotation vectors (T, 3) without jumps: v and v - 2 pi v/|v| are the same rotation, the nearer one is taken."""
    steps = np.linalg.norm(np.diff(vectors, axis=0), axis=1)
    if not len(steps) or steps.max() <= np.pi:
        return vectors
    out = vectors.astype(np.float64)
    for t in range(1, len(out)):
        angle = float(np.linalg.norm(out[t]))
        towards = out[t - 1] if angle < 1e-9 else out[t]  # no rotation has no axis of its own
        length = float(np.linalg.norm(towards))
        if length >= 1e-9:
            axis = towards / length
            out[t] += 2 * np.pi * np.rint((out[t - 1] @ axis - angle) / (2 * np.pi)) * axis
    return out.astype(vectors.dtype)
