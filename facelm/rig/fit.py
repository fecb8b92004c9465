"""Motion of one rig on another: bounded least squares on corresponding vertices; linear maps fitted from such pairs.

The squares are those of the displacements of the matched vertices and of the gaps between lids and between lips, so
that closed stays closed. Everything is reduced to a Gram matrix of the target's channels first: frames then cost K
numbers each, whatever the mesh.

Where two artists have sculpted "the same" shape differently (the default head and ICT-FaceKit: cosines of .4 to .95),
free least squares explain the difference by other shapes. Shapes of the source that are recognised in the target, one
to one, by their geometry alone are therefore sent there, and others join only where they explain enough of the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from facelm.errors import FacelmError
from facelm.motion.layout import Channel, head_angles, layout
from facelm.motion.retarget import LinearMap, with_head
from facelm.motion.sequence import FaceMotion
from facelm.rig.base import Rig
from facelm.rig.correspond import Correspondence, correspond

__all__ = ["fit", "fit_map", "stabilise"]

RAD_PROBE = 0.3  # how far an angle is turned to see what it moves; weights go to 1
STILL = 1e-6  # metres; a channel that moves no vertex further has no part in a fit
GAP_SHARE = 0.004  # a gap counts as much as this share of all matched vertices
RIDGE_SAME, RIDGE_OTHER = 1e-5, 0.1  # of a channel's own square, for a mesh fitted on itself and on another's
FLOOR = 0.3  # channels that move less than this share of the middle one are held as if they moved as much
ALIKE = 0.2  # shapes this alike (Dice's coefficient: 1 equal, 0 unrelated) may be the same shape
JOINING = 0.15  # another shape joins a recognised one when its cosine with what is left exceeds this
HOLD = 6.0  # how strongly a frame is held to what the recognised shapes say, of a channel's own square
PAIR_RIDGE = 0.02  # how strongly a map is held to that of single channels, of a channel's mean square
BLOCK = 256  # frames worked on at a time
STEPS = 12  # at most, of Gauss and Newton on a rig that is not linear
ENOUGH = 2e-4  # of a channel's unit; such steps are over when no channel changes more


@dataclass(frozen=True, eq=False)
class _Basis:
    """What each channel of a rig does by itself.

    columns: (K,) in the rig's layout. deltas: (K, V, 3) metres a unit. linear: whether they simply add up.
    """

    columns: np.ndarray
    deltas: np.ndarray
    linear: bool


@dataclass(frozen=True, eq=False)
class _Problem:
    """The squares to be made small: rows of vertices and gaps, for displacements of the N matched vertices."""

    matches: Correspondence
    target: Rig
    basis: _Basis
    used: np.ndarray  # (N,) bool
    rows: np.ndarray  # (K, R), what the target's channels do
    gram: np.ndarray  # (K, K)
    scale: np.ndarray  # (K,), the size a channel's ridge is measured by, squared
    low: np.ndarray
    high: np.ndarray

    def features(self, displacements: np.ndarray) -> np.ndarray:
        """Rows (..., R) of displacements (..., N, 3)."""
        return _features(self.matches, self.used, displacements)


def fit(
    motion: FaceMotion | np.ndarray,
    source: Rig,
    target: Rig,
    fps: float | None = None,
    template: np.ndarray | None = None,
    matches: Correspondence | None = None,
) -> FaceMotion:
    """The motion of the target rig that moves its face as the source moves.

    motion: a motion in the source rig's layout; or vertices (T, V, 3) metres of a mesh with the source rig's faces at
    `fps`, which may move and turn as a whole (that becomes the head's angles). template: the neutral face (V, 3) of
    such vertices, the source rig's where None. matches: of `correspond`, made here where None.
    Channels stay within the ranges of the target's layout; head angles are carried over as angles.
    Raises FacelmError for vertices of another mesh or without fps, and rigs that cannot be matched.
    """
    matches = correspond(source, target) if matches is None else matches
    if isinstance(motion, FaceMotion):
        return _fit_motion(motion, source, target, matches)
    if fps is None:
        raise FacelmError("vertices have no rate of their own; give fps")
    still = still_vertices(source)
    template = source.rest if template is None else np.asarray(template, np.float32)
    vertices = np.asarray(motion)
    if vertices.ndim != 3 or vertices.shape[1:] != source.rest.shape or template.shape != source.rest.shape:
        raise FacelmError(
            f"vertices {vertices.shape} with a template {template.shape} are none of the source rig, "
            f"which has {len(source.rest)} vertices; they must be (frames, {len(source.rest)}, 3)"
        )
    if not len(vertices) or not np.isfinite(vertices).all():
        raise FacelmError("the vertices must be finite numbers of at least one frame")
    problem = _problem(matches, target, _probe(source), source is target or _is_copy(source, target))
    out = np.zeros((len(vertices), layout(target.layout).width), np.float32)
    angles = np.zeros((len(vertices), 3), np.float32)
    for start in range(0, len(vertices), BLOCK):
        block = slice(start, start + BLOCK)
        upright, angles[block] = stabilise(vertices[block], template, still)
        wanted = problem.features(matches.displacements(upright - template))
        out[block, problem.basis.columns] = _solve(problem, wanted @ problem.rows.T, wanted)
    return FaceMotion(with_head(out, target.layout, angles), fps, target.layout)


def fit_map(
    source: Rig,
    target: Rig,
    motions: Sequence[FaceMotion] = (),
    matches: Correspondence | None = None,
    note: str = "",
) -> LinearMap:
    """The linear map from values of the source's layout to values of the target's that reproduces such fits.

    It is fitted to pairs: each channel of the source alone with what fits it on the target, and every frame of
    `motions` (in the source's layout) with its fit. Weights that cannot be negative get no negative entries.
    Raises FacelmError for rigs that cannot be matched.
    """
    matches = correspond(source, target) if matches is None else matches
    probe = _probe(source)
    problem = _problem(matches, target, probe, _is_copy(source, target))
    single, _ = _recognise(problem, source, probe)
    if motions:
        values = np.concatenate([motion.to(source.layout).values for motion in motions]).astype(np.float64)
        fits = [_fit_motion(motion, source, target, matches).values for motion in motions]
        x, y = values[:, probe.columns], np.concatenate(fits).astype(np.float64)[:, problem.basis.columns]
        hold = PAIR_RIDGE * max(float((x**2).mean()), 1e-6) * np.eye(x.shape[1])
        gram = x.T @ x / len(x) + hold
        right = x.T @ y / len(x) + hold @ single  # (source K, target K)
        low = np.where(_positive(source, probe)[:, None] & _positive(target, problem.basis), 0.0, -np.inf)
        single = bounded_least_squares(gram, right.T, low.T, np.full(low.T.shape, np.inf)).T
    matrix = np.zeros((layout(target.layout).width, layout(source.layout).width))
    matrix[np.ix_(problem.basis.columns, probe.columns)] = single.T
    return LinearMap(layout(source.layout), layout(target.layout), matrix, np.zeros(len(matrix)), note)


def stabilise(vertices: np.ndarray, template: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (T, V, 3) without the motion of the whole head, and that turn as yaw, pitch, roll (T, 3) radians.

    still: boolean (V,), vertices that only the whole head moves; Kabsch's rotation lays them on those of the template
    (V, 3) in every frame.
    """
    here = np.asarray(vertices[:, still], np.float64)
    there = np.asarray(template[still], np.float64)
    middle, home = here.mean(1), there.mean(0)
    u, _, v = np.linalg.svd(np.swapaxes(here - middle[:, None], 1, 2) @ (there - home))
    flip = np.ones((len(u), 1, 3))
    flip[:, 0, 2] = np.sign(np.linalg.det(u @ v))
    turn = (u * flip) @ v  # (T, 3, 3), from the template to the frame
    upright = (vertices - middle[:, None]) @ turn + home
    yaw, pitch = np.arctan2(turn[:, 0, 2], turn[:, 2, 2]), np.arcsin(np.clip(-turn[:, 1, 2], -1, 1))
    roll = np.arctan2(turn[:, 1, 0], turn[:, 1, 1])
    return upright.astype(np.float32), np.stack([yaw, pitch, roll], 1).astype(np.float32)


def still_vertices(rig: Rig) -> np.ndarray:
    """Boolean (V,): the fifth of the vertices from the eyes upwards that the rig's channels move least."""
    moved = np.abs(_probe(rig).deltas).max((0, 2))
    above = rig.rest[:, 1] >= rig.rest[np.asarray(rig.regions["upper_face"], bool), 1].min()
    above &= ~np.asarray(rig.regions["eyes"], bool)
    return above & (moved <= np.quantile(moved[above], 0.2))


def bounded_least_squares(
    gram: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray, lasso: np.ndarray | float = 0.0
) -> np.ndarray:
    """For each row h of `right` (T, K) the x (T, K) with low <= x <= high that makes x'Gx/2 - h'x + lasso'|x| least.

    gram: (K, K), positive. Accelerated projected gradients (Beck and Teboulle 2009) on columns of equal size, begun
    again where they overshoot, for all rows together.
    """
    size = 1 / np.sqrt(np.diag(gram))
    gram, right, low, high, lasso = gram * size[:, None] * size, right * size, low / size, high / size, lasso * size
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    x = y = np.clip(np.zeros_like(right), low, high)
    momentum = 1.0
    for _ in range(2000):
        ahead = y - step * (y @ gram - right)
        if np.any(lasso):
            ahead = np.sign(ahead) * np.maximum(np.abs(ahead) - step * lasso, 0)
        new = np.clip(ahead, low, high)
        change = new - x
        if np.vdot(y - new, change) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        x, y, momentum = new, new + (momentum - 1) / following * change, following
        if np.abs(change).max() < 1e-6 * max(np.abs(new).max(), 1e-12):
            break
    return x * size


def _fit_motion(motion: FaceMotion, source: Rig, target: Rig, matches: Correspondence) -> FaceMotion:
    motion = motion.to(source.layout)
    probe = _probe(source)
    same = _is_copy(source, target)
    problem = _problem(matches, target, probe, same)
    expected, known = _recognise(problem, source, probe)
    hold = np.where(known, 0.0 if same else HOLD, 0.0) * problem.scale
    values = motion.values[:, probe.columns].astype(np.float64)
    rows = problem.features(matches.displacements(probe.deltas))
    out = np.zeros((len(motion), layout(target.layout).width), np.float32)
    for start in range(0, len(motion), BLOCK):
        block = slice(start, start + BLOCK)
        if probe.linear:
            wanted = values[block] @ rows
        else:
            moved = source.vertices(motion.values[block]) - source.rest
            wanted = problem.features(matches.displacements(moved))
        out[block, problem.basis.columns] = _solve(
            problem, wanted @ problem.rows.T, wanted, hold, values[block] @ expected
        )
    out = with_head(out, target.layout, head_angles(motion.values, motion.layout))
    return FaceMotion(out, motion.rate, target.layout, None, motion.start, motion.metadata)


def _solve(
    problem: _Problem,
    right: np.ndarray,
    wanted: np.ndarray,
    hold: np.ndarray | float = 0.0,
    expected: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Values (T, K) for projections (T, K) of the wanted rows (T, R), held to `expected` (T, K) by `hold` (K,)."""
    gram = problem.gram + np.diag(np.broadcast_to(hold, len(problem.gram)))
    found = bounded_least_squares(gram, right + hold * expected, problem.low, problem.high)
    if problem.basis.linear:
        return found
    channels = layout(problem.target.layout)
    for _ in range(STEPS):  # the target's own nonlinearity goes into what is wanted of its linear part
        values = np.zeros((len(found), channels.width), np.float32)
        values[:, problem.basis.columns] = found
        moved = (problem.target.vertices(values) - problem.target.rest)[:, problem.matches.vertices]
        beyond = problem.features(moved) - found @ problem.rows
        before = found
        found = bounded_least_squares(
            gram, (wanted - beyond) @ problem.rows.T + hold * expected, problem.low, problem.high
        )
        if np.abs(found - before).max() < ENOUGH:
            break
    return found


def _recognise(problem: _Problem, source: Rig, probe: _Basis) -> tuple[np.ndarray, np.ndarray]:
    """The map of single channels (source K, target K), and which of the target's are recognised (target K,).

    A source channel and a target channel that are each other's by the best one-to-one assignment of Dice's coefficient
    of what they move are taken for the same shape. Others join by a lasso on what is left.
    """
    rows = problem.features(problem.matches.displacements(probe.deltas))
    cross = rows @ problem.rows.T
    size, own = (rows**2).sum(1), np.diag(problem.rows @ problem.rows.T)
    alike = 2 * cross / (size[:, None] + own)
    signed = ~(_positive(source, probe)[:, None] & _positive(problem.target, problem.basis))
    one, other = linear_sum_assignment(-np.where(signed, np.abs(alike), alike))
    sure = np.where(signed, np.abs(alike), alike)[one, other] > ALIKE
    one, other = one[sure], other[sure]
    expected = np.zeros_like(cross)
    expected[one, other] = cross[one, other] / own[other]
    lasso = np.zeros_like(cross)
    lasso[one] = JOINING * np.sqrt(size[one, None] * problem.scale)
    lasso[one, other] = 0
    ridge = np.diag(problem.gram - problem.rows @ problem.rows.T)
    low = np.where(signed, -np.inf, 0.0)
    high = np.full(low.shape, np.inf)
    found = bounded_least_squares(problem.gram, cross + ridge * expected, low, high, lasso)
    known = np.zeros(len(own), bool)
    known[other] = True
    return found, known


def _problem(matches: Correspondence, target: Rig, source: _Basis, same: bool) -> _Problem:
    basis = _probe(target)
    used = np.ones(len(matches.vertices), bool)
    theirs = np.abs(source.deltas[:, matches.corners[matches.eyes]]).max(initial=0)
    ours = np.abs(basis.deltas[:, matches.vertices[matches.eyes]]).max(initial=0)
    if min(theirs, ours) <= STILL:  # eyeballs that cannot turn say nothing of where the others look
        used = ~matches.eyes
    rows = _features(matches, used, basis.deltas[:, matches.vertices])
    moves = (rows**2).sum(1)
    kept = moves > 0
    if not kept.any():
        raise FacelmError("no channel of the target rig moves a matched vertex; give landmark pairs")
    basis = _Basis(basis.columns[kept], basis.deltas[kept], basis.linear)
    rows, moves = rows[kept], moves[kept]
    scale = np.maximum(moves, FLOOR**2 * np.median(moves))
    gram = rows @ rows.T + np.diag((RIDGE_SAME if same else RIDGE_OTHER) * scale)
    channels = _channels(target, basis)
    low, high = (np.array([getattr(c, end) for c in channels]) for end in ("low", "high"))
    return _Problem(matches, target, basis, used, rows, gram, scale, low, high)


def _features(matches: Correspondence, used: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    moved = displacements[..., used, :].astype(np.float64)
    weight = np.sqrt(matches.quality[used] / matches.quality[used].sum())
    points = (moved * weight[:, None]).reshape(*moved.shape[:-2], -1)
    gaps = np.einsum("gn,...nc->...gc", np.sqrt(GAP_SHARE) * matches.gaps[:, used], moved)
    return np.concatenate([points, gaps.reshape(*moved.shape[:-2], -1)], -1)


def _probe(rig: Rig) -> _Basis:
    """What each channel does but those of the head and neck."""
    channels = layout(rig.layout)
    columns, deltas = [], []
    for column, channel in enumerate(channels.channels):
        if _turns_head(channel):
            continue
        values = np.zeros((1, channels.width), np.float32)
        values[0, column] = reach = RAD_PROBE if channel.unit == "rad" else 1.0
        try:
            moved = (np.asarray(rig.vertices(values))[0] - rig.rest) / reach
        except FacelmError:  # expressions beyond those of a smaller FLAME model
            continue
        if np.abs(moved).max() > STILL:
            columns.append(column)
            deltas.append(moved)
    if not columns:
        raise FacelmError("no channel of the rig moves a vertex")
    basis = np.array(columns), np.array(deltas, np.float32)
    values = np.zeros((1, channels.width), np.float32)
    values[0, basis[0]] = [RAD_PROBE if channels.channels[c].unit == "rad" else 0.5 for c in columns]
    added = np.tensordot(values[0, basis[0]], basis[1], 1)
    error = np.abs(np.asarray(rig.vertices(values))[0] - rig.rest - added).max()
    return _Basis(*basis, linear=bool(error < 1e-5))


def _turns_head(channel: Channel) -> bool:
    return channel.name.lower().startswith(("head", "neck", "global"))


def _channels(rig: Rig, basis: _Basis) -> list[Channel]:
    return [layout(rig.layout).channels[column] for column in basis.columns]


def _positive(rig: Rig, basis: _Basis) -> np.ndarray:
    return np.array([channel.low >= 0 for channel in _channels(rig, basis)])


def _is_copy(source: Rig, target: Rig) -> bool:
    return source is target or (
        len(source.rest) == len(target.rest)
        and np.array_equal(source.faces, target.faces)
        and source.layout == target.layout
    )
