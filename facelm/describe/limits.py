"""The limits of the annotations of a clip, after MMHead (Wu et al., 2024, section 3.2 and supplement A.2)."""

import re
from dataclasses import dataclass

LIMITS = {"action": 30, "emotion": 15, "scenarios": 15, "head_pose": 100, "expression": 100, "summary": 30}  # words
SCENARIOS = 3

_UNIT_NAMES = (  # the names in the FACS manual, in the forms that detectors print
    "inner brow raiser|outer brow raiser|brow lowerer|upper lid raiser|cheek raiser|lid tightener"
    "|lips toward each other|nose wrinkler|upper lip raiser|nasolabial deepener|lip corner puller|sharp lip puller"
    "|cheek puffer|dimpler"
    "|lip corner depressor|lower lip depressor|chin raiser|lip puckerer?|tongue show|lip stretcher|neck tightener"
    "|lip funneler|lip tightener|lip pressor|lips part|jaw drop|mouth stretch|lip suck|jaw thrust|jaw sideways"
    "|jaw clencher|lip bite|cheek suck|lid droop|eyes? closed|action units?|au ?[0-9]+"
)
_POSE_NAMES = (
    "no head pose|head poses?|head (?:up|down)|head (?:turns?|tilts?|turned|tilted)(?: to the)? (?:left|right)"
    "|(?:turns?|tilts?) (?:the|his|her|their) head(?: to the)? (?:left|right)|yaw|pitch|roll"
)
_NUMBERS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    "|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|half|percent|zero"
)
_PAST = r"was|were|did|had|will|would|(?:has|have) \w+ed"
_PROGRESSIVE = r"(?:is|are|am|be|been)(?: \w+ly)? (?!\w*thing\b|willing\b|during\b)[a-z]{2,}ing"


@dataclass(frozen=True)
class _Rule:
    words: re.Pattern[str]
    fields: tuple[str, ...]
    because: str


def _rule(words: str, fields: tuple[str, ...], because: str, flags: int = re.IGNORECASE) -> _Rule:
    return _Rule(re.compile(rf"\b(?:{words})\b", flags), fields, because)


_TIMED = ("action", "emotion", "expression", "head_pose", "summary")
_RULES = (
    _rule(r"\w*\d[\w.%]*", _TIMED, "numbers are not allowed in it"),
    _rule(_NUMBERS, ("action", "head_pose"), "number words are not allowed in it"),
    _rule(_UNIT_NAMES, ("action",), "names of action units are not allowed in it"),
    _rule(_POSE_NAMES, ("action",), "names of head poses are not allowed in it"),
    _rule(r"frames?|radians?|degrees?", ("expression", "head_pose"), "frames and angles are not allowed in it"),
    _rule(r"overall|in summary|to sum up", ("head_pose",), "it tells the movements and sums up nothing"),
    _rule(_PAST, _TIMED, "it is told in the present simple"),
    _rule(_PROGRESSIVE, _TIMED, "it is told in the present simple"),
    _rule("I|me|my|mine|we|us|our|[Yy]ou|[Yy]our|My|We|Our", ("scenarios",), "it is told in the third person", 0),
)


def check(name: str, text: str) -> list[str]:
    """What is wrong with one text of a kind of `LIMITS` ("scenarios": one of the three); [] when nothing is.

    Tense is checked only where that is reliable: auxiliaries of the past and the future, and "is smiling".

    Args:
        name: a key of `LIMITS`.
        text: one line.

    Returns:
        Sentences that name the field, the limit and the words at fault.
    """
    words = text.split()
    found = []
    if not words:
        return [f"{name} is empty; write it in at most {LIMITS[name]} words"]
    if len(words) > LIMITS[name]:
        found.append(
            f"{name} has {len(words)} words, at most {LIMITS[name]} are allowed; it ends '{' '.join(words[-6:])}'"
        )
    if len(text.splitlines()) > 1:
        found.append(f"{name} has more than one line; write it in one")
    for rule in _RULES:
        at_fault = dict.fromkeys(match[0] for match in rule.words.finditer(text)) if name in rule.fields else ()
        if at_fault:
            found.append(f"{name} says {', '.join(map(repr, at_fault))}, but {rule.because}")
    return found


@dataclass(frozen=True)
class Question:
    """A question about a clip and its answer, both as sentences."""

    question: str
    answer: str
