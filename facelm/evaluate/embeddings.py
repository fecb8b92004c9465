"""Metrics of embeddings: FID, diversity, multimodality, matching distance and retrieval.

Embeddings are (N, D), NumPy's or torch's; row i of two arrays belongs to the same clip. Everything is computed in
float64. Definitions are those of the evaluation of T2M-GPT and MotionGPT, its numerical traps closed: squared distances
are clamped at 0 before the root (without it identical embeddings score NaN or R@1 .44 to .72), incomplete galleries are
dropped, and the matrix root of FID is taken by eigendecomposition of a symmetric form.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.score import Score

GALLERY = 32
REPEATS = 20
DIVERSITY_PAIRS = 300
MULTIMODAL_PAIRS = 10
RANKS = (1, 2, 3, 5, 10)


class Gaussian:
    """Mean and covariance of embeddings that stream through in batches (N, D)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros(0)
        self._scatter: np.ndarray = np.zeros((0, 0))

    def add(self, batch: Any) -> "Gaussian":
        """Add a batch; returns itself. Raises FacelmError when it has another width or is not finite."""
        rows = _rows(batch, "a batch of embeddings")
        if not self.count:
            self.mean, self._scatter = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
        if rows.shape[1] != len(self.mean):
            raise FacelmError(
                f"embeddings of width {rows.shape[1]} after ones of width {len(self.mean)}; use one judge"
            )
        count, mean = len(rows), rows.mean(0)
        total, shift = self.count + count, mean - self.mean
        centred = rows - mean
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * count / total)
        self.mean, self.count = self.mean + shift * (count / total), total
        return self

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), ddof 1. Raises FacelmError for fewer than 2 rows."""
        if self.count < 2:
            raise FacelmError(f"a covariance needs 2 embeddings at least, there are {self.count}; score more clips")
        return self._scatter / (self.count - 1)


def fid(predicted: Any, true: Any) -> Score:
    """Frechet distance of two sets of embeddings: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), ddof 1.

    Args are (N, D) arrays, or `Gaussian`s of what streamed through. Biased in N: compare at equal N only. Fewer than
    2 rows on a side give a score that says so.
    """
    name, formula = "FID", "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), ddof 1; compare at equal N only"
    sides = [side if isinstance(side, Gaussian) else Gaussian().add(side) for side in (predicted, true)]
    a, b = sides
    count = min(a.count, b.count)
    if count < 2:
        return Score.missing(name, "1", formula, f"{count} clip(s) on one side; FID needs at least 2", count)
    if len(a.mean) != len(b.mean):
        raise FacelmError(f"embeddings of width {len(a.mean)} and {len(b.mean)}; embed both with one judge")
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.clip(np.linalg.eigvalsh(root @ b.covariance @ root), 0, None)
    value = float(((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance))
    value = max(0.0, value - 2 * float(np.sqrt(inner).sum()))  # rounding alone makes it negative
    note = "" if a.count == b.count else f"N differs: {a.count} and {b.count}"
    return Score(name, value, math.nan, math.nan, count, "1", formula, note=note)


def diversity(embeddings: Any, number: int = DIVERSITY_PAIRS, seed: int = 0) -> Score:
    """Mean L2 distance of `number` random pairs: two independent draws without replacement. Nearer the real value is
    better. With no more than `number` clips it is the mean over all pairs, and the note says so.
    """
    rows = _rows(embeddings, "embeddings")
    name, formula = "Diversity", f"mean L2 distance of {number} random pairs"
    if len(rows) < 2:
        return Score.missing(name, "1", formula, f"{len(rows)} clip(s); diversity needs at least 2", len(rows))
    if len(rows) <= number:
        first, second = np.triu_indices(len(rows), 1)
        note = f"all pairs: {len(rows)} clips are too few for {number} random ones"
    else:
        rng = np.random.default_rng(seed)
        first, second = (rng.choice(len(rows), number, replace=False) for _ in range(2))
        note = ""
    distances = np.linalg.norm(rows[first] - rows[second], axis=1)
    return _mean_score(name, formula, distances, len(rows), note)


def multimodality(samples: Any, number: int = MULTIMODAL_PAIRS, seed: int = 0) -> Score:
    """Mean L2 distance of `number` random pairs of motions for the same text. samples: (texts, motions, D), usually 30
    motions a text.
    """
    array = np.asarray(_plain(samples), np.float64)
    name, formula = "MultiModality", f"mean L2 distance of {number} random pairs of motions of one text"
    if array.ndim != 3:
        raise FacelmError(f"multimodality needs embeddings (texts, motions, D), not {array.shape}")
    if array.shape[1] < 2 or not array.shape[0]:
        return Score.missing(
            name, "1", formula, f"{array.shape[1]} motion(s) a text; at least 2 are needed", len(array)
        )
    rng = np.random.default_rng(seed)
    number = min(number, array.shape[1])
    first, second = (rng.choice(array.shape[1], number, replace=False) for _ in range(2))
    distances = np.linalg.norm(array[:, first] - array[:, second], axis=2).mean(1)
    return _mean_score(name, formula, distances, len(array), of="texts")


def matching_distance(one: Any, other: Any, name: str = "Text-Match") -> Score:
    """Mean L2 distance of embeddings that belong together: Text-Match (MM-Dist) of texts and motions, Audio-Match of
    sound and motions. Lower is better.
    """
    a, b = _matched(one, other)
    return _mean_score(name, "mean L2 distance of matched pairs of embeddings", np.linalg.norm(a - b, axis=1), len(a))


def r_precision(
    queries: Any,
    items: Any,
    top: Iterable[int] = (1, 2, 3),
    gallery: int = GALLERY,
    seed: int = 0,
    name: str = "R",
    contents: Sequence[str] | None = None,
) -> list[Score]:
    """R-Precision@k: in galleries of `gallery`, the share of queries whose own item is among the k nearest.

    Clips are dealt into galleries at random, 20 times; an incomplete last gallery is dropped. Ties count half for and
    against by their mean rank. The interval is 1.96 standard errors over the 20 deals, as in the papers.
    Args: queries (N, D), texts as a rule; items (N, D), motions. contents: what each clip shows; items of equal content
    are then as right as a query's own, and the nearest of them counts. Without it a clip whose twin is in the gallery
    is found half of the time at best. Fewer clips than a gallery give scores that say so.
    """
    a, b = _matched(queries, items)
    formula = f"share of queries with their own item among the k nearest of {gallery}, {REPEATS} deals"
    top = list(top)
    if len(a) < gallery:
        why = f"{len(a)} clips do not fill a gallery of {gallery}"
        return [Score.missing(f"{name}@{k}", "1", formula, why, len(a)) for k in top]
    twins = None if contents is None else np.unique(np.asarray(contents), return_inverse=True)[1]
    if twins is not None:
        formula += "; items of equal content are as right"
    rng = np.random.default_rng(seed)
    shares = np.empty((REPEATS, len(top)))
    for repeat in range(REPEATS):
        order = rng.permutation(len(a))[: len(a) // gallery * gallery].reshape(-1, gallery)
        ranks = np.concatenate([_ranks(_with_twins(distances(a[part], b[part]), twins, part)) for part in order])
        shares[repeat] = [(ranks <= k).mean() for k in top]
    error = 1.96 * shares.std(0, ddof=1) / math.sqrt(REPEATS)
    note = f"chance {1 / gallery:.3f} for k = 1"
    return [
        Score(f"{name}@{k}", float(v), float(v - e), float(v + e), len(a), "1", formula, note=note)
        for k, v, e in zip(top, shares.mean(0), error, strict=True)
    ]


def retrieval(queries: Any, items: Any, top: Iterable[int] = RANKS, name: str = "all R") -> list[Score]:
    """TMR's form: R@k over the whole set as one gallery, and the median rank. Ties get their mean rank."""
    a, b = _matched(queries, items)
    ranks = np.concatenate([_ranks(distances(a[i : i + 512], b), i) for i in range(0, len(a), 512)])
    formula = f"rank of the own item among all {len(a)}, ties by mean rank"
    scores = [_mean_score(f"{name}@{k}", formula, (ranks <= k).astype(float), len(a)) for k in top]
    middle = Score(f"{name} MedR", float(np.median(ranks)), math.nan, math.nan, len(a), "rank", formula)
    return [*scores, middle]


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) Euclidean distances of rows (N, D) and (M, D); never NaN, 0 for equal rows up to rounding."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.sqrt(np.clip(squared, 0, None))


