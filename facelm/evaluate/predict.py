"""A model's answers for the clips of a benchmark, by one process or shared out to several.

Clips go through the model in batches that do not depend on the number of processes, so several find what one finds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from facelm.errors import FacelmError
from facelm.evaluate.clips import Clip
from facelm.evaluate.predictions import Predictions
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from facelm.agent import FaceLM

BATCH = 25
SAMPLED_CLIPS = 100  # at most so many prompts are drawn again and again
Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Share:
    """The share of one process in the work: batches number `rank`, `rank + processes` …

    gather: brings the lists of all processes together, in every process.
    progress: called with the number of answers just made.
    """

    rank: int = 0
    processes: int = 1
    gather: Callable[[list[Any]], list[Any]] = lambda parts: parts
    progress: Callable[[int], None] = lambda done: None

    def spread(self, items: Sequence[Item], work: Callable[[Sequence[Item], int], Sequence[Answer]]) -> list[Answer]:
        """`work(batch, first)` of every batch of the items, where `first` is the place of its first; in order."""
        own: list[tuple[int, Sequence[Answer]]] = []
        for number, first in enumerate(range(0, len(items), BATCH)):
            if number % self.processes == self.rank:
                batch = items[first : first + BATCH]
                own.append((first, work(batch, first)))
                self.progress(len(batch))
        return [answer for _, answers in sorted(self.gather(own), key=lambda part: part[0]) for answer in answers]


def animate(
    lm: "FaceLM",
    clips: Sequence[Clip],
    seed: int = 0,
    candidates: int = 1,
    samples: int = 0,
    share: Share | None = None,
) -> Predictions:
    """A motion for each clip's prompt; clips without one get none.

    Args:
        seed: clip i draws with seed + i * candidates.
        candidates: draws of which the one that fits its own plan best is kept.
        samples: further motions for the prompts of the first clips (at most 100), each of other draws.
    """
    share = share or Share()
    asked = [index for index, clip in enumerate(clips) if clip.prompt.strip()]

    def draw(seed: int, places: Sequence[int]) -> list[FaceMotion]:
        texts = [clips[place].prompt for place in places]
        return share.spread(
            texts,
            lambda batch, first: lm.animate_batch(batch, seed=seed + first * candidates, candidates=candidates),
        )

    motions: list[FaceMotion | None] = [None] * len(clips)
    for place, shown in zip(asked, draw(seed, asked), strict=True):
        motions[place] = shown
    found = Predictions(motions=motions)
    sampled = asked[:SAMPLED_CLIPS]
    for number in range(samples):
        for place, shown in zip(sampled, draw(seed + (number + 1) * len(clips) * candidates, sampled), strict=True):
            found.samples.setdefault(place, []).append(shown)
    return found


def describe(lm: "FaceLM", clips: Sequence[Clip], share: Share | None = None) -> Predictions:
    """A caption of each clip's motion; clips the model cannot hear (too long for its context) get none."""
    captions = (share or Share()).spread(
        [clip.motion for clip in clips], lambda batch, first: _heard(batch, lm.describe_batch)
    )
    return Predictions(captions=list(captions))


def answer(lm: "FaceLM", clips: Sequence[Clip], share: Share | None = None) -> Predictions:
    """An answer to each question about each clip; clips the model cannot hear get none."""
    asked = [(place, number) for place, clip in enumerate(clips) for number in range(len(clip.questions))]
    asked.sort(key=lambda pair: clips[pair[0]].questions[pair[1]][0])  # what is asked alike goes together

    def work(batch: Sequence[tuple[int, int]], first: int) -> list[str | None]:
        answers: list[str | None] = []
        while len(answers) < len(batch):
            rest = batch[len(answers) :]
            question = clips[rest[0][0]].questions[rest[0][1]][0]
            alike = [place for place, number in rest if clips[place].questions[number][0] == question]
            motions = [clips[place].motion for place in alike]
            answers += _heard(motions, lambda some: lm.describe_batch(some, question))  # noqa: B023
        return answers

    given = dict(zip(asked, (share or Share()).spread(asked, work), strict=True))
    answers: list[tuple[str, ...] | None] = []
    for place, clip in enumerate(clips):
        own = [given[place, number] for number in range(len(clip.questions))]
        answers.append(None if any(reply is None for reply in own) else tuple(reply or "" for reply in own))
    return Predictions(answers=answers)


def rebuild(tokenizer: Any, clips: Sequence[Clip]) -> list[FaceMotion]:
    """The clips' motions, encoded and decoded by a motion tokenizer."""
    rebuilt: list[FaceMotion] = []
    for first in range(0, len(clips), 100):
        motions = [clip.motion for clip in clips[first : first + 100]]
        rebuilt += tokenizer.decode_batch(tokenizer.encode_batch(motions))
    return rebuilt


def _heard(motions: Sequence[FaceMotion], ask: Callable[[Sequence[FaceMotion]], list[str]]) -> list[str | None]:
    try:
        return list(ask(motions))
    except FacelmError:
        if len(motions) == 1:
            return [None]
    return [answer for shown in motions for answer in _heard([shown], ask)]
