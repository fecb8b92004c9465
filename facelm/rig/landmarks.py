"""Landmarks of a face mesh, found from its geometry alone: eyeballs, the opening of the lids, the line of the lips as
the jaw opens, and the profile. No names of shapes are used but that of the jaw, so that any topology and any identity
gives the same set.

Axes as in every rig: x to the person's left, y up, z out of the face. "left" is the person's own left.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from facelm.errors import FacelmError
from facelm.motion.layout import layout
from facelm.rig.base import Rig

# Lengths are shares of the distance between the eyeballs' centres (about 62 mm in an adult).
SPACING = 0.016  # between the samples of the surface
CONTACT = 0.06  # upper and lower lip are nearer than this where they meet
PARTING = 0.2  # ... and part by at least this share of the largest parting when the jaw opens
LIP_POINTS = 9  # on the line of the lips, corners included
LID_POINTS = (0.2, 0.35, 0.5, 0.65, 0.8)  # on each lid, between the corners of the eye
FACE_RADIUS = 2.0  # the face is what lies within this of the point between eyes and mouth
JAW_OPEN_RAD = 0.3  # how far a jaw joint is opened to find the lips


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface as the search for landmarks and matches sees it: rest (V, 3) metres, triangles (M, 3)."""

    rest: np.ndarray
    triangles: np.ndarray

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit normals of the vertices (V, 3), weighted by the area of the triangles around each."""
        a, b, c = self.rest[self.triangles].swapaxes(0, 1)
        summed = np.zeros_like(self.rest)
        np.add.at(summed, self.triangles.ravel(), np.repeat(np.cross(b - a, c - a), 3, 0))
        return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-20)

    def samples(self, spacing: float) -> tuple[np.ndarray, np.ndarray]:
        """Points spread over all triangles, at most `spacing` metres apart: triangle (N,) and weights (N, 3)."""
        corners = self.rest[self.triangles]
        longest = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2).max(1)
        parts = np.clip(np.ceil(longest / spacing).astype(int), 1, 40)
        which, weights = [], []
        for n in np.unique(parts):
            i, j = np.divmod(np.arange(n * n), n)
            inside = i + j < n
            first = np.stack([i[inside] + 1 / 3, j[inside] + 1 / 3], 1) / n
            grid = np.concatenate([first, 1 - first.sum(1, keepdims=True)], 1)
            found = np.flatnonzero(parts == n)
            which.append(np.repeat(found, len(grid)))
            weights.append(np.tile(grid, (len(found), 1)))
        return np.concatenate(which), np.concatenate(weights)

    def at(self, triangle: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values of the vertices (V, ...) at points of triangles (N,) with weights (N, 3): (N, ...)."""
        return np.einsum("nk,nk...->n...", weights, values[self.triangles[triangle]])


def triangles_of(faces: np.ndarray) -> np.ndarray:
    """Triangles (M, 3) of faces (F, 3 or 4)."""
    return np.concatenate([faces[:, [0, i, i + 1]] for i in range(1, faces.shape[1] - 1)]).astype(np.int64)


