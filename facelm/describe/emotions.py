"""Emotion prototypes seen in unit levels: which, how well they fit, how strong, from when to when.

A prototype is a convention (see units.py), and a span says only that a face shows what the convention calls by that
name. Nothing is named unless the units that set the emotion apart are there.
"""

from dataclasses import dataclass

import numpy as np

from facelm.describe.tracks import COLUMNS, FPS
from facelm.describe.units import EMOTIONS, UNITS

LEAST_SCORE = 0.6
SHORTEST_SPAN = 0.5  # s
LONGEST_GAP = 0.4  # s

# The units without which an emotion is not named: one of each group. The other units of its prototype only add.
CHARACTERISTIC: dict[str, tuple[tuple[str, ...], ...]] = {
    "happy": (("AU12",),),
    "sad": (("AU15",), ("AU1", "AU4", "AU17")),
    "surprised": (("AU1", "AU2"), ("AU5", "AU26"), ("AU26", "AU2")),
    "afraid": (("AU5",), ("AU1", "AU2"), ("AU20", "AU4")),
    "angry": (("AU4",), ("AU7", "AU24"), ("AU24", "AU5")),
    "disgusted": (("AU9", "AU10"), ("AU9", "AU15", "AU7")),
    "contemptuous": (("AU14", "AU12"),),
    "happily surprised": (("AU12",), ("AU1", "AU2"), ("AU5", "AU26")),
    "happily disgusted": (("AU12",), ("AU9",), ("AU10",)),
    "sadly angry": (("AU4",), ("AU15",), ("AU7",)),
    "sadly afraid": (("AU1",), ("AU5",), ("AU15",)),
    "fearfully surprised": (("AU5",), ("AU26",), ("AU20",), ("AU1", "AU2")),
    "angrily disgusted": (("AU4",), ("AU9", "AU10"), ("AU24",)),
}


@dataclass(frozen=True)
class EmotionSpan:
    """A stretch that shows an emotion's prototype.

    Attributes:
        name: of EMOTIONS.
        score: how well the units fit the prototype, 0.6 to 1.
        begin, end: seconds.
        intensity: how strong, as a share of a strong performance's peak (0 to about 1).
        side: of a one-sided emotion (contempt), else None.
    """

    name: str
    score: float
    begin: float
    end: float
    intensity: float
    side: str | None = None


_NAMES = tuple(EMOTIONS)
_CODES = tuple(UNITS)
_SHARE = np.array([[emotion.units.get(code, 0.0) for code in _CODES] for emotion in EMOTIONS.values()])  # (E, U)
_LEAST = np.array([unit.threshold / unit.peak for unit in UNITS.values()])
_EMOTIONAL = (_SHARE > 0).any(axis=0) & ~np.isin(_CODES, ("AU26", "AU20", "AU17"))  # not what talking or tension bring
_SIDED = np.array([emotion.sided for emotion in EMOTIONS.values()])
_LEFT = [COLUMNS[code, "left" if unit.sides else None] for code, unit in UNITS.items()]
_RIGHT = [COLUMNS[code, "right" if unit.sides else None] for code, unit in UNITS.items()]
# A smile that narrows the lower lids counts as one that raises the cheeks: the same muscle around the eye does both
# (orbicularis oculi), and trackers without a working cheekSquint (MediaPipe) show it as eyeSquint.
_SAME_MUSCLE = (("happy", "AU6", "AU7"), ("happily disgusted", "AU6", "AU7"))


def emotion_spans(levels: np.ndarray) -> tuple[EmotionSpan, ...]:
    """The emotions of smoothed unit levels (T, K) at 25 fps; at most one at a time."""
    left, right = levels[:, _LEFT], levels[:, _RIGHT]
    weak, strong = np.minimum(left, right), np.maximum(left, right)
    if strong.max() < _LEAST.min():
        return ()
    balanced = weak >= 0.45 * strong
    both = np.where(balanced, (left + right) / 2, weak)
    lone = np.where(balanced, 0.0, strong)
    scores = _scores(both, lone, strong)
    best = scores.argmax(axis=1)
    best[scores.max(axis=1) < LEAST_SCORE] = -1
    found = []
    for begin, end, index in _runs(best):
        emotion = EMOTIONS[_NAMES[index]]
        columns = [_CODES.index(code) for code in emotion.units]
        inside = slice(begin, end + 1)
        shares = np.array(list(emotion.units.values()))
        shown = (lone if emotion.sided else both)[inside][:, columns]
        intensity = float(np.median(np.percentile(shown, 80, axis=0) / shares))
        if emotion.sided:
            intensity = float((np.percentile(shown, 80, axis=0) / shares).max())
        side = None
        if emotion.sided:
            side = "left" if left[inside][:, columns].sum() > right[inside][:, columns].sum() else "right"
        won = best[inside] == index
        if won.mean() < 0.5:
            continue
        score = float(scores[inside, index][won].mean())
        found.append(EmotionSpan(emotion.name, score, begin / FPS, (end + 1) / FPS, intensity, side))
    return tuple(found)


def _scores(both: np.ndarray, lone: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """How well each frame fits each emotion, (T, E), 0 to 1: share of the prototype shown times share explained."""
    scores = np.zeros((len(both), len(_NAMES)))
    for index, name in enumerate(_NAMES):
        shown = (lone if _SIDED[index] else both).copy()
        for emotion, code, other in _SAME_MUSCLE:
            if emotion == name:
                a, b = _CODES.index(code), _CODES.index(other)
                shown[:, a] = np.maximum(shown[:, a], shown[:, b])
        share = _SHARE[index]
        present = ((shown / _LEAST - 0.5) * 2).clip(0, 1)
        if _SIDED[index]:
            coverage = np.max(present * (share > 0) * share, axis=1)
        else:
            coverage = present @ share / share.sum()
        for group in CHARACTERISTIC[name]:
            columns = [_CODES.index(code) for code in group]
            coverage = coverage * (shown[:, columns] >= _LEAST[columns]).any(axis=1)
        explained = (shown * (share > 0)).sum(axis=1)
        beside = ((strong - _LEAST).clip(0, None) * (_EMOTIONAL & (share == 0))).sum(axis=1)
        scores[:, index] = coverage * explained / np.maximum(explained + 0.5 * beside, 1e-9)
    return scores


def _runs(best: np.ndarray) -> list[tuple[int, int, int]]:
    """(first, last, emotion) of stretches of one emotion of 0.5 s or more; shorter interruptions are bridged."""
    borders = np.flatnonzero(np.diff(best)) + 1
    runs: list[tuple[int, int, int]] = []
    for part in np.split(np.arange(len(best)), borders):
        index = int(best[part[0]])
        if index < 0:
            continue
        if runs and runs[-1][2] == index and part[0] - runs[-1][1] - 1 <= LONGEST_GAP * FPS:
            runs[-1] = (runs[-1][0], int(part[-1]), index)
        elif len(part) >= 0.1 * FPS:
            runs.append((int(part[0]), int(part[-1]), index))
    return [run for run in runs if run[1] - run[0] + 1 >= SHORTEST_SPAN * FPS]
