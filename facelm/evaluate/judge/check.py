"""Can a judge be trusted? What it says of real pairs, and of motions that were spoilt on purpose.

    texts, motions = judge.embed_texts(...), ...
    print(table(compare(judge, texts, motions, text_changes(clips))))

A judge is right when the true motion is found among 32, and when every way of spoiling it is noticed: the other side,
time reversed, another emotion, no head. Two rows frame these: another performance of the same plan must not be noticed
much, and another clip must be noticed most.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tabulate import tabulate

from facelm.corpus.performer import perform
from facelm.describe.plan import Item, Plan
from facelm.describe.units import EMOTIONS
from facelm.evaluate.embeddings import GALLERY, REPEATS, distances, matching_distance, r_precision
from facelm.evaluate.judge.audio import AudioJudge
from facelm.evaluate.judge.base import Judge
from facelm.evaluate.judge.batches import mirrored
from facelm.evaluate.judge.pairs import Clip, Talk, content
from facelm.evaluate.judge.text import TextJudge
from facelm.evaluate.score import Score
from facelm.motion import FaceMotion
from facelm.motion.layout import HEAD

LATE_MS = (80, 200, 400)


@dataclass(frozen=True)
class Corruption:
    """What a judge says of motions that were changed in one way.

    n: how many clips the change applies to. found, spoilt_found: share of texts (or sounds) that find their real, and
    their changed, motion first among 31 other real ones. distance, spoilt_distance: mean distance to both. preferred:
    share of clips whose real motion is the nearer one.
    """

    name: str
    n: int
    found: float
    spoilt_found: float
    distance: float
    spoilt_distance: float
    preferred: float


# ---------------------------------------------------------------- real pairs


def real_texts(judge: TextJudge, clips: Sequence[Clip], seed: int = 0) -> list[Score]:
    """R-Precision and matching distance of real prompts and captions with their motions.

    "R@1" is strict, as the papers have it: where the gallery holds another clip of the same content (the same slight
    smile), finding that one is wrong. "twins right" counts it as right, which is what the judge can be held to.
    """
    motions = judge.embed_motions([clip.motion for clip in clips])
    scores = []
    for kind in ("prompts", "captions"):
        texts = judge.embed_texts([getattr(clip, kind)[0] for clip in clips])
        scores += r_precision(texts, motions, seed=seed, name=f"{kind} R")
        contents = [clip.content for clip in clips]
        scores += r_precision(texts, motions, (1,), seed=seed, name=f"{kind}, twins right, R", contents=contents)
        scores.append(matching_distance(texts, motions, f"{kind} Text-Match"))
    return scores


def real_talk(judge: AudioJudge, windows: Sequence[Talk], seed: int = 0) -> list[Score]:
    """R-Precision and matching distance of windows of real speech with their motions."""
    motions = judge.embed_motions([talk.motion for talk in windows])
    sounds = judge.embed_audio([talk.samples for talk in windows])
    return [*r_precision(sounds, motions, seed=seed, name="audio R"), matching_distance(sounds, motions, "Audio-Match")]


# ---------------------------------------------------------------- spoilt motions


def text_changes(clips: Sequence[Clip], seed: int = 0) -> dict[str, list[FaceMotion | None]]:
    """Changed motions of arkit clips by the name of the change; None for a clip that it does not concern."""
    rng = random.Random(seed)
    found: dict[str, list[FaceMotion | None]] = {
        name: [] for name in ("performed again", "no head", "sides swapped", "time reversed", "another emotion")
    }
    for index, clip in enumerate(clips):
        plan = Plan.parse(clip.plan)
        kinds = {item.kind for phase in plan.phases for item in phase.items}
        said = content(clip.plan, "")
        turned = Plan.parse(mirrored(clip.plan)).text()
        backwards = "; ".join(reversed(said.split("; ")))
        draws = np.random.default_rng([seed, index])
        found["performed again"].append(perform(plan, draws))
        found["no head"].append(_without_head(clip.motion) if "head" in kinds else None)
        found["sides swapped"].append(clip.motion.mirror() if content(turned, "") != said else None)
        found["time reversed"].append(_reversed(clip.motion) if backwards != said else None)
        other = _other_emotion(plan, rng)
        found["another emotion"].append(perform(other, draws) if other is not None else None)
    return found


def talk_changes(windows: Sequence[Talk]) -> dict[str, list[FaceMotion | None]]:
    """Changed motions of windows of talking: late, and reversed in time."""
    late: dict[str, list[FaceMotion | None]] = {
        f"{ms} ms late": [_late(talk.motion, ms / 1000) for talk in windows] for ms in LATE_MS
    }
    return {**late, "time reversed": [_reversed(talk.motion) for talk in windows]}


def compare(
    judge: Judge,
    queries: np.ndarray,
    motions: Sequence[FaceMotion],
    changed: Mapping[str, Sequence[FaceMotion | None]],
    seed: int = 0,
) -> list[Corruption]:
    """What the judge says of each change, and last of "another clip".

    Args:
        queries: (N, D), embeddings of texts or sounds.
        motions: N real ones.
        changed: N changed ones by the name of the change; see `text_changes`.
        seed: of the galleries.
    """
    real = judge.embed_motions(motions)
    galleries = _galleries(len(real), seed)
    others = np.random.default_rng(seed).permutation(len(real))
    rows = []
    for name, spoilt in changed.items():
        concerned = np.array([motion is not None for motion in spoilt])
        if concerned.any():
            items = real.copy()
            items[concerned] = judge.embed_motions([motion for motion in spoilt if motion is not None])
            rows.append(_row(name, queries, real, items, concerned, galleries))
    following = np.empty(len(real), int)
    following[others] = np.roll(others, 1)
    return [*rows, _row("another clip", queries, real, real[following], np.ones(len(real), bool), galleries)]


def table(rows: Sequence[Corruption]) -> str:
    """The rows as text."""
    lines = [(r.name, r.n, r.found, r.spoilt_found, r.distance, r.spoilt_distance, f"{r.preferred:.0%}") for r in rows]
    headers = ["changed", "clips", "R@1", "changed", "distance", "changed", "real one nearer"]
    return tabulate(lines, headers, floatfmt=("", "d", ".3f", ".3f", ".3f", ".3f", ""))


def _row(
    name: str, queries: np.ndarray, real: np.ndarray, items: np.ndarray, concerned: np.ndarray, galleries: np.ndarray
) -> Corruption:
    q, a, b = (x.astype(np.float64) for x in (queries, real, items))
    near, far = np.linalg.norm(q - a, axis=1), np.linalg.norm(q - b, axis=1)
    hits: list[np.ndarray] = []
    for part in galleries:
        rivals = distances(q[part], a[part])
        np.fill_diagonal(rivals, np.inf)
        best = rivals.min(1)
        hits.append(np.stack([near[part] < best, far[part] < best], 1)[concerned[part]])
    found, spoilt = np.concatenate(hits).mean(0) if hits else (np.nan, np.nan)
    return Corruption(
        name,
        int(concerned.sum()),
        float(found),
        float(spoilt),
        float(near[concerned].mean()),
        float(far[concerned].mean()),
        float((near < far)[concerned].mean()),
    )


def _galleries(count: int, seed: int) -> np.ndarray:
    """(deals * galleries, 32) places; fewer clips are one smaller gallery."""
    size = min(GALLERY, count)
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(count)[: count // size * size].reshape(-1, size) for _ in range(REPEATS)])


def _without_head(motion: FaceMotion) -> FaceMotion:
    values = motion.values.copy()
    values[:, motion.layout.indices(HEAD)] = 0
    return FaceMotion(values, motion.rate, motion.layout)


def _reversed(motion: FaceMotion) -> FaceMotion:
    return FaceMotion(motion.values[::-1], motion.rate, motion.layout)


def _late(motion: FaceMotion, seconds: float) -> FaceMotion:
    frames = round(seconds * motion.fps)
    values = np.concatenate([np.repeat(motion.values[:1], frames, 0), motion.values])[: len(motion)]
    return FaceMotion(values, motion.rate, motion.layout)


def _other_emotion(plan: Plan, rng: random.Random) -> Plan | None:
    """The plan with every emotion exchanged for another one; None where it has none."""
    phases = []
    changed = False
    for phase in plan.phases:
        items: list[Item] = []
        for item in phase.items:
            if item.kind == "emotion":
                name = rng.choice([e.name for e in EMOTIONS.values() if e.name != item.name and not e.sided])
                item, changed = replace(item, name=name, side=None), True
            items.append(item)
        phases.append(replace(phase, items=tuple(items)))
    return Plan(tuple(phases)) if changed else None
