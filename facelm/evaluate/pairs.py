"""Metrics of a predicted motion against its reference, streamed over pairs of clips.

    scores = measure([lve(), fve(), jerk_ratio()], pairs(predicted, true, rig))

A `Pair` holds both as values and vertices (metres) of a rig and computes shared things once; a `Metric` turns a pair
into two sums; `measure` walks any iterable of pairs once, so data need not fit in memory. Arrays are NumPy's or
torch's; scores are floats.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.score import Score, Tally
from facelm.motion import FaceMotion
from facelm.rig.base import Rig

MM = 1000.0


class Pair:
    """A prediction and the truth: vertices (T, V, 3) in metres, or values (T, D), or both.

    Args:
        predicted, true: vertices, None where only values are compared.
        regions: boolean (V,) masks of the rig by name.
        fps: frames a second.
        rest: (V, 3), the rig's neutral face.
        values: (predicted, true) of shape (T, D), and `names` of their channels.
        name: of the clip, for errors.
        truth: what was measured of the truth alone, for pairs that share it to share (the same dict, the same truth).

    Raises FacelmError naming the clip when shapes differ, a value is not finite, or there is no frame.
    """

    def __init__(
        self,
        predicted: Any = None,
        true: Any = None,
        regions: Mapping[str, Any] | None = None,
        fps: float = 25.0,
        rest: Any = None,
        values: tuple[Any, Any] | None = None,
        names: Sequence[str] = (),
        name: str = "a clip",
        truth: dict[Hashable, Any] | None = None,
    ) -> None:
        self.predicted, self.true, self.values = predicted, true, values
        self.truth = {} if truth is None else truth
        self.regions, self.rest, self.fps, self.names, self.name = dict(regions or {}), rest, fps, list(names), name
        both = [pair for pair in ((predicted, true), values) if pair is not None and pair[0] is not None]
        if not both:
            raise FacelmError(f"{name}: neither vertices nor values were given to compare")
        for a, b in both:
            if tuple(a.shape) != tuple(b.shape):
                raise FacelmError(
                    f"{name}: the prediction has the shape {tuple(a.shape)} and the reference {tuple(b.shape)}; give "
                    "both the same length, rate and rig"
                )
            if not a.shape[0]:
                raise FacelmError(f"{name}: there is no frame to compare")
            xp = array_api_compat.array_namespace(a)
            for what, array in (("prediction", a), ("reference", b)):
                if not bool(xp.all(xp.isfinite(array))):
                    raise FacelmError(
                        f"{name}: the {what} holds a value that is not finite; mend or leave out the clip"
                    )

    def __len__(self) -> int:
        array = self.predicted if self.predicted is not None else self.values[0]  # type: ignore[index]
        return int(array.shape[0])

    @cached_property
    def xp(self) -> Any:
        """The array namespace of the vertices."""
        return array_api_compat.array_namespace(self.predicted)

    def region(self, name: str) -> tuple[Any, Any]:
        """Predicted and true vertices (T, n, 3) of a region. Raises FacelmError when the rig has no such region."""
        return self.each(("region", name), lambda vertices: self._picked(vertices, name))

    def distance(self, name: str) -> Any:
        """(T, n): Euclidean distance of predicted and true vertices of a region, metres."""

        def between() -> Any:
            a, b = self.region(name)
            return length(a - b)

        return self.once(("distance", name), between)

    def once(self, what: Hashable, compute: Callable[[], Any]) -> Any:
        """`compute()`, remembered under a name: for what several metrics share."""
        if what not in self._found:
            self._found[what] = compute()
        return self._found[what]

    def each(self, what: Hashable, compute: Callable[[Any], Any], region: str | None = None) -> tuple[Any, Any]:
        """`compute(vertices)` of the prediction and of the truth (or of a region of them), each once under a name;
        the truth's for all pairs that share it.
        """

        def both() -> tuple[Any, Any]:
            predicted, true = (self.predicted, self.true) if region is None else self.region(region)
            if what not in self.truth:
                self.truth[what] = compute(true)
            return compute(predicted), self.truth[what]

        found: tuple[Any, Any] = self.once(what, both)
        return found

    @cached_property
    def _found(self) -> dict[Hashable, Any]:
        return {}

    def at_rest(self, name: str) -> Any:
        """(n, 3): a region of the rig's neutral face."""
        if self.rest is None:
            raise FacelmError(f"{self.name}: this metric needs the rig's neutral face")
        return self.rest[self._mask(name)]

    def _picked(self, array: Any, name: str) -> Any:
        mask = self._mask(name)
        if isinstance(array, np.ndarray):  # twice as fast as by the mask
            return array.take(np.flatnonzero(mask), axis=1)
        return array[:, mask]

    def _mask(self, name: str) -> Any:
        if name not in self.regions:
            raise FacelmError(
                f"{self.name}: the rig has no region {name!r}; it has {', '.join(self.regions) or 'none'}"
            )
        return self.regions[name]

    def channels(self, names: Sequence[str]) -> tuple[Any, Any]:
        """Predicted and true values (T, len(names)) of channels. Raises FacelmError naming one that is absent."""
        if self.values is None:
            raise FacelmError(f"{self.name}: this metric needs coefficients, and only vertices were given")
        lacking = [name for name in names if name not in self.names]
        if lacking:
            raise FacelmError(f"{self.name}: there is no channel {', '.join(lacking)}")
        columns = [self.names.index(name) for name in names]
        return self.values[0][:, columns], self.values[1][:, columns]


