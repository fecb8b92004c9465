"""Frame rates without rounding, and the SMPTE timecodes of Live Link Face.

A timecode is `HH:MM:SS:FF.mmm`. FF counts sixtieths of a second whatever the rate of the take (a 30 fps take steps by
2), mmm are thousandths of such a frame; so times lie on a grid of 1/60000 s, called ticks here.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from facelm.errors import FacelmError

TICKS = 60_000  # a second
DAY = 24 * 3600 * TICKS
NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))
STANDARD = tuple(sorted((*NTSC, *map(Fraction, (15, 24, 25, 30, 48, 50, 60, 90, 100, 120)))))

_TIMECODE = re.compile(r"\s*(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,2}(?:\.\d{1,6})?)\s*")


def exact_rate(fps: float | Fraction) -> Fraction:
    """The frame rate (frames/s) as a fraction; 23.976, 29.97, 47.95, 59.94 and 119.88 become n * 1000 / 1001.

    Raises FacelmError when it is not a positive finite number.
    """
    try:
        rate = fps if isinstance(fps, Fraction) else Fraction(float(fps))
    except (TypeError, ValueError, OverflowError):
        raise FacelmError(f"fps must be a positive number, not {fps!r}") from None
    for ntsc in NTSC:
        if abs(rate - ntsc) < Fraction(5, 1000):
            return ntsc
    rate = rate.limit_denominator(1_000_000)
    if rate <= 0:
        raise FacelmError(f"fps must be a positive number, not {float(fps):g}")
    return rate


def parse_timecode(text: str) -> int:
    """The time of day of a timecode, in ticks. Raises ValueError when it is none."""
    match = _TIMECODE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no timecode HH:MM:SS:FF.mmm")
    hours, minutes, seconds, frames = match.groups()
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * TICKS + round(float(frames) * 1000)


def format_timecode(ticks: int) -> str:
    """The timecode of a time of day in ticks; after midnight it starts again from zero."""
    seconds, part = divmod(ticks % DAY, TICKS)
    frame, thousandth = divmod(part, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frame:02}.{thousandth:03}"


def frame_ticks(frames: int, rate: Fraction, start: Fraction) -> np.ndarray:
    """Times of day in ticks, int64 (frames,), of a take that starts at `start` (seconds)."""
    return np.rint((float(start) + np.arange(frames) / float(rate)) * TICKS).astype(np.int64)


@dataclass(frozen=True)
class Grid:
    """Where rows with timecodes lie on a uniform grid of frames.

    rate: frames/s. frames: int64 (rows,), the frame each row is, from 0, increasing; None when the rows keep to no
    grid, as in jittering streamed captures, and have to be interpolated by time.
    """

    rate: Fraction
    frames: np.ndarray | None


def find_grid(ticks: np.ndarray) -> Grid:
    """The grid of increasing times in ticks, int64 (rows,).

    A standard rate, or one of at most two decimals, that explains every timecode within its rounding is found exactly;
    where the clock drifts against the timecode, as in real takes (30.004, 59.904 measured), the nearest standard rate
    within 0.15% is taken, else the measured one to 3 decimals.
    One row alone says nothing about its rate: 60 is assumed, which is Live Link Face's default.
    """
    if len(ticks) == 1:
        return Grid(Fraction(60), np.zeros(1, dtype=np.int64))
    steps = np.diff(ticks)
    period = float(np.median(steps))
    period = float(steps[np.rint(steps / period) == 1].mean()) if (np.rint(steps / period) == 1).any() else period
    counts = np.maximum(1, np.rint(steps / period)).astype(np.int64)
    errors = steps / period - counts
    if np.abs(errors).max() > 0.35 or np.abs(np.cumsum(errors)).max() > 0.75:
        return Grid(_nearest(TICKS / period, tolerance=0.01), None)
    frames = np.concatenate([[0], np.cumsum(counts)])
    elapsed = ticks - ticks[0]
    measured = float(TICKS * frames[-1] / elapsed[-1])

    def explains(rate: Fraction) -> bool:
        return bool(np.abs(elapsed - frames * (TICKS / float(rate))).max() <= 1 + 1e-3)

    by_nearness = sorted(STANDARD, key=lambda rate: abs(float(rate) - measured))
    two_digits = (Fraction(str(round(measured, digits))) for digits in range(3))
    exact = next((rate for rate in (*by_nearness, *two_digits) if rate > 0 and explains(rate)), None)
    return Grid(exact or _nearest(measured, tolerance=0.0015), frames)


def _nearest(measured: float, tolerance: float) -> Fraction:
    nearest = min(STANDARD, key=lambda rate: abs(float(rate) - measured))
    return nearest if abs(float(nearest) / measured - 1) <= tolerance else Fraction(str(round(measured, 3)))
