"""Motion into facts: which action units, sides, head gestures, gaze and blinks a motion shows, phase by phase.

Everything is read from named coefficients with fixed thresholds; nothing is learnt and no prompt is seen, so the same
ruler serves captures, references and generated motion. A unit counts as shown in a phase when it holds at least its
threshold (`Unit.threshold`, 17% of its peak and never under 0.1) for about a third of the phase's core; head angles
count from 0.1 rad, the dead band of MMHead's head-pose words (supplement A).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, grey_opening
from scipy.signal import find_peaks

from facelm.describe.facts import Fact
from facelm.describe.units import UNITS
from facelm.motion import FaceMotion

FPS = 25.0
HEAD_DEAD_BAND = 0.1  # rad
NOD_PROMINENCE = 0.055  # rad, of each dip of a nod
SHAKE_PROMINENCE = 0.06  # rad, of each swing of a shake
GAZE_THRESHOLD = 0.25  # of an eyeLook coefficient
ONE_SIDE_RATIO = 0.45  # the weaker side under this share of the stronger: shown on one side
HELD_PERCENTILE = 65
SETTLE = 0.35  # s at a phase's start that belong to the change into it
SHORTEST_PHASE = 0.6  # s
LONGEST_BLINK = 0.5  # s; eyes closed for longer are an eye closure (AU43)
BLINK_DEPTH = 0.45  # eyelids this far closed make a blink


@dataclass(frozen=True)
class PhaseFacts:
    """What was measured in one phase.

    Attributes:
        start, end: seconds.
        levels: fact -> its size: share of the unit's peak (0 to about 1), radians of a head gesture, or the eyeLook
            coefficient of a gaze.
    """

    start: float
    end: float
    levels: dict[Fact, float]

    @property
    def facts(self) -> set[Fact]:
        """The facts alone."""
        return set(self.levels)


def measure(motion: FaceMotion, phases: int = 1) -> list[PhaseFacts]:
    """The facts of each of `phases` phases of a motion.

    Args:
        motion: any layout that converts to arkit, any fps.
        phases: how many phases to look for. Their borders are where the expression changes most: the split that
            leaves the least squared error of unit levels within phases (dynamic programming, no phase under 0.6 s).

    Returns:
        `phases` entries in order; fewer if the motion is too short for that many.
    """
    values = _working_values(motion)
    levels = _unit_levels(values)
    entries = []
    for start, end in _split(_face_track(levels), phases):
        entries.append(PhaseFacts(start / FPS, end / FPS, _phase_levels(values, levels, start, end)))
    return entries


def blink_times(motion: FaceMotion) -> list[float]:
    """Seconds at which the eyes are most closed in each blink (closed by 0.45 or more, for at most 0.5 s)."""
    values = _working_values(motion)
    lids = np.minimum(values["eyeBlinkLeft"], values["eyeBlinkRight"])
    lids = np.concatenate([[0.0], lids - _opened(lids), [0.0]])
    peaks, _ = find_peaks(lids, height=BLINK_DEPTH, prominence=0.3)
    return [float((peak - 1) / FPS) for peak in peaks]


def _working_values(motion: FaceMotion) -> dict[str, np.ndarray]:
    motion = motion.to("arkit")
    if abs(motion.fps - FPS) > 1e-6 and len(motion) > 1:
        motion = motion.resample(FPS)
    return dict(zip(motion.layout.names, motion.values.T.astype(float), strict=True))


def _opened(lids: np.ndarray) -> np.ndarray:
    """Lid closure without blinks: what stays closed for longer than a blink."""
    return grey_opening(lids, size=min(len(lids), round(LONGEST_BLINK * FPS)))


def _unit_levels(values: dict[str, np.ndarray]) -> dict[tuple[str, str | None], np.ndarray]:
    """(unit code, "left" | "right" | None) -> its level over time as a share of the unit's peak, shape (T,)."""
    levels = {}
    for unit in UNITS.values():
        for side in ("left", "right") if unit.sides else (None,):
            tracks = [values[channel] for channel in unit.side_channels(side)]
            if unit.code == "AU43":
                tracks = [_opened(track) for track in tracks]
            levels[unit.code, side] = np.mean(tracks, axis=0) / unit.peak
    return levels


def _face_track(levels: dict[tuple[str, str | None], np.ndarray]) -> np.ndarray:
    """(T, units and sides), lightly smoothed."""
    return gaussian_filter1d(np.stack(list(levels.values()), axis=1), 1.0, axis=0)