def length(array: Any) -> Any:
    """(...,): Euclidean lengths of vectors (..., 3)."""
    xp = array_api_compat.array_namespace(array)
    x, y, z = (array[..., i] for i in range(3))
    return xp.sqrt(x * x + y * y + z * z)  # ten times as fast as a norm over so short an axis


@dataclass(frozen=True)
class Metric:
    """A figure that is a ratio of two sums over clips.

    Attributes:
        name, unit, formula: as in `Score`.
        part: a pair's (total, weight); None where the clip does not have what is measured.
        better: "lower", "higher" or "nearer 1" / "nearer 0", for tables.
        finish: applied to the ratio.
    """

    name: str
    unit: str
    formula: str
    part: Callable[[Pair], tuple[float, float] | None]
    better: str = "lower"
    finish: Callable[[np.ndarray], np.ndarray] | None = None

    def __call__(self, pairs: Pair | Iterable[Pair]) -> Score:
        """The score of one pair or of many."""
        return measure([self], [pairs] if isinstance(pairs, Pair) else pairs)[self.name]


def measure(metrics: Sequence[Metric], pairs: Iterable[Pair]) -> dict[str, Score]:
    """Scores by metric name, in one pass over the pairs."""
    tallies = {metric.name: Tally() for metric in metrics}
    for pair in pairs:
        for metric in metrics:
            part = metric.part(pair)
            if part is not None:
                tallies[metric.name].add(*part)
    return {m.name: tallies[m.name].score(m.name, m.unit, m.formula, m.finish) for m in metrics}


def pairs(
    predicted: Iterable[FaceMotion], true: Iterable[FaceMotion], rig: Rig, names: Iterable[str] | None = None
) -> Iterator[Pair]:
    """Pairs of motions on a rig, made one at a time. Both are taken as they are: the same rate and length.

    Raises FacelmError naming the clip whose prediction is missing, or differs in rate or length.
    """
    labels = iter(names) if names is not None else (f"clip {i}" for i in range(10**12))
    for label, a, b in zip(labels, predicted, true, strict=False):
        if a.rate != b.rate:
            raise FacelmError(f"{label}: the prediction has {a.fps:g} fps and the reference {b.fps:g}; resample it")
        a, b = a.to(rig.layout), b.to(rig.layout)
        yield Pair(
            rig.vertices(a) if len(a) == len(b) else a.values,
            rig.vertices(b) if len(a) == len(b) else b.values,
            rig.regions,
            b.fps,
            rig.rest,
            (a.values, b.values),
            b.layout.names,
            label,
        )
