"""Cleaning takes: outliers, repeated frames, holes, jitter and head drift.

After paper 000 (MMHead, supplement A.1), with two changes. There a frame is an outlier when its distance to the mean of
the take lies outside a box plot's fences; on expressive takes that throws out the expressions (14% of the frames of a
calm Live Link take, 11% of an acted one), so here the box plot is drawn over how far each value jumps out of its
neighbours, which calls nothing an outlier on those; the paper's rule is there for fits that fail for many frames.
And the paper's smoothing loss has no data term, so its optimum is a constant: here the data term is added, the jerk is
penalised rather than the speed (which would flatten peaks), and the optimum is solved for exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy.linalg import solveh_banded
from scipy.stats import theilslopes

from facelm.errors import FacelmError
from facelm.motion.layout import Layout
from facelm.motion.sequence import FaceMotion
from facelm.runs import runs

OUTLIER_RULES = ("jump", "distance", "none")
LONGEST_SPIKE = 2  # frames of a jump out and back
LONGEST_REPEAT = 0.1  # s; the same frame for longer is a face that rests
_DRIFT_SAMPLES = 500  # frames of a take whose slopes are compared pair by pair


@dataclass(frozen=True)
class CleanConfig:
    """What to clean. Raises FacelmError for a value that makes no sense.

    outliers: "jump": values that leave the range of their neighbours and come back within two frames; "distance":
    whole frames far from the take's mean, as in paper 000; "none". fence: box plot factor s, an outlier lies above
    Q3 + s (Q3 - Q1). smallest: a jump below this (of a weight, or rad) is never an outlier. repeats: fill in frames
    that repeat the one before, as streamed captures have. smooth: weight of the squared third difference at 30 fps
    against the data term, a tenth of it for the eyes, whose blinks and saccades are sharp by nature; 0: none.
    longest_gap: holes of more seconds are cut out rather than bridged. shortest: pieces between cuts that last fewer
    seconds are dropped. centre_head: subtract the straight line through the head angles, that is constant drift and a
    head that does not face ahead on average.
    """

    outliers: str = "jump"
    fence: float = 3.0
    smallest: float = 0.06
    repeats: bool = True
    smooth: float = 0.05
    longest_gap: float = 0.3
    shortest: float = 0.5
    centre_head: bool = False

    def __post_init__(self) -> None:
        if self.outliers not in OUTLIER_RULES:
            raise FacelmError(f"outliers is {self.outliers!r}; it is one of {', '.join(OUTLIER_RULES)}")
        for name in ("fence", "smallest", "smooth", "longest_gap", "shortest"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise FacelmError(f"{name} is {value}; it must not be below 0")


@dataclass(frozen=True)
class CleanReport:
    """What cleaning did to a take.

    frames: of the take. outliers: values replaced by their neighbours, by channel. outlier_frames: frames with one.
    repeats: frames filled in. cut: frames cut out in holes, and dropped in pieces too short to keep. change: mean
    absolute change of a value kept. jerk: mean length of the third difference of all channels, after over before
    (1 when there was none). drift: slope of each head angle that was taken out, rad/s.
    """

    frames: int
    outliers: dict[str, int] = field(default_factory=dict)
    outlier_frames: int = 0
    repeats: int = 0
    cut: int = 0
    change: float = 0.0
    jerk: float = 1.0
    drift: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = []
        if self.outlier_frames:
            worst = sorted(self.outliers, key=lambda name: -self.outliers[name])[:3]
            parts.append(f"outliers in {self.outlier_frames} of {self.frames} frames, most in {', '.join(worst)}")
        if self.repeats:
            parts.append(f"{self.repeats} repeated frames filled in")
        if self.cut:
            parts.append(f"{self.cut} frames cut out")
        if self.drift:
            slopes = ", ".join(f"{name} {slope:+.4f} rad/s" for name, slope in self.drift.items())
            parts.append(f"head centred, drift was {slopes}")
        parts.append(f"mean change {self.change:.4f}, jerk {self.jerk:.2f} of what it was")
        return "; ".join(parts)


def clean(
    motion: FaceMotion, config: CleanConfig | None = None, holes: Sequence[tuple[int, int]] = ()
) -> tuple[list[FaceMotion], CleanReport]:
    """The motion cleaned, as one piece or, where long holes were cut out, several with their own timecodes.

    Args:
        motion: any layout and rate; values (T, D).
        config: what to clean.
        holes: (first frame, end) of stretches that reading filled in, as `LoadReport.holes` tells them.

    Returns:
        The pieces in order (none when no piece is long enough), and what was done.

    Raises:
        FacelmError: holes outside the motion.
    """
    config = config or CleanConfig()
    for first, end in holes:
        if not 0 <= first < end <= len(motion):
            raise FacelmError(f"the hole from frame {first} to {end} is not inside a motion of {len(motion)} frames")
    cuts = [(first, end) for first, end in holes if (end - first) / motion.fps > config.longest_gap]
    values = motion.values.astype(np.float64)
    measured = np.ones(len(values), bool)  # bridged frames are straight lines: they say nothing of jumps and repeats
    for first, end in holes:
        measured[first:end] = False
    repeats = find_repeats(values, motion.fps) & measured if config.repeats else np.zeros(len(values), bool)
    values = _filled(values, np.broadcast_to(repeats[:, None], values.shape))
    outliers = find_outliers(values, config) & measured[:, None]
    values = _filled(values, outliers)
    drift = _centre_head(values, motion) if config.centre_head else {}

    low, high = values.min(0), values.max(0)
    eyes = np.array(["eye" in name.lower() for name in motion.layout.names])
    pieces, kept = [], np.zeros(len(values), bool)
    for first, end in _between(cuts, len(values)):
        if (end - first) / motion.fps < config.shortest and cuts:
            continue
        for columns, weight in ((eyes, config.smooth / 10), (~eyes, config.smooth)):
            values[first:end, columns] = smoothed(values[first:end, columns], weight, motion.fps)
        kept[first:end] = True
        start = None if motion.start is None else motion.start + Fraction(first) / motion.rate
        piece = np.clip(values[first:end], low, high)  # smoothing may overshoot
        pieces.append(FaceMotion(piece, motion.rate, motion.layout, motion.identity, start, motion.metadata))
    counts = outliers.sum(0)
    before = _jerk([motion.values[first:end] for first, end in _between(cuts, len(values))])
    report = CleanReport(
        frames=len(motion),
        outliers={name: int(n) for name, n in zip(motion.layout.names, counts, strict=True) if n},
        outlier_frames=int(outliers.any(1).sum()),
        repeats=int(repeats.sum()),
        cut=int((~kept).sum()),
        change=float(np.abs(np.concatenate([p.values for p in pieces]) - motion.values[kept]).mean())
        if pieces
        else 0.0,
        jerk=_jerk([piece.values for piece in pieces]) / before if before > 0 else 1.0,
        drift=drift,
    )
    return pieces, report


def find_outliers(values: np.ndarray, config: CleanConfig) -> np.ndarray:
    """Boolean (T, D): the values to replace, by the rule of the configuration; a frame's first and last never."""
    if config.outliers == "none" or len(values) < 5:
        return np.zeros(values.shape, bool)
    if config.outliers == "distance":
        distance = np.linalg.norm(values - values.mean(0), axis=1)
        low, high = np.percentile(distance, [25, 75])
        outside = (distance > high + config.fence * (high - low)) | (distance < low - config.fence * (high - low))
        return np.broadcast_to(outside[:, None], values.shape).copy()
    bend = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    low, high = np.percentile(bend, [25, 75], axis=0)
    return _jump(values) > np.maximum(config.smallest, high + config.fence * (high - low))


