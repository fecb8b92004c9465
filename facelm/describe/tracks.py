"""Curves that facts are read from: unit levels, eyelids, gaze, mouth opening and head angles over time, at 25 fps.

Everything that measures facts (events.py, timeline.py, observe.py) reads these same curves.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter1d, grey_opening

from facelm.describe.units import ONE_SIDE, UNITS
from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT, head_angles

FPS = 25.0
LONGEST_BLINK = 0.5  # s; eyes closed for longer are an eye closure (AU43)
GAZE_DIRECTIONS = ("left", "right", "up", "down")
SHORTEST_REST = 20.0  # s of motion from which a resting face can be told from an expression
REST_PERCENTILE = 10
LARGEST_REST = 0.3  # share of a channel's peak; what is held above it all the time is an expression, not a rest
LARGEST_GAZE_REST = 0.5  # a camera above or below the face
WIDE_JAW = 0.45  # rad that FLAME's jaw turns where jawOpen is 1

Key = tuple[str, str | None]  # unit code, "left" | "right" | None
KEYS: tuple[Key, ...] = tuple(
    (unit.code, side) for unit in UNITS.values() for side in (("left", "right") if unit.sides else (None,))
)
COLUMNS = {key: index for index, key in enumerate(KEYS)}
PEAKS = np.array([UNITS[code].peak for code, _ in KEYS])
THRESHOLDS = np.array([UNITS[code].threshold / UNITS[code].peak for code, _ in KEYS])  # share of peak
_GAZE = {
    "left": ("eyeLookOutLeft", "eyeLookInRight"),
    "right": ("eyeLookInLeft", "eyeLookOutRight"),
    "up": ("eyeLookUpLeft", "eyeLookUpRight"),
    "down": ("eyeLookDownLeft", "eyeLookDownRight"),
}


def _mixing() -> tuple[np.ndarray, np.ndarray]:
    """Matrices from arkit values to unit levels (55, K) and to gaze (55, 4)."""
    units, gaze = np.zeros((ARKIT.width, len(KEYS))), np.zeros((ARKIT.width, len(GAZE_DIRECTIONS)))
    for (code, side), column in COLUMNS.items():
        channels = UNITS[code].side_channels(side)
        units[ARKIT.indices(channels), column] = 1 / (len(channels) * UNITS[code].peak)
        if UNITS[code].sides == ONE_SIDE:  # to the left and to the right cancel out
            other = UNITS[code].side_channels("right" if side == "left" else "left")
            units[ARKIT.indices(other), column] = -1 / (len(other) * UNITS[code].peak)
    for column, direction in enumerate(GAZE_DIRECTIONS):
        gaze[ARKIT.indices(_GAZE[direction]), column] = 0.5
    return units, gaze


_UNITS, _LOOKS = _mixing()
_EYELIDS = ARKIT.indices(("eyeBlinkLeft", "eyeBlinkRight"))
_BEHIND_LIDS = [i for i, name in enumerate(ARKIT.names) if name.startswith(("eyeLook", "eyeWide", "eyeSquint"))]
_LIDS = [COLUMNS["AU43", "left"], COLUMNS["AU43", "right"]]
_REST_LIMIT = np.full(ARKIT.width, LARGEST_REST)
for _code, _side in KEYS:
    _REST_LIMIT[ARKIT.indices(UNITS[_code].side_channels(_side))] = LARGEST_REST * UNITS[_code].peak
_REST_LIMIT[[i for i, name in enumerate(ARKIT.names) if name.startswith("eyeLook")]] = LARGEST_GAZE_REST
_REST_LIMIT[[i for i, name in enumerate(ARKIT.names) if name.startswith("head")]] = 0.0

# What MediaPipe's tracker reports of a face at rest: its eyeSquint hardly falls under 0.2 (the threshold of AU7 that
# agrees best with py-feat's is 0.28 above ours; docs/facts.md). Pass it as `rest` for motion tracked by MediaPipe.
MEDIAPIPE_REST = np.zeros(ARKIT.width)
MEDIAPIPE_REST[ARKIT.indices(("eyeSquintLeft", "eyeSquintRight"))] = 0.28


@dataclass(frozen=True)
class Tracks:
    """Curves of one motion at 25 fps (T frames), unsmoothed.

    Attributes:
        levels: (T, len(KEYS)) share of the unit's peak; AU43 without the blinks.
        lids: (T,) closure of the eye that is less closed, blinks included, 0 to 1.
        gaze: (T, 4) eyeLook coefficient towards each of GAZE_DIRECTIONS, mean of both eyes.
        mouth: (T,) how far the lips are apart: jawOpen - mouthClose, 0 to 1.
        head: (T, 3) yaw, pitch, roll in radians.
    """

    levels: np.ndarray
    lids: np.ndarray
    gaze: np.ndarray
    mouth: np.ndarray
    head: np.ndarray

    def __len__(self) -> int:
        return len(self.lids)

    @cached_property
    def smooth_levels(self) -> np.ndarray:
        """Levels smoothed over about 0.1 s, (T, len(KEYS))."""
        return smoothed(self.levels)

    @cached_property
    def smooth_head(self) -> np.ndarray:
        """Head angles smoothed over about 0.1 s, (T, 3)."""
        return smoothed(self.head)


def smoothed(curves: np.ndarray) -> np.ndarray:
    """Curves (T, ...) under a Gaussian of 1 frame (40 ms) along time."""
    return gaussian_filter1d(curves, 1.0, axis=0) if len(curves) > 1 else curves


def tracks(motion: FaceMotion, rest: np.ndarray | None = None) -> Tracks:
    """The curves of a motion of layout arkit or livelink, at any fps.

    FLAME's expressions name no units: of its layouts only the jaw's opening, the eyelids (where the layout has them)
    and the head are read. Carry such motion to arkit first (`facelm rig map`) to see the rest.

    Args:
        rest: arkit values (55,) of the person's resting face, which are subtracted; see `resting`.
    """
    values = _arkit_values(motion)
    if rest is not None:
        rest = np.asarray(rest, float)
        if rest.shape != (ARKIT.width,):
            raise FacelmError(f"a resting face has {ARKIT.width} arkit values, not the shape {rest.shape}")
        weights = slice(0, len(ARKIT.names) - 3)
        values[:, weights] = (values[:, weights] - rest[weights]).clip(0, None)
        values[:, -3:] -= rest[-3:]
    _bridge_blinks(values)
    levels = (values @ _UNITS).clip(0, None)
    lids = levels[:, _LIDS].min(axis=1)
    levels[:, _LIDS] = without_blinks(levels[:, _LIDS])
    mouth = (values[:, ARKIT.index("jawOpen")] - values[:, ARKIT.index("mouthClose")]).clip(0, 1)
    return Tracks(levels, lids, values @ _LOOKS, mouth, values[:, -3:])


def _bridge_blinks(values: np.ndarray) -> None:
    """Carry what the eyes do straight through their blinks, in place: a shut lid hides gaze and widened eyes."""
    lids = values[:, _EYELIDS].min(axis=1)
    shut = binary_dilation(lids - without_blinks(lids) > 0.25, iterations=2)
    if shut.any() and not shut.all():
        open_ = np.flatnonzero(~shut)
        for column in _BEHIND_LIDS:
            values[shut, column] = np.interp(np.flatnonzero(shut), open_, values[open_, column])


def without_blinks(lids: np.ndarray) -> np.ndarray:
    """Lid closure (T, ...) without blinks: what stays closed for longer than a blink."""
    size = (min(len(lids), round(LONGEST_BLINK * FPS)), *(1,) * (lids.ndim - 1))
    return grey_opening(lids, size=size)


def resting(*motions: FaceMotion) -> np.ndarray:
    """The resting face of the person in these motions, as arkit values (55,), to subtract before facts are read.

    What a face never lets go of is taken for its rest: the 10th percentile of each channel over the frames in which
    the eyes are open. A channel held above 30% of its unit's peak all along counts as an expression and is left
    alone, and so is the head, whose angles are absolute (supplement A of MMHead). A person's takes of several
    expressions tell rest from expression far better than one take that holds a single expression; under 20 s of
    motion in all nothing can be told, and the rest is zeros. (OpenFace takes the median, for the same purpose and
    with the same assumption that a face is mostly at rest: Baltrusaitis, Mahmoud and Robinson, 2015.)
    """
    values = np.concatenate([_arkit_values(motion) for motion in motions])
    if len(values) < SHORTEST_REST * FPS:
        return np.zeros(ARKIT.width)
    lids = values[:, _EYELIDS].max(axis=1)
    open_eyes = ~binary_dilation(lids > 0.5, iterations=5)
    if open_eyes.mean() > 0.2:
        values = values[open_eyes]
    rest = np.percentile(values, REST_PERCENTILE, axis=0)
    return np.where((rest > 0) & (rest < _REST_LIMIT), rest, 0.0)


def _arkit_values(motion: FaceMotion) -> np.ndarray:
    """Values (T, 55) of layout arkit at 25 fps. Of FLAME only jaw, eyelids and head are known without a map or rig."""
    if abs(motion.fps - FPS) > 1e-6 and len(motion) > 1:
        motion = motion.resample(FPS)
    if not motion.layout.is_flame:
        return motion.to("arkit").values.astype(float)
    values = np.zeros((len(motion), ARKIT.width))
    values[:, ARKIT.index("jawOpen")] = (motion.channel("jawX") / WIDE_JAW).clip(0, 1)
    for side in ("Left", "Right"):
        if "eyelid" + side in motion.layout:
            values[:, ARKIT.index("eyeBlink" + side)] = motion.channel("eyelid" + side).clip(0, 1)
    values[:, -3:] = head_angles(motion.values, motion.layout)
    return values
