"""Motions beside their references, clip by clip: scores over all clips, and every clip's own figures."""

import os
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.closures import eyelid_closure, lip_closure
from facelm.evaluate.motion import (
    ale,
    amplitude_ratio,
    beat_alignment,
    coefficient_lve,
    correlation,
    fdd,
    fve,
    jerk_ratio,
    largest,
    lve,
    mve,
    smoothness,
    speed_ratio,
)
from facelm.evaluate.pairs import Metric, Pair
from facelm.evaluate.score import Score, Tally
from facelm.motion import FaceMotion
from facelm.rig.base import Rig
from facelm.rig.gaps import gaps

THREADS = min(4, os.cpu_count() or 1)  # NumPy lets go of Python's lock; each thread holds one clip's vertices


Parts = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Compared:
    """What was measured of each clip.

    Attributes:
        metrics: in their order.
        parts: of each clip, (total, weight) by metric name, without those the clip has no say in.
        why: the reason why nothing could be measured, "" where it could.
    """

    metrics: tuple[Metric, ...]
    parts: list[Parts]
    why: str = ""

    def scores(self, members: Sequence[int] | None = None) -> dict[str, Score]:
        """Scores by name over all clips, or over those at some places."""
        if self.why:
            return {m.name: Score.missing(m.name, m.unit, m.formula, self.why) for m in self.metrics}
        found = {}
        for metric in self.metrics:
            tally = Tally()
            for place in range(len(self.parts)) if members is None else members:
                if metric.name in self.parts[place]:
                    tally.add(*self.parts[place][metric.name])
            found[metric.name] = tally.score(metric.name, metric.unit, metric.formula, metric.finish)
        return found

    def clip(self, place: int) -> dict[str, float]:
        """The figures of one clip by name."""
        return {m.name: _value(m, self.parts[place][m.name]) for m in self.metrics if m.name in self.parts[place]}


def vertex_metrics() -> list[Metric]:
    """Those of meshes, for any rig."""
    return [
        lve(),
        lve("squared"),
        lve("rms"),
        fve(),
        fve("lips"),
        largest("lips"),
        largest("upper_face"),
        largest("face"),
        mve(),
        fdd(),
        fdd(signed=True),
        jerk_ratio(),
        speed_ratio(),
        smoothness(),
    ]


def coefficient_metrics() -> list[Metric]:
    """Those of ARKit coefficients and head angles."""
    groups = [correlation(group) for group in ("jaw", "round", "close")]
    beats = [beat_alignment(), beat_alignment("predicted")]
    return [ale(), coefficient_lve(), *groups, amplitude_ratio(), *beats]


def closure_metrics(rig: Rig) -> list[Metric]:
    """Lips and lids that close; none where the rig's rims cannot be found."""
    try:
        found = gaps(rig)
    except FacelmError:
        return []
    lips = [lip_closure(found, what, of) for of in ("frames", "runs") for what in ("recall", "precision")]
    return [*lips, *(eyelid_closure(found, what) for what in ("recall", "precision"))]


def compare(
    metrics: Sequence[Metric], rows: Mapping[str, Sequence[FaceMotion]], rig: Rig, ids: Sequence[str]
) -> dict[str, Compared]:
    """Every row of motions beside those of the row "reference", at its rate and for as long as the shorter lasts.

    Where the rig cannot show the motions (another layout, without a map), the scores say so.
    """

    def parts(place: int) -> dict[str, Parts]:
        reference = rows["reference"][place].to(rig.layout)
        true = rig.vertices(reference)  # once for all rows
        shared: dict[int, dict[Hashable, Any]] = {}  # what was measured of so many frames of the reference
        found = {}
        for row, motions in rows.items():
            own, cut = aligned(motions[place], reference)
            vertices = true if motions[place] is rows["reference"][place] else rig.vertices(own)
            values = own.values, cut.values
            names = cut.layout.names
            known = shared.setdefault(len(cut), {})
            pair = Pair(vertices, true[: len(cut)], rig.regions, cut.fps, rig.rest, values, names, ids[place], known)
            measured = {metric.name: metric.part(pair) for metric in metrics}
            found[row] = {name: part for name, part in measured.items() if part is not None}
        return found

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            clips = list(pool.map(parts, range(len(ids))))
        return {row: Compared(tuple(metrics), [found[row] for found in clips]) for row in rows}
    except FacelmError as error:
        return {row: Compared(tuple(metrics), [{} for _ in ids], str(error)) for row in rows}


def aligned(made: FaceMotion, reference: FaceMotion) -> tuple[FaceMotion, FaceMotion]:
    """A prediction in the layout and at the rate of its reference, both cut to the length of the shorter."""
    made = made.to(reference.layout).resample(reference.fps)
    frames = min(len(made), len(reference))
    return made[:frames], reference[:frames]


def _value(metric: Metric, part: tuple[float, float]) -> float:
    total, weight = part
    if not weight:
        return float("nan")
    return float(metric.finish(np.array(total / weight))) if metric.finish else total / weight
