"""Motion of one rig on another: bounded least squares on corresponding vertices; linear maps fitted from such pairs.

The squares are those of the displacements of the matched vertices and of the gaps between lids and between lips, so
that closed stays closed. Everything is reduced to a Gram matrix of the target's channels first: frames then cost K
numbers each, whatever the mesh.

Where two artists have sculpted "the same" shape differently (the default head and ICT-FaceKit: cosines of .39 to .97),
free least squares explain the difference by other shapes. Shapes of the source that are recognised in the target, one
to one, by their geometry alone are therefore sent there, and others join only where they explain enough of the rest.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
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
ENOUGH = 1e-3  # of a channel's unit; such steps are over when no channel changes more


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
    """The squares to be made small: rows of vertices and gaps, for displacements of source and target.

    rows: (K, R), what the target's channels do. gram: (K, K), with its ridge. scale: (K,), the size a channel is held
    by, squared. low, high: (K,). read: (R, 3 V) sparse, rows of the source's displacements. project, own_project:
    (3 V, K), displacements of source and target to the right-hand side of the normal equations.
    """

    target: Rig
    basis: _Basis
    rows: np.ndarray
    gram: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    read: sparse.csr_matrix
    project: np.ndarray
    own_project: np.ndarray


def fit(
    motion: FaceMotion | np.ndarray,
    source: Rig,
    target: Rig,
    fps: float | None = None,
    template: np.ndarray | None = None,
    matches: Correspondence | None = None,
    recognise: bool = True,
) -> FaceMotion:
    """The motion of the target rig that moves its face as the source moves.

    motion: a motion in the source rig's layout; or vertices (T, V, 3) metres of a mesh with the source rig's faces at
    `fps`, which may move and turn as a whole (that becomes the head's angles). template: the neutral face (V, 3) of
    such vertices, the source rig's where None. matches: of `correspond`, made here where None. recognise: hold frames
    to the shapes that both rigs have (see above); without, these are plain least squares.
    Channels stay within the ranges of the target's layout; head angles are carried over as angles.
    Raises FacelmError for vertices of another mesh or without fps, and rigs that cannot be matched.
    """
    if isinstance(motion, FaceMotion):
        motion = motion.to(source.layout)
        found = _Fitter(source, target, matches, recognise).of_values(motion.values)
        out = with_head(found, target.layout, head_angles(motion.values, motion.layout))
        return FaceMotion(out, motion.rate, target.layout, None, motion.start, motion.metadata)
    if fps is None:
        raise FacelmError("vertices have no rate of their own; give fps")
    vertices, template = np.asarray(motion), np.asarray(source.rest if template is None else template, np.float32)
    if vertices.ndim != 3 or vertices.shape[1:] != source.rest.shape or template.shape != source.rest.shape:
        raise FacelmError(
            f"vertices {vertices.shape} with a template {template.shape} are none of the source rig, "
            f"which has {len(source.rest)} vertices; they must be (frames, {len(source.rest)}, 3)"
        )
    if not len(vertices) or not np.isfinite(vertices).all():
        raise FacelmError("the vertices must be finite numbers of at least one frame")
    fitter = _Fitter(source, target, matches, recognise)
    still = _still(source, fitter.own)
    parts = []
    for start in range(0, len(vertices), BLOCK):
        upright, angles = stabilise(vertices[start : start + BLOCK], template, still)
        parts.append(with_head(fitter.of_displacements(upright - template), target.layout, angles))
    return FaceMotion(np.concatenate(parts), fps, target.layout)


def fit_map(
    source: Rig,
    target: Rig,
    motions: Sequence[FaceMotion] = (),
    matches: Correspondence | None = None,
    recognise: bool = True,
    note: str = "",
) -> LinearMap:
    """The linear map from values of the source's layout to values of the target's that reproduces such fits.

    It is fitted to pairs: each channel of the source alone with what fits it on the target, and every frame of
    `motions` (which can be brought into the source's layout) with its fit. Weights that cannot be negative get no
    negative entries.
    Raises FacelmError for rigs that cannot be matched.
    """
    fitter = _Fitter(source, target, matches, recognise)
    own, theirs, single = fitter.own, fitter.problem.basis, fitter.expected
    if motions:
        values = np.concatenate([motion.to(source.layout).values for motion in motions])
        x, y = values[:, own.columns].astype(np.float64), fitter.of_values(values)[:, theirs.columns]
        hold = PAIR_RIDGE * max(float((x**2).mean()), 1e-6) * np.eye(x.shape[1])
        right = x.T @ y / len(x) + hold @ single  # (source K, target K)
        low = np.where(_signed(source, own, target, theirs), -np.inf, 0.0).T
        single = bounded_least_squares(x.T @ x / len(x) + hold, right.T, low, np.full(low.shape, np.inf)).T
    matrix = np.zeros((layout(target.layout).width, layout(source.layout).width))
    matrix[np.ix_(theirs.columns, own.columns)] = single.T
    return LinearMap(layout(source.layout), layout(target.layout), matrix, np.zeros(len(matrix)), note)


class _Fitter:
    """Fits frames of one rig on another, a block at a time.

    own: what the source's channels do. expected: (source K, target K), the map of single channels.
    """

    def __init__(self, source: Rig, target: Rig, matches: Correspondence | None, recognise: bool):
        self.source, self.target = source, target
        self.matches = correspond(source, target) if matches is None else matches
        for points, rig in ((self.matches.vertices, target), (self.matches.corners, source)):
            if points.max() >= len(rig.rest):
                raise FacelmError(
                    f"the matches have a vertex {points.max()}, but a rig of {len(rig.rest)}; match again"
                )
        self.own = _probe(source)
        self.same = source is target or (
            source.layout == target.layout
            and np.array_equal(source.faces, target.faces)
            and len(source.rest) == len(target.rest)
        )
        theirs = self.own if source is target else _probe(target)
        self.problem = _problem(self.matches, target, self.own, theirs, self.same)
        rows = (self.problem.read @ self.own.deltas.reshape(len(self.own.columns), -1).T.astype(np.float64)).T
        self.right = rows @ self.problem.rows.T  # (source K, target K)
        signed = _signed(source, self.own, target, self.problem.basis)
        self.expected, known = _recognise(self.problem, self.right, (rows**2).sum(1), signed, recognise)
        self.hold = np.where(known, 0.0 if self.same else HOLD, 0.0) * self.problem.scale

    def of_values(self, values: np.ndarray) -> np.ndarray:
        """Values (T, D) of the target's layout for values (T, D) of the source's."""
        parts = []
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            channels = block[:, self.own.columns].astype(np.float64)
            if self.own.linear:
                right = channels @ self.right
            else:
                moved = np.asarray(self.source.vertices(block)) - self.source.rest
                right = moved.reshape(len(block), -1) @ self.problem.project
            parts.append(_solve(self.problem, right, self.hold, channels @ self.expected))
        return np.concatenate(parts)

    def of_displacements(self, moved: np.ndarray) -> np.ndarray:
        """Values (T, D) of the target's layout for displacements (T, V, 3) of the source's mesh; the source's own
        channels that explain them tell what to expect of the target's.
        """
        moved = moved.reshape(len(moved), -1)
        right = moved @ self.problem.project
        if self.same:
            return _solve(self.problem, right)
        own = _solve(self._itself, moved @ self._itself.project)[:, self.own.columns]
        return _solve(self.problem, right, self.hold, own @ self.expected)

    @cached_property
    def _itself(self) -> _Problem:
        return _problem(correspond(self.source, self.source), self.source, self.own, self.own, True)


def stabilise(vertices: np.ndarray, template: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (T, V, 3) without the motion of the whole head, and that turn as yaw, pitch, roll (T, 3) radians.

    still: boolean (V,), vertices that only the whole head moves; Kabsch's rotation lays them on those of the template
    (V, 3) in every frame.
    """
    here = np.asarray(vertices[:, still], np.float64)  # (T, still, 3)
    there = np.asarray(template[still], np.float64)
    middle, home = here.mean(1), there.mean(0)
    u, _, v = np.linalg.svd(np.swapaxes(here - middle[:, None], 1, 2) @ (there - home))
    flip = np.ones((len(u), 1, 3))
    flip[:, 0, 2] = np.sign(np.linalg.det(u @ v))
    turn = (u * flip) @ v  # (T, 3, 3), from the template to the frame
    upright = (np.asarray(vertices, np.float32) - middle[:, None].astype(np.float32)) @ turn.astype(np.float32)
    yaw, pitch = np.arctan2(turn[:, 0, 2], turn[:, 2, 2]), np.arcsin(np.clip(-turn[:, 1, 2], -1, 1))
    roll = np.arctan2(turn[:, 1, 0], turn[:, 1, 1])
    return upright + home.astype(np.float32), np.stack([yaw, pitch, roll], 1).astype(np.float32)


def still_vertices(rig: Rig) -> np.ndarray:
    """Boolean (V,): the fifth of the vertices from the eyes upwards that the rig's channels move least."""
    return _still(rig, _probe(rig))


def _still(rig: Rig, probe: _Basis) -> np.ndarray:
    moved = np.abs(probe.deltas).max((0, 2))
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


def _solve(
    problem: _Problem, right: np.ndarray, hold: np.ndarray | float = 0.0, expected: np.ndarray | float = 0.0
) -> np.ndarray:
    """Values (T, D) of the target's layout for right-hand sides (T, K), held to `expected` (T, K) by `hold` (K,)."""
    gram = problem.gram + np.diag(np.broadcast_to(hold, len(problem.gram)))
    right = right + hold * expected
    found = bounded_least_squares(gram, right, problem.low, problem.high)
    values = np.zeros((len(found), layout(problem.target.layout).width), np.float32)
    values[:, problem.basis.columns] = found
    for _ in range(0 if problem.basis.linear else STEPS):
        # What the target's nonlinearity adds to its linear part is taken from what that part has to do.
        moved = (np.asarray(problem.target.vertices(values)) - problem.target.rest).reshape(len(values), -1)
        beyond = moved @ problem.own_project - found @ problem.rows @ problem.rows.T
        before, found = found, bounded_least_squares(gram, right - beyond, problem.low, problem.high)
        values[:, problem.basis.columns] = found
        if np.abs(found - before).max() < ENOUGH:
            break
    return values


def _recognise(
    problem: _Problem, cross: np.ndarray, size: np.ndarray, signed: np.ndarray, recognise: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The map of single channels (source K, target K), and which of the target's are recognised (target K,).

    A channel of the source and one of the target that belong together in the best one-to-one assignment by Dice's
    coefficient of what they move are taken for the same shape. Others join them by a lasso on what is left.
    cross: (source K, target K), products of what the channels do. size: (source K,), squares of the source's. signed:
    (source K, target K), where the map may be negative.
    """
    own = (problem.rows**2).sum(1)
    alike = 2 * cross / (size[:, None] + own)
    alike = np.where(signed, np.abs(alike), alike)
    one, other = linear_sum_assignment(-alike)
    sure = alike[one, other] > (ALIKE if recognise else np.inf)
    one, other = one[sure], other[sure]
    expected = np.zeros_like(cross)
    expected[one, other] = cross[one, other] / own[other]
    lasso = np.zeros_like(cross)
    lasso[one] = JOINING * np.sqrt(size[one, None] * problem.scale)
    lasso[one, other] = 0
    ridge = np.diag(problem.gram) - own
    low, high = np.where(signed, -np.inf, 0.0), np.full(signed.shape, np.inf)
    found = bounded_least_squares(problem.gram, cross + ridge * expected, low, high, lasso)
    known = np.zeros(len(own), bool)
    known[other] = True
    return found, known


def _problem(matches: Correspondence, target: Rig, source: _Basis, basis: _Basis, same: bool) -> _Problem:
    used = np.ones(len(matches.vertices), bool)
    theirs = np.abs(source.deltas[:, matches.corners[matches.eyes]]).max(initial=0)
    ours = np.abs(basis.deltas[:, matches.vertices[matches.eyes]]).max(initial=0)
    if min(theirs, ours) <= STILL:  # eyeballs that cannot turn say nothing of where the others look
        used = ~matches.eyes
    weight = np.sqrt(np.where(used, matches.quality, 0) / matches.quality[used].sum())
    each = sparse.diags(np.repeat(weight, 3))
    gaps = np.sqrt(GAP_SHARE) * sparse.kron(sparse.csr_matrix(matches.gaps.astype(np.float64)), sparse.identity(3))
    choose = sparse.vstack([each, gaps]).tocsr()  # (R, 3 N)
    read = choose @ matches.operator(source.deltas.shape[1])
    columns = (3 * matches.vertices[:, None] + np.arange(3)).ravel()
    own_read = choose @ sparse.identity(3 * len(target.rest), format="csr")[columns]
    rows = (own_read @ basis.deltas.reshape(len(basis.columns), -1).T.astype(np.float64)).T
    moves = (rows**2).sum(1)
    kept = moves > 0
    if not kept.any():
        raise FacelmError("no channel of the target rig moves a matched vertex; give landmark pairs")
    basis = _Basis(basis.columns[kept], basis.deltas[kept], basis.linear)
    rows, moves = rows[kept], moves[kept]
    scale = np.maximum(moves, FLOOR**2 * np.median(moves))
    gram = rows @ rows.T + np.diag((RIDGE_SAME if same else RIDGE_OTHER) * scale)
    low, high = (np.array([getattr(c, end) for c in _channels(target, basis)]) for end in ("low", "high"))
    project, own_project = ((side.T @ rows.T).astype(np.float32) for side in (read, own_read))
    return _Problem(target, basis, rows, gram, scale, low, high, read, project, own_project)


def _probe(rig: Rig) -> _Basis:
    """What each channel does but those of the head and neck."""
    channels = layout(rig.layout)
    columns = np.array([i for i, channel in enumerate(channels.channels) if not _turns_head(channel)])
    reach = np.array([RAD_PROBE if channels.channels[i].unit == "rad" else 1.0 for i in columns], np.float32)
    values = np.zeros((len(columns), channels.width), np.float32)
    values[np.arange(len(columns)), columns] = reach
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # eyelids that a FLAME rig cannot close have no part
        shown = _shown(rig, values)
    deltas = (shown - rig.rest) / reach[:, None, None]
    kept = np.abs(deltas).max((1, 2)) > STILL
    if not kept.any():
        raise FacelmError("no channel of the rig moves a vertex")
    columns, deltas, reach = columns[kept], deltas[kept], reach[kept]
    values = np.zeros((1, channels.width), np.float32)
    values[0, columns] = reach / 2
    error = np.abs(np.asarray(rig.vertices(values))[0] - rig.rest - np.tensordot(reach / 2, deltas, 1)).max()
    return _Basis(columns, deltas, linear=bool(error < 1e-5))


def _shown(rig: Rig, values: np.ndarray) -> np.ndarray:
    """Vertices (N, V, 3) of values (N, D); the rest pose where a channel is beyond what a smaller FLAME model has."""
    try:
        return np.asarray(rig.vertices(values))
    except FacelmError:
        shown = np.repeat(rig.rest[None], len(values), 0)
        for i, row in enumerate(values):
            with suppress(FacelmError):
                shown[i] = np.asarray(rig.vertices(row[None]))[0]
        return shown


def _turns_head(channel: Channel) -> bool:
    return channel.name.lower().startswith(("head", "neck", "global"))


def _channels(rig: Rig, basis: _Basis) -> list[Channel]:
    return [layout(rig.layout).channels[column] for column in basis.columns]


def _signed(source: Rig, own: _Basis, target: Rig, theirs: _Basis) -> np.ndarray:
    """Boolean (source K, target K): where one or the other channel can be negative."""
    one, other = (
        np.array([channel.low < 0 for channel in _channels(rig, basis)])
        for rig, basis in ((source, own), (target, theirs))
    )
    return one[:, None] | other