def _jump(values: np.ndarray) -> np.ndarray:
    """(T, D): how far a value, or two in a row, leave the range of the values on either side, less the movement there.

    A blink is fast too, but its neighbours are on their way already; a jump comes out of nothing and goes back.
    """
    frames = len(values)
    margin = LONGEST_SPIKE + 1
    padded = np.pad(values, ((margin, margin), (0, 0)), mode="edge")

    def shifted(by: int) -> np.ndarray:
        return padded[margin + by : margin + by + frames]

    out = np.zeros_like(values)
    for length in range(1, LONGEST_SPIKE + 1):
        for place in range(length):  # this frame is the place-th of a jump of so many frames
            before, after = shifted(-place - 1), shifted(length - place)
            high, low = np.maximum(before, after), np.minimum(before, after)
            jump = [shifted(step - place) for step in range(length)]
            excess = np.maximum(np.min(jump, axis=0) - high, low - np.max(jump, axis=0))
            moving = np.maximum(
                np.abs(before - shifted(max(-margin, -place - 2))),
                np.abs(after - shifted(min(margin, length - place + 1))),
            )
            out = np.maximum(out, excess - moving - (high - low))
    return out


def find_repeats(values: np.ndarray, fps: float) -> np.ndarray:
    """Boolean (T,): frames equal to the one before in every channel, for at most 0.1 s, inside a movement."""
    same = np.concatenate([[False], (values[1:] == values[:-1]).all(1)])
    for first, end in runs(same):
        if (end - first) / fps > LONGEST_REPEAT or end == len(values):
            same[first:end] = False
    return same


