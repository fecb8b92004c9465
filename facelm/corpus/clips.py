"""A take as clips: cleaned, in the working layout and rate, cut where the face is quiet, put into words.

No frame is lost or doubled: the clips of a take, one after the other, are the take (at 25 fps, without its holes).
"""

import io
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
import soundfile
from scipy.ndimage import uniform_filter1d
from scipy.signal import resample_poly

from facelm.corpus.readers import Take, load_sound_of, load_take
from facelm.corpus.schema import fact_rows
from facelm.describe.annotations import annotate
from facelm.describe.captions import Wording
from facelm.describe.labels import Labels
from facelm.describe.observe import observe
from facelm.describe.plan import Plan
from facelm.describe.requests import captions, prompts
from facelm.describe.tracks import resting
from facelm.motion import FaceMotion
from facelm.motion.clean import clean
from facelm.motion.layout import ARKIT
from facelm.motion.retarget import LinearMap

FPS = 25
STEP = 4  # frames of a token step: all clips of a take but its last are whole steps
SHORTEST = 24  # frames of a clip
RATE = 16_000  # samples/s of the sound
WORDINGS = 6  # prompts and captions a clip, beside the user's own
CLIP_COST = 1.0  # of one more clip, where 1 is the cost of a cut in the middle of average movement
BLINK_COST = 8.0  # of a cut through closed eyes


@dataclass(frozen=True)
class Piece:
    """An unbroken stretch of a take: seconds from the take's start, and the motion at 25 fps."""

    begin: float
    motion: FaceMotion


def pieces(take: Take, cleaned: bool = True, mapping: LinearMap | None = None) -> tuple[list[Piece], tuple[str, ...]]:
    """The stretches of a take between its holes, and what its file's report notes.

    Args:
        take: of a reader.
        cleaned: clean them (motion/clean.py).
        mapping: carries takes in FLAME layouts to arkit (or arkit to FLAME); without one they stay as they are.

    Raises:
        FacelmError: naming file and row or frame.
    """
    motion, report = load_take(take)
    start = motion.start or Fraction(0)
    motion = FaceMotion(motion.values, motion.rate, motion.layout, motion.identity, start, motion.metadata)
    found = clean(motion, holes=report.holes)[0] if cleaned else [motion]
    begins = [float(((piece.start or 0) - start) % 86400) for piece in found]
    return [Piece(b, _working(piece, mapping)) for b, piece in zip(begins, found, strict=True)], report.notes


def _working(motion: FaceMotion, mapping: LinearMap | None) -> FaceMotion:
    if mapping is not None and mapping.source.is_flame == motion.layout.is_flame:
        motion = mapping.apply(motion)
    if not motion.layout.is_flame:
        motion = motion.to(ARKIT)
    return motion.resample(FPS)


