"""Head gestures and poses, from the head's angles in radians (signs: pitch > 0 down, yaw > 0 left, roll > 0 right).

The words of the signs are those of MMHead (supplement A, table A): rx < 0 head up, rx > 0 down, ry < 0 turns right,
ry > 0 left, rz < 0 tilts left, rz > 0 right.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from facelm.describe.facts import Fact
from facelm.describe.tracks import FPS

HEAD_DEAD_BAND = 0.1  # rad; the smallest angle printed in MMHead is 0.11
NOD_PROMINENCE = 0.055  # rad, of each dip of a nod
SHAKE_PROMINENCE = 0.06  # rad, of each swing of a shake
SLOWEST_NOD = 1.1  # s from dip to dip
SLOWEST_SWING = 0.75  # s from one side to the other of a shake
POSES = (  # (column of yaw, pitch, roll; sign; fact)
    (1, 1, Fact("head down")),
    (1, -1, Fact("head up")),
    (0, 1, Fact("head turn", "left")),
    (0, -1, Fact("head turn", "right")),
    (2, 1, Fact("head tilt", "right")),
    (2, -1, Fact("head tilt", "left")),
)


@dataclass(frozen=True)
class Gesture:
    """A nod or a shake: frames `begin` to `end` (inclusive), the frame of its widest dip or swing, its range in rad."""

    begin: int
    apex: int
    end: int
    size: float


def nods(pitch: np.ndarray) -> list[Gesture]:
    """Runs of two or more dips (pitch up, then back), each of at least 0.055 rad and at most 1.1 s after the last."""
    dips, sizes = _extremes(pitch, NOD_PROMINENCE)
    return [_gesture(pitch, run, 0.5) for run in _runs(dips, SLOWEST_NOD) if len(run) >= 2]


def shakes(yaw: np.ndarray) -> list[Gesture]:
    """Runs of three or more swings to alternating sides, each of at least 0.06 rad, at most 0.75 s apart."""
    left, _ = _extremes(yaw, SHAKE_PROMINENCE)
    right, _ = _extremes(-yaw, SHAKE_PROMINENCE)
    sides = dict.fromkeys(left, 1) | dict.fromkeys(right, -1)
    found = []
    for run in _runs(sorted(sides), SLOWEST_SWING):
        if len(run) >= 3 and len({sides[frame] for frame in run}) == 2:
            found.append(_gesture(yaw, run, 0.25))
    return found


def _extremes(track: np.ndarray, prominence: float) -> tuple[list[int], list[float]]:
    if len(track) < 3:
        return [], []
    frames, found = find_peaks(track, prominence=prominence)
    return frames.tolist(), found["prominences"].tolist()


def _runs(frames: list[int], gap: float) -> list[list[int]]:
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame - runs[-1][-1] <= gap * FPS:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs


def _gesture(track: np.ndarray, run: list[int], reach: float) -> Gesture:
    """The gesture of a run of extremes; it begins and ends `reach` of their mean distance before and after them."""
    margin = round(reach * max(4.0, float(np.mean(np.diff(run)))))
    begin, end = max(0, run[0] - margin), min(len(track) - 1, run[-1] + margin)
    inside = track[begin : end + 1]
    apex = max(run, key=lambda frame: abs(track[frame] - np.median(inside)))
    return Gesture(begin, apex, end, float(np.ptp(inside)))
