"""What is seen of a rig: smooth, cut and coloured surfaces whose points are fixed mixtures of the rig's vertices."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.spatial import cKDTree

from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.flame import FlameRig

ASSETS = Path(__file__).parent / "assets"
CUT_BELOW_PIVOT = 0.05  # metres; the head is shown down to a plane this far below the pivot of the neck
LOWEST_PIVOT_LEAN = 0.25  # the plane rises towards the back by this much a metre
SKIN = (226, 176, 150)


@dataclass(frozen=True, eq=False)
class Surface:
    """One material's triangles.

    points: sparse (N, V), rows sum to 1; `points @ vertices` places the N points. triangles: (M, 3).
    uv: (N, 2) with v = 0 at the top of `texture`, a file of the assets, or both None. color: sRGB 0..255, or per
    point `shade`, uint8 RGBA (N, 4).
    """

    name: str
    points: sparse.csr_matrix
    triangles: np.ndarray
    color: tuple[int, int, int]
    gloss: float
    uv: np.ndarray | None = None
    texture: str | None = None
    shade: np.ndarray | None = None

    def place(self, vertices: np.ndarray) -> np.ndarray:
        """The surface's points (N, 3) for vertices (V, 3)."""
        return self.points @ vertices

    @cached_property
    def _around(self) -> sparse.csr_matrix:
        corners = self.triangles.ravel()
        which = np.repeat(np.arange(len(self.triangles)), 3)
        shape = (self.points.shape[0], len(self.triangles))
        return sparse.csr_matrix((np.ones(len(corners), np.float32), (corners, which)), shape)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Unit normals (N, 3) of points (N, 3): the mean of the triangles around each, weighted by area."""
        a, b, c = points[self.triangles].swapaxes(0, 1)
        summed = self._around @ np.cross(b - a, c - a)
        return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)


PARTS = {  # name: the rig's groups, colour, gloss
    "skin": (("body",), SKIN, 0.25),
    "eyes": (("helper-l-eye", "helper-r-eye"), (240, 238, 232), 0.9),
    "lashes": (
        ("helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1", "helper-r-eyelashes-2"),
        (42, 28, 22),
        0.0,
    ),
    "teeth": (("helper-upper-teeth", "helper-lower-teeth"), (240, 232, 216), 0.6),
    "tongue": (("helper-tongue",), (168, 78, 78), 0.3),
}


def is_default_head(rig: BlendshapeRig | FlameRig) -> bool:
    """Whether it is the head that the textures, the cut through the neck and the camera are made for."""
    return "helper-l-eyelashes-1" in rig.groups


@lru_cache(maxsize=4)
def surfaces(rig: BlendshapeRig | FlameRig, smooth: bool) -> tuple[Surface, ...]:
    """The surfaces of a rig; with `smooth`, quads are subdivided once (Catmull and Clark 1978), for pictures."""
    default_head = is_default_head(rig)
    found = []
    for name, (groups, color, gloss) in PARTS.items():
        faces = rig.faces[np.isin(rig.groups, groups)]
        if not len(faces):
            continue
        points: sparse.csr_matrix = sparse.identity(len(rig.rest), np.float32, "csr")
        if smooth and faces.shape[1] == 4 and name != "teeth":
            points, faces = subdivide(points, faces, rig.regions["lips"])
        triangles = faces if faces.shape[1] == 3 else np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
        if name == "skin" and default_head and isinstance(rig, BlendshapeRig):
            points, triangles = _cut(points, triangles, rig)
        used, triangles = np.unique(triangles, return_inverse=True)
        points = points[used].tocsr()
        uv = None
        if name == "eyes":
            uv = eye_uv(points @ rig.rest)
        elif name == "skin" and default_head:
            uv = skin_uv(points @ rig.rest)
        texture = {"eyes": "eye.png", "skin": "skin.jpg"}.get(name) if uv is not None else None
        shade = _shade(name, color, points @ rig.rest, rig) if name in ("lashes", "teeth", "tongue") else None
        found.append(Surface(name, points, triangles.reshape(-1, 3).astype(np.int32), color, gloss, uv, texture, shade))
    return tuple(found)


def _shade(name: str, color: tuple[int, int, int], points: np.ndarray, rig: BlendshapeRig | FlameRig) -> np.ndarray:
    """RGBA (N, 4): lashes fade from the lid to their tips; teeth and tongue darken into the mouth."""
    rgba = np.empty((len(points), 4))
    rgba[:] = (*color, 255)
    if name == "lashes":
        skin = rig.rest[rig.part("body")]
        away, _ = cKDTree(skin).query(points)
        rgba[:, 3] *= 0.85 * (1 - np.clip(away / away.max(), 0, 1)) ** 1.5
    else:
        front, side = points[:, 2].max(), np.abs(points[:, 0])
        light = np.clip(1.1 - (front - points[:, 2]) / 0.045 - (side / 0.035) ** 2 * 0.5, 0.05, 1)
        rgba[:, :3] *= light[:, None]
    return rgba.astype(np.uint8)


def subdivide(points: sparse.csr_matrix, quads: np.ndarray, fixed: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One Catmull-Clark step on quads (F, 4) over points (N, V): points (N + F + edges, V) and quads (4 F, 4).

    Borders follow their own curve; `fixed` points (N,) stay in place (smoothed lips would no longer close).
    """
    count, faces = points.shape[0], len(quads)
    sides = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    edges, side_edge = np.unique(sides, axis=0, return_inverse=True)
    side_edge = side_edge.reshape(-1)
    shared = np.bincount(side_edge, minlength=len(edges))
    side_face = np.repeat(np.arange(faces), 4)

    def matrix(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
        return sparse.csr_matrix((np.asarray(values, np.float32), (rows, columns)), shape)

    face = matrix(np.full(faces * 4, 0.25), side_face, quads.ravel(), (faces, count))
    ends = matrix(np.full(len(edges) * 2, 0.5), np.repeat(np.arange(len(edges)), 2), edges.ravel(), (len(edges), count))
    beside = matrix(np.ones(len(side_edge)), side_edge, side_face, (len(edges), faces))
    inner = sparse.diags((shared == 2).astype(np.float32))
    edge = ends + inner @ (0.25 * (beside @ face) - 0.5 * ends)

    border_edges = edges[shared == 1]
    on_border = np.zeros(count, bool)
    on_border[border_edges.ravel()] = True
    valence = np.maximum(np.bincount(edges.ravel(), minlength=count), 1)
    faces_of = matrix(np.ones(faces * 4), quads.ravel(), side_face, (count, faces))
    edges_of = matrix(np.ones(edges.size), edges.ravel(), np.repeat(np.arange(len(edges)), 2), (count, len(edges)))
    near_faces = sparse.diags(1 / np.maximum(np.bincount(quads.ravel(), minlength=count), 1)) @ (faces_of @ face)
    near_edges = sparse.diags(1 / valence) @ (edges_of @ ends)
    itself = sparse.identity(count, format="csr")
    moved = sparse.diags(1 / valence) @ (near_faces + 2 * near_edges + sparse.diags(valence - 3.0) @ itself)
    used = np.bincount(quads.ravel(), minlength=count) > 0
    on_border &= ~fixed
    inside = (used & ~on_border & ~fixed & (valence > 2)).astype(np.float32)
    along = matrix(
        np.full(border_edges.size, 0.125), border_edges.ravel(), border_edges[:, ::-1].ravel(), (count, count)
    )
    border = along + 0.75 * itself
    keep = sparse.diags(1 - inside - on_border)
    corner = sparse.diags(inside) @ moved + sparse.diags(on_border.astype(np.float32)) @ border + keep @ itself

    e, f = count + faces + side_edge.reshape(-1, 4), count + np.arange(faces)
    new = [np.stack([quads[:, i], e[:, i], f, e[:, i - 1]], 1) for i in range(4)]
    return sparse.csr_matrix(sparse.vstack([corner, face, edge]) @ points, dtype=np.float32), np.concatenate(new)


def _cut(points: sparse.csr_matrix, triangles: np.ndarray, rig: BlendshapeRig) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Cut everything below the plane through the neck; the border becomes a clean curve in that plane."""
    from_pivot = points @ rig.rest - rig.neck_pivot
    height = from_pivot[:, 1] + CUT_BELOW_PIVOT + LOWEST_PIVOT_LEAN * from_pivot[:, 2]
    above = height > 0
    kept = [triangles[above[triangles].all(1)]]
    added: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}

    def crossing(i: int, j: int) -> int:
        key = (min(i, j), max(i, j))
        if key not in place:
            place[key] = points.shape[0] + len(added)
            added.append(key)
        return place[key]

    for triangle in triangles[above[triangles].any(1) & ~above[triangles].all(1)]:
        a, b, c = np.roll(triangle, -int(np.argmax(above[triangle] != (above[triangle].sum() == 2))))
        p, q = crossing(a, b), crossing(a, c)
        kept.append(np.array([[a, p, q]]) if above[a] else np.array([[p, b, c], [p, c, q]]))
    i, j = np.array(added, int).reshape(-1, 2).T
    t = height[i] / (height[i] - height[j])
    rows = sparse.diags(1 - t) @ points[i] + sparse.diags(t) @ points[j]
    return sparse.csr_matrix(sparse.vstack([points, rows]), dtype=np.float32), np.concatenate(kept)


SKIN_V = (0.55, 0.85)  # metres of height the skin's texture spans
SKIN_AXIS_Z = 0.02  # metres; the upright axis the texture is wrapped around


def skin_uv(points: np.ndarray) -> np.ndarray:
    """Texture coordinates (N, 2) of skin points (N, 3): u is the angle from the face (0) to the back of the head (1),
    the same on both sides, so that one half is painted and no seam is needed; v runs down from the crown.
    """
    x, y, z = points.T
    u = np.abs(np.arctan2(np.abs(x), z - SKIN_AXIS_Z)) / np.pi
    u = 0.008 + 0.984 * u  # away from the borders, where smaller copies of the texture blur
    return np.stack([u, np.clip((SKIN_V[1] - y) / (SKIN_V[1] - SKIN_V[0]), 0, 1)], 1).astype(np.float32)


def eye_uv(points: np.ndarray) -> np.ndarray:
    """Texture coordinates (N, 2) of eyeball points (N, 3) seen along the axis of each eye, at rest; v runs down."""
    uv = np.zeros((len(points), 2), np.float32)
    for side in (points[:, 0] > 0, points[:, 0] <= 0):
        low, high = points[side].min(0), points[side].max(0)
        centre, size = (low + high)[:2] / 2, (high - low)[:2].max()
        uv[side] = 0.5 + (points[side][:, :2] - centre) / size * [1, -1]
    return uv


@lru_cache(maxsize=4)
def texture(name: str) -> np.ndarray:
    """A picture of the assets folder, uint8 (H, W, 3)."""
    return np.asarray(Image.open(ASSETS / name).convert("RGB"))
