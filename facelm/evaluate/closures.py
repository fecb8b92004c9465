"""Lips and eyes that close: whether a prediction closes them where the truth does.

Gaps are measured on the rig's mesh (`facelm.rig.gaps`), so any layout and any method can be scored. The thresholds are
part of the formula: a predicted closure may leave more open than a true one, because what counts is that it is seen.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.pairs import MM, Metric, Pair
from facelm.rig.gaps import Gaps
from facelm.runs import runs

LIPS_TRUE_MM = 1.5
LIPS_PREDICTED_MM = 2.5
LIDS_SHARE = 0.3  # of the gap at rest
LIDS_FRAMES = 2
LIDS_APART_S = 0.08


def lip_closure(gaps: Gaps, what: str = "recall", of: str = "frames") -> Metric:
    """Share of closures kept.

    what: "recall": of the truth's closed frames (inner lips nearer than 1.5 mm), those nearer than 2.5 mm in the
    prediction. "precision": of the prediction's frames nearer than 1.5 mm, those nearer than 2.5 mm in the truth.
    of: "frames", or "runs": closures of 2 frames and more, kept when one of their frames is. Clips that never close are
    left out. The rest pose of a rig may itself be near the threshold: read it beside a rest-pose row.
    """
    if what not in ("recall", "precision") or of not in ("frames", "runs"):
        raise FacelmError(f"lip closure of {what!r} and {of!r}; what is recall or precision, of is frames or runs")

    def part(pair: Pair) -> tuple[float, float] | None:
        own, other = _gaps(gaps, pair, "lips")
        if what == "precision":
            own, other = other, own
        closed, kept = own < LIPS_TRUE_MM, other < LIPS_PREDICTED_MM
        if of == "frames":
            return (float((closed & kept).sum()), float(closed.sum())) if closed.any() else None
        found = runs(closed, 2)
        return (float(sum(kept[first:end].any() for first, end in found)), len(found)) if found else None

    sides = ("truth", "prediction") if what == "recall" else ("prediction", "truth")
    formula = (
        f"share of the {of} in which the {sides[0]}'s inner lips are nearer than {LIPS_TRUE_MM} mm "
        f"that are nearer than {LIPS_PREDICTED_MM} mm in the {sides[1]}"
    )
    return Metric(f"lip closure {what}" + (" runs" if of == "runs" else ""), "1", formula, part, better="higher")


def eyelid_closure(gaps: Gaps, what: str = "recall") -> Metric:
    """Share of blinks kept: lids nearer than 30% of their gap at rest for 2 frames and more, matched one to one within
    80 ms between their middles. what: "recall" of the truth's, "precision" of the prediction's. Both eyes count.
    """
    if what not in ("recall", "precision"):
        raise FacelmError(f"eyelid closure of {what!r}; it is recall or precision")

    def part(pair: Pair) -> tuple[float, float] | None:
        total = hits = 0
        for side in ("left", "right"):
            rest = _gap(gaps, pair.rest[None], side)[0]
            true, predicted = (
                [(first + end - 1) / 2 / pair.fps for first, end in runs(gap < LIDS_SHARE * rest, LIDS_FRAMES)]
                for gap in _gaps(gaps, pair, side)
            )
            own, other = (true, predicted) if what == "recall" else (predicted, true)
            total += len(own)
            hits += matched(own, other, LIDS_APART_S)
        return (float(hits), float(total)) if total else None

    formula = (
        f"share of the {'truth' if what == 'recall' else 'prediction'}'s closures (lid gap under {LIDS_SHARE:.0%} "
        f"of rest for {LIDS_FRAMES} frames) matched within {LIDS_APART_S * 1000:.0f} ms"
    )
    return Metric(f"eyelid closure {what}", "1", formula, part, better="higher")


def matched(own: list[float], other: list[float], apart: float) -> int:
    """How many times in `own` find one of their own in `other`, at most `apart` away; both in order."""
    count = place = 0
    for time in own:
        while place < len(other) and other[place] < time - apart:
            place += 1
        if place < len(other) and other[place] <= time + apart:
            count, place = count + 1, place + 1
    return count


def _gaps(gaps: Gaps, pair: Pair, opening: str) -> tuple[np.ndarray, np.ndarray]:
    """(T,) of the truth and of the prediction."""
    predicted, true = pair.each(("gap", id(gaps), opening), lambda vertices: _gap(gaps, vertices, opening))
    return true, predicted


def _gap(gaps: Gaps, vertices: Any, opening: str) -> np.ndarray:
    gap: Callable[..., Any] = gaps.of
    return np.asarray(gap(vertices, opening)) * MM
