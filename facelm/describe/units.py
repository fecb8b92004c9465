"""The things a face can do, by name: action units, emotions, head gestures, gaze, and the ARKit channels behind them.

Action units follow the Facial Action Coding System (Ekman, Friesen and Hager, 2002); the ARKit channels that show each
unit follow the table of common correspondences (AU12 = mouthSmile and so on). Emotion prototypes are EMFACS-style
heuristics: a convention for making and reading motion, not a claim about what a person feels. Blends after Du, Tao and
Martinez, "Compound facial expressions of emotion" (PNAS 2014).

Directions are the performer's own: left is the person's left.
"""

from dataclasses import dataclass

SIDES = ("left", "right", "both")
INTENSITIES = ("slight", "moderate", "strong")


@dataclass(frozen=True)
class Unit:
    """One facial action unit.

    Attributes:
        code: FACS number, for example "AU12"; mouth shift has no FACS number of its own and is called "M60".
        name: its canonical words in a plan, for example "smile".
        channels: ARKit channels of a unit without sides, or channel stems ("mouthSmile") that take Left and Right.
        peak: largest coefficient it reaches in a strong performance, about that of a range-of-motion take (the MIT
            licensed Live Link take `rom_3`: jawOpen 0.95, mouthSmile 0.89, cheekSquint 0.65 …); units that trackers
            hardly see there (lip press, jaw thrust, cheek puff) are set higher, so that "slight" stays visible.
        sides: the sides it can be shown on; () for a unit in the middle of the face.
    """

    code: str
    name: str
    channels: tuple[str, ...]
    peak: float
    sides: tuple[str, ...] = ()

    @property
    def threshold(self) -> float:
        """Coefficient from which the unit counts as shown."""
        return max(0.1, 0.17 * self.peak)

    def side_channels(self, side: str | None) -> tuple[str, ...]:
        """The ARKit channels that show this unit on `side` (None for a unit in the middle)."""
        if not self.sides:
            return self.channels
        ends = ("Left", "Right") if side in (None, "both") else (side.capitalize(),)
        return tuple(stem + end for stem in self.channels for end in ends)


ONE_SIDE = ("left", "right")
UNITS: dict[str, Unit] = {
    unit.code: unit
    for unit in (
        Unit("AU1", "inner brow raise", ("browInnerUp",), 0.95),
        Unit("AU2", "outer brow raise", ("browOuterUp",), 0.95, SIDES),
        Unit("AU4", "brow lower", ("browDown",), 0.95, SIDES),
        Unit("AU5", "eye widen", ("eyeWide",), 0.9, SIDES),
        Unit("AU6", "cheek raise", ("cheekSquint",), 0.7, SIDES),
        Unit("AU7", "lid tighten", ("eyeSquint",), 0.8, SIDES),
        Unit("AU9", "nose wrinkle", ("noseSneer",), 0.82, SIDES),
        Unit("AU10", "upper lip raise", ("mouthUpperUp",), 0.7, SIDES),
        Unit("AU12", "smile", ("mouthSmile",), 0.89, SIDES),
        Unit("AU14", "dimple", ("mouthDimple",), 0.62, SIDES),
        Unit("AU15", "lip corner drop", ("mouthFrown",), 0.68, SIDES),
        Unit("AU16", "lower lip drop", ("mouthLowerDown",), 0.85, SIDES),
        Unit("AU17", "chin raise", ("mouthShrugLower",), 0.79),
        Unit("AU18", "pucker", ("mouthPucker",), 0.8),
        Unit("AU19", "tongue out", ("tongueOut",), 0.95),
        Unit("AU20", "lip stretch", ("mouthStretch",), 0.8, SIDES),
        Unit("AU22", "funnel", ("mouthFunnel",), 0.75),
        Unit("AU24", "lip press", ("mouthPress",), 0.62, SIDES),
        Unit("AU26", "jaw open", ("jawOpen",), 0.95),
        Unit("AU28", "lip suck", ("mouthRollLower", "mouthRollUpper"), 0.62),
        Unit("AU29", "jaw thrust", ("jawForward",), 0.6),
        Unit("AU30", "jaw slide", ("jaw",), 0.6, ONE_SIDE),
        Unit("AU34", "cheek puff", ("cheekPuff",), 0.65),
        Unit("AU43", "eye closure", ("eyeBlink",), 1.0, SIDES),
        Unit("M60", "mouth shift", ("mouth",), 0.7, ONE_SIDE),
    )
}


@dataclass(frozen=True)
class Emotion:
    """An emotion's prototype: unit code -> share of the emotion's intensity (0 to 1) at which the unit shows.

    Contempt is one-sided: its units take the item's side, those of every other emotion show on both sides.
    """

    name: str
    units: dict[str, float]
    sided: bool = False


EMOTIONS: dict[str, Emotion] = {
    emotion.name: emotion
    for emotion in (
        Emotion("happy", {"AU6": 0.75, "AU12": 1.0}),
        Emotion("sad", {"AU1": 0.9, "AU4": 0.6, "AU15": 1.0, "AU17": 0.7}),
        Emotion("surprised", {"AU1": 0.9, "AU2": 0.9, "AU5": 0.8, "AU26": 0.75}),
        Emotion("afraid", {"AU1": 0.85, "AU2": 0.65, "AU4": 0.6, "AU5": 1.0, "AU20": 0.9}),
        Emotion("angry", {"AU4": 1.0, "AU5": 0.6, "AU7": 0.75, "AU24": 0.85}),
        Emotion("disgusted", {"AU9": 1.0, "AU10": 0.85, "AU15": 0.6, "AU7": 0.65}),
        Emotion("contemptuous", {"AU14": 1.0, "AU12": 0.65}, sided=True),
        Emotion("happily surprised", {"AU1": 0.75, "AU2": 0.8, "AU12": 0.9, "AU5": 0.65, "AU26": 0.6}),
        Emotion("happily disgusted", {"AU9": 0.8, "AU10": 0.75, "AU12": 0.9, "AU6": 0.6}),
        Emotion("sadly angry", {"AU4": 1.0, "AU7": 0.65, "AU15": 0.9, "AU17": 0.65}),
        Emotion("sadly afraid", {"AU1": 1.0, "AU4": 0.65, "AU5": 0.7, "AU15": 0.7, "AU20": 0.75}),
        Emotion("fearfully surprised", {"AU1": 0.9, "AU2": 0.85, "AU5": 1.0, "AU20": 0.65, "AU26": 0.65}),
        Emotion("angrily disgusted", {"AU4": 0.9, "AU9": 0.9, "AU10": 0.75, "AU24": 0.65}),
    )
}
BASIC_EMOTIONS = ("happy", "sad", "surprised", "afraid", "angry", "disgusted", "contemptuous")

# Head gestures as (name, side); FACS head codes M85 nod, M84 shake, 51-56 turns, up, down, tilts.
HEAD_GESTURES: tuple[tuple[str, str | None], ...] = (
    ("nod", None),
    ("shake", None),
    ("up", None),
    ("down", None),
    ("turn", "left"),
    ("turn", "right"),
    ("tilt", "left"),
    ("tilt", "right"),
)
HEAD_WORDS = {
    "nod": "nod",
    "shake": "head shake",
    "up": "head up",
    "down": "head down",
    "turn": "head turn",
    "tilt": "head tilt",
}
GAZE_DIRECTIONS = ("left", "right", "up", "down")
BLINK_COUNTS = ("once", "twice", "three times")
