"""Corresponding points of two heads of different topology and identity; displacements carried from one to the other.

Landmarks give a similarity and then a thin warp of the source's face onto the target's; a few rounds of non-rigid
closest points (position and normal) bring the surfaces together; every vertex of the target's face is then matched with
the nearest point of the warped source. No random numbers: the same rigs give the same matches.
"""

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from facelm.errors import FacelmError, MissingFileError
from facelm.files import atomic_path
from facelm.rig.base import Rig
from facelm.rig.landmarks import (
    LID_POINTS,
    LIP_POINTS,
    Anatomy,
    Mesh,
    anatomy,
    landmarks,
    opening,
    skin_of,
    triangles_of,
)

__all__ = ["Correspondence", "Pair", "correspond", "landmarks"]

Pair = tuple[int | Sequence[float], int | Sequence[float]]
"""One landmark: on the source and on the target, each a vertex number or a place (x, y, z) in metres."""

# Lengths are shares of the distance between the eyeballs' centres.
NORMAL = 0.12  # how far apart, as a length, opposite normals count
ROUNDS = ((0.5, 3.0), (0.3, 1.0), (0.2, 0.3), (0.15, 0.1))  # reach of a warp and its stiffness, from coarse to fine
CENTRES = 0.09  # between the centres of the warp
TOO_FAR = 0.12  # a match further apart than this after the warp is none
TOO_TURNED = 0.3  # nor is one whose normals agree (cosine) less than this
AROUND = 0.2  # over which the local change of shape is averaged
STIFF = 0.1  # how strongly it is held to the similarity
LIPS_APART = 0.09  # a vertex this near to the line of the lips is of one lip or the other