def skin_of(rest: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Boolean (V,): the largest connected piece of a mesh. Edges of its borders that lie in the same place are joined,
    because files for graphics cards cut a mesh along the seams of its texture; a tear film that ends on the lids stays
    apart from them. rest: (V, 3), triangles: (M, 3).
    """
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
    border = edges[uses == 1]
    _, place = np.unique(np.round(rest, 7), axis=0, return_inverse=True)
    place = place.ravel()
    in_order = np.where((place[border[:, 0]] <= place[border[:, 1]])[:, None], border, border[:, ::-1])
    _, first, same = np.unique(place[in_order], axis=0, return_index=True, return_inverse=True)
    seam = np.stack([in_order, in_order[first][same.ravel()]], -1).reshape(-1, 2)
    edges = np.concatenate([edges, seam])
    graph = sparse.coo_matrix((np.ones(len(edges)), tuple(edges.T)), (len(rest), len(rest)))
    piece = connected_components(graph, directed=False)[1]
    return piece == np.bincount(piece[triangles[:, 0]]).argmax()


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What `anatomy` finds on a rig.

    skin: the mesh of the head's skin, with the rig's vertex numbers. outside: (V,) bool, skin seen from outside, so
    neither the mouth's cavity nor the sockets. points: landmarks by name, (3,) metres. unit: metres between the
    eyeballs' centres. centre: (3,), between eyes and mouth. eyes: (V,) bool.
    """

    skin: Mesh
    outside: np.ndarray
    points: dict[str, np.ndarray]
    unit: float
    centre: np.ndarray
    eyes: np.ndarray

    @cached_property
    def face(self) -> np.ndarray:
        """Boolean (V,): the skin of the face, seen from outside."""
        return self.outside & (np.linalg.norm(self.skin.rest - self.centre, axis=1) < FACE_RADIUS * self.unit)


def landmarks(rig: Rig) -> dict[str, np.ndarray]:
    """Landmarks of a rig's rest pose by name, each (3,) in metres: `eye_left`, `eye_right` (eyeball centres),
    `eye_left_inner`, `_outer`, `_upper0..4`, `_lower0..4` (lids, from the inner corner), `mouth0..8` (the line of the
    lips from the right corner to the left), `nose_tip`, `sellion`, `subnasale`, `upper_lip`, `lower_lip`, `chin_fold`,
    `chin` and `menton`.

    Raises FacelmError where the rig has no eyeballs, or no channel that opens the jaw.
    """
    return anatomy(rig).points


def anatomy(rig: Rig, turn: np.ndarray | None = None) -> Anatomy:
    """Skin, eyeballs and landmarks of a rig's rest pose, looked for after a rotation (3, 3) of it where one is given;
    all places are those of the rig as it is. Raises FacelmError as `landmarks` does.
    """
    turn = np.eye(3) if turn is None else turn
    rest = np.asarray(rig.rest, np.float64) @ turn.T
    triangles = triangles_of(rig.faces)
    on_skin, eyes = skin_of(rest, triangles), np.asarray(rig.regions["eyes"], bool)
    middle = rest[on_skin, 0].mean()
    sides = {"left": eyes & (rest[:, 0] > middle), "right": eyes & (rest[:, 0] <= middle)}
    if not all(side.any() for side in sides.values()):
        raise FacelmError("the rig has no two eyeballs to find landmarks by; give landmark pairs instead")
    points = {f"eye_{name}": (rest[side].min(0) + rest[side].max(0)) / 2 for name, side in sides.items()}
    unit = float(np.linalg.norm(points["eye_left"] - points["eye_right"]))
    skin = Mesh(rest, triangles[on_skin[triangles].all(1)])
    opened = (np.asarray(opening(rig), np.float64) - rig.rest) @ turn.T
    outside = on_skin & _outside(skin, unit)
    for name, side in sides.items():
        balls = Mesh(rest, triangles[side[triangles].all(1)])
        points |= _lids(skin, balls, points[f"eye_{name}"], unit, name)
    between = (points["eye_left"] + points["eye_right"]) / 2
    points |= _mouth(skin, outside, opened, between, unit)
    mouth = points[f"mouth{LIP_POINTS // 2}"]
    points |= _profile(skin, outside, mouth, between, unit)
    points = {name: place @ turn for name, place in points.items()}
    skin = Mesh(np.asarray(rig.rest, np.float64), skin.triangles)
    return Anatomy(skin, outside, points, unit, (between + mouth) / 2 @ turn, eyes)


def opening(rig: Rig) -> np.ndarray:
    """Vertices (V, 3) with the jaw open. Raises FacelmError when no channel is called jawOpen or jawX."""
    channels = layout(rig.layout)
    values = np.zeros((1, channels.width), np.float32)
    for name, value in (("jawOpen", 1.0), ("jawX", JAW_OPEN_RAD)):
        if name in channels:
            values[0, channels.index(name)] = value
            return np.asarray(rig.vertices(values))[0]
    raise FacelmError(f"the layout {channels.name} has no channel jawOpen or jawX, by which lips are found")


class _Depth:
    """The nearest depth of points (N, 3) seen along `axes[2]`, on a grid of `pixel` metres."""

    def __init__(self, points: np.ndarray, axes: np.ndarray, pixel: float):
        self.axes, self.pixel = axes, pixel
        across = np.floor(points @ axes[:2].T / pixel).astype(int)
        self.low = across.min(0)
        self.map = np.full(np.ptp(across, axis=0) + 1, -np.inf)
        np.maximum.at(self.map, tuple((across - self.low).T), points @ axes[2])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The nearest depth (N,) at the places of points (N, 3); -inf outside the grid."""
        at = np.floor(points @ self.axes[:2].T / self.pixel).astype(int) - self.low
        inside = ((at >= 0) & (at < self.map.shape)).all(1)
        found = np.full(len(points), -np.inf)
        found[inside] = self.map[tuple(at[inside].T)]
        return found


def _outside(skin: Mesh, unit: float) -> np.ndarray:
    """Boolean (V,): vertices seen from one of fifteen directions around the front."""
    which, weights = skin.samples(1.5 * SPACING * unit)
    points = skin.at(which, weights, skin.rest)
    seen = np.zeros(len(skin.rest), bool)
    for yaw in (-1.2, -0.6, 0.0, 0.6, 1.2):
        for pitch in (-0.7, 0.0, 0.7):
            towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
            across = np.cross([0, 1, 0], towards) / np.cos(pitch)
            depth = _Depth(points, np.stack([across, np.cross(towards, across), towards]), 3 * SPACING * unit)
            seen |= skin.rest @ towards >= depth(skin.rest) - 0.05 * unit
    return seen


def _lids(skin: Mesh, ball: Mesh, centre: np.ndarray, unit: float, side: str) -> dict[str, np.ndarray]:
    """Corners and lids of one eye: the outline of what is seen of the eyeball from the front."""
    pixel = SPACING * unit / 2
    corners = skin.rest[skin.triangles]
    near = (np.abs(corners - centre) < 0.45 * unit).all((1, 2)) & (corners[..., 2] > centre[2]).any(1)
    lids = Mesh(skin.rest, skin.triangles[near])
    views = []
    for mesh in (lids, ball):
        which, weights = mesh.samples(0.7 * pixel)
        points = mesh.at(which, weights, mesh.rest)
        views.append((points[points[:, 2] > centre[2]], np.eye(3), pixel))
    skin_depth, ball_depth = (_Depth(*view) for view in views)
    grid = np.arange(-0.4 * unit, 0.4 * unit, pixel)
    places = np.stack(np.meshgrid(centre[0] + grid, centre[1] + grid, [0.0], indexing="ij"), -1).reshape(-1, 3)
    ball_z = ball_depth(places)
    seen = places[np.isfinite(ball_z) & (ball_z > skin_depth(places))]
    if len(seen) < 20:
        raise FacelmError("the eyes of the rig's rest pose are closed, or its eyeballs stand elsewhere")
    inward = -1 if side == "left" else 1  # the direction of the nose
    inner, outer = (sign * inward * np.percentile(sign * inward * seen[:, 0], 99.5) for sign in (1, -1))
    wanted = {}
    for name, x in (("inner", inner), ("outer", outer)):
        column = seen[np.abs(seen[:, 0] - x) < 2 * pixel]
        wanted[name] = [x, column[:, 1].mean()]
    for i, share in enumerate(LID_POINTS):
        x = inner + share * (outer - inner)
        heights = seen[np.abs(seen[:, 0] - x) < 1.5 * pixel][:, 1]
        wanted[f"upper{i}"], wanted[f"lower{i}"] = [x, heights.max()], [x, heights.min()]
    front = views[0][0]
    tree = cKDTree(front[:, :2])
    return {f"eye_{side}_{name}": front[tree.query(place)[1]] for name, place in wanted.items()}


def _mouth(skin: Mesh, outside: np.ndarray, opened: np.ndarray, eyes: np.ndarray, unit: float) -> dict[str, np.ndarray]:
    """The line of the lips: where skin that touches parts when the jaw opens (opened: displacements (V, 3))."""
    seen = Mesh(skin.rest, skin.triangles[outside[skin.triangles].all(1)])
    which, weights = seen.samples(1.5 * SPACING * unit)
    points, moved = seen.at(which, weights, skin.rest), np.linalg.norm(seen.at(which, weights, opened), axis=1)
    near = (np.linalg.norm(points - eyes, axis=1) < 1.7 * unit) & (points[:, 1] < eyes[1] - 0.3 * unit)
    points, moved = points[near], moved[near]
    pairs = cKDTree(points).query_pairs(CONTACT * unit, output_type="ndarray")
    parting = np.abs(moved[pairs[:, 0]] - moved[pairs[:, 1]])
    pairs = pairs[parting > PARTING * np.linalg.norm(opened, axis=1).max()]
    middles = points[pairs].mean(1)
    if len(middles) < 20:
        raise FacelmError("no lips part when the jaw of the rig opens; give landmark pairs instead")
    low, high = np.percentile(middles[:, 0], [0.5, 99.5])
    found = {}
    for i, x in enumerate(np.linspace(low, high, LIP_POINTS)):
        band = middles[np.argsort(np.abs(middles[:, 0] - x), kind="stable")[: max(10, len(middles) // 30)]]
        front = band[band[:, 2] >= np.percentile(band[:, 2], 70)]
        found[f"mouth{i}"] = np.array([x, *front[:, 1:].mean(0)])
    return found


def _profile(
    skin: Mesh, outside: np.ndarray, mouth: np.ndarray, eyes: np.ndarray, unit: float
) -> dict[str, np.ndarray]:
    """Landmarks on the midline, read off the profile z(y) of the skin seen from outside."""
    which, weights = skin.samples(SPACING * unit)
    places = skin.at(which, weights, skin.rest)[outside[skin.triangles[which]].all(1)]
    places = places[(np.abs(places[:, 0] - eyes[0]) < 0.04 * unit) & (places[:, 2] > mouth[2] - unit)]
    level = np.round((places[:, 1] - mouth[1]) / (0.02 * unit)).astype(int)
    foremost = np.full(np.ptp(level) + 1, -np.inf)
    np.maximum.at(foremost, level - level.min(), places[:, 2])
    # The inside of the nostrils lies behind the profile.
    line = places[places[:, 2] > foremost[level - level.min()] - 0.01 * unit]

    def extreme(low: float, high: float, sign: int) -> np.ndarray:
        band = line[(line[:, 1] >= low) & (line[:, 1] <= high)]
        if not len(band):
            raise FacelmError("the profile of the rig has no nose or chin where one is looked for; give landmark pairs")
        best = sign * band[:, 2]
        point = band[best >= best.max() - 0.003 * unit].mean(0)
        return np.array([eyes[0], *point[1:]])

    tip = extreme(mouth[1] + 0.1 * unit, eyes[1], 1)
    under = extreme(mouth[1] + 0.12 * unit, tip[1], -1)
    lower = extreme(mouth[1] - 0.25 * unit, mouth[1], 1)
    chin = extreme(mouth[1] - 0.8 * unit, mouth[1] - 0.4 * unit, 1)
    jaw = line[(line[:, 2] > chin[2] - 0.3 * unit) & (line[:, 1] > mouth[1] - 1.2 * unit)]
    lowest = jaw[jaw[:, 1] <= jaw[:, 1].min() + 0.01 * unit].mean(0)
    return {
        "nose_tip": tip,
        "sellion": extreme(eyes[1] - 0.2 * unit, eyes[1] + 0.35 * unit, -1),
        "subnasale": under,
        "upper_lip": extreme(mouth[1], under[1], 1),
        "lower_lip": lower,
        "chin_fold": extreme(chin[1], lower[1], -1),
        "chin": chin,
        "menton": np.array([eyes[0], *lowest[1:]]),
    }
