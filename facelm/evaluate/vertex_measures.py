"""What can be measured on the vertices of a face, without knowing what moved them: displacements of named patches of
skin, the turn of the head, of the eyeballs, and how far the tongue comes forward.

Patches lie around landmarks that are found from geometry (facelm/rig/landmarks.py), so any mesh with eyeballs and a
jaw can be measured. All lengths are shares of the distance between the eyeballs' centres, in thousandths: about 1/16 mm
on an adult's face, whatever the size of the model.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from scipy.spatial import cKDTree

from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.rig.base import Rig
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.landmarks import FACE_RADIUS, LIP_POINTS, anatomy, opening

# Where patches lie, as (patch, landmark, offset in eye distances: outwards from the middle, up, forward). Those of a
# side are measured on both; landmarks of a side carry {side}, and those of the mouth {corner}, {quarter}.
SIDED = (
    ("brow inner", "eye_{side}_inner", (-0.03, 0.38, 0.2)),
    ("brow middle", "eye_{side}_upper2", (0.0, 0.36, 0.1)),
    ("brow outer", "eye_{side}_outer", (0.02, 0.38, 0.1)),
    ("upper lid", "eye_{side}_upper2", (0.0, 0.0, 0.0)),
    ("upper lid inner", "eye_{side}_upper0", (0.0, 0.0, 0.0)),
    ("upper lid outer", "eye_{side}_upper4", (0.0, 0.0, 0.0)),
    ("lower lid", "eye_{side}_lower2", (0.0, 0.0, 0.0)),
    ("lower lid inner", "eye_{side}_lower0", (0.0, 0.0, 0.0)),
    ("lower lid outer", "eye_{side}_lower4", (0.0, 0.0, 0.0)),
    ("eye corner", "eye_{side}_outer", (0.1, 0.0, 0.0)),
    ("under the eye", "eye_{side}_lower2", (0.0, -0.2, 0.0)),
    ("cheekbone", "eye_{side}_lower4", (0.0, -0.4, 0.0)),
    ("cheek", "eye_{side}_lower2", (0.1, -0.8, 0.0)),
    ("jowl", "{corner}", (0.35, 0.0, -0.15)),
    ("nose root", "sellion", (0.15, -0.2, 0.05)),
    ("nostril", "subnasale", (0.25, 0.15, 0.0)),
    ("nose fold", "subnasale", (0.4, 0.05, -0.05)),
    ("lip corner", "{corner}", (0.0, 0.0, 0.0)),
    ("beside the lips", "{corner}", (0.15, 0.0, -0.05)),
    ("chin side", "chin", (0.25, 0.0, 0.0)),
    ("jaw side", "menton", (0.4, 0.15, 0.0)),
)
MIDDLE = (
    ("glabella", "sellion", (0.0, 0.25, 0.0)),
    ("nose tip", "nose_tip", (0.0, 0.0, 0.0)),
    ("philtrum", "subnasale", (0.0, -0.07, 0.03)),
    ("chin fold", "chin_fold", (0.0, 0.0, 0.0)),
    ("chin", "chin", (0.0, 0.0, 0.0)),
    ("menton", "menton", (0.0, 0.0, 0.0)),
)
LIPS = (  # (patch, point on the line of the lips counted from the middle outwards, offset), above and below
    ("rim", 0, (0.0, 0.0, 0.0)),
    ("red", 0, (0.0, 0.08, 0.05)),
    ("edge", 0, (0.0, 0.16, 0.05)),
    ("rim quarter", 2, (0.0, 0.0, 0.0)),
    ("red quarter", 2, (0.0, 0.07, 0.03)),
    ("edge quarter", 2, (0.0, 0.14, 0.03)),
)
PATCH = 0.07  # eye distances; the reach of a patch's weights
NEAREST = 6  # vertices of a patch at most on a coarse mesh
LOWER_LIP = 0.35  # of the largest displacement as the jaw opens: from here a vertex is of the lower lip
BEHIND = 0.45  # eye distances behind the eyeballs, and not below them: the skull, which no expression moves
CHUNK = 64  # frames
THOUSANDTHS = 1000.0


@dataclass(frozen=True, eq=False)
class Places:
    """Where a rig is measured.

    count: vertices of the rig. needed: (N,) numbers of those that are looked at, rest: (N, 3) their places. All else
    counts among these N: vertices and weights (P, NEAREST) of the patches by name, skull, eyeballs, inside of the
    mouth. unit: metres between the eyeballs' centres.
    """

    count: int
    needed: np.ndarray
    names: tuple[str, ...]
    vertices: np.ndarray
    weights: np.ndarray
    skull: np.ndarray
    eyeballs: tuple[np.ndarray, np.ndarray]
    inside: np.ndarray
    unit: float
    rest: np.ndarray


@dataclass(frozen=True)
class Measures:
    """What was measured over T frames.

    Attributes:
        names: of the P patches.
        patches: (T, P, 3) displacement of each patch from rest with the head's turn taken out, thousandths of the
            distance between the eyeballs; x outwards from the middle of the face for patches of a side (towards the
            person's left for those in the middle), y up, z forward.
        head: (T, 3) yaw, pitch, roll in radians; yaw > 0 to the person's left, pitch > 0 down, roll > 0 to the right.
        eyes: (T, 2) mean turn of both eyeballs in the head in radians, to the person's left and up.
        tongue: (T,) how far what moves most inside the mouth has come forward, thousandths as above; 0 without any.
    """

    names: tuple[str, ...]
    patches: np.ndarray
    head: np.ndarray
    eyes: np.ndarray
    tongue: np.ndarray

    @property
    def patch_names(self) -> tuple[str, ...]:
        """The names of what `moves` tells of."""
        return (*self.names, "tongue")

    @property
    def moves(self) -> np.ndarray:
        """(T, P + 1, 3): the patches, and the tongue as one that only moves forward."""
        tongue = np.zeros((len(self.tongue), 1, 3))
        tongue[:, 0, 2] = self.tongue
        return np.concatenate([self.patches, tongue], axis=1)


_PLACES: WeakKeyDictionary[Rig, Places] = WeakKeyDictionary()
_PARTS: WeakKeyDictionary[BlendshapeRig, BlendshapeRig] = WeakKeyDictionary()


def places(rig: Rig) -> Places:
    """Where a rig is measured; found once for each rig. Raises FacelmError where landmarks cannot be found."""
    if rig not in _PLACES:
        _PLACES[rig] = _find(rig)
    return _PLACES[rig]


def measure(vertices: np.ndarray, rig: Rig) -> Measures:
    """Measure vertices (T, V, 3) in metres of a rig's topology, with the head turned or not.

    Raises FacelmError when the shape is another, or a vertex is not finite.
    """
    at = places(rig)
    if vertices.ndim != 3 or vertices.shape[1:] != (at.count, 3):
        raise FacelmError(f"vertices have the shape {vertices.shape}; the rig's are (frames, {at.count}, 3)")
    if not np.isfinite(vertices).all():
        raise FacelmError("a vertex is not finite; mend or leave out the clip")
    return _measure(vertices[:, at.needed], at)


def measures_of(motion: FaceMotion, rig: Rig) -> Measures:
    """The measures of a motion on a rig, its vertices made a few frames at a time."""
    at = places(rig)
    values = motion.to(rig.layout).values
    if isinstance(rig, BlendshapeRig):
        return _measure(_part(rig).vertices(values, head=True), at)
    made = [rig.vertices(values[i : i + CHUNK], head=True)[:, at.needed] for i in range(0, len(values), CHUNK)]
    return _measure(np.concatenate(made), at)


def _part(rig: BlendshapeRig) -> BlendshapeRig:
    """The rig with the vertices that are looked at alone, which takes a fifth of the time."""
    if rig not in _PARTS:
        needed = places(rig).needed
        _PARTS[rig] = BlendshapeRig(
            rig.rest[needed],
            rig.deltas[:, needed],
            np.zeros((0, 4), np.int32),
            neck_pivot=rig.neck_pivot,
            head_weight=rig.head_weight[needed],
        )
    return _PARTS[rig]


def _measure(vertices: np.ndarray, at: Places) -> Measures:
    turn, shift = rigid(at.rest[at.skull], vertices[:, at.skull])
    still = (vertices - shift[:, None]) @ turn  # the head back upright: R^T (v - t)
    moved = np.einsum("pk,tpkc->tpc", at.weights, still[:, at.vertices] - at.rest[at.vertices])
    moved[:, [name.endswith("right") for name in at.names], 0] *= -1
    eyes = []
    for ball in at.eyeballs:
        forward = rigid(at.rest[ball], still[:, ball])[0][:, :, 2]
        eyes.append(np.stack([np.arctan2(forward[:, 0], forward[:, 2]), np.arcsin(forward[:, 1].clip(-1, 1))], 1))
    scale = THOUSANDTHS / at.unit
    tongue = np.zeros(len(vertices))
    if len(at.inside):
        tongue = (still[:, at.inside, 2] - at.rest[at.inside, 2]).max(1)
    return Measures(at.names, moved * scale, angles(turn), np.mean(eyes, axis=0), tongue * scale)


def rigid(rest: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotations (T, 3, 3) and shifts (T, 3) that take points (N, 3) nearest to (T, N, 3), after Kabsch (1976)."""
    centre, centres = rest.mean(0), moved.mean(1)
    u, _, vt = np.linalg.svd(np.einsum("tni,nj->tij", moved - centres[:, None], rest - centre))
    u[..., -1] *= np.linalg.det(u @ vt)[:, None]
    turn = u @ vt
    return turn, centres - turn @ centre


def angles(turn: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll (T, 3) of rotations Ry(yaw) Rx(pitch) Rz(roll), (T, 3, 3)."""
    yaw, pitch = np.arctan2(turn[:, 0, 2], turn[:, 2, 2]), np.arcsin(-turn[:, 1, 2].clip(-1, 1))
    return np.stack([yaw, pitch, np.arctan2(turn[:, 1, 0], turn[:, 1, 1])], axis=1)


def _find(rig: Rig) -> Places:
    face = anatomy(rig)
    rest, unit = np.asarray(rig.rest, np.float64), face.unit
    outside = np.flatnonzero(face.outside)
    opened = np.linalg.norm(np.asarray(opening(rig), np.float64) - rest, axis=1)
    lower = outside[opened[outside] > LOWER_LIP * opened.max()]
    upper = np.setdiff1d(outside, lower)
    names, found, weights = [], [], []

    def add(name: str, place: np.ndarray, among: np.ndarray) -> None:
        distance, nearest = cKDTree(rest[among]).query(place, NEAREST)
        weight = np.exp(-0.5 * ((distance - distance[0]) / (PATCH * unit)) ** 2)
        names.append(name)
        found.append(among[nearest])
        weights.append(weight / weight.sum())

    for side, out in (("left", 1), ("right", -1)):
        middle = LIP_POINTS // 2
        corner = f"mouth{middle + out * middle}"
        for name, landmark, offset in SIDED:
            place = face.points[landmark.format(side=side, corner=corner)] + unit * np.array([out, 1, 1]) * offset
            add(f"{name} {side}", place, outside)
        for name, step, offset in LIPS:
            for lip, sign, among in (("upper", 1, upper), ("lower", -1, lower)):
                place = face.points[f"mouth{middle + out * step}"] + unit * np.array([out, sign, 1]) * offset
                if step:
                    add(f"{lip} lip {name} {side}", place, among)
                elif side == "left":
                    add(f"{lip} lip {name}", place, among)
    for name, landmark, offset in MIDDLE:
        add(name, face.points[landmark] + unit * np.array(offset), outside)

    between = (face.points["eye_left"] + face.points["eye_right"]) / 2
    skin = np.zeros(len(rest), bool)
    skin[face.skin.triangles.ravel()] = True
    skull = np.flatnonzero(skin & (rest[:, 1] > between[1]) & (rest[:, 2] < between[2] - BEHIND * unit))
    if len(skull) < 10:
        raise FacelmError("the rig has no skull behind the eyes by which its head's turn could be measured")
    balls = tuple(np.flatnonzero(face.eyes & (out * (rest[:, 0] - between[0]) > 0)) for out in (1, -1))
    mouth = face.points[f"mouth{LIP_POINTS // 2}"]
    near = np.linalg.norm(rest - mouth, axis=1) < 0.5 * FACE_RADIUS * unit
    inside = np.flatnonzero(~skin & ~face.eyes & near & (rest[:, 1] < face.points["subnasale"][1]))
    parts = (np.stack(found), skull, *balls, inside)
    needed = np.unique(np.concatenate([part.ravel() for part in parts]))
    vertices, skull, left, right, inside = (np.searchsorted(needed, part) for part in parts)
    return Places(
        len(rest), needed, tuple(names), vertices, np.stack(weights), skull, (left, right), inside, unit, rest[needed]
    )
