"""Layouts: what each column of a motion's values means.

`arkit` is Apple's 52 ARKit blendshapes (weights, 0 at rest, 1 at full; trackers overshoot to about 1.1) and the head's
yaw, pitch and roll. `livelink` is the 61 columns of a Live Link Face CSV: the same 55 and the angles of both eyes.
The shapes stand in the same order in both.

`flame56`, `flame106` and `flame` are coefficients of the FLAME head model: expression (in standard deviations, mostly
-3 to 3; 6 occurs in real takes), and the rotation vectors (axis times angle, radians) of its joints, `global` the root
of the head, `neck`, `jaw` and the eyes. `flame56` is what MMHead has (50 expressions, neck, jaw), `flame106` what
ARTalk has (100, global, jaw), `flame` holds all of it and the two eyelids of SMIRK.

Signs of the head angles (radians; axes: x to the person's left, y up, z out of the face, right-handed): pitch > 0 looks
down, yaw > 0 turns to the person's own left, roll > 0 tilts to the person's own right.

What eight real Live Link takes say about that (30 and 60 fps): nothing about the head, whose angles are zero in all of
them, so head angles pass between file and motion unchanged. The eye angles are alive. Pitch > 0 looks down (correlation
with EyeLookDown - EyeLookUp over .97 in every take), as for the head. But yaw > 0 looks to the person's own RIGHT
(correlation of the left eye's with EyeLookInLeft - EyeLookOutLeft over .94; by ARKit's names "in" of the left eye is a
rightward gaze), against the sign of the head's yaw here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np

from facelm.errors import FacelmError
from facelm.motion.rotations import compose, head_angles_of

_SIDED_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
SHAPES = (
    *(shape + side for side in ("Left", "Right") for shape in _SIDED_EYE),
    *("jawForward", "jawRight", "jawLeft", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft"),
    *(
        shape + side
        for shape in ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch")
        for side in ("Left", "Right")
    ),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *(shape + side for shape in ("mouthPress", "mouthLowerDown", "mouthUpperUp") for side in ("Left", "Right")),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
HEAD = ("headYaw", "headPitch", "headRoll")
EYES = ("leftEyeYaw", "leftEyePitch", "leftEyeRoll", "rightEyeYaw", "rightEyePitch", "rightEyeRoll")

# Radians of eye angle per unit of gaze shape: least squares through zero over eight real Live Link takes (17,772
# frames); the residual is .05 rad of yaw and .03 rad of pitch.
EYE_YAW_PER_LOOK = 0.573
EYE_PITCH_PER_LOOK = 0.511


@dataclass(frozen=True)
class Channel:
    """One column: its name, its unit ("weight" or "rad") and the range it is meant to stay in (not enforced)."""

    name: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Layout:
    """The channels of a motion, in the order of its columns. Names are looked up without regard to capitals."""

    name: str
    channels: tuple[Channel, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The channels' names in column order."""
        return tuple(channel.name for channel in self.channels)

    @property
    def width(self) -> int:
        """The number of columns D."""
        return len(self.channels)

    @cached_property
    def is_flame(self) -> bool:
        """Whether the channels are coefficients of the FLAME model rather than named shapes of a face."""
        return "expression0" in self and "jawX" in self

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name.lower(): i for i, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._columns

    def index(self, name: str) -> int:
        """The column of a channel. Raises FacelmError with the nearest names when there is none."""
        column = self._columns.get(name.lower())
        if column is None:
            near = get_close_matches(name.lower(), self._columns, n=3)
            hint = f"; did you mean {', '.join(self.names[self._columns[n]] for n in near)}?" if near else ""
            raise FacelmError(f"the layout {self.name} has no channel {name!r}{hint}")
        return column

    def indices(self, names: Iterable[str]) -> np.ndarray:
        """The columns of several channels, int64 (len(names),). Raises FacelmError as `index` does."""
        return np.array([self.index(name) for name in names], dtype=np.int64)

    def mirror(self) -> tuple[np.ndarray, np.ndarray]:
        """Left and right exchanged: `mirrored = values[:, permutation] * sign`.

        permutation: int64 (D,), swaps channels whose names differ in Left and Right (also jawLeft and jawRight).
        sign: float32 (D,), -1 for yaw and roll angles, else 1.
        Raises FacelmError for FLAME, whose expressions have no left and right.
        """
        if self.is_flame:
            raise FacelmError(
                f"the layout {self.name} cannot be mirrored, because FLAME's expressions have no left and right; "
                "mirror the motion on a rig with ARKit shapes"
            )
        permutation = self.indices(_other_side(name) for name in self.names)
        turning = [c.unit == "rad" and c.name.endswith(("Yaw", "Roll")) for c in self.channels]
        return permutation, np.where(turning, -1, 1).astype(np.float32)


def _other_side(name: str) -> str:
    for one, other in (("Left", "Right"), ("Right", "Left"), ("left", "right"), ("right", "left")):
        if one in name:
            return name.replace(one, other)
    return name


def _weights(names: Iterable[str]) -> tuple[Channel, ...]:
    return tuple(Channel(name, "weight", 0.0, 1.0) for name in names)


def _angles(names: Iterable[str]) -> tuple[Channel, ...]:
    return tuple(Channel(name, "rad", -np.pi / 2, np.pi / 2) for name in names)


