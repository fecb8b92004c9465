"""Batches that judges learn from; each depends on the seed and the number of the update alone."""

import random
import re
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from facelm.describe.captions import Wording
from facelm.describe.plan import Phase, Plan
from facelm.errors import FacelmError
from facelm.evaluate.judge.audio import AudioJudge
from facelm.evaluate.judge.pairs import Clip, Talk, content
from facelm.evaluate.judge.sound import HOP, RATE, log_mel
from facelm.evaluate.judge.text import TextJudge
from facelm.evaluate.judge.words import split
from facelm.motion.layout import layout as named_layout

NEAR_S = 0.2  # windows of one talk that begin this close are no negatives of each other
_SIDES = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_SIDE = re.compile(r"\b(left|right|Left|Right)\b")


def mirrored(text: str) -> str:
    """The text with left and right exchanged."""
    return _SIDE.sub(lambda found: _SIDES[found[0]], text)


def can_mirror(layout: str) -> bool:
    """Whether motions of a layout can be mirrored."""
    return not named_layout(layout).is_flame


def texts_of(clip: Clip, wordings: int) -> list[str]:
    """The first `wordings` prompts and as many captions of a clip; all when 0."""
    most = wordings or None
    return [*clip.prompts[:most], *clip.captions[:most]]


def backwards(plan: str) -> Plan | None:
    """The plan of the motion reversed in time; None where that is the same, or there is no plan."""
    try:
        forwards = Plan.parse(plan)
    except FacelmError:
        return None
    phases = [
        Phase(forwards.seconds - phase.end, forwards.seconds - phase.start, phase.items)
        for phase in reversed(forwards.phases)
    ]
    turned = Plan(tuple(phases))
    return turned if content(turned.text(), "") != content(plan, "") else None


def texts_backwards(clip: Clip, wordings: int) -> list[str]:
    """Prompts and captions of a clip reversed in time, made of its plan; none where the order does not matter."""
    plan = backwards(clip.plan)
    if plan is None:
        return []
    wording = Wording(random.Random(f"{clip.id} backwards"))
    count = wordings or len(clip.prompts)
    return [*(wording.prompt(plan) for _ in range(count)), *(wording.caption(plan) for _ in range(count))]


def texts_to_read(clips: Sequence[Clip], wordings: int, layout: str) -> list[str]:
    """Every text that `TextPairs` of these may give, in alphabetical order."""
    told = {text for clip in clips for form in (texts_of, texts_backwards) for text in form(clip, wordings)}
    return sorted(told | set(map(mirrored, told)) if can_mirror(layout) else told)