@dataclass(frozen=True, eq=False)
class Correspondence:
    """For some vertices of a target mesh, the point of a source mesh that does what they do.

    vertices: (N,) int64, of the target. corners: (N, 3) int64, the source triangle's vertices. weights: (N, 3), they
    sum to 1. carry: (N, 3, 3), a displacement of the source point to that of the target's vertex (rotation, scale and
    local change of shape). quality: (N,), 1 for a match that lies on the surface with the same normal, falling to 0 at
    the limits beyond which matches are left out. gaps: (G, N), rows that take displacements of the matched vertices to
    how much lips and lids part at a place: a lip or lid less the other, the means of the three vertices nearest. eyes:
    (N,) bool, vertices of the eyeballs.
    """

    vertices: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    carry: np.ndarray
    quality: np.ndarray
    gaps: np.ndarray
    eyes: np.ndarray

    def displacements(self, moved: np.ndarray) -> np.ndarray:
        """What the matched target vertices do, (..., N, 3) metres, when the source's do `moved` (..., V, 3)."""
        at = (moved[..., self.corners, :] * self.weights[:, :, None].astype(moved.dtype)).sum(-2)
        return np.einsum("nij,...nj->...ni", self.carry.astype(moved.dtype), at)

    def operator(self, count: int) -> sparse.csr_matrix:
        """`displacements` as a matrix (3 N, 3 V), for a source mesh of V = `count` vertices."""
        mixed = (self.carry[:, :, None, :] * self.weights[:, None, :, None]).astype(np.float64)  # (N, 3, corner, 3)
        columns = 3 * self.corners[:, None, :, None] + np.arange(3)
        starts = 9 * np.arange(3 * len(self.vertices) + 1)
        columns = np.broadcast_to(columns, mixed.shape)
        return sparse.csr_matrix((mixed.ravel(), columns.ravel(), starts), (len(starts) - 1, 3 * count))

    def points(self, rest: np.ndarray) -> np.ndarray:
        """The matched points (N, 3) on the source mesh with vertices (V, 3)."""
        return (rest[self.corners] * self.weights[:, :, None]).sum(1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the matches as npz, to be used again."""
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Correspondence":
        """The matches that `save` wrote. Raises FacelmError when the file is another."""
        if not Path(path).is_file():
            raise MissingFileError(f"there is no file {path}")
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(*(file[f.name] for f in fields(cls)))
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise FacelmError(f"{path} holds no correspondence of two rigs ({error}); make it again") from error


def correspond(source: Rig, target: Rig, pairs: Mapping[str, Pair] | None = None) -> Correspondence:
    """Match face and eyeballs of the target rig with the source rig's.

    pairs: landmarks by name that replace those found of the same name (see `landmarks`) or are added to them.
    Rigs that share their faces are matched vertex by vertex.
    Raises FacelmError when landmarks cannot be found or given ones do not fit the meshes.
    """
    if len(source.rest) == len(target.rest) and np.array_equal(source.faces, target.faces):
        return _same_topology(source, target)
    one, other = anatomy(source), anatomy(target)
    first, second = _shared(one, other, source, target, pairs or {})
    scale, turn, shift = similarity(first, second)
    unit = other.unit
    rest = scale * one.skin.rest @ turn.T + shift
    rest = _warp(rest, scale * first @ turn.T + shift, second, one, other, unit)
    warped = Mesh(rest, one.skin.triangles)

    vertices = np.flatnonzero(np.asarray(target.regions["face"], bool) & other.face)
    corners, weights, distance, agreement = _nearest(warped, one.face, other.skin, vertices, unit)
    near = np.clip(1 - distance / (TOO_FAR * unit), 0, 1)
    quality = near * np.clip((agreement - TOO_TURNED) / (1 - TOO_TURNED), 0, 1)
    kept = quality > 0
    if kept.sum() < 50:
        raise FacelmError("the faces of the two rigs hardly match; give landmark pairs")
    vertices, corners, weights, quality = vertices[kept], corners[kept], weights[kept], quality[kept]
    here = (one.skin.rest[corners] * weights[:, :, None]).sum(1)
    carry = _local_change(here, other.skin.rest[vertices], scale * turn, AROUND * unit)
    gaps = _gaps(target, other, vertices)
    eyes = _eyeballs(one, other, source, target, turn)
    return _frozen(
        np.concatenate([vertices, eyes[0]]),
        np.concatenate([corners, eyes[1]]),
        np.concatenate([weights, eyes[2]]),
        np.concatenate([carry, eyes[3]]),
        np.concatenate([quality, np.ones(len(eyes[0]))]),
        np.pad(gaps, ((0, 0), (0, len(eyes[0])))),
        np.repeat([False, True], [len(vertices), len(eyes[0])]),
    )


def _same_topology(source: Rig, target: Rig) -> Correspondence:
    balls = np.asarray(target.regions["eyes"], bool)
    inside = ~skin_of(target.rest, triangles_of(target.faces))  # eyeballs, teeth, tongue
    vertices = np.flatnonzero(np.asarray(target.regions["face"], bool) | balls | inside)
    corners = np.repeat(vertices[:, None], 3, 1)
    weights = np.tile([1.0, 0.0, 0.0], (len(vertices), 1))
    here, there = source.rest[vertices].astype(np.float64), target.rest[vertices].astype(np.float64)
    scale, turn, _ = similarity(here, there)
    carry = _local_change(here, there, scale * turn, AROUND * np.ptp(there[:, 0]) / 2.5)
    try:
        gaps = _gaps(target, anatomy(target), vertices)
    except FacelmError:  # a mesh without eyeballs or jaw can still be matched with itself
        gaps = np.zeros((0, len(vertices)))
    return _frozen(vertices, corners, weights, carry, np.ones(len(vertices)), gaps, balls[vertices])


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation (3, 3) and shift (3,) that bring points (N, 3) nearest to others (Umeyama 1991):
    `scale * source @ rotation.T + shift`.
    """
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, v = np.linalg.svd(b.T @ a)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    turn = (u * flip) @ v
    scale = float((s * flip).sum() / (a**2).sum())
    return scale, turn, target.mean(0) - scale * turn @ source.mean(0)


def _frozen(
    vertices: np.ndarray,
    corners: np.ndarray,
    weights: np.ndarray,
    carry: np.ndarray,
    quality: np.ndarray,
    gaps: np.ndarray,
    eyes: np.ndarray,
) -> Correspondence:
    return Correspondence(
        vertices.astype(np.int64),
        corners.astype(np.int64),
        weights.astype(np.float32),
        carry.astype(np.float32),
        quality.astype(np.float32),
        gaps.astype(np.float32),
        eyes,
    )


def _gaps(rig: Rig, found: Anatomy, vertices: np.ndarray) -> np.ndarray:
    """Rows (G, N) over matched vertices (N,): at each lid landmark the upper lid less the lower, and at each inner
    landmark of the lips what the jaw leaves less what it takes along.
    """
    places = found.skin.rest[vertices]
    rows = []

    def row(upper: np.ndarray, lower: np.ndarray) -> None:
        rows.append(np.zeros(len(vertices)))
        rows[-1][upper] += 1 / len(upper)
        rows[-1][lower] -= 1 / len(lower)

    for side in ("left", "right"):
        for i in range(len(LID_POINTS)):
            lids = [found.points[f"eye_{side}_{lid}{i}"] for lid in ("upper", "lower")]
            row(*(np.argsort(np.linalg.norm(places - lid, axis=1), kind="stable")[:3] for lid in lids))
    moved = np.linalg.norm((opening(rig) - rig.rest)[vertices], axis=1)
    for i in range(1, LIP_POINTS - 1):
        away = np.linalg.norm(places - found.points[f"mouth{i}"], axis=1)
        near = np.argsort(away, kind="stable")[: (away < LIPS_APART * found.unit).sum()]
        follows = moved[near] > 0.5 * moved[near].max(initial=0)
        if follows.any() and not follows.all():
            row(near[~follows][:3], near[follows][:3])
    return np.array(rows)


def _eyeballs(
    one: Anatomy, other: Anatomy, source: Rig, target: Rig, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, corners, weights and carry of the eyeballs: points that lie in the same direction from the centre."""
    parts = []
    for side in ("left", "right"):
        centres = [found.points[f"eye_{side}"] for found in (one, other)]
        seen, balls = [], []
        for found, centre, rig in zip((one, other), centres, (source, target), strict=True):
            ball = np.flatnonzero(found.eyes & (np.abs(rig.rest - centre).max(1) < 0.5 * found.unit))
            balls.append(ball)
            seen.append(rig.rest[ball] - centre)
        radius = [np.linalg.norm(points, axis=1) for points in seen]
        size = np.median(radius[1]) / np.median(radius[0])
        nearest = cKDTree((seen[0] / radius[0][:, None]) @ turn.T).query(seen[1] / radius[1][:, None])[1]
        carry = np.broadcast_to(size * turn, (len(balls[1]), 3, 3))
        parts.append((balls[1], np.repeat(balls[0][nearest][:, None], 3, 1), carry))
    vertices, corners, carry = (np.concatenate(part) for part in zip(*parts, strict=True))
    return vertices, corners, np.tile([1.0, 0.0, 0.0], (len(vertices), 1)), carry


def _shared(
    one: Anatomy, other: Anatomy, source: Rig, target: Rig, pairs: Mapping[str, Pair]
) -> tuple[np.ndarray, np.ndarray]:
    first, second = dict(one.points), dict(other.points)
    for name, pair in pairs.items():
        first[name], second[name] = _place(name, pair[0], source.rest), _place(name, pair[1], target.rest)
    names = [name for name in first if name in second]
    return np.array([first[name] for name in names]), np.array([second[name] for name in names])


def _place(name: str, mark: int | Sequence[float], rest: np.ndarray) -> np.ndarray:
    if isinstance(mark, int):
        if not 0 <= mark < len(rest):
            raise FacelmError(f"landmark {name}: vertex {mark} does not exist; there are {len(rest)}, counted from 0")
        return np.asarray(rest[mark], np.float64)
    place = np.asarray(mark, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise FacelmError(f"landmark {name} must be a vertex number or a place of three numbers, not {mark!r}")
    return place


def _warp(
    rest: np.ndarray, first: np.ndarray, second: np.ndarray, one: Anatomy, other: Anatomy, unit: float
) -> np.ndarray:
    """The source's vertices (V, 3), already brought over by the similarity, bent onto the target's surface."""
    near = np.flatnonzero(one.face)
    bend = RBFInterpolator(first, second - first, kernel="linear", smoothing=0.01 * unit)
    rest[near] += bend(rest[near])
    first = second.copy()
    for reach, stiffness in ROUNDS:
        warped = Mesh(rest, one.skin.triangles)
        centres = near[_spread(rest[near], CENTRES * unit)]
        corners, weights, distance, agreement = _nearest(other.skin, other.face, warped, centres, unit)
        there = (other.skin.rest[corners] * weights[:, :, None]).sum(1)
        kept = (distance < 2 * TOO_FAR * unit) & (agreement > 0.5)
        points = np.concatenate([rest[centres[kept]], first])
        moves = np.concatenate([there[kept] - rest[centres[kept]], second - first])
        soft = np.concatenate([np.full(kept.sum(), stiffness), np.full(len(first), 0.02)])

        def kernel(a: np.ndarray, b: np.ndarray, reach: float = reach) -> np.ndarray:
            squared = ((a[:, None] - b[None]) ** 2).sum(-1)
            return np.exp(-squared / (2 * (reach * unit) ** 2))

        strengths = np.linalg.solve(kernel(points, points) + np.diag(soft), moves)
        first = first + kernel(first, points) @ strengths
        rest[near] += np.concatenate([kernel(part, points) @ strengths for part in np.array_split(rest[near], 40)])
    return rest


def _spread(points: np.ndarray, spacing: float) -> np.ndarray:
    """The points (N, 3) nearest to the centres of cubes of `spacing` metres, one a cube: their numbers."""
    cube = np.floor(points / spacing)
    off_centre = np.abs(points / spacing - cube - 0.5).max(1)
    order = np.lexsort((off_centre, *cube.T))
    new = np.any(np.diff(cube[order], axis=0, prepend=np.inf) != 0, axis=1)
    return np.sort(order[new])


def _nearest(
    surface: Mesh, outside: np.ndarray, other: Mesh, vertices: np.ndarray, unit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For vertices (N,) of another mesh the nearest points of a surface's outside, by place and normal: the corners of
    the triangle (N, 3), weights (N, 3), distance (N,) in metres, and cosine of the normals (N,).
    """
    used = np.flatnonzero(outside[surface.triangles].all(1))
    seen = Mesh(surface.rest, surface.triangles[used])
    which, weights = seen.samples(0.02 * unit)
    points = seen.at(which, weights, surface.rest)
    normals = seen.at(which, weights, surface.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    tree = cKDTree(np.concatenate([points, NORMAL * unit * normals], 1))
    places, facing = other.rest[vertices], other.normals[vertices]
    _, found = tree.query(np.concatenate([places, NORMAL * unit * facing], 1))
    corners = seen.triangles[which[found]]
    weights = _closest(surface.rest[corners], places)
    there = (surface.rest[corners] * weights[:, :, None]).sum(1)
    agreement = (normals[found] * facing).sum(1)
    return corners, weights, np.linalg.norm(there - places, axis=1), agreement


def _closest(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights (N, 3) of the points of triangles (N, 3, 3) nearest to points (N, 3)."""
    a, b, c = triangles.swapaxes(0, 1)
    ab, ac, ap = b - a, c - a, points - a
    aa, bb, cross = (ab**2).sum(1), (ac**2).sum(1), (ab * ac).sum(1)
    pa, pb = (ap * ab).sum(1), (ap * ac).sum(1)
    area = np.maximum(aa * bb - cross**2, 1e-30)
    v, w = (bb * pa - cross * pb) / area, (aa * pb - cross * pa) / area
    weights = np.stack([1 - v - w, v, w], 1)
    best = np.where((weights >= 0).all(1), 0.0, np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):  # outside the triangle: the nearest point of its edges
        along = triangles[:, j] - triangles[:, i]
        share = ((points - triangles[:, i]) * along).sum(1) / np.maximum((along**2).sum(1), 1e-30)
        share = np.clip(share, 0, 1)
        gap = ((triangles[:, i] + share[:, None] * along - points) ** 2).sum(1)
        nearer = gap < best
        best = np.where(nearer, gap, best)
        edge = np.zeros((nearer.sum(), 3))
        edge[:, i], edge[:, j] = 1 - share[nearer], share[nearer]
        weights[nearer] = edge
    return weights


def _local_change(here: np.ndarray, there: np.ndarray, overall: np.ndarray, around: float) -> np.ndarray:
    """The linear maps (N, 3, 3) that take the neighbourhood of each source point (N, 3) to that of its match (N, 3),
    held to the `overall` map (3, 3) where the neighbourhood, `around` metres, does not tell.
    """
    scale = np.cbrt(np.linalg.det(overall))
    _, near = cKDTree(there).query(there, k=min(60, len(there)))
    offsets = there[near] - there[:, None]
    weight = np.exp(-((offsets**2).sum(-1)) / (2 * (around / 2) ** 2))
    a = here[near] - here[:, None]
    residual = offsets - a @ overall.T
    gram = np.einsum("nk,nki,nkj->nij", weight, a, a)
    hold = STIFF * (weight.sum(1) * (around / scale / 2) ** 2)[:, None, None] * np.eye(3)
    mixed = np.einsum("nk,nki,nkj->nij", weight, residual, a)
    return overall + mixed @ np.linalg.inv(gram + hold)
