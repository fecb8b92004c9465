"""Annotations written by a language model behind any OpenAI-compatible endpoint.

    annotator = Annotator("my-model", cache="outputs/annotator.sqlite")   # OPENAI_BASE_URL, OPENAI_API_KEY
    for name, result in annotator.annotate(clips): ...

One question a kind, as in MMHead (supplement A.2: asked separately, faces and heads come out better), with prompts of
our own (annotator_prompts.yaml). Answers are held to the limits of annotations.py and asked for again when they break
them. Every good answer is stored at once under a hash of what was asked, so a run that was stopped goes on where it was
and asks nothing twice. What is sent are measured facts and labels, never motion, sound or names of people.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache as remembered
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from facelm.describe.annotations import SCENARIOS, Annotations, Question, check
from facelm.describe.facts import Fact
from facelm.describe.labels import Labels
from facelm.describe.timeline import Event, Timeline
from facelm.describe.units import UNITS
from facelm.endpoint import Asker, Endpoint, Messages, Unusable, json_object
from facelm.errors import FacelmError

PROMPTS = Path(__file__).with_name("annotator_prompts.yaml")
KINDS = ("action", "emotion", "expression", "head_pose", "scenarios", "summary", "questions")
QUESTIONS = 3
CHARACTERS_A_TOKEN = 4.0  # of English, about
ANSWER_TOKENS = {"action": 35, "emotion": 20, "expression": 120, "head_pose": 80, "scenarios": 70, "summary": 40}
ANSWER_TOKENS["questions"] = 110


@dataclass(frozen=True)
class Clip:
    """What is told about a clip: its name in the results, its facts, and the labels it came with."""

    name: str
    timeline: Timeline
    labels: Labels = Labels()


@dataclass(frozen=True)
class Failure:
    """A clip that has no annotations, and why, in one sentence."""

    reason: str


@dataclass(frozen=True)
class Estimate:
    """What a run would ask for: clips, requests not answered yet, and about how many tokens go in and come out."""

    clips: int
    requests: int
    tokens_in: int
    tokens_out: int

    def cost(self, price_in: float, price_out: float) -> float:
        """In the currency of the prices, which are for a million tokens."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6


class Annotator:
    """Asks a model for annotations; arguments and errors are those of `facelm.endpoint.Endpoint`."""

    def __init__(
        self, model: str, cache: str | os.PathLike[str], concurrency: int = 8, timeout: float = 60.0, retries: int = 6
    ) -> None:
        self.endpoint = Endpoint(model, cache, concurrency, timeout, retries)

    def estimate(self, clips: Iterable[Clip]) -> Estimate:
        """What `annotate` would still ask for; nothing is sent. Answers that build on others count as unknown."""
        count, asked, tokens_in, tokens_out = 0, 0, 0, 0
        stand_in = {kind: "x" * int(ANSWER_TOKENS[kind] * CHARACTERS_A_TOKEN) for kind in KINDS}
        for clip in clips:
            count += 1
            known: dict[str, Any] = {}
            for kind in KINDS:
                after = _prompts()["kinds"][kind].get("after", ())
                messages = _messages(kind, clip, {**stand_in, **known})
                answer = self.endpoint.stored(messages) if all(name in known for name in after) else None
                if answer is not None:
                    known[kind] = answer
                    continue
                asked += 1
                tokens_in += int(sum(len(message["content"]) for message in messages) / CHARACTERS_A_TOKEN)
                tokens_out += ANSWER_TOKENS[kind]
        return Estimate(count, asked, tokens_in, tokens_out)

    def annotate(self, clips: Iterable[Clip]) -> Iterator[tuple[str, Annotations | Failure]]:
        """The annotations of each clip by name, as they are completed; a clip whose texts stay wrong is a Failure.

        Clips are read as they are needed. Raises FacelmError when nothing will work: the endpoint cannot be reached,
        refuses the key or does not know the model. What was answered until then is kept.
        """
        return self.endpoint.each(clips, _annotate)


async def _annotate(asker: Asker, clip: Clip) -> tuple[str, Annotations | Failure]:
    known: dict[str, Any] = {}
    kinds = _prompts()["kinds"]
    first = [kind for kind in KINDS if "after" not in kinds[kind]]
    try:
        for stage in (first, [kind for kind in KINDS if kind not in first]):
            answers = await asyncio.gather(*(_answer(asker, kind, clip, dict(known)) for kind in stage))
            known.update(zip(stage, answers, strict=True))
        questions = tuple(Question(q["question"], q["answer"]) for q in known.pop("questions"))
        return clip.name, Annotations(**{**known, "scenarios": tuple(known["scenarios"])}, questions=questions)
    except Unusable as error:
        return clip.name, Failure(f"{clip.name}: {error}")