def smoothed(values: np.ndarray, weight: float, fps: float) -> np.ndarray:
    """The x that minimises |x - values|^2 + w |third difference of x|^2, (T, D); exact, by one banded solve.

    weight: w at 30 fps; at other rates it is scaled so that the same frequencies (Hz) are smoothed.
    After Whittaker (1923), "On a new method of graduation". Polynomials up to a parabola pass unchanged.
    """
    frames = len(values)
    if weight == 0 or frames < 4:
        return values
    weight *= (fps / 30) ** 6
    difference = np.array([-1.0, 3.0, -3.0, 1.0])
    bands = np.zeros((4, frames))  # upper form of I + w D'D
    bands[3] = 1
    for lag in range(4):
        product = difference[: 4 - lag] * difference[lag:]
        for place, term in enumerate(product):
            columns = slice(place + lag, place + lag + frames - 3)
            bands[3 - lag, columns] += weight * term
    return solveh_banded(bands, values)


def _filled(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Values with the missing ones interpolated between their neighbours in time."""
    if not missing.any():
        return values
    values = values.copy()
    frames = np.arange(len(values))
    for column in np.flatnonzero(missing.any(0)):
        gone = missing[:, column]
        if not gone.all():
            values[gone, column] = np.interp(frames[gone], frames[~gone], values[~gone, column])
    return values


def _centre_head(values: np.ndarray, motion: FaceMotion) -> dict[str, float]:
    """Subtract from each head angle its Theil-Sen line, in place; their slopes in rad/s."""
    times = motion.times()
    some = np.unique(np.linspace(0, len(times) - 1, min(_DRIFT_SAMPLES, len(times))).astype(int))
    slopes = {}
    for column in _head_columns(motion.layout):
        track = values[:, column]
        if np.ptp(track) == 0 and track[0] == 0:
            continue
        slope = float(theilslopes(track[some], times[some]).slope) if len(some) > 1 else 0.0
        values[:, column] -= slope * times + np.median(track - slope * times)
        slopes[motion.layout.names[column]] = slope
    return slopes


def _head_columns(layout: Layout) -> list[int]:
    turning = ("head", "neck", "global")
    return [i for i, c in enumerate(layout.channels) if c.unit == "rad" and c.name.lower().startswith(turning)]


def _between(cuts: Sequence[tuple[int, int]], frames: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for cut in sorted(cuts) for edge in cut), frames]
    return [(first, end) for first, end in zip(edges[::2], edges[1::2], strict=True) if end > first]


def _jerk(pieces: Sequence[np.ndarray]) -> float:
    lengths = [np.linalg.norm(np.diff(piece, 3, axis=0), axis=1) for piece in pieces if len(piece) > 3]
    return float(np.concatenate(lengths).mean()) if lengths else 0.0