class TextPairs:
    """Motions of clips, each with one of its texts, and beside most of them their opposite.

    The opposite of a clip is its mirror image, with left and right exchanged in the words (where the layout can be
    mirrored; FLAME's cannot), or the motion reversed in time, with words made of the plan backwards. Opposites in one
    batch make a judge look at sides and order, which random clips hardly ask of it: with those alone, a judge that
    finds 93% of the test clips takes a reversed motion for the true one in 42% of the cases.

    Clips of equal content and texts of the same words are no negatives of each other. A threshold on the likeness of
    sentence embeddings, as TMR has, is of no use here: they hardly tell left from right.
    """

    def __init__(
        self, judge: TextJudge, clips: Sequence[Clip], wordings: int, features: Mapping[str, Tensor], seed: int
    ) -> None:
        """
        Args:
            judge: whose motions they will be.
            clips: to learn from.
            wordings: prompts and captions of a clip that are used; see `texts_of`.
            features: of all texts of `texts_to_read`.
            seed: of the batches.
        """
        self.seed, self._features = seed, features
        self._mirror = named_layout(judge.layout).mirror() if can_mirror(judge.layout) else None
        self.values = [judge.prepare(clip.motion, f"clip {clip.id}") for clip in clips]
        self._clips = clips
        self._texts = [(texts_of(clip, wordings), texts_backwards(clip, wordings)) for clip in clips]
        self._sided = [self._mirror is not None and mirrored(clip.content) != clip.content for clip in clips]

    def batch(self, step: int, size: int) -> tuple[list[np.ndarray], list[Tensor], np.ndarray]:
        """Half of `size` clips and their opposites; see `facelm.evaluate.judge.train.Pairs`."""
        rng = np.random.default_rng((self.seed, 1, step))
        values, texts, contents = [], [], []
        for index in epoch_batch(step, size // 2, len(self.values), self.seed):
            drawn = int(rng.integers(2**31))
            turned = bool(self._mirror is not None and rng.random() < 0.5)
            opposites = [(not turned, False)] * self._sided[index] + [(turned, True)] * bool(self._texts[index][1])
            chosen = [opposites[rng.integers(len(opposites))]] if opposites else []
            for version in [(turned, False), *chosen]:
                motion, text, told = self._version(index, *version, drawn)
                values.append(motion)
                texts.append(text)
                contents.append(told)
        same = _equal(contents) | _equal([" ".join(split(text)) for text in texts])
        return values, [self._features[text] for text in texts], same

    def _version(self, index: int, turned: bool, reversed_: bool, drawn: int) -> tuple[np.ndarray, str, str]:
        """Motion, text and content of a clip, mirrored or reversed."""
        clip, motion = self._clips[index], self.values[index]
        texts = self._texts[index][reversed_]
        text, plan, caption = texts[drawn % len(texts)], clip.plan, clip.captions[0]
        if reversed_:
            motion = motion[::-1]
            plan = (backwards(plan) or Plan.parse(plan)).text()
        if turned and self._mirror is not None:
            permutation, sign = self._mirror
            motion, text = motion[:, permutation] * sign, mirrored(text)
            plan, caption = mirrored(plan), mirrored(caption)
        return motion, text, content(plan, caption)


def _equal(words: Sequence[str]) -> np.ndarray:
    array = np.array(words)
    return array[:, None] == array


def epoch_batch(step: int, size: int, count: int, seed: int) -> np.ndarray:
    """Indices of a batch, (size,): every one of `count` comes once in an epoch, but for a rest smaller than a batch."""
    size = min(size, count)
    epoch, place = divmod(step, count // size)
    return np.random.default_rng((seed, epoch)).permutation(count)[place * size : (place + 1) * size]


class TalkPairs:
    """Windows of talking at random places, of the length the judge looks at, with their sound."""

    def __init__(self, judge: AudioJudge, talks: Sequence[Talk], seed: int) -> None:
        """Raises FacelmError when no talk is as long as a window."""
        self.seed, self._patch = seed, judge.config.patch
        self._frames, self._fps = judge._frames(), judge.fps
        self.values = [judge.prepare(talk.motion, f"take {talk.take}") for talk in talks]
        self.bands = [log_mel(talk.samples) for talk in talks]
        self._starts = np.array([round(talk.seconds * judge.fps) - self._frames + 1 for talk in talks]).clip(0)
        if not self._starts.sum():
            raise FacelmError(
                f"no stretch of talking is as long as a window of {judge.config.seconds:g} s; take shorter windows or "
                "build the corpus with longer --clip-seconds"
            )

    def batch(self, step: int, size: int) -> tuple[list[np.ndarray], list[Tensor], np.ndarray]:
        """See `facelm.evaluate.judge.train.Pairs`."""
        rng = np.random.default_rng((self.seed, step))
        ends = self._starts.cumsum()
        places = rng.integers(ends[-1], size=size)
        which = np.searchsorted(ends, places, side="right")
        starts = places - (ends - self._starts)[which]
        ticks = RATE / HOP / self._fps
        values, sounds = [], []
        for talk, start in zip(which, starts, strict=True):
            values.append(self.values[talk][start : start + self._frames])
            heard = self.bands[talk][round(start * ticks) : round((start + self._frames) * ticks)]
            sounds.append(heard - heard.mean(0))
        close = np.abs(starts[:, None] - starts) < NEAR_S * self._fps
        return values, sounds, close & (which[:, None] == which)
