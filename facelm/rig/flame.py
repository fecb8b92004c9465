"""FLAME (Li and others 2017), from the user's own model file: shape, expression, pose correctives, jaw, neck, eyes."""

import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.motion.layout import FLAME, FLAME56, FLAME106, Layout
from facelm.rig.flame_model import (
    JOINTS,
    WHERE_MASKS,
    FlameModel,
    beside,
    flame_path,
    read_eyelids,
    read_flame,
    read_masks,
)

if TYPE_CHECKING:
    import torch

WIDTHS = {known.width: known for known in (FLAME56, FLAME106, FLAME)}
BLOCK = 1_000_000  # vertices placed at a time, so that long motions need little beside what they return
EYES_ABOVE_MOUTH = 0.066  # metres, the default head's
LIDS = ("eyelidLeft", "eyelidRight")
UPPER = ("forehead", "eye_region", "nose")


class FlameRig:
    """A FLAME head in metres: linear shape and expression, pose correctives, linear blend skinning of five joints.

    Axes are right-handed: x to the person's left, y up, z out of the face. rest: (V, 3), the neutral face of
    `identity`. faces: (F, 3).

    model: what `read_flame` gives. masks: boolean (V,) by name, as in FLAME_masks.pkl. eyelids: (2, V, 3), what
    SMIRK's eyelid channels move. identity: shape coefficients (at most 300) of motions that bring none.
    Raises FacelmError for more coefficients than the model has.
    """

    layout = FLAME.name

    def __init__(
        self,
        model: FlameModel,
        masks: dict[str, np.ndarray] | None = None,
        eyelids: np.ndarray | None = None,
        identity: np.ndarray | None = None,
    ):
        self.model, self.masks, self.eyelids = model, masks, eyelids
        self.faces = model.faces
        self.identity = np.zeros(0, np.float32) if identity is None else np.asarray(identity, np.float32)
        self._check_identity(self.identity)
        self._tensors: dict[Any, dict[str, torch.Tensor]] = {}
        self.rest = model.template + model.shape[..., : len(self.identity)] @ self.identity

    @cached_property
    def regions(self) -> dict[str, np.ndarray]:
        """Boolean (V,) masks: "lips", "face" (without eyeballs), "upper_face" (forehead, region of the eyes and nose),
        "eyes" (the eyeballs), and those of the mask file under their own names.

        Raises FacelmError where the rig has no masks, or lacks one of these.
        """
        masks = self.masks
        if masks is None:
            raise FacelmError(f"this FLAME rig has no regions: {WHERE_MASKS}")
        needed = ("lips", "face", *UPPER, "left_eyeball", "right_eyeball")
        if missing := [name for name in needed if name not in masks]:
            raise FacelmError(f"the masks of this FLAME rig lack {', '.join(missing)}; {WHERE_MASKS}")
        eyes = masks["left_eyeball"] | masks["right_eyeball"]
        upper = np.any([masks[name] for name in UPPER], axis=0)
        named = {
            "lips": masks["lips"],
            "face": masks["face"] & ~eyes,
            "upper_face": upper & ~eyes & ~masks["lips"],
            "eyes": eyes,
        }
        return masks | named

    @cached_property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """The points (3,) between the eyes (their joints) and in the middle of the mouth: of the lips' mask, else as
        far below the eyes as on a mean face.
        """
        joints = self.model.joints @ self.rest
        eyes = joints[[JOINTS.index("leftEye"), JOINTS.index("rightEye")]].mean(0)
        lips = (self.masks or {}).get("lips", np.zeros(0, bool))
        return eyes, self.rest[lips].mean(0) if lips.any() else eyes - [0, EYES_ABOVE_MOUTH, 0]

    @cached_property
    def groups(self) -> np.ndarray:
        """The part each face belongs to (F,): "body", "helper-l-eye" or "helper-r-eye", by the joint it follows."""
        joint = self.model.weights.argmax(1)[self.faces[:, 0]]
        eyes = [JOINTS.index("leftEye"), JOINTS.index("rightEye")]
        return np.select([joint == eyes[0], joint == eyes[1]], ["helper-l-eye", "helper-r-eye"], "body")

    def part(self, *groups: str) -> np.ndarray:
        """Boolean (V,): the vertices of the faces of these groups."""
        mask = np.zeros(len(self.rest), bool)
        mask[self.faces[np.isin(self.groups, groups)].ravel()] = True
        return mask

    def vertices(self, motion: Any, head: bool = False, identity: Any = None) -> Any:
        """Vertices in metres: (T, V, 3) float32 of a FaceMotion, (..., V, 3) of an array or tensor of values (..., 56),
        (..., 106) or (..., 117) in the order of the layouts `flame56`, `flame106` and `flame`. A tensor gives a tensor
        of its type on its device, and gradients flow through it.

        head=True also turns head (global) and neck; jaw and eyes always turn. Expressions that the layout or the model
        has not are 0. identity: shape coefficients (..., up to 300), array or tensor; otherwise those of the motion,
        otherwise the rig's. Eyelid channels move what `eyelids` holds, before the head turns (SMIRK adds them after
        it: the same while the head is upright);
        where the rig has none, they are ignored with a warning.
        Raises FacelmError for values of another width or layout, and expressions that the model lacks.
        """
        import torch

        if isinstance(motion, FaceMotion):
            if motion.layout.name not in {known.name for known in WIDTHS.values()}:
                raise FacelmError(
                    f"a FLAME rig cannot show values of the layout {motion.layout.name}; convert them with a map "
                    "fitted between both rigs (`facelm rig map`)"
                )
            identity = motion.identity if identity is None else identity
            motion = motion.values
        if motion.shape[-1] not in WIDTHS:
            known = ", ".join(f"{width} ({named.name})" for width, named in WIDTHS.items())
            raise FacelmError(f"{motion.shape[-1]} values a frame; a FLAME rig takes {known}")
        named = WIDTHS[motion.shape[-1]]
        if isinstance(motion, np.ndarray):
            with torch.no_grad():
                values = torch.from_numpy(np.array(motion, np.float32))
                return self._vertices(values, named, head, identity).numpy()
        return self._vertices(motion, named, head, identity)

    def _vertices(self, values: "torch.Tensor", named: Layout, head: bool, identity: Any) -> "torch.Tensor":
        import torch

        identity = self.identity if identity is None else identity
        if not isinstance(identity, torch.Tensor):
            identity = torch.tensor(identity)
        identity = identity.to(values)
        self._check_identity(identity)
        flat = values.reshape(-1, named.width)
        self.check(flat, named)
        each = identity.dim() > 1  # an identity for each frame
        shapes = identity.expand(*values.shape[:-1], -1).reshape(len(flat), -1) if each else identity[None]
        block = max(1, BLOCK // len(self.rest))
        points = flat.new_empty(len(flat), len(self.rest), 3)
        for at in range(0, len(flat), block):
            some = slice(at, at + block)
            points[some] = self._block(flat[some], named, head, shapes[some] if each else shapes)
        return points.reshape(*values.shape[:-1], -1, 3)

    def _block(self, values: "torch.Tensor", named: Layout, head: bool, shapes: "torch.Tensor") -> "torch.Tensor":
        """Vertices (N, V, 3) of values (N, D of the layout) and shape coefficients (N or 1, S)."""
        import torch

        held = self._on(values)
        expressions = values[:, [i for i, name in enumerate(named.names) if name.startswith("expression")]]
        known = min(expressions.shape[1], self.model.expression.shape[2])
        points = held["template"] + _mixed(shapes, held["shape"]) + _mixed(expressions[:, :known], held["expression"])
        joints = held["joints"] @ points  # (N, 5, 3)
        turned = []
        for joint in JOINTS:
            if f"{joint}X" in named and (head or joint not in ("global", "neck")):
                turned.append(rotation_matrices(values[:, named.indices(joint + axis for axis in "XYZ").tolist()]))
            else:
                turned.append(torch.eye(3, dtype=values.dtype, device=values.device).expand(len(values), 3, 3))
        rotations = torch.stack(turned, 1)  # (N, 5, 3, 3)
        correctives = (rotations[:, 1:] - torch.eye(3, dtype=values.dtype, device=values.device)).flatten(1)
        points = points + (correctives @ held["pose"].flatten(1)).unflatten(1, (-1, 3))
        if self.eyelids is not None and "eyelidLeft" in named:
            closed = values[:, named.indices(LIDS).tolist()]
            points = points + (closed @ held["eyelids"].flatten(1)).unflatten(1, (-1, 3))
        rotation, shift = self._joint_motions(rotations, joints.expand(len(values), -1, -1))
        by_vertex = torch.einsum("vj,njab->nvab", held["weights"], torch.cat([rotation, shift[..., None]], -1))
        return (by_vertex[..., :3] @ points[..., None])[..., 0] + by_vertex[..., 3]

    def _joint_motions(self, rotations: "torch.Tensor", joints: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Rotation (N, 5, 3, 3) and shift (N, 5, 3) that each joint gives to the vertices that follow it."""
        import torch

        turns, places = [rotations[:, 0]], [joints[:, 0]]
        for i, parent in list(enumerate(self.model.parents))[1:]:
            turns.append(turns[parent] @ rotations[:, i])
            offset = (joints[:, i] - joints[:, parent])[..., None]
            places.append(places[parent] + (turns[parent] @ offset)[..., 0])
        rotation, place = torch.stack(turns, 1), torch.stack(places, 1)
        return rotation, place - (rotation @ joints[..., None])[..., 0]

    def check(self, values: Any, named: Layout) -> None:
        """Raise FacelmError where values (N, D of the layout) have expressions that the model lacks; warn where they
        close eyelids that the rig has not. values: an array or a tensor.
        """
        known = self.model.expression.shape[2]
        beyond = [i for i, name in enumerate(named.names) if name.startswith("expression") and i >= known]
        if beyond and (values[:, beyond] != 0).any():
            raise FacelmError(f"the motion has expressions beyond the {known} of this FLAME model; use a larger one")
        if self.eyelids is None and "eyelidLeft" in named and (values[:, named.indices(LIDS).tolist()] != 0).any():
            warnings.warn(
                "eyelids stay open: FLAME itself cannot close them; put SMIRK's l_eyelid.npy and r_eyelid.npy beside "
                "the model file, or give them as eyelids",
                stacklevel=4,
            )

    def _check_identity(self, identity: Any) -> None:
        if identity.ndim == 0 or identity.shape[-1] > self.model.shape.shape[2]:
            raise FacelmError(
                f"an identity of the shape {tuple(identity.shape)}; this FLAME model has "
                f"{self.model.shape.shape[2]} shape coefficients"
            )

    def _on(self, like: "torch.Tensor") -> "dict[str, torch.Tensor]":
        key = (like.device, like.dtype)
        if key not in self._tensors:
            names = ("template", "shape", "expression", "pose", "joints", "weights")
            held = {name: like.new_tensor(getattr(self.model, name)) for name in names}
            if self.eyelids is not None:
                held["eyelids"] = like.new_tensor(self.eyelids)
            self._tensors[key] = held
        return self._tensors[key]


def _mixed(coefficients: "torch.Tensor", directions: "torch.Tensor") -> "torch.Tensor":
    """Displacements (N, V, 3) of coefficients (N, C), of directions (V, 3, at least C)."""
    chosen = directions[..., : coefficients.shape[1]]
    return (coefficients @ chosen.flatten(0, 1).T).unflatten(1, (-1, 3))


def rotation_matrices(vectors: "torch.Tensor") -> "torch.Tensor":
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians (Rodrigues), smooth at zero."""
    import torch

    square = (vectors * vectors).sum(-1)
    small = square < 1e-8
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    sine = torch.where(small, 1 - square / 6, torch.sin(angle) / angle)[..., None, None]
    cosine = torch.where(small, 0.5 - square / 24, (1 - torch.cos(angle)) / angle**2)[..., None, None]
    x, y, z = vectors.unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=vectors.dtype, device=vectors.device) + sine * cross + cosine * (cross @ cross)


def load_flame(
    path: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    eyelids: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    identity: np.ndarray | None = None,
) -> FlameRig:
    """The FLAME rig in the user's own model file (pkl or npz); without a path, in that which $FACELM_FLAME names.

    masks: FLAME_masks.pkl (or npz), eyelids: SMIRK's l_eyelid.npy and r_eyelid.npy, left first; each is found beside
    the model file when it is not given, and left out when it is not there. identity: shape coefficients (up to 300,).
    Raises FacelmError saying what is wrong with a file; MissingFileError for a path where there is none.
    """
    path = flame_path() if path is None else Path(path)
    model = read_flame(path)
    count = len(model.template)
    found = (
        beside(path, "FLAME_masks.pkl", "FLAME_masks/FLAME_masks.pkl", "FLAME_masks.npz")
        if masks is None
        else Path(masks)
    )
    if eyelids is None:
        left, right = beside(path, "l_eyelid.npy"), beside(path, "r_eyelid.npy")
    else:
        left, right = Path(eyelids[0]), Path(eyelids[1])
    return FlameRig(
        model,
        None if found is None else read_masks(found, count),
        None if left is None or right is None else read_eyelids(left, right, count),
        identity,
    )
