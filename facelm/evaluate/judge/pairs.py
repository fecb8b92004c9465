"""What judges learn from and are tested on: clips of a corpus with their texts, windows of talking with their sound."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from facelm.corpus.schema import motion
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.evaluate.judge.sound import RATE
from facelm.evaluate.judge.words import split
from facelm.motion import FaceMotion

COLUMNS = ["id", "seconds", "fps", "layout", "values", "plan", "prompts", "captions"]
SOUND_COLUMNS = ["id", "seconds", "fps", "layout", "values", "take", "begin", "audio"]


@dataclass(frozen=True)
class Clip:
    """A motion with texts that tell it.

    prompts, captions: wishes and descriptions. content: clips of equal content show the same, so that one's texts
    are as right for the other; see `content`.
    """

    id: str
    motion: FaceMotion
    prompts: tuple[str, ...]
    captions: tuple[str, ...]
    plan: str
    content: str


def clips(rows: Any) -> list[Clip]:
    """The clips of corpus rows that have a prompt and a caption. Raises FacelmError naming a row that is damaged."""
    found = []
    for row in rows.select_columns(COLUMNS):
        prompts, captions = (tuple(t for t in row[kind] or () if t.strip()) for kind in ("prompts", "captions"))
        if prompts and captions:
            plan = row["plan"] or ""
            found.append(Clip(row["id"], motion(row), prompts, captions, plan, content(plan, captions[0])))
    return found


def content(plan: str, caption: str) -> str:
    """What a clip shows, in words that are equal for clips that show the same.

    The plan without its times, the things of a phase in alphabetical order; where the plan says nothing (a clip in
    which no fact was measured, or none at all), the words of a caption.
    """
    try:
        phases = Plan.parse(plan).phases
    except FacelmError:
        phases = ()
    told = [", ".join(sorted(item.text() for item in phase.items)) for phase in phases]
    return "; ".join(told) if any(told) else " ".join(split(caption))


# ---------------------------------------------------------------- talking


@dataclass(frozen=True, eq=False)
class Talk:
    """An unbroken stretch of talking: a motion and its sound, which begin together. samples: float32 (N,), 16 kHz."""

    take: str
    motion: FaceMotion
    samples: np.ndarray = field(repr=False)

    def window(self, start: float, seconds: float) -> "Talk":
        """The part from `start` seconds on, whole frames."""
        part = self.motion.crop(start, start + seconds)
        first = round(start * self.motion.fps) / self.motion.fps
        samples = self.samples[round(first * RATE) : round((first + part.seconds) * RATE)]
        return Talk(self.take, part, samples)

    @property
    def seconds(self) -> float:
        """How long there are both."""
        return min(self.motion.seconds, len(self.samples) / RATE)


def talks(rows: Any) -> list[Talk]:
    """The talking in corpus rows; clips of a take that follow each other without a gap are joined again.

    Raises FacelmError when no row has sound.
    """
    import soundfile

    found: list[Talk] = []
    table = rows.select_columns(SOUND_COLUMNS)
    heard = [row for row in table if row["audio"] and row["audio"]["bytes"]]
    if not heard:
        raise FacelmError("no clip of the corpus has sound; build one of takes with sound (facelm corpus build)")
    heard.sort(key=lambda row: (row["take"], row["begin"]))
    for take, group in groupby(heard, key=lambda row: row["take"]):
        parts: list[tuple[FaceMotion, np.ndarray]] = []
        end = None
        for row in group:
            samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
            if rate != RATE or samples.ndim != 1:
                raise FacelmError(
                    f"the sound of corpus row {row['id']} is not mono at {RATE} Hz; build the corpus anew"
                )
            if parts and abs(row["begin"] - end) > 0.5 / row["fps"]:
                found.append(_joined(take, parts))
                parts = []
            parts.append((motion(row), samples))
            end = row["begin"] + row["seconds"]
        found.append(_joined(take, parts))
    return found


def _joined(take: str, parts: Sequence[tuple[FaceMotion, np.ndarray]]) -> Talk:
    return Talk(take, FaceMotion.concatenate([m for m, _ in parts]), np.concatenate([s for _, s in parts]))


def split_tail(found: Sequence[Talk], tail: float) -> tuple[list[Talk], list[Talk]]:
    """The beginnings of talks and their last `tail` shares: training and test where there are few talkers or takes."""
    cuts = [(talk, round((1 - tail) * talk.seconds, 2)) for talk in found]
    return (
        [talk.window(0, cut) for talk, cut in cuts],
        [talk.window(cut, talk.seconds - cut) for talk, cut in cuts],
    )


def windows(found: Sequence[Talk], seconds: float, hop: float) -> list[Talk]:
    """Windows of `seconds` every `hop` seconds, whole ones only."""
    return [
        talk.window(start, seconds)
        for talk in found
        for start in np.arange(0, talk.seconds - seconds + 1e-6, hop).tolist()
    ]
