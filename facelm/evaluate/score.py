"""Scores: a figure with what it takes to quote it, and sums over clips that give one."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000  # of the bootstrap
_BLOCK = 2_000_000  # counts drawn at a time


@dataclass(frozen=True)
class Score:
    """One figure.

    Attributes:
        name: of the metric, such as "LVE".
        value: NaN where it could not be computed; `note` then says why.
        low, high: 95% interval (bootstrap over clips unless `formula` says otherwise); NaN where there is none.
        n: how many `of` it is of.
        unit: "mm", "ms", "1" for shares and ratios.
        formula: the definition in a line, with its conventions.
        of: what n counts.
        note: what a reader must know besides.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    formula: str
    of: str = "clips"
    note: str = ""

    @staticmethod
    def missing(name: str, unit: str, formula: str, why: str, n: int = 0, of: str = "clips") -> "Score":
        """A score that could not be computed."""
        return Score(name, math.nan, math.nan, math.nan, n, unit, formula, of, why)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    def __str__(self) -> str:
        if not self.known:
            return f"{self.name}: not computed, {self.note}"
        unit = "" if self.unit == "1" else f" {self.unit}"
        interval = f"{self.low:.3g} to {self.high:.3g}, " if not math.isnan(self.low) else ""
        return f"{self.name} {self.value:.4g}{unit} ({interval}N = {self.n} {self.of})"


def printed(value: float) -> str:
    """A finite value as tables print it: three decimals, fewer from 100 on, and never -0.000."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 3
    return f"{round(value, digits) + 0.0:.{digits}f}"


class Tally:
    """A ratio of two sums over clips: add (total, weight) of each, and `score` gives sum of totals / sum of weights.

    Two numbers a clip are kept, so any amount of data streams through. Weights of 1 give a mean over clips, numbers of
    frames a mean over pooled frames, and the reference's total a ratio of prediction and truth.
    """

    def __init__(self) -> None:
        self.totals: list[float] = []
        self.weights: list[float] = []

    def add(self, total: float, weight: float = 1.0) -> None:
        """Add one clip."""
        self.totals.append(float(total))
        self.weights.append(float(weight))

    def score(
        self,
        name: str,
        unit: str,
        formula: str,
        finish: Callable[[np.ndarray], np.ndarray] | None = None,
        note: str = "",
    ) -> Score:
        """The figure, and its interval over clips drawn again with replacement (1,000 times, always the same draws).

        finish: applied to the ratio, for example a square root.
        """
        finish = finish or (lambda ratio: ratio)
        totals, weights = np.array(self.totals), np.array(self.weights)
        count = len(totals)
        if not count or weights.sum() == 0:
            return Score.missing(name, unit, formula, note or "no clip has what it is measured on")
        value = float(finish(totals.sum() / weights.sum()))
        low = high = math.nan
        if count > 1:
            drawn = _ratios(totals, weights)
            low, high = np.nanpercentile(finish(drawn), [2.5, 97.5])
        return Score(name, value, float(low), float(high), count, unit, formula, note=note)


def _ratios(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(RESAMPLES,) ratios of sums over clips drawn again."""
    rng = np.random.default_rng(0)
    count = len(totals)
    rows = max(1, _BLOCK // count)
    ratios = []
    for first in range(0, RESAMPLES, rows):
        drawn = rng.integers(count, size=(min(rows, RESAMPLES - first), count))
        below = weights[drawn].sum(1)
        ratios.append(np.where(below != 0, totals[drawn].sum(1) / np.where(below != 0, below, 1), np.nan))
    return np.concatenate(ratios)
