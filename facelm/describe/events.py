"""Motion into facts: which action units, sides, head gestures, gaze and blinks a motion shows, phase by phase.

Everything is read from named coefficients with fixed thresholds; nothing is learnt and no prompt is seen, so the same
ruler serves captures, references and generated motion. A unit counts as shown in a phase when it holds at least its
threshold (`Unit.threshold`, 17% of its peak and never under 0.1) for about a third of the phase's core; head angles
count from 0.1 rad, the dead band of MMHead's head-pose words (supplement A).
"""

import numpy as np
from scipy.signal import find_peaks

from facelm.describe.facts import Fact, PhaseFacts
from facelm.describe.head import HEAD_DEAD_BAND, POSES, nods, shakes
from facelm.describe.phases import split
from facelm.describe.tracks import COLUMNS, FPS, GAZE_DIRECTIONS, Tracks, tracks, without_blinks
from facelm.describe.units import UNITS
from facelm.motion import FaceMotion

GAZE_THRESHOLD = 0.25  # of an eyeLook coefficient
ONE_SIDE_RATIO = 0.45  # the weaker side under this share of the stronger: shown on one side
HELD_PERCENTILE = 65
SETTLE = 0.35  # s at a phase's start that belong to the change into it
BLINK_DEPTH = 0.45  # eyelids this far closed make a blink


def measure(motion: FaceMotion, phases: int = 1) -> list[PhaseFacts]:
    """The facts of each of `phases` phases of a motion.

    Args:
        motion: any layout that converts to arkit, any fps.
        phases: how many phases to look for. Their borders are where the expression changes most: the split that
            leaves the least squared error of unit levels within phases (dynamic programming, no phase under 0.6 s).

    Returns:
        `phases` entries in order; fewer if the motion is too short for that many.
    """
    curves = tracks(motion)
    times = [frame for frame, _ in blinks(curves.lids)]
    return [
        PhaseFacts(
            start / FPS,
            end / FPS,
            phase_levels(curves, start, end),
            tuple(frame / FPS for frame in times if start <= frame < end),
        )
        for start, end in split(curves.smooth_levels, phases)
    ]


def blink_times(motion: FaceMotion) -> list[float]:
    """Seconds at which the eyes are most closed in each blink (closed by 0.45 or more, for at most 0.5 s)."""
    return [frame / FPS for frame, _ in blinks(tracks(motion).lids)]


def blinks(lids: np.ndarray) -> list[tuple[int, float]]:
    """(frame, closure 0 to 1) of each blink in the closure of the lids (T,)."""
    short = np.concatenate([[0.0], lids - without_blinks(lids), [0.0]])
    peaks, _ = find_peaks(short, height=BLINK_DEPTH, prominence=0.3)
    return [(int(peak) - 1, float(lids[peak - 1])) for peak in peaks]


def phase_levels(curves: Tracks, start: int, end: int) -> dict[Fact, float]:
    """What is held from frame `start` up to `end`: fact -> its size, as in `PhaseFacts.levels`."""
    length = end - start
    core = slice(
        start + min(round(SETTLE * FPS), length // 3), max(start + 1, end - min(round(0.2 * FPS), length // 6))
    )
    levels = np.percentile(curves.levels[core], HELD_PERCENTILE, axis=0)
    found: dict[Fact, float] = {}
    for unit in UNITS.values():
        least = unit.threshold / unit.peak
        if not unit.sides:
            level = float(levels[COLUMNS[unit.code, None]])
            if level >= least:
                found[Fact(unit.code)] = level
            continue
        left, right = float(levels[COLUMNS[unit.code, "left"]]), float(levels[COLUMNS[unit.code, "right"]])
        strong, weak = max(left, right), min(left, right)
        if strong < least:
            continue
        if "both" in unit.sides and weak >= least and weak >= ONE_SIDE_RATIO * strong:
            found[Fact(unit.code, "both")] = (left + right) / 2
        else:
            found[Fact(unit.code, "left" if left > right else "right")] = strong
    found.update(_head(curves.smooth_head, start, end, core))
    gaze = np.percentile(curves.gaze[core], HELD_PERCENTILE, axis=0)
    if gaze.max() >= GAZE_THRESHOLD:
        found[Fact("gaze", GAZE_DIRECTIONS[int(gaze.argmax())])] = float(gaze.max())
    return found


def _head(angles: np.ndarray, start: int, end: int, core: slice) -> dict[Fact, float]:
    """At most one gesture an axis; a nod or a shake rules out a pose on its axis."""
    found: dict[Fact, float] = {}
    yaw, pitch = angles[start:end, 0], angles[start:end, 1]
    moving: set[int] = set()
    if nods(pitch):
        found[Fact("head nod")] = float(np.ptp(pitch))
        moving.add(1)
    if shakes(yaw):
        found[Fact("head shake")] = float(np.ptp(yaw))
        moving.add(0)
    high = np.percentile(angles[core], HELD_PERCENTILE, axis=0)
    low = np.percentile(angles[core], 100 - HELD_PERCENTILE, axis=0)
    for axis, sign, fact in POSES:
        angle, opposite = (high[axis], -low[axis]) if sign > 0 else (-low[axis], high[axis])
        if axis not in moving and angle >= HEAD_DEAD_BAND and (angle > opposite or (angle == opposite and sign < 0)):
            found[fact] = float(angle)
    return found
