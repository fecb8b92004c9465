"""A motion on a rig as glTF can hold it: morph targets with curves, and joints that turn."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from facelm.motion import FaceMotion
from facelm.motion.layout import FLAME, SHAPES
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.flame import LIDS, FlameRig
from facelm.rig.flame_model import JOINTS


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint at `place` (3,), metres, below the joint of the number `parent` (-1: below the root) that turns by the
    unit quaternions xyzw `turns` (T, 4), float32.
    """

    name: str
    parent: int
    place: np.ndarray
    turns: np.ndarray


@dataclass(frozen=True, eq=False)
class Performance:
    """What moves: rest (V, 3), metres; deltas (n, V, 3) by names (n,), their curves (T, n); joints, and how far each
    vertex follows the root, which stands still, and each joint: weights (V, 1 + joints).
    """

    motion: FaceMotion
    rest: np.ndarray
    names: tuple[str, ...]
    deltas: np.ndarray
    curves: np.ndarray
    joints: tuple[Joint, ...]
    weights: np.ndarray


def perform(motion: FaceMotion, rig: BlendshapeRig | FlameRig) -> Performance:
    """The motion on the rig, converted to the layout of the rig by name.

    A FLAME rig has as targets the expressions that the motion uses, the pose correctives (one for each entry of the
    rotations of neck, jaw and eyes that changes) and eyelids; morphed and skinned they give the rig's own vertices but
    for the little that expressions move the joints.
    Raises FacelmError when the motion cannot be converted, or has expressions that the model lacks.
    """
    return _of_flame(motion, rig) if isinstance(rig, FlameRig) else _of_blendshapes(motion, rig)


def _of_blendshapes(motion: FaceMotion, rig: BlendshapeRig) -> Performance:
    motion = motion.to(rig.layout)
    count = len(SHAPES)
    head = Joint("head", -1, rig.neck_pivot, quaternions(motion.values[:, count:]))
    weights = np.stack([1 - rig.head_weight, rig.head_weight], 1)
    return Performance(motion, rig.rest, rig.names, rig.deltas, motion.values[:, :count], (head,), weights)


def _of_flame(motion: FaceMotion, rig: FlameRig) -> Performance:
    motion = motion.to(FLAME.name)
    model = rig.model
    rig.check(motion.values, FLAME)
    shown = rig if motion.identity is None else FlameRig(model, rig.masks, rig.eyelids, motion.identity)
    turns = [Rotation.from_rotvec(motion.values[:, FLAME.indices(j + a for a in "XYZ")]) for j in JOINTS]
    rotations = np.stack([turn.as_matrix() for turn in turns[1:]], 1)
    expressions = model.expression.shape[2]
    names = [f"expression{i}" for i in range(expressions)]
    deltas = [model.expression.transpose(2, 0, 1), model.pose]
    curves = [motion.values[:, :expressions], (rotations - np.eye(3)).reshape(len(motion), -1)]
    names += [f"{joint}Corrective{entry}" for joint in JOINTS[1:] for entry in range(9)]
    if rig.eyelids is not None:
        names += LIDS
        deltas.append(rig.eyelids)
        curves.append(motion.values[:, FLAME.indices(LIDS)])
    curve = np.concatenate(curves, 1, dtype=np.float32)
    used = np.flatnonzero(np.abs(curve).max(0) > 0)
    places = model.joints @ shown.rest
    return Performance(
        motion,
        shown.rest,
        tuple(names[i] for i in used),
        np.concatenate(deltas)[used],
        curve[:, used],
        tuple(
            Joint(joint, parent, place, _steady(turn.as_quat()))
            for joint, parent, place, turn in zip(JOINTS, model.parents, places, turns, strict=True)
        ),
        np.column_stack([np.zeros(len(shown.rest), np.float32), model.weights]),
    )


def quaternions(angles: np.ndarray) -> np.ndarray:
    """Unit quaternions xyzw float32 (T, 4) of head angles yaw, pitch, roll (T, 3) in radians, without sign jumps."""
    yaw, pitch, roll = np.asarray(angles, np.float64).T / 2
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    q = np.stack(
        [
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * cp * cr + sy * sp * sr,
        ],
        axis=1,
    )
    return _steady(q)


def _steady(q: np.ndarray) -> np.ndarray:
    flips = np.cumprod(np.where((q[1:] * q[:-1]).sum(1) < 0, -1.0, 1.0))
    return np.concatenate([q[:1], q[1:] * flips[:, None]]).astype(np.float32)
