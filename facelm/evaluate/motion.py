"""Motion metrics against a reference: vertices and coefficients.

Published figures of one name differ in what they average and square (up to nine times for one model on one data set),
so every convention is an argument with a name, and the score's formula says which was taken. d[t, v] is the Euclidean
distance of predicted and true vertex v at frame t.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import array_api_compat
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelmin

from facelm.errors import FacelmError
from facelm.evaluate.pairs import MM, Metric, Pair, length

MOUTH_CHANNELS = ("jaw", "mouth", "tongue", "cheekpuff")  # beginnings of coefficient names that move the mouth
GROUPS = {  # sums that do not depend on which of two similar channels a take was written with
    "jaw": ("jawOpen",),
    "round": ("mouthFunnel", "mouthPucker"),
    "close": ("mouthRollLower", "mouthRollUpper", "mouthPressLeft", "mouthPressRight"),
}
MOVES = 0.02  # standard deviation of a coefficient that moves at all
BEAT_SIGMA = 5.0  # frames of smoothing of the head's speed
BEAT_WIDTH = 3.0  # frames; a beat so far off scores exp(-1/2)


# ---------------------------------------------------------------- vertices


def lve(form: str = "mean", region: str = "lips") -> Metric:
    """Lip vertex error.

    form: "mean": mean over frames of max_v d, in mm (MMHead; the default). "squared": the same of d^2, in mm^2
    (FaceFormer, CodeTalker). "rms": sqrt(mean_t max_v d^2), in mm (ARTalk).
    Raises FacelmError for another form.
    """
    forms = {
        "mean": ("LVE", "mm", f"mean over frames of the largest distance of a {region} vertex"),
        "squared": ("LVE squared", "mm2", f"mean over frames of the largest squared distance of a {region} vertex"),
        "rms": ("LVE rms", "mm", f"root of the mean over frames of the largest squared distance of a {region} vertex"),
    }
    if form not in forms:
        raise FacelmError(f"the form of LVE is {form!r}; it is one of {', '.join(forms)}")
    name, unit, formula = forms[form]

    def part(pair: Pair) -> tuple[float, float]:
        largest = pair.xp.max(pair.distance(region), axis=-1) * MM
        return float(pair.xp.sum(largest if form == "mean" else largest**2)), len(pair)

    return Metric(name, unit, formula, part, finish=np.sqrt if form == "rms" else None)


def fve(region: str = "face") -> Metric:
    """Face vertex error: mean over frames and vertices of d, in mm (MMHead; with region "lips" MMFace4D's L_mean)."""
    name = "FVE" if region == "face" else f"L_mean {region}"
    formula = f"mean over frames and {region} vertices of their distance"
    return Metric(name, "mm", formula, lambda pair: (_mean(pair, region) * len(pair), len(pair)))


def mve() -> Metric:
    """Mean vertex error: mean of d over all vertices of the rig, frames pooled, in mm."""

    def part(pair: Pair) -> tuple[float, float]:
        return float(pair.xp.mean(length(pair.predicted - pair.true))) * MM * len(pair), len(pair)

    return Metric("MVE", "mm", "mean over frames and all vertices of their distance", part)


def largest(region: str) -> Metric:
    """MMFace4D's L_max of a region: mean over frames of the largest d, in mm."""

    def part(pair: Pair) -> tuple[float, float]:
        return float(pair.xp.sum(pair.xp.max(pair.distance(region), axis=-1))) * MM, len(pair)

    return Metric(f"L_max {region}", "mm", f"mean over frames of the largest distance of a {region} vertex", part)


def fdd(signed: bool = False, region: str = "upper_face") -> Metric:
    """Upper-face dynamics deviation (CodeTalker), in mm^2: g(true) - g(predicted), mean over clips.

    g(x) is the mean over vertices of the standard deviation over time (ddof 0) of the squared length of the
    displacement from the neutral face. signed: CodeTalker's; the default is the absolute value, because deviations of
    two signs cancel.
    """

    def dynamics(pair: Pair, vertices: Any) -> float:
        moved = length(vertices - pair.at_rest(region)) ** 2
        return float(pair.xp.mean(pair.xp.std(moved, axis=0, correction=0))) * MM**2

    def part(pair: Pair) -> tuple[float, float]:
        predicted, true = pair.each(("dynamics", region), lambda vertices: dynamics(pair, vertices), region)
        difference = true - predicted
        return (difference if signed else abs(difference)), 1.0

    formula = f"mean over {region} vertices of the deviation over time of the squared displacement, true - predicted"
    name = "FDD signed" if signed else "FDD"
    return Metric(name, "mm2", formula if signed else f"size of: {formula}", part, better="nearer 0")


def jerk_ratio(region: str = "face") -> Metric:
    """Mean length of the vertices' third difference, predicted over true (1 = natural); clips of 4 frames and more."""
    return _ratio("jerk ratio", partial(_difference, order=3, region=region), "third difference")


def speed_ratio(region: str = "face") -> Metric:
    """Mean speed of the vertices, predicted over true (1 = natural)."""
    return _ratio("speed ratio", partial(_difference, order=1, region=region), "first difference")


def smoothness(region: str = "face") -> Metric:
    """Mean length of the second difference of the error predicted - true, in mm a frame^2."""

    def part(pair: Pair) -> tuple[float, float] | None:
        if len(pair) < 3:
            return None
        predicted, true = pair.region(region)
        bends = pair.xp.diff(predicted - true, n=2, axis=0)
        return float(pair.xp.mean(length(bends))) * MM * bends.shape[0], bends.shape[0]

    formula = f"mean length of the second difference over time of predicted - true, {region} vertices"
    return Metric("smoothness", "mm/frame2", formula, part)


def seam_ratio(every: int, region: str = "face") -> Metric:
    """Mean vertex speed across window seams over mean speed elsewhere, prediction over truth (1 = no seam to see).

    every: frames of a window; a seam lies between frames k * every - 1 and k * every.
    """

    def share(pair: Pair, vertices: Any) -> float:
        speed = np.asarray(pair.xp.mean(length(pair.xp.diff(vertices, axis=0)), axis=-1))
        seams = np.zeros(len(speed), bool)
        seams[every - 1 :: every] = True
        return float(speed[seams].mean() / speed[~seams].mean())

    def part(pair: Pair) -> tuple[float, float] | None:
        if len(pair) <= every or every < 2:
            return None
        predicted, true = pair.region(region)
        return share(pair, predicted) / share(pair, true), 1.0

    formula = f"speed across seams every {every} frames over speed elsewhere, prediction over truth, mean over clips"
    return Metric("seam ratio", "1", formula, part, better="nearer 1")


def _mean(pair: Pair, region: str) -> float:
    return float(pair.xp.mean(pair.distance(region))) * MM


def _difference(pair: Pair, vertices: Any, order: int, region: str) -> float:
    return float(pair.xp.mean(length(pair.xp.diff(vertices, n=order, axis=0)))) * vertices.shape[0]


def _ratio(name: str, size: Any, what: str) -> Metric:
    order, region = size.keywords["order"], size.keywords["region"]

    def part(pair: Pair) -> tuple[float, float] | None:
        if len(pair) <= order:
            return None
        return pair.each((what, region), lambda vertices: size(pair, vertices), region)

    formula = f"mean length of the {what} over time of {region} vertices, predicted over true"
    return Metric(name, "1", formula, part, better="nearer 1")


# ---------------------------------------------------------------- coefficients


def ale(channels: Sequence[str] = ()) -> Metric:
    """PMMTalk's ALE: mean absolute error over mouth coefficients, then over frames.

    channels: those of the mouth; (): the names that begin with jaw, mouth, tongue or cheekPuff.
    """
    return _coefficients("ALE", lambda xp, error: xp.mean(error, axis=-1), "mean", channels)


def coefficient_lve(channels: Sequence[str] = ()) -> Metric:
    """PMMTalk's LVE on coefficients: the largest absolute error of a mouth coefficient, mean over frames.

    The paper's text is ambiguous; its numbers rule out the L2 norm of a frame and the root mean square.
    """
    return _coefficients("coefficient LVE", lambda xp, error: xp.max(error, axis=-1), "largest", channels)


def _coefficients(name: str, reduce: Any, what: str, channels: Sequence[str]) -> Metric:
    def part(pair: Pair) -> tuple[float, float]:
        chosen = list(channels) or [n for n in pair.names if n.lower().startswith(MOUTH_CHANNELS)]
        predicted, true = pair.channels(chosen)
        xp = array_api_compat.array_namespace(predicted)
        return float(xp.sum(reduce(xp, xp.abs(predicted - true)))), len(pair)

    return Metric(name, "1", f"{what} absolute error over mouth coefficients, mean over frames", part)


def correlation(group: str) -> Metric:
    """Pearson r over time of the summed channels of a group ("jaw", "round", "close"), mean over clips.

    Clips in which the truth hardly moves (a deviation under 0.02) are left out, as are those whose prediction never
    moves; where no clip is left, the score says so.
    """
    if group not in GROUPS:
        raise FacelmError(f"unknown group {group!r}; it is one of {', '.join(GROUPS)}")

    def part(pair: Pair) -> tuple[float, float] | None:
        a, b = (np.asarray(values, float).sum(1) for values in pair.channels(GROUPS[group]))
        return (float(np.corrcoef(a, b)[0, 1]), 1.0) if a.std() > 1e-6 and b.std() >= MOVES else None

    formula = f"Pearson r over time of {' + '.join(GROUPS[group])}, mean over clips in which the truth moves"
    return Metric(f"{group}_r", "1", formula, part, better="higher")


def amplitude_ratio(channel: str = "jawOpen") -> Metric:
    """Standard deviation of a channel over time, predicted over true, mean over clips in which the truth moves (a
    deviation of 0.02 and more: the ratio to a mouth that only trembles says nothing).
    """

    def part(pair: Pair) -> tuple[float, float] | None:
        a, b = (np.asarray(values, float)[:, 0] for values in pair.channels([channel]))
        return (float(a.std() / b.std()), 1.0) if b.std() >= MOVES else None

    formula = f"standard deviation of {channel}, predicted over true, mean over clips in which the truth moves"
    return Metric("amplitude ratio", "1", formula, part, better="nearer 1")


# ---------------------------------------------------------------- head


def beat_alignment(over: str = "reference") -> Metric:
    """Beat alignment of head motion: mean over beats of exp(-dt^2 / (2 * 3^2)), dt in frames to the nearest other beat.

    Beats are local minima of the head's rotation speed (Gaussian smoothing, sigma 5 frames). over: whose beats are
    averaged, "reference" (ba_ref, the default) or "predicted" (ba_pred). 0 where one of the two has none.
    """
    if over not in ("reference", "predicted"):
        raise FacelmError(f"over is {over!r}; it is reference or predicted")

    def part(pair: Pair) -> tuple[float, float]:
        predicted, true = (beats(np.asarray(v, float)) for v in pair.channels(("headYaw", "headPitch", "headRoll")))
        own, other = (true, predicted) if over == "reference" else (predicted, true)
        if not len(own) or not len(other):
            return 0.0, 1.0
        nearest = np.abs(own[:, None] - other[None, :]).min(1)
        return float(np.exp(-(nearest**2) / (2 * BEAT_WIDTH**2)).mean()), 1.0

    name = "ba_ref" if over == "reference" else "ba_pred"
    formula = f"mean over {over} beats of exp(-dt^2 / 18), dt frames to the nearest beat of the other; mean over clips"
    return Metric(name, "1", formula, part, better="higher")


def beats(angles: np.ndarray) -> np.ndarray:
    """Frames (n,) at which the head's rotation speed, smoothed, is least. angles: (T, 3) yaw, pitch, roll, rad."""
    if len(angles) < 4:
        return np.zeros(0, int)
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_euler("YXZ", angles)
    speed = (turns[:-1].inv() * turns[1:]).magnitude()
    if speed.max() < 1e-6:
        return np.zeros(0, int)
    return argrelmin(gaussian_filter1d(speed, BEAT_SIGMA))[0]
