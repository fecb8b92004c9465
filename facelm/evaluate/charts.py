"""Pictures of scores in the units of a page's SVG, each with its words for those who do not see it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facelm.evaluate.score import Score, printed

BINS = 20
CEILINGS, FLOORS = ("reference", "reconstruction"), ("nearest training", "random training", "shuffled", "rest pose")
WIDTH, BOTTOM, TOP = 240, 92, 12  # of a histogram
LADDER_LEFT, LADDER_RIGHT, LADDER_STEP = 140, 410, 20


def figure(value: float) -> str:
    """A value as tables print it."""
    if not math.isfinite(value):
        return "not computed" if math.isnan(value) else "infinite"
    return printed(value)


def interval(score: Score) -> str:
    """Its 95% interval, "" where there is none."""
    return "" if math.isnan(score.low) or math.isnan(score.high) else f"{figure(score.low)} to {figure(score.high)}"


def kind(row: str) -> str:
    """What a row is in a table: "model", "ceiling", "floor" or "other"."""
    if row == "model":
        return "model"
    return "ceiling" if row in CEILINGS else "floor" if row in FLOORS else "other"


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.first + min(max(share, 0.0), 1.0) * (self.last - self.first), 2)


def _range(values: np.ndarray, unit: str) -> tuple[float, float]:
    """Ends of an axis: 0 and 1 for shares, else those of the values."""
    low, high = float(values.min()), float(values.max())
    if unit in ("", "1") and low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def histogram(name: str, values: np.ndarray, unit: str = "") -> dict[str, Any]:
    """Bars of finite values (N,), in the units of the page's SVG, and the picture in words."""
    low, high = _range(values, unit)
    counts, edges = np.histogram(values, BINS, (low, high))
    scale = _Scale(low, high, 0, WIDTH)
    step, tallest = WIDTH / BINS, max(1, int(counts.max()))
    bars = []
    for i, count in enumerate(counts):
        if count:
            height = round(float(count) / tallest * (BOTTOM - TOP), 2)
            words = f"{figure(edges[i])} to {figure(edges[i + 1])}: {count} clip{'s' if count > 1 else ''}"
            bar = {"x": round(i * step + 0.5, 2), "y": round(BOTTOM - height, 2), "width": round(step - 1, 2)}
            bars.append({**bar, "height": height, "words": words})
    tenth, median, ninetieth = np.percentile(values, [10, 50, 90])
    words = f"median {figure(median)}, {figure(tenth)} to {figure(ninetieth)} for the middle 80% of {len(values)} clips"
    ends = {"low": figure(low), "high": figure(high), "median_x": scale(float(median))}
    return {"name": name, "unit": unit, "words": words, "bars": bars, **ends}


def ladder(name: str, scores: Mapping[str, Score]) -> dict[str, Any]:
    """Rungs of the rows' scores, in the units of the page's SVG, and the picture in words."""
    ends = [end for s in scores.values() for end in (s.value, s.low, s.high) if math.isfinite(end)]
    low, high = _range(np.array(ends), next(iter(scores.values())).unit)
    scale = _Scale(low, high, LADDER_LEFT, LADDER_RIGHT)
    rungs = []
    for i, (row, score) in enumerate(scores.items()):
        spread = math.isfinite(score.low) and math.isfinite(score.high)
        rungs.append(
            {
                "row": row,
                "kind": kind(row),
                "y": 16 + i * LADDER_STEP,
                "x": scale(score.value),
                "from": scale(score.low) if spread else None,
                "to": scale(score.high) if spread else None,
                "words": f"{row}: {figure(score.value)}" + (f" ({interval(score)})" if spread else ""),
            }
        )
    words = f"{name}. " + "; ".join(str(rung["words"]) for rung in rungs)
    height = 16 + len(rungs) * LADDER_STEP + 14
    return {"rungs": rungs, "words": words, "height": height, "low": figure(low), "high": figure(high)}
