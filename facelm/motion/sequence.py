"""FaceMotion: the values of a face over time."""

import os
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from facelm.errors import FacelmError
from facelm.motion.layout import Layout, convert, layout
from facelm.motion.rotations import unwrap
from facelm.motion.timecode import exact_rate

if TYPE_CHECKING:
    from facelm.motion.names import NameTable

_BLOCK = 4096  # frames resampled at a time, so that hours of motion need little memory


class FaceMotion:
    """Frames of named channels at a constant rate. Never changed in place; every method returns a new motion.

    values: float32 (T, D), T >= 1, finite, read-only; the columns are the channels of `layout`.
    fps: frames/s; `rate` is the same as an exact fraction (23.976, 29.97, 59.94 are n * 1000 / 1001).
    layout: "arkit", "livelink", "flame56", "flame106" or "flame", or a Layout.
    identity: the neutral shape a rig needs to show this person, float32 (N,), or None.
    start: SMPTE time of day of frame 0 in seconds, or None where the motion has no timecode.
    metadata: words about where the motion comes from; kept by npz and GLB files.

    Raises FacelmError for values of the wrong shape, NaN or infinite values, no frames, or fps <= 0.
    """

    def __init__(
        self,
        values: ArrayLike,
        fps: float | Fraction,
        layout: str | Layout = "arkit",
        identity: ArrayLike | None = None,
        start: float | Fraction | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.rate: Final = exact_rate(fps)
        self.fps: Final = float(self.rate)
        self.layout: Final = _layout(layout)
        self.values: Final = _checked(values, self.layout)
        self.identity: Final = None if identity is None else _frozen(np.array(identity, dtype=np.float32))
        self.start: Final = None if start is None else _time_of_day(start)
        self.metadata: Final = {str(key): str(value) for key, value in (metadata or {}).items()}

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        short_rows: str = "bridge",
        names: "NameTable | str | Path | None" = None,
        fps: float | None = None,
    ) -> "FaceMotion":
        """The motion in a file of any kind that `facelm.motion.load_motion` reads, which explains the arguments.

        What had to be mended (rows where no face was seen, missing frames, repeated times) and a rate that had to be
        assumed are told in a warning; `load_motion` returns them as a LoadReport instead.
        Raises FacelmError (MissingFileError when there is no such file).
        """
        from facelm.motion.files import load_motion

        motion, report = load_motion(path, short_rows, names, fps)
        if report.mended or report.fps_assumed:
            warnings.warn(str(report), stacklevel=2)
        return motion

    def save(self, path: str | os.PathLike[str], dialect: str | None = None) -> None:
        """Write a file whose kind its ending says, or `dialect`; see `facelm.motion.save_motion`."""
        from facelm.motion.files import save_motion

        save_motion(self, path, dialect)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def seconds(self) -> float:
        """The duration: T / rate, in seconds."""
        return float(len(self) / self.rate)

    def times(self) -> np.ndarray:
        """The time of each frame from the first, float64 (T,), seconds."""
        return np.arange(len(self)) * self.rate.denominator / self.rate.numerator

    def channel(self, name: str) -> np.ndarray:
        """One channel, float32 (T,), read-only. Raises FacelmError naming the nearest channels."""
        return self.values[:, self.layout.index(name)]

    def __getitem__(self, frames: slice) -> "FaceMotion":
        """The frames of a slice without step; its timecode moves along. Raises FacelmError when none are left."""
        if not isinstance(frames, slice):
            raise TypeError("a motion is sliced as motion[first:last]; single frames are rows of motion.values")
        first, last, step = frames.indices(len(self))
        if step != 1:
            raise FacelmError("slices of a motion have no step, because that would change its rate; use resample(fps)")
        if last <= first:
            raise FacelmError(f"no frames from {frames.start} to {frames.stop} in a motion of {len(self)} frames")
        start = None if self.start is None else self.start + first / self.rate
        return self._with(self.values[first:last], start=start)

    def crop(self, start: float = 0.0, end: float | None = None) -> "FaceMotion":
        """The frames from `start` to `end` (seconds from frame 0, rounded to frames; to the end when None).

        Raises FacelmError when nothing lies between them.
        """
        last = self.seconds if end is None else end
        first_frame, last_frame = (max(0, round(second * self.rate)) for second in (Fraction(start), Fraction(last)))
        if min(last_frame, len(self)) <= first_frame:
            raise FacelmError(f"nothing lies between {start:g} and {last:g} s of a motion of {self.seconds:g} s")
        return self[first_frame:last_frame]

    @staticmethod
    def concatenate(motions: Sequence["FaceMotion"]) -> "FaceMotion":
        """One motion after the other; timecode, identity and metadata are those of the first.

        Raises FacelmError when there is none, or when they differ in layout or rate.
        """
        if not motions:
            raise FacelmError("there are no motions to concatenate")
        first = motions[0]
        for i, motion in enumerate(motions):
            if motion.layout != first.layout:
                raise FacelmError(
                    f"motion {i} has the layout {motion.layout.name} and motion 0 {first.layout.name}; "
                    f"convert it with .to({first.layout.name!r})"
                )
            if motion.rate != first.rate:
                raise FacelmError(
                    f"motion {i} has {motion.fps:g} fps and motion 0 {first.fps:g}; resample it with .resample()"
                )
        return first._with(np.concatenate([motion.values for motion in motions]))

    def resample(self, fps: float | Fraction) -> "FaceMotion":
        """The motion at another rate, from the first frame up to the last.

        A sinc in a Hann window of four lobes a side removes what the lower of both rates cannot hold (cut at 0.9 of
        it); frames beyond the ends repeat the end; channels stay within the range they had. Unchanged at its own rate.
        Raises FacelmError when fps is not positive.
        """
        rate = exact_rate(fps)
        if rate == self.rate:
            return self
        step = self.rate / rate  # source frames per new frame
        count = (len(self) - 1) * step.denominator // step.numerator + 1
        cut = 0.9 * min(1.0, float(1 / step))
        half = int(np.ceil(4 / cut))
        taps = np.arange(-half + 1, half + 1)
        source = self._continuous().astype(np.float64)
        out = np.empty((count, self.layout.width), dtype=np.float32)
        low, high = source.min(0), source.max(0)
        for begin in range(0, count, _BLOCK):
            k = np.arange(begin, min(begin + _BLOCK, count), dtype=np.int64) * step.numerator
            whole, part = k // step.denominator, (k % step.denominator) / step.denominator
            distance = taps - part[:, None]
            window = np.cos(np.pi * np.clip(distance / half, -1, 1) / 2) ** 2
            weights = np.sinc(cut * distance) * window
            weights /= weights.sum(1, keepdims=True)
            index = np.clip(whole[:, None] + taps, 0, len(self) - 1)
            mixed = np.einsum("tk,tkc->tc", weights, source[index])  # (frames, taps) x (frames, taps, D)
            out[begin : begin + len(k)] = np.clip(mixed, low, high)
        return FaceMotion(out, rate, self.layout, self.identity, self.start, self.metadata)

    def _continuous(self) -> np.ndarray:
        """The values, rotation vectors without jumps from one way to say a rotation to another: float32 (T, D)."""
        if not self.layout.is_flame:
            return self.values
        values = self.values.copy()
        for first in (name for name in self.layout.names if name.endswith("X")):
            joint = slice(self.layout.index(first), self.layout.index(first) + 3)
            values[:, joint] = unwrap(values[:, joint])
        return values

    def to(self, target: str | Layout) -> "FaceMotion":
        """The motion in another layout; `facelm.motion.convert` says what is lost.

        Raises FacelmError if it is unknown, and between ARKit and FLAME, which takes a map between rigs.
        """
        target = _layout(target)
        if target == self.layout:
            return self
        values, _ = convert(self.values, self.layout, target)
        return FaceMotion(values, self.rate, target, self.identity, self.start, self.metadata)

    def mirror(self) -> "FaceMotion":
        """The motion with left and right exchanged. Raises FacelmError for FLAME."""
        permutation, sign = self.layout.mirror()
        return self._with(self.values[:, permutation] * sign)

    def with_metadata(self, **words: str) -> "FaceMotion":
        """The motion with these words added to its metadata."""
        return FaceMotion(self.values, self.rate, self.layout, self.identity, self.start, {**self.metadata, **words})

    def _with(self, values: np.ndarray, start: Fraction | None = None) -> "FaceMotion":
        return FaceMotion(
            values, self.rate, self.layout, self.identity, self.start if start is None else start, self.metadata
        )

    def __eq__(self, other: object) -> bool:
        """The same values, rate, layout, identity and timecode (none counts as 00:00:00:00); metadata may differ."""
        if not isinstance(other, FaceMotion):
            return NotImplemented
        return (
            self.rate == other.rate
            and self.layout == other.layout
            and (self.start or 0) == (other.start or 0)
            and np.array_equal(self.values, other.values)
            and (self.identity is None) == (other.identity is None)
            and (self.identity is None or np.array_equal(self.identity, other.identity))  # type: ignore[arg-type]
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FaceMotion({len(self)} frames, {self.fps:.6g} fps, {self.seconds:.2f} s, {self.layout.name})"


_layout = layout  # inside the class, `layout` names the argument


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _time_of_day(start: float | Fraction) -> Fraction:
    try:
        return Fraction(start).limit_denominator(10**9) % 86400
    except (TypeError, ValueError, OverflowError):
        raise FacelmError(f"start must be a time of day in seconds, not {start!r}") from None


def _checked(values: ArrayLike, layout: Layout) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=np.float32, order="C")
    except (TypeError, ValueError):
        raise FacelmError(f"motion values must be numbers of shape (frames, {layout.width})") from None
    if array.ndim != 2 or array.shape[1] != layout.width:
        raise FacelmError(
            f"motion values have the shape {array.shape}, but the layout {layout.name} needs (frames, {layout.width})"
        )
    if not len(array):
        raise FacelmError("the motion is empty; it needs at least one frame")
    finite = np.isfinite(array)
    if not finite.all():
        frame, column = np.argwhere(~finite)[0]
        raise FacelmError(
            f"the value of {layout.names[column]} in frame {frame} is {array[frame, column]}; "
            "mend or cut out the frames that are not finite"
        )
    return _frozen(array)
