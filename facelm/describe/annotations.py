"""The five annotations of a clip, with a summary and questions, and the limits each must keep.

The kinds and their limits are those of MMHead (Wu et al., 2024, section 3.2 and supplement A.2): what the person does,
which emotions show, how the face moves, how the head moves, and three situations that would explain it. The summary
and the questions are ours. `Annotations` refuses texts that break a limit, so what a person, a program or a language
model wrote is held to the same; `annotate` writes all of them for a timeline.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from facelm.describe.limits import LIMITS, SCENARIOS, check
from facelm.errors import FacelmError

__all__ = ["LIMITS", "SCENARIOS", "Annotations", "Question", "check"]

JOINED = ("action", "emotion", "scenarios", "head_pose", "expression")


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
