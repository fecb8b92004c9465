"""The five annotations of a clip, with a summary and questions, and the limits each must keep.

The kinds and their limits are those of MMHead (Wu et al., 2024, section 3.2 and supplement A.2): what the person does,
which emotions show, how the face moves, how the head moves, and three situations that would explain it. The summary
and the questions are ours. `check` names what is wrong with a text of one kind; `Annotations` refuses wrong texts, so
what a person, a program or a language model wrote is held to the same limits.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from facelm.errors import FacelmError

LIMITS = {"action": 30, "emotion": 15, "scenarios": 15, "head_pose": 100, "expression": 100, "summary": 30}  # words
JOINED = ("action", "emotion", "scenarios", "head_pose", "expression")
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


@dataclass(frozen=True)
class Annotations:
    """What is said of one clip.

    Attributes:
        action: what the person does, in order; at most 30 words, no numbers, no names of action units or head poses.
        emotion: which emotions show, in order; at most 15 words.
        expression: how the face moves, in order; at most 100 words, no frames, no figures.
        head_pose: how the head moves, in order; at most 100 words, no numbers.
        scenarios: three situations that would explain it, in the third person; at most 15 words each.
        summary: one line for lists and captions; at most 30 words.
        questions: with their answers.
        strict: False takes texts as a data set released them, too long or missing ("") as they may be.

    Raises FacelmError for the first text that breaks a limit, naming the field, the limit and the words at fault.
    """

    action: str
    emotion: str
    expression: str
    head_pose: str
    scenarios: tuple[str, ...]
    summary: str
    questions: tuple[Question, ...] = ()
    strict: bool = field(default=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.strict:
            return
        if len(self.scenarios) != SCENARIOS:
            raise FacelmError(f"scenarios: {len(self.scenarios)} were given; write {SCENARIOS}")
        for name, text in self._texts():
            if wrong := check(name, text):
                raise FacelmError(wrong[0])
        for pair in self.questions:
            if not (pair.question.strip() and pair.answer.strip()):
                raise FacelmError("questions: one has no text or no answer; give both or leave it out")

    def _texts(self) -> Iterator[tuple[str, str]]:
        for name in JOINED:
            yield from ((name, text) for text in ([getattr(self, name)] if name != "scenarios" else self.scenarios))
        yield "summary", self.summary

    def joined(self) -> str:
        """All five as one text, in MMHead's order: action, emotion, scenarios, head pose, expression."""
        return " ".join(text.strip() for name, text in self._texts() if name != "summary" and text.strip())

    def row(self) -> dict[str, Any]:
        """The texts as a corpus row holds them: action, emotion, expression, head_pose, scenarios, summary."""
        return {name: list(self.scenarios) if name == "scenarios" else getattr(self, name) for name in LIMITS}
