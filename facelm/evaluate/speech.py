"""Does a face speak what is heard? Lag and correlation of mouth and sound, and visemes read off the lips.

Nothing here is learnt from speech models: sound enters as energy or as phoneme times, the face as the shape of its lips
on a rig, in millimetres.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from facelm.errors import FacelmError
from facelm.evaluate.pairs import MM
from facelm.evaluate.score import Score, Tally
from facelm.motion import FaceMotion
from facelm.rig.gaps import Gaps
from facelm.rig.gaps import gaps as rims
from facelm.rig.landmarks import LIP_POINTS, anatomy

LARGEST_LAG_S = 0.4
SMOOTHING_S = 0.04  # of the sound's energy and of the mouth, before they are compared
FLOOR_DB = -60.0  # below the loudest; everything quieter counts as silence
VISEME_S = 0.04
VISEMES: dict[str, frozenset[str]] = {  # ARPABET phonemes by the shape of the lips
    "closures": frozenset("B M P".split()),
    "lip-teeth": frozenset("F V".split()),
    "rounded": frozenset("AO OW OY UH UW W R SH ZH CH JH ER".split()),
    "open": frozenset("AA AE AH AW AY HH".split()),
    "spread": frozenset("IY IH EY EH Y S Z T D N L K G NG TH DH".split()),
    "rest": frozenset("SIL SP".split()),
}


@dataclass(frozen=True)
class Phoneme:
    """A phoneme spoken from `start` to `end` seconds: an ARPABET symbol, with or without stress, or "SIL"."""

    symbol: str
    start: float
    end: float


class Lips:
    """Shapes of the lips of a rig over time: opening, width and protrusion in millimetres.

    Raises FacelmError where the rig's landmarks cannot be found.
    """

    def __init__(self, rig: Any, gaps: Gaps | None = None) -> None:
        self.rig, self.gaps = rig, gaps or rims(rig)
        face = anatomy(rig)
        outside = np.flatnonzero(face.outside)

        def nearest(name: str) -> int:
            return int(outside[np.linalg.norm(rig.rest[outside] - face.points[name], axis=1).argmin()])

        self.corners = nearest("mouth0"), nearest(f"mouth{LIP_POINTS - 1}")
        self.rims = nearest("upper_lip"), nearest("lower_lip")

    def shape(self, motion: FaceMotion) -> np.ndarray:
        """(T, 3): opening (between the inner lips), width (between the corners), protrusion (of both lips, forward)."""
        shapes = [self._block(motion[first : first + 500]) for first in range(0, len(motion), 500)]
        return np.concatenate(shapes)

    def _block(self, motion: FaceMotion) -> np.ndarray:
        vertices = self.rig.vertices(motion)
        right, left = (vertices[:, corner] for corner in self.corners)
        forward = vertices[:, list(self.rims), 2].mean(1) - self.rig.rest[list(self.rims), 2].mean()
        opening = self.gaps.of(vertices, "lips")
        return np.stack([opening, np.linalg.norm(left - right, axis=1), forward], axis=1) * MM


def energy(samples: np.ndarray, rate: int, frames: int, fps: float) -> np.ndarray:
    """Loudness of a sound at the times of a motion's frames, (T,): decibels above -60 dB of its loudest, 0 to 60.

    Args:
        samples: (N,) mono.
        rate: samples a second.
        frames, fps: of the motion; frame i is heard from (i - 1/2) / fps to (i + 1/2) / fps, silence beyond the end.
    """
    sound = np.asarray(samples, np.float64)
    edges = np.clip(np.rint((np.arange(frames + 1) - 0.5) / fps * rate).astype(int), 0, len(sound))
    sums = np.concatenate([[0.0], np.cumsum(sound**2)])
    counts = np.maximum(1, np.diff(edges))
    power = (sums[edges[1:]] - sums[edges[:-1]]) / counts
    loudest = power.max()
    if loudest <= 0:
        return np.zeros(frames)
    return np.maximum(10 * np.log10(np.maximum(power / loudest, 1e-12)), FLOOR_DB) - FLOOR_DB


def lag(opening: np.ndarray, loudness: np.ndarray, fps: float) -> tuple[float, float, float]:
    """(lag in ms, correlation at it, correlation without) of a mouth's opening (T,) with a sound's loudness (T,).

    The lag is that of the highest Pearson correlation within 0.4 s, between frames by a parabola; above 0 the mouth is
    late. NaN where one of them does not vary, or the clip is shorter than a second.
    """
    if len(opening) != len(loudness):
        raise FacelmError(f"{len(opening)} frames of motion and {len(loudness)} of sound; give both at one rate")
    sigma = SMOOTHING_S * fps
    mouth, sound = (gaussian_filter1d(np.asarray(track, float), sigma) for track in (opening, loudness))
    if len(mouth) < fps or mouth.std() < 1e-9 or sound.std() < 1e-9:
        return math.nan, math.nan, math.nan
    most = min(round(LARGEST_LAG_S * fps), len(mouth) // 3)
    steps = range(-most, most + 1)
    found = np.array(
        [
            _correlation(mouth[max(0, s) : len(mouth) + min(0, s)], sound[max(0, -s) : len(sound) - max(0, s)])
            for s in steps
        ]
    )
    best = int(np.nanargmax(found))
    shift = 0.0
    if 0 < best < len(found) - 1:
        before, peak, after = found[best - 1 : best + 2]
        bend = before - 2 * peak + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return 1000 * (best - most + shift) / fps, float(found[best]), float(found[most])


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if a.std() < 1e-12 or b.std() < 1e-12:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def synchrony(motions: Iterable[FaceMotion], sounds: Iterable[tuple[np.ndarray, int]], lips: Lips) -> dict[str, Score]:
    """Lag and correlation of lip opening with speech energy, over clips; needs neither reference nor learnt model.

    Args:
        motions: of the rig's layout or one that converts to it.
        sounds: (samples, samples/s) of each.
        lips: of the rig.

    Returns:
        "lip lag" (ms, median over clips), "lip lag spread" (ms, mean absolute deviation from the median: clips that
        agree in their lag have a small one), "energy r" (at the best lag) and "energy r, no lag" (as it is shown).
    """
    lags: list[float] = []
    best, plain = Tally(), Tally()
    silent = 0
    for motion, (samples, rate) in zip(motions, sounds, strict=True):
        found, at_best, as_shown = lag(
            lips.shape(motion)[:, 0], energy(samples, rate, len(motion), motion.fps), motion.fps
        )
        if math.isnan(found):
            silent += 1
            continue
        lags.append(found)
        best.add(at_best)
        plain.add(as_shown)
    note = f"{silent} clips left out: a still mouth, silence, or under a second" if silent else ""
    what = "lip opening (mm, rig) and speech energy (dB), smoothed by 40 ms"
    return {
        score.name: score
        for score in (
            _lags("lip lag", lags, f"median lag of the best correlation of {what}; above 0 the mouth is late", note),
            _lags("lip lag spread", lags, "mean absolute deviation of the lags from their median", note),
            best.score(
                "energy r", "1", f"Pearson r of {what}, at the best lag within 400 ms, mean over clips", note=note
            ),
            plain.score("energy r, no lag", "1", f"Pearson r of {what}, mean over clips", note=note),
        )
    }


def _lags(name: str, lags: list[float], formula: str, note: str) -> Score:
    if not lags:
        return Score.missing(name, "ms", formula, note or "there is no clip")

    def statistic(drawn: np.ndarray) -> np.ndarray:
        middle = np.median(drawn, axis=-1, keepdims=True)
        return np.abs(drawn - middle).mean(-1) if name.endswith("spread") else middle[..., 0]

    values = np.array(lags)
    low = high = math.nan
    if len(values) > 1:
        draws = np.random.default_rng(0).integers(len(values), size=(1000, len(values)))
        low, high = np.percentile(statistic(values[draws]), [2.5, 97.5])
    return Score(name, float(statistic(values)), float(low), float(high), len(values), "ms", formula, note=note)


# ---------------------------------------------------------------- visemes


def viseme(symbol: str) -> str:
    """The viseme class of an ARPABET phoneme, stress digits ignored. Raises FacelmError for an unknown symbol."""
    plain = symbol.upper().rstrip("012")
    for name, phonemes in VISEMES.items():
        if plain in phonemes:
            return name
    raise FacelmError(f"{symbol!r} is no ARPABET phoneme; use the symbols of CMUdict, and SIL for silence")


@dataclass(frozen=True, eq=False)
class VisemeReader:
    """Reads viseme classes off lip shapes: the class whose mean is nearest, each measure divided by its spread.

    names: classes. means: (classes, 3), scale: (3,), both in millimetres; see `Lips.shape`.
    """

    names: tuple[str, ...]
    means: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, motions: Iterable[FaceMotion], spoken: Iterable[Sequence[Phoneme]], lips: Lips) -> "VisemeReader":
        """Class means from true motions and what was spoken in them. Raises FacelmError for fewer than two classes."""
        shapes, classes = [], []
        for motion, phonemes in zip(motions, spoken, strict=True):
            shape, said = _frames(motion, phonemes, lips)
            shapes.append(shape)
            classes += said
        rows = np.concatenate(shapes) if shapes else np.zeros((0, 3))
        names = tuple(name for name in VISEMES if name in classes)
        if len(names) < 2:
            raise FacelmError(f"{len(names)} viseme class(es) in the training clips; two at least are needed")
        known = np.array(classes)
        means = np.stack([rows[known == name].mean(0) for name in names])
        return cls(names, means, np.maximum(rows.std(0), 1e-6))

    def read(self, shapes: np.ndarray) -> list[str]:
        """The class of each lip shape (n, 3)."""
        apart = np.linalg.norm((shapes[:, None] - self.means) / self.scale, axis=2)
        return [self.names[i] for i in apart.argmin(1)]

    def score(self, motions: Iterable[FaceMotion], spoken: Iterable[Sequence[Phoneme]], lips: Lips) -> dict[str, Score]:
        """ "viseme F1" (mean over classes) and "viseme F1 <class>" of motions against what was spoken in them."""
        hits, read, said = ({name: [] for name in self.names} for _ in range(3))  # type: ignore[var-annotated]
        count = 0
        for motion, phonemes in zip(motions, spoken, strict=True):
            shapes, true = _frames(motion, phonemes, lips)
            found, true_names, count = np.array(self.read(shapes)), np.array(true), count + 1
            for name in self.names:
                hits[name].append(int(((found == name) & (true_names == name)).sum()))
                read[name].append(int((found == name).sum()))
                said[name].append(int((true_names == name).sum()))
        formula = (
            f"F1 per {VISEME_S * 1000:.0f} ms of viseme classes by nearest mean lip shape (opening, width, protrusion)"
        )
        if not count:
            return {"viseme F1": Score.missing("viseme F1", "1", formula, "there is no clip")}
        draws = np.random.default_rng(0).integers(count, size=(1000, count))

        def f1(name: str, chosen: np.ndarray) -> np.ndarray:
            h, r, s = (np.array(table[name])[chosen].sum(-1) for table in (hits, read, said))
            return 2 * h / np.maximum(1, r + s)

        every = np.arange(count)
        scores = {}
        spoken_names = [name for name in self.names if sum(said[name])]
        for title, names in [("viseme F1", spoken_names), *((f"viseme F1 {n}", [n]) for n in spoken_names)]:
            drawn = np.mean([f1(name, draws) for name in names], axis=0)
            low, high = np.percentile(drawn, [2.5, 97.5]) if count > 1 else (math.nan, math.nan)
            value = float(np.mean([f1(name, every) for name in names]))
            scores[title] = Score(title, value, float(low), float(high), count, "1", formula)
        return scores


def _frames(motion: FaceMotion, phonemes: Sequence[Phoneme], lips: Lips) -> tuple[np.ndarray, list[str]]:
    """Lip shapes (n, 3) every 40 ms, and the viseme class spoken there; times between phonemes are rest."""
    shape, times = lips.shape(motion), motion.times()
    at = np.arange(VISEME_S / 2, motion.seconds, VISEME_S)
    shapes = np.stack([np.interp(at, times, column) for column in shape.T], axis=1)
    said = ["rest"] * len(at)
    for phoneme in phonemes:
        name = viseme(phoneme.symbol)
        for index in np.flatnonzero((at >= phoneme.start) & (at < phoneme.end)):
            said[index] = name
    return shapes, said
