"""Floors and ceilings: what stands beside a model in every table, so that its row means something.

Ceilings are the references themselves and their reconstruction by the motion tokenizer. Floors are training clips (the
one nearest to the prompt or the motion, and any one), the model's own answers dealt to other prompts, and a face that
rests.
"""

import random
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from facelm.corpus.schema import frames, motion
from facelm.errors import FacelmError
from facelm.evaluate.clips import deal
from facelm.evaluate.predict import rebuild
from facelm.evaluate.text import words
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from facelm.evaluate.setting import Setting

RESTING = "The face stays neutral."
POINTS = 16  # moments of a clip at which motions are compared
_BLOCK = 1000  # motions compared at a time
_TEXTS = 50


class Training:
    """The clips of a training split, to be drawn from and searched.

    Args:
        rows: a split of `load_corpus`.

    Raises FacelmError when it is empty.
    """

    def __init__(self, rows: Any) -> None:
        if not len(rows):
            raise FacelmError("the training split is empty; floors need its clips")
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def motion(self, index: int) -> FaceMotion:
        """The motion of a clip."""
        return motion(self.rows[index])

    def captions(self, index: int) -> list[str]:
        """The captions of a clip."""
        return list(self.rows[index]["captions"] or ())

    def random(self, count: int, rng: random.Random) -> list[int]:
        """Places of clips drawn at random."""
        return [rng.randrange(len(self)) for _ in range(count)]

    def nearest_by_text(self, texts: Sequence[str]) -> list[int]:
        """For each text the clip with the most similar prompt: cosine of TF-IDF of words and pairs of words."""
        matrix, clips, vocabulary, weights = self._prompts
        found = []
        for first in range(0, len(texts), _TEXTS):
            asked = _unit(_counts(texts[first : first + _TEXTS], vocabulary), weights)
            found += [clips[place] for place in (asked @ matrix.T).toarray().argmax(1)]
        return found

    def nearest_by_motion(self, motions: Sequence[FaceMotion]) -> list[int]:
        """For each motion the clip whose coefficients are nearest: mean absolute difference at 16 moments evenly
        spread over each clip, whatever its length. Clips of a layout that does not convert are not looked at.
        """
        wanted = motions[0].layout
        own, places = self._moments(wanted.name)
        found = []
        for shown in motions:
            moments = _moments(shown.to(wanted).values)
            apart = np.concatenate(
                [np.abs(own[i : i + _BLOCK] - moments).mean((1, 2)) for i in range(0, len(own), _BLOCK)]
            )
            found.append(places[int(apart.argmin())])
        return found

    @cached_property
    def _prompts(self) -> tuple[Any, list[int], dict[str, int], np.ndarray]:
        """TF-IDF (prompts, terms) of all prompts, the clip of each, the column of each term, idf by column."""
        texts, clips = [], []
        for index, prompts in enumerate(self.rows["prompts"]):
            for prompt in prompts or ():
                texts.append(prompt)
                clips.append(index)
        if not texts:
            raise FacelmError("no training clip has a prompt, so none is nearest to one")
        seen: Counter[str] = Counter(term for text in texts for term in set(_terms(text)))
        vocabulary = {term: column for column, term in enumerate(sorted(seen))}
        weights = np.log((1 + len(texts)) / (1 + np.array([seen[term] for term in vocabulary]))) + 1
        return _unit(_counts(texts, vocabulary), weights), clips, vocabulary, weights

    def _moments(self, layout: str) -> tuple[np.ndarray, list[int]]:
        """(clips, POINTS, D) float32 of all clips in a layout, and their places."""
        if layout not in self._by_layout:
            columns = self.rows.with_format("arrow")
            found, places = [], []
            for first in range(0, len(self), _BLOCK):
                block = columns[first : first + _BLOCK]
                for offset, (values, own) in enumerate(
                    zip(frames(block["values"]), block["layout"].to_pylist(), strict=True)
                ):
                    try:
                        values = values if own == layout else FaceMotion(values, 25, own).to(layout).values
                    except FacelmError:
                        continue
                    found.append(_moments(values))
                    places.append(first + offset)
            if not found:
                raise FacelmError(f"no training clip can be converted to {layout}, so none is nearest to a motion")
            self._by_layout[layout] = np.stack(found), places
        return self._by_layout[layout]

    @cached_property
    def _by_layout(self) -> dict[str, tuple[np.ndarray, list[int]]]:
        return {}


def motion_rows(setting: "Setting", made: Sequence[FaceMotion], by: str = "text") -> dict[str, list[FaceMotion]]:
    """The motions of every row of a table for a setting's clips; `made` are the model's.

    by: what the nearest training clip is nearest to, the prompt ("text") or the reference ("motion").
    """
    clips = setting.clips
    references = [clip.motion for clip in clips]
    rng = random.Random(setting.seed)
    rows = {"reference": references, "model": list(made)}
    if setting.tokenizer is not None and by == "text":
        rows["reconstruction"] = rebuild(setting.tokenizer, clips)
    if setting.training is not None:
        try:
            rows |= _from_training(setting, setting.training, by, rng)
        except FacelmError as error:
            setting.notes.append(f"No floors from training clips: {error}.")
    if len(clips) > 1:
        rows["shuffled"] = [made[place] for place in deal(len(clips), rng)]
    rows["rest pose"] = [resting(reference) for reference in references]
    return rows


def _from_training(setting: "Setting", training: Training, by: str, rng: random.Random) -> dict[str, list[FaceMotion]]:
    clips = setting.clips
    if by == "text":
        near = training.nearest_by_text([clip.prompt for clip in clips])
    else:
        near = training.nearest_by_motion([clip.motion for clip in clips])
    places = {"nearest training": near, "random training": training.random(len(clips), rng)}
    return {
        row: [training.motion(place).to(clip.motion.layout) for place, clip in zip(found, clips, strict=True)]
        for row, found in places.items()
    }


def resting(like: FaceMotion) -> FaceMotion:
    """A face at rest, as long as another motion."""
    return FaceMotion(np.zeros_like(like.values), like.rate, like.layout)


def _moments(values: np.ndarray) -> np.ndarray:
    """(POINTS, D) values at moments evenly spread over (T, D)."""
    at = np.linspace(0, len(values) - 1, POINTS)
    low = at.astype(int)
    high, share = np.minimum(low + 1, len(values) - 1), (at - low)[:, None].astype(np.float32)
    mixed: np.ndarray = values[low] * (1 - share) + values[high] * share
    return mixed


def _terms(text: str) -> list[str]:
    single = words(text)
    return [*single, *map(" ".join, zip(single, single[1:], strict=False))]


def _counts(texts: Sequence[str], vocabulary: dict[str, int]) -> Any:
    from scipy.sparse import csr_matrix

    rows, columns = [], []
    for row, text in enumerate(texts):
        known = [vocabulary[term] for term in _terms(text) if term in vocabulary]
        columns += known
        rows += [row] * len(known)
    return csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (len(texts), len(vocabulary)))


def _unit(counts: Any, weights: np.ndarray) -> Any:
    """Counts (texts, terms) weighed by column, rows of length 1."""
    from scipy.sparse import diags

    weighed = counts @ diags(weights.astype(np.float32))
    norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(1)).ravel())
    return diags(1 / np.maximum(norms, 1e-12)) @ weighed
