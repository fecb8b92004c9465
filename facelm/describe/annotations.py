"""The five annotations of a clip, with a summary and questions, and the limits each must keep.

The kinds and their limits are those of MMHead (Wu et al., 2024, section 3.2 and supplement A.2): what the person does,
which emotions show, how the face moves, how the head moves, and three situations that would explain it. The summary
and the questions are ours. `Annotations` refuses texts that break a limit, so what a person, a program or a language
model wrote is held to the same; `annotate` writes all of them for a timeline.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from facelm.describe.actions import actions_of, say_action
from facelm.describe.feelings import Feeling, feelings_of, say_feelings
from facelm.describe.labels import NEUTRAL, Labels
from facelm.describe.limits import LIMITS, SCENARIOS, Question, check
from facelm.describe.moments import moments
from facelm.describe.narration import Narrator, Persona
from facelm.describe.questions import questions
from facelm.describe.scenarios import scenarios
from facelm.describe.timeline import Timeline
from facelm.errors import FacelmError

__all__ = ["LIMITS", "SCENARIOS", "Annotations", "Question", "annotate", "check"]

JOINED = ("action", "emotion", "scenarios", "head_pose", "expression")


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


def annotate(timeline: Timeline, rng: random.Random, labels: Labels | None = None) -> Annotations:
    """Annotations of what a timeline shows; the same `rng` gives the same words.

    Args:
        timeline: what the motion shows, see `facelm.describe.timeline`.
        rng: source of all draws, also of "she", "he" or "the person", which say nothing about who moves.
        labels: what the data set says; its actions and emotions win over what is measured.
    """
    labels = labels or Labels()
    persona = Persona.draw(rng)
    feelings = feelings_of(timeline, labels)
    actions = actions_of(timeline, labels.actions)
    expression = Narrator(timeline, persona, rng).tell(moments(timeline, head=False), LIMITS["expression"], head=False)
    head_pose = Narrator(timeline, persona, rng).tell(moments(timeline, head=True), LIMITS["head_pose"], head=True)
    return Annotations(
        action=_action(actions, persona, rng),
        emotion=say_feelings(feelings, persona, rng),
        expression=expression,
        head_pose=head_pose,
        scenarios=scenarios([feeling.name for feeling in feelings], "talk" in actions, rng),
        summary=_summary(actions, feelings, persona, rng),
        questions=questions(timeline, feelings, rng),
    )


_ACTION_FORMS = {  # by how many actions there are
    1: ("{S} {a}.", "{S} {a}.", "{S} {a} {t}.", "What {s} does is simple: {s} {a}."),
    2: (
        "{S} {a} and {b}.",
        "{S} {a}, then {b}.",
        "{S} {a} and then {b}.",
        "{S} {a} before {s} {b}.",
        "First {s} {a}, then {s} {b}.",
        "{S} {a} and after that {b}.",
        "{S} {a}, and a little later {b}.",
        "As {s} {a}, {s} also {b}.",
    ),
    3: (
        "{S} {a}, {b} and {c}.",
        "{S} {a}, then {b} and finally {c}.",
        "First {s} {a}, then {b}, and in the end {c}.",
        "{S} {a} and {b} before {s} {c}.",
        "{S} {a}, {b}, and then {c}.",
        "At first {s} {a}; after that {s} {b} and {c}.",
    ),
    4: (
        "{S} {a}, {b}, {c} and {d}.",
        "{S} {a} and {b}, then {c} and {d}.",
        "First {s} {a} and {b}, then {c}, and at last {d}.",
        "{S} {a}, then {b}, {c} and in the end {d}.",
    ),
}


def _action(actions: Sequence[str], persona: Persona, rng: random.Random) -> str:
    """One sentence; the last actions are left out where there is no room."""
    for count in range(min(len(actions), len(_ACTION_FORMS)), 0, -1):
        said = [say_action(action, rng) for action in actions[:count]]
        words = dict(zip("abcd", said, strict=False)) | {"t": rng.choice(("for a while", "in this clip", "all along"))}
        text = _about(persona, rng.choice(_ACTION_FORMS[count]), **words)
        if not check("action", text):
            return text
    return f"{_capital(persona.first)} moves."


_SUMMARIES = (
    "{S} {does}, looking {adj}.",
    "{S} {does} with {a_adj} look.",
    "Looking {adj}, {s} {does}.",
    "{A_adj} face: {s} {does}.",
    "{S} {does} and looks {adj}.",
    "With {a_adj} expression, {s} {does}.",
)


def _summary(actions: Sequence[str], feelings: Sequence[Feeling], persona: Persona, rng: random.Random) -> str:
    """One line: what the person does and how the person looks."""
    does = " and ".join(say_action(action, rng) for action in actions[:2])
    told = feelings or [Feeling(NEUTRAL)]
    adjectives = [rng.choice(feeling.adjectives) for feeling in (told[0], told[-1])[: len(told)]]
    if len(adjectives) == 2:
        text = f"{persona.first} {does}, looking {adjectives[0]} at first and {adjectives[1]} later."
    else:
        adjective = adjectives[0]
        article = "an" if adjective[0] in "aeiou" else "a"
        text = _about(
            persona,
            rng.choice(_SUMMARIES),
            does=does,
            adj=adjective,
            a_adj=f"{article} {adjective}",
            A_adj=f"{article.capitalize()} {adjective}",
        )
    return _capital(text) if not check("summary", text) else _action(actions, persona, rng)


def _about(persona: Persona, template: str, **words: str) -> str:
    """The template filled: {S} or else the first {s} is the person as first named, later ones as named afterwards."""
    if "{S}" not in template:
        template = template.replace("{s}", persona.first, 1)
    return template.format(S=_capital(persona.first), s=persona.later, **words)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