async def _answer(asker: Asker, kind: str, clip: Clip, known: dict[str, Any]) -> Any:
    """One text that keeps its limits."""
    return await asker.ask(_messages(kind, clip, known), partial(parse, kind), _prompts()["again"], kind)


def parse(kind: str, reply: str) -> Any:
    """The text, the three scenarios, or the questions in a model's reply of that kind.

    A Markdown fence around the JSON is taken off. Raises FacelmError that says what is wrong with the reply.
    """
    data = json_object(reply)
    key = kind if kind in ("scenarios", "questions") else "text"
    value = data.get(key)
    if value is None:
        raise FacelmError(f'the JSON object has no "{key}"')
    if kind == "questions":
        pairs = [
            {"question": " ".join(q["question"].split()), "answer": " ".join(q["answer"].split())}
            for q in (value if isinstance(value, list) else [])
            if isinstance(q, dict) and isinstance(q.get("question"), str) and isinstance(q.get("answer"), str)
        ]
        if len(pairs) < QUESTIONS or not all(q["question"] and q["answer"] for q in pairs):
            raise FacelmError(f'"questions" must be a list of {QUESTIONS} objects with "question" and "answer"')
        return pairs[:QUESTIONS]
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts) or (kind == "scenarios") != isinstance(value, list):
        raise FacelmError(f'"{key}" must be ' + ("a list of texts" if kind == "scenarios" else "a text"))
    if kind == "scenarios" and len(texts) != SCENARIOS:
        raise FacelmError(f'"scenarios" has {len(texts)} texts; {SCENARIOS} are needed')
    texts = [" ".join(text.split()) for text in texts]
    if wrong := [sentence for text in texts for sentence in check(kind, text)]:
        raise FacelmError("; ".join(wrong))
    return texts if kind == "scenarios" else texts[0]


# ---------------------------------------------------------------- what is asked


@remembered
def _prompts() -> dict[str, Any]:
    return dict(yaml.safe_load(PROMPTS.read_text(encoding="utf-8")))


def _messages(kind: str, clip: Clip, known: dict[str, Any]) -> Messages:
    ask = _prompts()["kinds"][kind]["ask"].format(
        labels=_labels(clip.labels), facts=notes(clip.timeline), head=notes(clip.timeline, head=True), **known
    )
    return [{"role": "system", "content": _prompts()["system"].strip()}, {"role": "user", "content": ask.strip()}]


def _labels(labels: Labels) -> str:
    told = []
    if labels.actions:
        told.append(f"Deeds: {', '.join(action.replace('_', ' ') for action in labels.actions)}.")
    if labels.emotions:
        strength = f" ({labels.intensity.replace('_', ' ')})" if labels.intensity else ""
        told.append(f"Emotions in order: {', '.join(labels.emotions)}{strength}.")
    if labels.transcript:
        told.append(f"What is said: {labels.transcript}")
    return "\n".join(told) or "Nothing is listed for this recording."


def notes(timeline: Timeline, head: bool = False) -> str:
    """The facts of a clip in lines for a language model: what, how strong (0 to 1; head: radians), and when.

    head: the movements of the head alone; otherwise everything, those of the head too.
    """
    lines = [f"Length {timeline.seconds:.1f} s."]
    if not head:
        lines += [f"{begin:.1f}-{end:.1f} s: talks" for begin, end in timeline.talking]
        lines += [f"{span.begin:.1f}-{span.end:.1f} s: looks {span.name}" for span in timeline.emotions]
        lines += [_line(event) for event in timeline.expressive]
    else:
        lines += [_line(event) for event in timeline.events if event.fact.name.startswith("head")]
    return "\n".join(lines) if len(lines) > 1 else f"{lines[0]} Nothing moves."


def _line(event: Event) -> str:
    strength = f"{event.intensity:.2f}{' rad' if event.fact.name.startswith('head') else ''}"
    return f"{event.onset:.1f}-{event.offset:.1f} s: {_words(event.fact)} {strength}, most at {event.apex:.1f} s"


def _words(fact: Fact) -> str:
    both = fact.name in UNITS and fact.side == "both"
    return f"{fact.words} on both sides" if both else fact.words
