"""Ratings by a language model that reads the prompt and the facts measured on the motion (METRICS: LLM judge).

    judge = LlmJudge("my-model", cache="outputs/ratings.sqlite")    # OPENAI_BASE_URL, OPENAI_API_KEY
    judge.judge(prompts, motions, references)                       # "LLM emotion", "LLM motion", "LLM intensity"

As papers let a language model compare captions, with prompts of our own (llm_judge.yaml). The model sees no motion: it
can be no better than the facts, and what it thinks of them differs from model to model and from month to month. So
every score tells the model, the version of the prompt and the dates of the ratings, and none is comparable with another
model's. Ratings are stored with their date and asked for once.
"""

import datetime
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path
from typing import Any

import yaml

from facelm.describe.annotator import notes
from facelm.describe.timeline import timeline
from facelm.endpoint import Asker, Endpoint, Messages, Unusable, json_object
from facelm.errors import FacelmError
from facelm.evaluate.score import Score, Tally
from facelm.motion import FaceMotion

PROMPTS = Path(__file__).with_name("llm_judge.yaml")
ASPECTS = ("emotion", "motion", "intensity")
WORST, BEST = 1, 5


@dataclass(frozen=True)
class Rating:
    """1 to 5 for each aspect, the model's reason, and the day it was given."""

    emotion: int
    motion: int
    intensity: int
    reason: str
    date: str


@dataclass(frozen=True)
class NotRated:
    """A clip without ratings, and why, in one sentence."""

    reason: str


class LlmJudge:
    """Asks a model for ratings; arguments and errors are those of `facelm.endpoint.Endpoint`."""

    def __init__(
        self, model: str, cache: str | os.PathLike[str], concurrency: int = 8, timeout: float = 60.0, retries: int = 6
    ) -> None:
        self.endpoint = Endpoint(model, cache, concurrency, timeout, retries)

    def judge(
        self,
        prompts: Sequence[str],
        motions: Sequence[FaceMotion],
        references: Sequence[FaceMotion] | None = None,
    ) -> dict[str, Score]:
        """Mean ratings as scores; see `rate`. What could not be rated is left out and counted in the note."""
        return self.scores(self.rate(prompts, motions, references))

    def rate(
        self,
        prompts: Sequence[str],
        motions: Sequence[FaceMotion],
        references: Sequence[FaceMotion] | None = None,
    ) -> list[Rating | NotRated]:
        """The ratings of each clip, in order.

        references: motions that do what the prompts ask, whose facts are shown as examples.
        Raises FacelmError when the counts differ or nothing will work: the endpoint cannot be reached, refuses the key
        or does not know the model. Ratings given until then are kept.
        """
        if len(prompts) != len(motions) or (references is not None and len(references) != len(motions)):
            counts = f"{len(prompts)} prompts, {len(motions)} motions" + (
                f" and {len(references)} references" if references is not None else ""
            )
            raise FacelmError(f"{counts}; the judge needs one of each")
        clips = (
            (i, _messages(prompt, motions[i], references[i] if references is not None else None))
            for i, prompt in enumerate(prompts)
            if prompt.strip()
        )
        found = dict(self.endpoint.each(clips, _rate))
        return [found.get(i, NotRated("the prompt is empty")) for i in range(len(prompts))]

    def scores(self, ratings: Iterable[Rating | NotRated]) -> dict[str, Score]:
        """Mean of each aspect with its interval over clips."""
        ratings = list(ratings)
        given = [rating for rating in ratings if isinstance(rating, Rating)]
        note = f"{self.endpoint.model}, prompt version {_prompts()['version']}"
        if given:
            dates = sorted({rating.date for rating in given})
            note += f", rated {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "")
        lacking = [rating.reason for rating in ratings if isinstance(rating, NotRated)]
        if lacking:
            note += f"; {len(lacking)} of {len(ratings)} clips not rated, first because {lacking[0]}"
        found = {}
        for aspect in ASPECTS:
            tally = Tally()
            for rating in given:
                tally.add(getattr(rating, aspect))
            name, formula = f"LLM {aspect}", f"mean rating of {aspect} by a language model, {WORST} to {BEST}"
            found[name] = tally.score(name, "1", formula, note=note)
        return found


async def _rate(asker: Asker, clip: tuple[int, Messages]) -> tuple[int, Rating | NotRated]:
    number, messages = clip
    try:
        return number, Rating(**await asker.ask(messages, parse, _prompts()["again"], "the rating"))
    except Unusable as error:
        return number, NotRated(str(error))


def parse(reply: str) -> dict[str, Any]:
    """The fields of a `Rating` in a model's reply. Raises FacelmError that says what is wrong with it."""
    data = json_object(reply)
    rating: dict[str, Any] = {}
    for aspect in ASPECTS:
        value = data.get(aspect)
        if isinstance(value, bool) or not isinstance(value, int) or not WORST <= value <= BEST:
            raise FacelmError(f'"{aspect}" must be a whole number from {WORST} to {BEST}, not {value!r:.40}')
        rating[aspect] = value
    reason = data.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise FacelmError('"reason" must be a short sentence')
    return {**rating, "reason": " ".join(reason.split()), "date": datetime.date.today().isoformat()}


@remembered
def _prompts() -> dict[str, Any]:
    return dict(yaml.safe_load(PROMPTS.read_text(encoding="utf-8")))


def _messages(prompt: str, made: FaceMotion, reference: FaceMotion | None) -> Messages:
    texts = _prompts()
    example = texts["reference"].format(facts=notes(timeline(reference))) if reference is not None else ""
    ask = texts["ask"].format(prompt=" ".join(prompt.split()), made=notes(timeline(made)), reference=example)
    return [{"role": "system", "content": texts["system"].strip()}, {"role": "user", "content": ask.strip()}]