def _ranks(table: np.ndarray, first: int = 0) -> np.ndarray:
    """The rank of item first + i for query i, 1 the nearest; ties get the mean of their ranks."""
    own = table[np.arange(len(table)), first + np.arange(len(table))][:, None]
    tie = np.abs(table - own) <= 1e-9 * np.maximum(1.0, own)
    return 1 + ((table < own) & ~tie).sum(1) + (tie.sum(1) - 1) / 2


def _with_twins(table: np.ndarray, twins: np.ndarray | None, part: np.ndarray) -> np.ndarray:
    """Distances of a gallery in which an item of the query's content takes the own item's place when it is nearer, and
    stands infinitely far away itself.
    """
    if twins is None:
        return table
    alike = twins[part][:, None] == twins[part]
    own = np.where(alike, table, np.inf).min(1)
    table = np.where(alike, np.inf, table)
    np.fill_diagonal(table, own)
    return table


def _mean_score(name: str, formula: str, values: np.ndarray, n: int, note: str = "", of: str = "clips") -> Score:
    low = high = math.nan
    if len(values) > 1:
        error = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))
        low, high = float(values.mean()) - error, float(values.mean()) + error
    return Score(name, float(values.mean()), low, high, n, "1", formula, of, note)


def _matched(one: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = _rows(one, "the first embeddings"), _rows(other, "the second embeddings")
    if a.shape != b.shape:
        raise FacelmError(
            f"embeddings of shape {a.shape} and {b.shape} do not belong together; give a row for each clip"
        )
    return a, b


def _rows(embeddings: Any, what: str) -> np.ndarray:
    rows = np.asarray(_plain(embeddings), np.float64)
    if rows.ndim != 2 or not rows.size:
        raise FacelmError(f"{what} must be (clips, width), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise FacelmError(
            f"{what} hold a value that is not finite, in row {int(np.argwhere(~np.isfinite(rows))[0][0])}"
        )
    return rows


def _plain(array: Any) -> Any:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else array