def cut(motion: FaceMotion, seconds: float) -> list[tuple[int, int]]:
    """Frame ranges of clips of at most `seconds`, about as few as possible, cut where the face is quiet.

    Cuts fall on whole token steps. The sum of what moves at the cuts is the least there is (dynamic programming): a cut
    through a blink costs most.

    Args:
        motion: at 25 fps.
        seconds: of the longest clip, at least 2.

    Returns:
        (first, end) in order, without gaps, from 0 to the last frame.
    """
    frames, longest = len(motion), max(2 * SHORTEST, int(seconds * FPS) // STEP * STEP)
    if frames <= longest:
        return [(0, frames)]
    cost = _cut_cost(motion)
    places = np.append(np.arange(0, frames, STEP), frames)
    total = np.full(len(places), np.inf)
    came_from = np.zeros(len(places), np.int64)
    total[0] = 0.0
    for index in range(1, len(places)):
        first, last = np.searchsorted(places, [places[index] - longest, places[index] - SHORTEST], side="left")
        last = min(last + (places[min(last, index)] == places[index] - SHORTEST), index)
        if last <= first:
            continue
        best = first + int(total[first:last].argmin())
        total[index] = total[best] + CLIP_COST + (cost[places[index]] if places[index] < frames else 0.0)
        came_from[index] = best
    ends = [len(places) - 1]
    while ends[-1]:
        ends.append(int(came_from[ends[-1]]))
    borders = [int(places[index]) for index in reversed(ends)]
    return list(zip(borders, borders[1:], strict=False))


def _cut_cost(motion: FaceMotion) -> np.ndarray:
    """What a cut before each frame costs, (T,): movement there over the mean movement, and closed eyes."""
    speed = np.abs(np.diff(motion.values, axis=0, prepend=motion.values[:1])).sum(axis=1)
    speed = uniform_filter1d(speed.astype(float), 3)
    cost = speed / max(float(speed.mean()), 1e-6)
    lids = [name for name in motion.layout.names if name.startswith(("eyeBlink", "eyelid"))]
    if lids:
        closed = motion.values[:, motion.layout.indices(lids)].max(axis=1)
        cost += BLINK_COST * np.maximum(closed, np.roll(closed, 1)).clip(0, 1)
    return cost


def rows(
    take: Take, found: list[Piece], name: str, dataset: str, weight: float, seconds: float, seed: int
) -> Iterator[dict[str, Any]]:
    """The corpus rows of a take's pieces; the same arguments give the same rows.

    What the data set says of the whole take is kept where it holds for a part as well: the user's texts stand with
    every clip, before ours; a transcript, annotations, and labels of which there are several, only with a take that is
    one clip, as nobody knows which clip they fall into.
    """
    rest = resting(*(piece.motion for piece in found))
    clips = [(piece, first, end) for piece in found for first, end in cut(piece.motion, seconds)]
    if len(clips) > 1:
        take = _of_a_part(take)
    for index, (piece, first, end) in enumerate(clips):
        clip = piece.motion[first:end]
        begin = piece.begin + first / FPS
        identity = f"{name}-{index:03d}"
        yield {
            "id": identity,
            "seconds": clip.seconds,
            "fps": clip.fps,
            "layout": clip.layout.name,
            "values": clip.values,
            **words(clip, rest, take, random.Random(f"{seed} {identity}")),
            "dataset": dataset,
            "subject": take.subject,
            "take": take.id,
            "begin": begin,
            "transcript": take.transcript,
            "labels": _given(take.labels),
            "audio": sound(take, begin, clip.seconds, identity),
            "weight": weight,
        }


def _given(labels: Labels) -> dict[str, Any] | None:
    if not (labels.actions or labels.emotions or labels.intensity):
        return None
    return {"actions": list(labels.actions), "emotions": list(labels.emotions), "intensity": labels.intensity}


def _of_a_part(take: Take) -> Take:
    labels = take.labels
    sure = Labels(
        labels.actions if len(labels.actions) == 1 else (),
        labels.emotions if len(labels.emotions) == 1 else (),
        labels.intensity,
    )
    return replace(take, transcript="", annotations=None, labels=sure)


def words(clip: FaceMotion, rest: np.ndarray, take: Take, rng: random.Random) -> Mapping[str, Any]:
    """Plan, facts, annotations, prompts, captions, questions and category of a clip of a take.

    rest: the person's resting face, arkit values (55,). Of a face in FLAME's layouts, whose expressions have no names,
    nothing is told but its head and what the data set says.
    """
    shown, plan = observe(clip, rest)
    told = not clip.layout.is_flame
    said = take.annotations or annotate(shown, rng, take.labels)
    if not told and take.annotations is None:
        said = replace(
            said,
            action=said.action if take.labels.actions else "",
            emotion=said.emotion if take.labels.emotions else "",
            scenarios=said.scenarios if take.labels.emotions else (),
            expression="",
            summary="",
            questions=(),
            strict=False,
        )
    sure = plan if told or any(phase.items for phase in plan.phases) else None
    count = WORDINGS + len(take.texts)
    return {
        "category": category(plan),
        "plan": plan.text(),
        "facts": fact_rows(plan),
        "annotations": said.row(),
        "prompts": prompts(said, sure, rng, count, take.texts),
        "captions": captions(said, sure, rng, count, take.texts),
        "questions": list(map(asdict, said.questions)) or (Wording(rng).questions(plan) if told else []),
    }


def category(plan: Plan) -> str:
    """What kind of clip a plan describes, in the words of the synthesised corpus where it has them."""
    if len(plan.phases) > 1:
        return {2: "two phases", 3: "three phases"}.get(len(plan.phases), "more phases")
    kinds = [item.kind for item in plan.phases[0].items]
    if "emotion" in kinds:
        return "emotion"
    units = kinds.count("unit")
    return {0: "head" if "head" in kinds else "rest", 1: "unit", 2: "two units"}.get(units, "more units")


def sound(take: Take, begin: float, seconds: float, name: str) -> dict[str, Any] | None:
    """The sound of a clip as a corpus row holds it: FLAC, mono, 16 kHz, exactly as long as the clip.

    Silence fills up what a shorter file lacks; None where the take has no sound, or it ends before the clip begins.
    """
    heard = load_sound_of(take, begin, seconds)
    if heard is None or not len(heard.samples):
        return None
    samples = heard.samples
    if heard.rate != RATE:
        factor = gcd(RATE, heard.rate)
        samples = resample_poly(samples, RATE // factor, heard.rate // factor)
    exact = np.zeros(round(seconds * RATE), np.float32)
    exact[: len(samples)] = samples[: len(exact)]
    packed = io.BytesIO()
    soundfile.write(packed, exact.clip(-1, 1), RATE, format="FLAC", subtype="PCM_16")
    return {"bytes": packed.getvalue(), "path": f"{name}.flac"}
