"""Frame rates without rounding, and SMPTE timecodes.

A timecode of Live Link Face is `HH:MM:SS:FF.mmm`. FF counts sixtieths of a second whatever the rate of the take (a
30 fps take steps by 2), mmm are thousandths of such a frame; so times lie on a grid of 1/60000 s, called ticks here.

Drop-frame timecodes are written `HH:MM:SS;FF`. They number the frames of 29.97 or 59.94 fps and leave out numbers (the
first two or four of every minute, but not of every tenth) so that the labels keep up with the clock; a frame of
59.94 fps is 1001 ticks, so their times are exact too.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from facelm.errors import FacelmError

TICKS = 60_000  # a second
DAY = 24 * 3600 * TICKS
NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))
STANDARD = tuple(sorted((*NTSC, *map(Fraction, (15, 24, 25, 30, 48, 50, 60, 90, 100, 120)))))

DROP_FRAME = 1001  # ticks of a frame at 59.94 fps
DROP_DAY = 24 * 6 * 35_964 * DROP_FRAME  # ticks of 24 hours of drop-frame labels, 86 ms less than a day

_TIMECODE = re.compile(r"\s*(\d{1,2}):([0-5]?\d):([0-5]?\d)([:;])(\d{1,3}(?:\.\d{1,6})?)\s*")
_COUNTS = (24, 25, 30, 48, 50, 100, 120)  # frames a second that other programs number, besides 60


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


def split_timecode(text: str) -> tuple[int, int, bool]:
    """A timecode's whole seconds, its thousandths of frames, and whether it is drop-frame.

    Raises ValueError when it is none.
    """
    match = _TIMECODE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no timecode HH:MM:SS:FF.mmm")
    hours, minutes, seconds, mark, frames = match.groups()
    return (int(hours) * 60 + int(minutes)) * 60 + int(seconds), round(float(frames) * 1000), mark == ";"


def parse_timecode(text: str) -> int:
    """The time of day of one timecode whose FF count sixtieths, in ticks. Raises ValueError when it is none."""
    seconds, thousandths, drop = split_timecode(text)
    return int(label_ticks(np.array([seconds]), np.array([thousandths]), drop)[0][0])


def label_ticks(seconds: np.ndarray, thousandths: np.ndarray, drop: bool) -> tuple[np.ndarray, int]:
    """Ticks, int64 (N,), of the timecodes of a take, and how many frames a second they count.

    seconds, thousandths: int64 (N,), as `split_timecode` gives them. The count is 60 as in Live Link Face, unless the
    frame numbers turn over at that of another program (24, 25, 30, 48, 50, 100, 120; of drop-frame 30).
    """
    if not drop:
        count = _frame_count(seconds, thousandths)
        return seconds * TICKS + np.rint(thousandths * (60 / count)).astype(np.int64), count
    count = 30 if (np.diff(seconds) == 1).any() and thousandths.max() < 30_000 else 60
    minutes = seconds // 60
    left_out = (minutes - minutes // 10) * 4  # of 60 numbers a second
    numbers = seconds * 60_000 + thousandths * (60 // count) - left_out * 1000
    return np.rint(numbers * (DROP_FRAME / 1000)).astype(np.int64), count


def _frame_count(seconds: np.ndarray, thousandths: np.ndarray) -> int:
    turns = np.flatnonzero(np.diff(seconds) == 1)
    steps = np.diff(thousandths)[np.diff(seconds) == 0]
    if not len(turns) or not len(steps):
        return 60
    estimate = float(np.median(thousandths[turns] + np.median(steps) - thousandths[turns + 1])) / 1000
    count = min(_COUNTS, key=lambda known: abs(known - estimate))
    return count if abs(count - estimate) < 0.6 and thousandths.max() < count * 1000 else 60


def format_timecode(ticks: int, drop: bool = False) -> str:
    """The timecode of a time of day in ticks, FF counting sixtieths; after midnight it starts again from zero."""
    if drop:
        number, rest = divmod(ticks % DROP_DAY, DROP_FRAME)
        tens, within = divmod(number, 35_964)  # frames of ten minutes
        number += tens * 36 + max(0, (within - 4) // 3596) * 4  # 3596: frames of a minute that leaves four numbers out
        seconds, frame = divmod(number, 60)
        thousandth = rest * 1000 // DROP_FRAME
    else:
        seconds, part = divmod(ticks % DAY, TICKS)
        frame, thousandth = divmod(part, 1000)
    mark = ";" if drop else ":"
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{frame:02}.{thousandth:03}"


def forward(ticks: np.ndarray) -> np.ndarray:
    """Which rows to keep so that time only goes forward: bool (N,), as many as can be, of equal times the first.

    ticks: int64 (N,). One wrong timecode costs its own row, wherever it points.
    """
    tails: list[int] = []  # tails[k]: the row with the earliest time that ends an increasing chain of k + 1 rows
    times: list[int] = []
    before = np.full(len(ticks), -1)
    for row, tick in enumerate(ticks.tolist()):
        k = bisect_left(times, tick)
        before[row] = tails[k - 1] if k else -1
        if k == len(times):
            tails.append(row)
            times.append(tick)
        elif times[k] != tick:
            tails[k], times[k] = row, tick
    kept = np.zeros(len(ticks), dtype=bool)
    row = tails[-1] if tails else -1
    while row >= 0:
        kept[row] = True
        row = before[row]
    return kept


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
