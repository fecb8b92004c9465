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
import yaml
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

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
from facelm.rig.nearest import Surface

__all__ = ["Correspondence", "Pair", "correspond", "landmarks", "read_pairs", "similarity"]

Pair = tuple[int | Sequence[float], int | Sequence[float]]
"""One landmark: on the source and on the target, each a vertex number or a place (x, y, z) in metres."""

# Lengths are shares of the distance between the eyeballs' centres.
ROUNDS = ((0.5, 3.0), (0.3, 1.0), (0.2, 0.3), (0.15, 0.1))  # reach of a warp and its stiffness, from coarse to fine
CENTRES = 0.09  # between the centres of the warp
TOO_FAR = 0.12  # a match further apart than this after the warp is none
TOO_TURNED = 0.3  # nor is one whose normals agree (cosine) less than this
AROUND = 0.2  # over which the local change of shape is averaged
STIFF = 0.1  # how strongly it is held to the similarity
SQUARE = 0.03  # radians by which two heads may be turned against each other before landmarks are looked for again
MAY_BE_SAME, SAME_FORM = 0.04, 0.008  # faces of one form lie so near, laid over each other roughly and exactly
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
        except (ValueError, OSError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise FacelmError(f"{path} holds no correspondence of two rigs ({error}); make it again") from error


def correspond(source: Rig, target: Rig, pairs: Mapping[str, Pair] | None = None) -> Correspondence:
    """Match face and eyeballs of the target rig with the source rig's.

    pairs: landmarks by name that replace those found of the same name (see `landmarks`) or are added to them.
    Rigs that share their faces are matched vertex by vertex.
    Raises FacelmError when landmarks cannot be found or given ones do not fit the meshes.
    """
    if len(source.rest) == len(target.rest) and np.array_equal(source.faces, target.faces):
        return _same_topology(source, target)
    given = {
        name: (_place(name, pair[0], source.rest), _place(name, pair[1], target.rest))
        for name, pair in (pairs or {}).items()
    }
    one, other = anatomy(source), anatomy(target)
    _, turn, _ = similarity(*_shared(one, other, given))
    if np.trace(turn) < 1 + 2 * np.cos(SQUARE):
        one = anatomy(source, turn)  # "from the front" means the same for both heads
    first, second = _shared(one, other, given)
    unit = other.unit
    surface = Surface(other.skin, other.face, unit)
    scale, turn, shift = similarity(first, second)
    whole = None if pairs else _settle(one, surface, scale, turn, shift, unit)
    if whole is None:
        rest = _warp(scale * one.skin.rest @ turn.T + shift, scale * first @ turn.T + shift, second, one, surface, unit)
    else:
        scale, turn, shift = whole
        rest = scale * one.skin.rest @ turn.T + shift
    warped = Surface(Mesh(rest, one.skin.triangles), one.face, unit)

    vertices = np.flatnonzero(np.asarray(target.regions["face"], bool) & other.face)
    corners, weights, distance, agreement = warped.nearest(other.skin.rest[vertices], other.skin.normals[vertices])
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


def read_pairs(path: str | os.PathLike[str]) -> dict[str, Pair]:
    """Landmark pairs from a YAML or JSON file, a line `name: [on the source, on the target]` each, where a place is a
    vertex number (counted from 0) or `[x, y, z]` in metres.

    Raises FacelmError naming the file and what is wrong in it; MissingFileError when there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"there is no landmark file {path}")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FacelmError(f"{path} is no YAML or JSON ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict) or not found:
        raise FacelmError(f"{path} has no landmarks; write a line `name: [source vertex, target vertex]` for each")
    for name, pair in found.items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise FacelmError(f"{path}: landmark {name} must be a pair [source, target], not {pair!r}")
    return {str(name): (pair[0], pair[1]) for name, pair in found.items()}


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
    one: Anatomy, other: Anatomy, given: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (L, 3) of both heads."""
    first = one.points | {name: pair[0] for name, pair in given.items()}
    second = other.points | {name: pair[1] for name, pair in given.items()}
    names = [name for name in first if name in second]
    return np.array([first[name] for name in names]), np.array([second[name] for name in names])


def _place(name: str, mark: int | Sequence[float], rest: np.ndarray) -> np.ndarray:
    if isinstance(mark, int):
        if not 0 <= mark < len(rest):
            raise FacelmError(f"landmark {name}: vertex {mark} does not exist; there are {len(rest)}, counted from 0")
        return np.asarray(rest[mark], np.float64)
    try:
        place = np.asarray(mark, np.float64)
    except (TypeError, ValueError):
        place = np.empty(0)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise FacelmError(f"landmark {name} must be a vertex number or a place of three numbers, not {mark!r}")
    return place


def _warp(
    rest: np.ndarray, first: np.ndarray, second: np.ndarray, one: Anatomy, surface: Surface, unit: float
) -> np.ndarray:
    """The source's vertices (V, 3), already brought over by the similarity, bent onto the target's surface."""
    near = np.flatnonzero(one.face)
    bend = RBFInterpolator(first, second - first, kernel="linear", smoothing=0.01 * unit)
    rest[near] += bend(rest[near])
    first = second.copy()
    for reach, stiffness in ROUNDS:
        warped = Mesh(rest, one.skin.triangles)
        centres = near[_spread(rest[near], CENTRES * unit)]
        corners, weights, distance, agreement = surface.nearest(warped.rest[centres], warped.normals[centres])
        there = (surface.mesh.rest[corners] * weights[:, :, None]).sum(1)
        kept = (distance < 2 * TOO_FAR * unit) & (agreement > 0.5)
        points = np.concatenate([rest[centres[kept]], first])
        moves = np.concatenate([there[kept] - rest[centres[kept]], second - first])
        soft = np.concatenate([np.full(kept.sum(), stiffness), np.full(len(first), 0.02)])

        def kernel(a: np.ndarray, b: np.ndarray, reach: float = reach) -> np.ndarray:
            return np.exp(-cdist(a, b, "sqeuclidean") / (2 * (reach * unit) ** 2))

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


def _settle(
    one: Anatomy, surface: Surface, scale: float, turn: np.ndarray, shift: np.ndarray, unit: float
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """The similarity that lays the source's face on the target's where they have the same form; None where they have
    not, and need a warp.
    """
    face = np.flatnonzero(one.face)
    chosen = face[_spread(one.skin.rest[face] / one.unit, CENTRES)]
    points, normals = one.skin.rest[chosen], one.skin.normals[chosen]
    for _ in range(20):
        moved, facing = scale * points @ turn.T + shift, normals @ turn.T
        corners, weights, distance, agreement = surface.nearest(moved, facing)
        kept = agreement > 0.5
        apart = np.quantile(distance[kept], 0.8)
        if apart > MAY_BE_SAME * unit:
            return None
        # Distances from the tangent planes (Chen and Medioni 1992) let the surfaces slide into place.
        there = (surface.mesh.rest[corners] * weights[:, :, None]).sum(1)[kept]
        moved, facing = moved[kept], facing[kept]
        arm = moved - moved.mean(0)
        design = np.concatenate([np.cross(arm, facing), (arm * facing).sum(1, keepdims=True), facing], 1)
        step = np.linalg.lstsq(design, ((there - moved) * facing).sum(1))[0]
        more = (1 + step[3]) * Rotation.from_rotvec(step[:3]).as_matrix()
        shift = more @ (shift - moved.mean(0)) + moved.mean(0) + step[4:]
        scale, turn = scale * (1 + step[3]), Rotation.from_rotvec(step[:3]).as_matrix() @ turn
    return (scale, turn, shift) if apart < SAME_FORM * unit else None


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