def _split(track: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Frame ranges of `count` phases that leave the least squared error within phases."""
    frames = len(track)
    shortest = round(SHORTEST_PHASE * FPS)
    count = max(1, min(count, frames // shortest))
    if count == 1:
        return [(0, frames)]
    sums = np.concatenate([np.zeros((1, track.shape[1])), np.cumsum(track, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum((track**2).sum(axis=1))])

    def errors(ends: np.ndarray, start: np.ndarray) -> np.ndarray:
        length = np.maximum(ends - start, 1)
        inside = squares[ends] - squares[start] - ((sums[ends] - sums[start]) ** 2).sum(axis=-1) / length
        return np.where(ends - start >= shortest, inside, np.inf)

    grid = np.arange(frames + 1)
    cost = errors(grid, np.zeros_like(grid))
    back = []
    pair = errors(grid[None, :], grid[:, None])  # (start, end)
    for _ in range(count - 1):
        total = cost[:, None] + pair
        back.append(total.argmin(axis=0))
        cost = total.min(axis=0)
    borders = [frames]
    for best in reversed(back):
        borders.append(int(best[borders[-1]]))
    borders.append(0)
    borders.reverse()
    return list(zip(borders, borders[1:], strict=False))


def _phase_levels(
    values: dict[str, np.ndarray], levels: dict[tuple[str, str | None], np.ndarray], start: int, end: int
) -> dict[Fact, float]:
    length = end - start
    core = slice(
        start + min(round(SETTLE * FPS), length // 3), max(start + 1, end - min(round(0.2 * FPS), length // 6))
    )

    def held(track: np.ndarray) -> float:
        return float(np.percentile(track[core], HELD_PERCENTILE))

    found: dict[Fact, float] = {}
    for unit in UNITS.values():
        if not unit.sides:
            level = held(levels[unit.code, None])
            if level * unit.peak >= unit.threshold:
                found[Fact(unit.code)] = level
            continue
        left, right = held(levels[unit.code, "left"]), held(levels[unit.code, "right"])
        strong, weak = max(left, right), min(left, right)
        if strong * unit.peak < unit.threshold:
            continue
        if weak * unit.peak >= unit.threshold and weak >= ONE_SIDE_RATIO * strong:
            found[Fact(unit.code, "both")] = (left + right) / 2
        else:
            found[Fact(unit.code, "left" if left > right else "right")] = strong
    found.update(_head(values, start, end, core))
    gaze = {
        "left": values["eyeLookOutLeft"] + values["eyeLookInRight"],
        "right": values["eyeLookInLeft"] + values["eyeLookOutRight"],
        "up": values["eyeLookUpLeft"] + values["eyeLookUpRight"],
        "down": values["eyeLookDownLeft"] + values["eyeLookDownRight"],
    }
    direction, size = max(((name, held(track) / 2) for name, track in gaze.items()), key=lambda pair: pair[1])
    if size >= GAZE_THRESHOLD:
        found[Fact("gaze", direction)] = size
    return found


def _head(values: dict[str, np.ndarray], start: int, end: int, core: slice) -> dict[Fact, float]:
    """At most one gesture an axis; a nod or a shake rules out a pose on its axis."""
    found: dict[Fact, float] = {}
    pitch, yaw, roll = (
        gaussian_filter1d(values[name], 1.0) if len(values[name]) > 1 else values[name]
        for name in ("headPitch", "headYaw", "headRoll")
    )
    dips = _swings(pitch[start:end], NOD_PROMINENCE)
    if dips[0] >= 2:
        found[Fact("head nod")] = float(np.ptp(pitch[start:end]))
    swings = _swings(yaw[start:end], SHAKE_PROMINENCE)
    if sum(swings) >= 3 and min(swings) >= 1:
        found[Fact("head shake")] = float(np.ptp(yaw[start:end]))
    poses = []
    if Fact("head nod") not in found:
        poses.append((pitch, Fact("head down"), Fact("head up")))
    if Fact("head shake") not in found:
        poses.append((yaw, Fact("head turn", "left"), Fact("head turn", "right")))
    poses.append((roll, Fact("head tilt", "right"), Fact("head tilt", "left")))
    for track, positive, negative in poses:
        high = float(np.percentile(track[core], HELD_PERCENTILE))
        low = float(np.percentile(track[core], 100 - HELD_PERCENTILE))
        angle, fact = (high, positive) if high > -low else (low, negative)
        if abs(angle) >= HEAD_DEAD_BAND:
            found[fact] = abs(angle)
    return found


def _swings(track: np.ndarray, prominence: float) -> tuple[int, int]:
    """How many peaks and how many troughs of at least `prominence` a track has."""
    if len(track) < 3:
        return 0, 0
    return len(find_peaks(track, prominence=prominence)[0]), len(find_peaks(-track, prominence=prominence)[0])
