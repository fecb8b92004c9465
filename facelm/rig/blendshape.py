"""A head of 52 ARKit shapes: motion values to vertices, with named regions."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT, SHAPES
from facelm.rig.parts import centres, estimated_neck, neck_weights

if TYPE_CHECKING:
    import torch

# The masks the project's figures are measured on; metres.
LIP_SHAPES = ("mouthPucker", "mouthRollUpper", "mouthRollLower", "mouthPressLeft", "mouthPressRight")
LIP_MIN = 0.004  # a lip vertex moves further than this under one of LIP_SHAPES ...
LIP_ELLIPSE = (0.026, 0.011)  # ... and lies within this half width and half height of the mouth's centre
FACE_MIN = 0.0001  # a face vertex moves further than this under any shape ...
FACE_REACH = 1.4  # ... and lies no further below or behind the mouth than so many heights of the eyes above it


class BlendshapeRig:
    """A head whose vertices are its rest pose plus a weighted sum of 52 shapes, in metres.

    Axes are right-handed: x to the person's left, y up, z out of the face.

    names: the 52 shapes, in the order of the `arkit` layout; `absent` are those this head cannot do (zero deltas).
    rest: (V, 3) float32. deltas: (52, V, 3) float32. faces: (F, 3 or 4) int32. groups: the part each face belongs to
    (F,), "body" being skin. neck_pivot: (3,), the point the head turns about; head_weight: (V,), how far each vertex
    follows the turn (1 head, 0 below the neck); without them both are estimated from eyes and mouth.
    masks: boolean (V,) regions that replace or add to those found. centres: the points (3,) between the eyes and
    between the corners of the mouth, or None where the shapes do not tell them.
    """

    layout = ARKIT.name

    def __init__(
        self,
        rest: np.ndarray,
        deltas: np.ndarray,
        faces: np.ndarray,
        groups: np.ndarray | None = None,
        neck_pivot: np.ndarray | None = None,
        head_weight: np.ndarray | None = None,
        masks: Mapping[str, np.ndarray] | None = None,
    ):
        count = len(rest)
        if rest.shape != (count, 3) or deltas.shape != (len(SHAPES), count, 3):
            raise FacelmError(
                f"a rig needs vertices (V, 3) and deltas ({len(SHAPES)}, V, 3); got {rest.shape} and {deltas.shape}"
            )
        self.names = SHAPES
        self.rest = np.ascontiguousarray(rest, np.float32)
        self.deltas = np.ascontiguousarray(deltas, np.float32)
        self.faces = np.ascontiguousarray(faces, np.int32)
        self.groups = np.full(len(faces), "body") if groups is None else np.asarray(groups)
        self.absent = tuple(name for name, delta in zip(SHAPES, self.deltas, strict=True) if not delta.any())
        self._masks = {name: np.asarray(mask, bool) for name, mask in (masks or {}).items()}
        for name, mask in self._masks.items():
            if mask.shape != (count,):
                raise FacelmError(
                    f"the region {name} has the shape {mask.shape}; a rig of {count} vertices needs ({count},)"
                )
        skin, eyes = self.part("body"), self._masks.get("eyes", self.part("helper-l-eye", "helper-r-eye"))
        self.centres = centres(self.rest, self.deltas, skin, eyes)
        if neck_pivot is None:
            neck_pivot = np.zeros(3) if self.centres is None else estimated_neck(*self.centres)
            if head_weight is None:
                head_weight = neck_weights(self.rest, neck_pivot)
        self.neck_pivot = np.asarray(neck_pivot, np.float32)
        self.head_weight = np.ones(count, np.float32) if head_weight is None else np.asarray(head_weight, np.float32)
        self._tensors: dict[Any, tuple[torch.Tensor, ...]] = {}

    @cached_property
    def regions(self) -> dict[str, np.ndarray]:
        """Boolean (V,) masks: "lips" (356 vertices of the default head), "face" (3,166, all skin that moves),
        "upper_face" (the part of "face" no lower than the eyeballs) and "eyes" (the eyeballs).
        """
        skin, eyes = self.part("body"), self.part("helper-l-eye", "helper-r-eye")
        moved = np.linalg.norm(self.deltas, axis=2)
        face = skin & (moved.max(0) > FACE_MIN)
        lips = np.zeros(len(self.rest), bool)
        if self.centres is not None:
            (_, eyes_up, _), mouth = self.centres
            across, up, depth = (self.rest - mouth).T
            reach = FACE_REACH * (eyes_up - mouth[1])
            face &= (up > -reach) & (depth > -reach)
            near = (across / LIP_ELLIPSE[0]) ** 2 + (up / LIP_ELLIPSE[1]) ** 2 < 1
            lips = skin & near & (moved[[self.names.index(name) for name in LIP_SHAPES]].max(0) > LIP_MIN)
        found = {"lips": lips, "face": face, "eyes": eyes} | self._masks
        if "upper_face" not in found:
            lowest = self.rest[found["eyes"], 1].min() if found["eyes"].any() else self.rest[found["face"], 1].mean()
            found["upper_face"] = found["face"] & (self.rest[:, 1] >= lowest)
        return found

    def part(self, *groups: str) -> np.ndarray:
        """Boolean (V,): the vertices of the faces of these groups."""
        mask = np.zeros(len(self.rest), bool)
        mask[self.faces[np.isin(self.groups, groups)].ravel()] = True
        return mask

    @overload
    def vertices(self, motion: FaceMotion | np.ndarray, head: bool = False) -> np.ndarray: ...

    @overload
    def vertices(self, motion: "torch.Tensor", head: bool = False) -> "torch.Tensor": ...

    def vertices(self, motion: Any, head: bool = False) -> Any:
        """Vertices in metres: (T, V, 3) float32 of a FaceMotion, (..., V, 3) of an array or tensor of values
        (..., 52) or (..., 55) in the order of the `arkit` layout. A tensor gives a tensor on its device, and
        gradients flow through it.

        head=True also turns the head by the three angles (radians) about `neck_pivot`: yaw > 0 to the person's own
        left, pitch > 0 down, roll > 0 towards the person's own right shoulder; R = Ry(yaw) Rx(pitch) Rz(roll).
        Raises FacelmError when the values have another width.
        """
        if isinstance(motion, FaceMotion):
            motion = motion.to(ARKIT.name).values
        width = motion.shape[-1]
        if width not in (52, 55) or (head and width != 55):
            raise FacelmError(
                f"{width} values a frame; a rig takes 52 ARKit shapes{'' if head else ' or 55'} "
                f"{'and 3 head angles' if head else 'with the head angles'}"
            )
        if isinstance(motion, np.ndarray):
            motion = np.asarray(motion, np.float32)
            flat = motion[..., :52].reshape(-1, 52) @ self.deltas.reshape(52, -1)
            points = flat.reshape(*motion.shape[:-1], -1, 3)
            points += self.rest
            if head:
                turned = (points - self.neck_pivot) @ np.swapaxes(head_rotation(motion[..., 52:]), -1, -2)
                points += self.head_weight[:, None] * (turned + self.neck_pivot - points)
            return points
        rest, deltas, pivot, weight = self._on(motion)
        points = rest + (motion[..., :52] @ deltas.reshape(52, -1)).unflatten(-1, rest.shape)
        if head:
            turned = (points - pivot) @ head_rotation(motion[..., 52:]).transpose(-1, -2)
            points = points + weight[:, None] * (turned + pivot - points)
        return points

    def _on(self, like: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
        key = (like.device, like.dtype)
        if key not in self._tensors:
            arrays = (self.rest, self.deltas, self.neck_pivot, self.head_weight)
            self._tensors[key] = tuple(like.new_tensor(a) for a in arrays)
        return self._tensors[key]


def head_rotation(angles: Any) -> Any:
    """Rotation matrices (..., 3, 3) of head angles yaw, pitch, roll (..., 3) in radians: Ry(yaw) Rx(pitch) Rz(roll).

    Arrays give arrays, tensors tensors.
    """
    xp: Any = np
    if not isinstance(angles, np.ndarray):
        import torch as xp
    (a, b, c), (sa, sb, sc) = _columns(xp.cos(angles)), _columns(xp.sin(angles))
    rows = [
        [a * c + sa * sb * sc, sa * sb * c - a * sc, sa * b],
        [b * sc, b * c, -sb],
        [a * sb * sc - sa * c, sa * sc + a * sb * c, a * b],
    ]
    return xp.stack([xp.stack(row, -1) for row in rows], -2)


def _columns(x: Any) -> tuple[Any, Any, Any]:
    return x[..., 0], x[..., 1], x[..., 2]
