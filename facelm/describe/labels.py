"""What a data set says about a clip before anything is measured: its labels and its transcript."""

from dataclasses import dataclass

from facelm.describe.units import EMOTIONS

NEUTRAL = "neutral"
_SPELLINGS = {  # as MEAD, RAVDESS, CelebV-HQ, CelebV-Text, BEAT and their users spell emotions
    NEUTRAL: ("natural", "none", "no emotion", "no expression", "calm", "relaxed", "neutrality"),
    "happy": ("happiness", "joy", "joyful", "smile", "amused", "amusement", "cheerful", "glad", "pleased"),
    "sad": ("sadness", "sorrow", "sorrowful", "unhappy", "depressed", "grief"),
    "surprised": ("surprise", "astonished", "astonishment", "amazed"),
    "afraid": ("fear", "fearful", "scared", "frightened", "terrified", "anxious"),
    "angry": ("anger", "furious", "annoyed", "rage", "mad"),
    "disgusted": ("disgust", "repelled", "revulsion"),
    "contemptuous": ("contempt", "scorn", "scornful", "disdain"),
}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}


@dataclass(frozen=True)
class Labels:
    """Labels that came with a clip. They win over what is measured.

    Attributes:
        actions: in order where the data set orders them, as it spells them ("talk", "head_wagging").
        emotions: in order of time, as it spells them ("happy", "Fear"); `emotion_name` says which of ours is meant.
        intensity: how strongly the emotion shows ("normal", "strong", "level_3"), None where nobody says.
        transcript: what is said; "" where nothing is or nobody knows.
    """

    actions: tuple[str, ...] = ()
    emotions: tuple[str, ...] = ()
    intensity: str | None = None
    transcript: str = ""


def emotion_name(label: str) -> str:
    """The emotion a label means: "neutral", a name in `facelm.describe.units.EMOTIONS`, or the label's own words."""
    words = " ".join(label.replace("_", " ").replace("-", " ").lower().split())
    return words if words in EMOTIONS else _NAMES.get(words, words)