def _capitals(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    return tuple(Channel(c.name[0].upper() + c.name[1:], c.unit, c.low, c.high) for c in channels)


ARKIT = Layout("arkit", _weights(SHAPES) + _angles(HEAD))
LIVELINK = Layout("livelink", _capitals(_weights(SHAPES) + _angles(HEAD + EYES)))

_EXPRESSIONS = tuple(f"expression{i}" for i in range(100))


def _axes(joint: str) -> tuple[str, ...]:
    return tuple(joint + axis for axis in "XYZ")


def _flame(name: str, expressions: int, *joints: str, eyelids: bool = False) -> Layout:
    weights = tuple(Channel(name, "weight", -8.0, 8.0) for name in _EXPRESSIONS[:expressions])
    lids = _weights(("eyelidLeft", "eyelidRight")) if eyelids else ()
    return Layout(name, weights + lids + _angles(axis for joint in joints for axis in _axes(joint)))


FLAME56 = _flame("flame56", 50, "neck", "jaw")
FLAME106 = _flame("flame106", 100, "global", "jaw")
FLAME = _flame("flame", 100, "global", "neck", "jaw", "leftEye", "rightEye", eyelids=True)
LAYOUTS = {known.name: known for known in (ARKIT, LIVELINK, FLAME56, FLAME106, FLAME)}


def layout(name: str | Layout) -> Layout:
    """The layout of that name ("arkit", "livelink", "flame56", "flame106", "flame"); a Layout is returned as it is.

    Raises FacelmError naming the known ones.
    """
    if isinstance(name, Layout):
        return name
    if name not in LAYOUTS:
        raise FacelmError(f"unknown layout {name!r}; facelm knows {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def convert(values: np.ndarray, source: str | Layout, target: str | Layout) -> tuple[np.ndarray, tuple[str, ...]]:
    """Values (T, D of source) as values float32 (T, D of target), and the names of the channels that are lost.

    Channels are matched by name. Where the target has eye angles and the source has none, they are estimated from the
    eyeLook shapes (see the constants above); other channels without a source are 0. Between FLAME layouts the
    direction of the head is kept: where the target lacks the neck or the global joint, both turn the one it has.
    Raises FacelmError when the width of the values is not that of the source, and between FLAME and ARKit: that
    takes a map between the rigs.
    """
    source, target = layout(source), layout(target)
    values = np.asarray(values, dtype=np.float32)
    if values.shape[-1] != source.width:
        raise FacelmError(f"values have {values.shape[-1]} columns, but the layout {source.name} has {source.width}")
    if source == target:
        return values, ()
    if source.is_flame != target.is_flame:
        raise FacelmError(
            f"{source.name} cannot be turned into {target.name} by names alone; "
            "a map between two rigs can (facelm rig map), or fitting the motion on a rig of the other kind"
        )
    out = np.zeros((*values.shape[:-1], target.width), dtype=np.float32)
    shared = [name for name in target.names if name in source]
    out[..., target.indices(shared)] = values[..., source.indices(shared)]
    for name in target.names:
        if name not in source and name.lower() in _GAZE:
            out[..., target.index(name)] = _gaze(values, source, name.lower())
    lost = tuple(name for name in source.names if name not in target)
    held = [joint for joint in ("global", "neck") if joint + "X" in target]
    if source.is_flame and len(held) == 1:
        out[..., target.indices(_axes(held[0]))] = _head_vector(values, source)
        lost = tuple(name for name in lost if name not in (*_axes("global"), *_axes("neck")))
    return out, lost


def head_angles(values: np.ndarray, source: str | Layout) -> np.ndarray:
    """Yaw, pitch and roll of the head (radians), float32 (T, 3), of values (T, D) in a layout.

    FLAME's are those of its global joint and its neck together.
    Raises FacelmError when the layout has no head.
    """
    source = layout(source)
    if source.is_flame:
        return head_angles_of(_head_vector(np.asarray(values, dtype=np.float32), source))
    return np.asarray(values, dtype=np.float32)[..., source.indices(HEAD)]


def _head_vector(values: np.ndarray, source: Layout) -> np.ndarray:
    """The rotation vector of FLAME's head, (..., 3): global joint and neck together."""
    none = np.zeros((*values.shape[:-1], 3), dtype=np.float32)
    outer, inner = (
        values[..., source.indices(_axes(joint))] if joint + "X" in source else none for joint in ("global", "neck")
    )
    return compose(outer, inner)


_GAZE = {  # eye angle: (rising shape, falling shape, radians per unit)
    "lefteyeyaw": ("eyeLookInLeft", "eyeLookOutLeft", EYE_YAW_PER_LOOK),
    "righteyeyaw": ("eyeLookOutRight", "eyeLookInRight", EYE_YAW_PER_LOOK),
    "lefteyepitch": ("eyeLookDownLeft", "eyeLookUpLeft", EYE_PITCH_PER_LOOK),
    "righteyepitch": ("eyeLookDownRight", "eyeLookUpRight", EYE_PITCH_PER_LOOK),
}


def _gaze(values: np.ndarray, source: Layout, angle: str) -> np.ndarray:
    rising, falling, slope = _GAZE[angle]
    return slope * (values[..., source.index(rising)] - values[..., source.index(falling)])
