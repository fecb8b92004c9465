"""Spans of a curve that rises above a threshold: where each begins, peaks and ends."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from facelm.describe.tracks import FPS

LONGEST_GAP = 0.16  # s under the lower threshold that do not end a span
VALLEY = 0.5  # a dip under this share of both peaks beside it parts two spans, when longer than such a gap
STEP = 0.4  # share of the peak; a level under it that is held is an event of its own
LONGEST_STEP = 0.8  # s for which it may last without being one
REACH = 0.4  # s before and after the lower threshold in which the onset and the end of the offset are looked for
FOOT = 0.1  # share of the rise at which a span begins and ends
PLATEAU = 0.95  # share of the highest level at which the apex is reached


@dataclass(frozen=True)
class Span:
    """Frames: `begin`, the first that leaves rest; `apex`; `end`, the last before rest (inclusive)."""

    begin: int
    apex: int
    end: int


def spans(track: np.ndarray, high: float, low: float, shortest: float, split: bool = True) -> list[Span]:
    """Where a curve (T,) at 25 fps reaches `high`, each span lasting while it stays above `low`.

    Args:
        shortest: seconds a span stays above `low` at least.
        split: part spans at deep valleys between two peaks.
    """
    found: list[Span] = []
    runs = _runs(track, high, low, shortest)
    if split:
        runs = [step for run in runs for part in _parts(track, *run, high) for step in _steps(track, *part, high)]
    for index, (first, last) in enumerate(runs):
        earliest = max(runs[index - 1][1] + 1 if index else 0, first - round(REACH * FPS))
        latest = min(runs[index + 1][0] - 1 if index + 1 < len(runs) else len(track) - 1, last + round(REACH * FPS))
        peak = float(track[first : last + 1].max())
        begin = earliest + _foot(track[earliest : first + 1], peak)
        end = latest - _foot(track[last : latest + 1][::-1], peak)
        apex = first + int(np.argmax(track[first : last + 1] >= PLATEAU * peak))
        if found and begin <= found[-1].end:
            begin = found[-1].end + 1
        found.append(Span(min(begin, apex), apex, max(end, apex)))
    return found


def _runs(track: np.ndarray, high: float, low: float, shortest: float) -> list[tuple[int, int]]:
    above = np.concatenate([[False], track >= low, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    joined: list[tuple[int, int]] = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if joined and first - joined[-1][1] - 1 <= LONGEST_GAP * FPS:
            joined[-1] = (joined[-1][0], end - 1)
        else:
            joined.append((first, end - 1))
    least = min(round(shortest * FPS), len(track))
    return [(a, b) for a, b in joined if b - a + 1 >= least and track[a : b + 1].max() >= high]


def _parts(track: np.ndarray, first: int, last: int, high: float) -> list[tuple[int, int]]:
    """A run cut where it stays under half of both the peak before and the peak after."""
    inside = np.concatenate([[0.0], track[first : last + 1], [0.0]])
    peaks, _ = find_peaks(inside, height=high, prominence=0.5 * high)
    parts, begin, peak = [], first, -1
    for candidate in (peaks - 1 + first).tolist():
        if peak >= 0:
            floor = VALLEY * min(track[peak], track[candidate])
            if (track[peak:candidate] < floor).sum() > LONGEST_GAP * FPS:
                valley = peak + int(track[peak:candidate].argmin())
                parts.append((begin, valley))
                begin, peak = valley + 1, candidate
                continue
        if peak < 0 or track[candidate] > track[peak]:
            peak = candidate
    return [*parts, (begin, last)]


def _steps(track: np.ndarray, first: int, last: int, high: float) -> list[tuple[int, int]]:
    """A part cut where a weak level of 0.8 s or more grows into a strong one, or remains of it."""
    peak = float(track[first : last + 1].max())
    strong = first + np.flatnonzero(track[first : last + 1] >= STEP * peak)
    earliest, latest = max(first, int(strong[0]) - round(REACH * FPS)), min(last, int(strong[-1]) + round(REACH * FPS))
    begin = earliest + _foot(track[earliest : strong[0] + 1], peak)
    end = latest - _foot(track[strong[-1] : latest + 1][::-1], peak)
    before, after = [(first, begin - 1)], [(end + 1, last)]
    if begin - first < LONGEST_STEP * FPS or track[first:begin].max() < high:
        before, begin = [], first
    if last - end < LONGEST_STEP * FPS or track[end + 1 : last + 1].max() < high:
        after, end = [], last
    return [*before, (begin, end), *after]


def _foot(flank: np.ndarray, peak: float) -> int:
    """The last frame of a rising flank that is still within 10% of the rise from the flank's lowest level."""
    lowest = float(flank.min())
    return int(np.flatnonzero(flank <= lowest + FOOT * (peak - lowest))[-1])
