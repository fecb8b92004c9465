"""The clips a benchmark asks for: rows of a corpus, drawn so that everybody who scores it gets the same ones."""

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelm.corpus import load_corpus
from facelm.corpus.schema import motion
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.motion import FaceMotion

LENGTHS = ((2.0, "under 2 s"), (4.0, "2 to 4 s"), (8.0, "4 to 8 s"))
LONGEST = "8 s and more"


@dataclass(frozen=True)
class Clip:
    """A clip of a corpus with the words it is asked for.

    Attributes:
        id, category, transcript: as in the corpus.
        motion: the reference.
        plan: what happens in it.
        prompt: one of the row's prompts; "" where it has none.
        captions: all of the row's; questions: (question, answer) pairs.
        audio: the bytes of a sound file, or None.
    """

    id: str
    category: str
    motion: FaceMotion
    plan: Plan
    prompt: str
    captions: tuple[str, ...] = ()
    questions: tuple[tuple[str, str], ...] = ()
    transcript: str = ""
    audio: bytes | None = None

    @property
    def emotion(self) -> str:
        """The first emotion of the plan; "none" where it names none."""
        named = (item.name for phase in self.plan.phases for item in phase.items if item.kind == "emotion")
        return next(named, "none")

    @property
    def length(self) -> str:
        """How long it is, in words."""
        return next((words for most, words in LENGTHS if self.motion.seconds < most), LONGEST)

    def sound(self) -> tuple[np.ndarray, int]:
        """(samples (N,) mono float32, samples/s). Raises FacelmError where there is none, or it cannot be read."""
        import soundfile

        if self.audio is None:
            raise FacelmError(f"clip {self.id} has no audio; build the corpus with its sound files")
        try:
            samples, rate = soundfile.read(io.BytesIO(self.audio), dtype="float32", always_2d=True)
        except (RuntimeError, OSError) as error:
            raise FacelmError(f"the audio of clip {self.id} cannot be read ({error}); build the corpus anew") from error
        return samples.mean(1), int(rate)


def choose(folder: str | Path, split: str = "test", count: int | None = None, seed: int = 0) -> list[Clip]:
    """Clips of a corpus split: the same for every seed, spread evenly over its categories.

    Args:
        count: how many; None, or more than there are: all of them.
        seed: of the choice among a clip's prompts.

    Raises FacelmError when the split is missing, count is under 2, or a row is damaged.
    """
    if count is not None and count < 2:
        raise FacelmError(f"--prompts {count}: score at least 2 clips")
    rows = load_corpus(folder, split)
    rng = random.Random(seed)
    return [_clip(row, rng) for row in spread(rows, len(rows) if count is None else count)]


def spread(dataset: Any, count: int) -> list[dict[str, Any]]:
    """`count` rows, the same number of each category (as far as there are that many)."""
    by_category: dict[str, list[int]] = {}
    for index, category in enumerate(dataset["category"]):
        by_category.setdefault(category, []).append(index)
    taken: list[int] = []
    turn = 0
    while len(taken) < min(count, len(dataset)):
        taken += [indices[turn] for indices in by_category.values() if turn < len(indices)]
        turn += 1
    return [dataset[index] for index in sorted(taken[:count])]


def deal(count: int, rng: random.Random) -> list[int]:
    """A random permutation of range(count) that leaves nothing in its place (of 2 and more)."""
    order = list(range(count))
    rng.shuffle(order)
    dealt = [0] * count
    for place, taken in zip(order, order[1:] + order[:1], strict=True):
        dealt[place] = taken
    return dealt


def contents(clips: Sequence[Clip]) -> list[str]:
    """What each clip shows, in words that are equal for clips that show the same."""
    from facelm.evaluate.judge.pairs import content  # with torch, which a template of prompts can do without

    return [content(clip.plan.text(), clip.captions[0] if clip.captions else "") for clip in clips]


def groups(clips: Sequence[Clip]) -> dict[str, dict[str, list[int]]]:
    """Places of clips by group, by what they are grouped by; groupings with a single group are left out."""
    found: dict[str, dict[str, list[int]]] = {}
    for what in ("category", "emotion", "length"):
        members: dict[str, list[int]] = {}
        for index, clip in enumerate(clips):
            members.setdefault(getattr(clip, what) or "none", []).append(index)
        if len(members) > 1:
            found[what] = dict(sorted(members.items(), key=lambda item: _order(what, item[0], clips)))
    return found


def _order(what: str, name: str, clips: Sequence[Clip]) -> tuple[int, str]:
    known = [words for _, words in LENGTHS] + [LONGEST] if what == "length" else []
    if what == "category":
        known = list(dict.fromkeys(clip.category for clip in clips))
    return (known.index(name), "") if name in known else (len(known), name)


def _clip(row: Mapping[str, Any], rng: random.Random) -> Clip:
    try:
        plan = Plan.parse(row["plan"])
    except FacelmError as error:
        raise FacelmError(f"corpus row {row['id']}: {error}") from error
    prompts, audio = row["prompts"] or [], row["audio"] or {}
    return Clip(
        row["id"],
        row["category"] or "",
        motion(row),
        plan,
        rng.choice(prompts) if prompts else "",
        tuple(row["captions"] or ()),
        tuple((pair["question"], pair["answer"]) for pair in row["questions"] or ()),
        row["transcript"] or "",
        audio.get("bytes"),
    )
