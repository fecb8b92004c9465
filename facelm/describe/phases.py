"""Cutting curves into phases: the borders that leave the least squared error within phases."""

import numpy as np

from facelm.describe.tracks import FPS

SHORTEST_PHASE = 0.6  # s


def split(
    curves: np.ndarray, most: int, penalty: float = 0.0, weights: np.ndarray | None = None, grid: int | None = None
) -> list[tuple[int, int]]:
    """Frame ranges of phases of curves (T, K) at 25 fps, none under 0.6 s (unless the whole is).

    Args:
        most: the number of phases, or with a `penalty` the largest number (fewer where T is too short).
        penalty: squared error, summed over frames and curves, that one more phase has to save.
        weights: (T,) how much each frame counts; all the same when None.
        grid: borders lie on at most this many evenly spaced frames; on any frame when None. The work grows with its
            square.
    """
    frames = len(curves)
    step = 1 if grid is None else max(1, -(-frames // grid))
    ends = np.append(np.arange(0, frames, step), frames)
    if len(ends) > 2 and ends[-1] - ends[-2] < step:
        ends = np.delete(ends, -2)
    most = max(1, min(most, frames // round(SHORTEST_PHASE * FPS)))
    if most == 1:
        return [(0, frames)]
    pair = _errors(curves, np.ones(frames) if weights is None else weights, ends)
    cost, costs, back = pair[0], [pair[0, -1]], []
    for _ in range(most - 1):
        total = cost[:, None] + pair
        back.append(total.argmin(axis=0))
        cost = total.min(axis=0)
        costs.append(cost[-1])
    count = 1 + int(np.argmin(np.array(costs) + penalty * np.arange(most))) if penalty else most
    if not np.isfinite(costs[count - 1]):  # the grid is too coarse for that many
        count = int(np.flatnonzero(np.isfinite(costs))[-1]) + 1
    borders = [len(ends) - 1]
    for best in reversed(back[: count - 1]):
        borders.append(int(best[borders[-1]]))
    borders.append(0)
    cuts = ends[borders[::-1]].tolist()
    return list(zip(cuts, cuts[1:], strict=False))


def _errors(curves: np.ndarray, weights: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Squared error of each phase from ends[i] up to ends[j], (E, E); infinite where it is too short."""
    weighted = curves * weights[:, None]
    sums = np.concatenate([np.zeros((1, curves.shape[1])), np.cumsum(weighted, axis=0)])[ends]
    squares = np.concatenate([[0.0], np.cumsum((weighted * curves).sum(axis=1))])[ends]
    counts = np.concatenate([[0.0], np.cumsum(weights)])[ends]
    norms = (sums**2).sum(axis=1)
    between = norms[None, :] + norms[:, None] - 2 * sums @ sums.T  # |sums[j] - sums[i]|^2
    inside = squares[None, :] - squares[:, None] - between / np.maximum(counts[None, :] - counts[:, None], 1.0)
    long_enough = ends[None, :] - ends[:, None] >= round(SHORTEST_PHASE * FPS)
    return np.where(long_enough, inside.clip(0), np.inf)
