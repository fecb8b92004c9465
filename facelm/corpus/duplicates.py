"""Near-duplicates: takes that are the same performance again, resampled, rounded, exported twice or slightly cleaned.

A take's signature is its curves at 24 moments, scaled to length one. Two takes are near-duplicates when they have the
same layout, last equally long (to 2%) and move equally far (to 6%), and their signatures lie within 0.1 of each other.
Rounding to two decimals, 30 fps and back, or a missing frame move the signatures of synthesised clips of 2 s, the
hardest case, by up to 0.08; the nearest two of 46 clips of 8 s of real takes are 0.57 apart. Candidates come from a
k-d tree over 16 fixed random projections, so nothing is compared with everything, and only signatures are in memory
(1.3 kB a take of layout arkit). Copies that were trimmed or shifted are not found.
"""

import base64
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.spatial import cKDTree

MOMENTS = 24
SMOOTH = 13  # frames that a moment is the mean of
DISTANCE = 0.1  # between signatures of length one
LENGTHS = 0.02  # relative difference of durations, and two frames
SIZES = 0.06  # relative difference of how far they move
STILL = 0.02  # a take that moves less than this is still, and never a duplicate
PROJECTIONS = 16
SLACK = 1.7  # of the search radius: a projection stretches a distance further than this once in 10,000 times
BLOCK = 2000  # takes searched at a time


@dataclass(frozen=True)
class Signature:
    """What is kept of a take: layout, frames, size (mean movement), shape int8 (MOMENTS * D,)."""

    layout: str
    frames: int
    size: float
    shape: np.ndarray

    def packed(self) -> dict[str, Any]:
        """As JSON can hold it."""
        shape = base64.b85encode(self.shape.tobytes()).decode()
        return {"layout": self.layout, "frames": self.frames, "size": self.size, "shape": shape}

    @classmethod
    def unpacked(cls, packed: dict[str, Any]) -> "Signature":
        """The signature that `packed` gave."""
        shape = np.frombuffer(base64.b85decode(packed["shape"]), np.int8)
        return cls(packed["layout"], packed["frames"], packed["size"], shape)


def signature(values: np.ndarray, layout: str) -> Signature:
    """The signature of a take's values (T, D), at one rate for all takes that are compared."""
    smooth = uniform_filter1d(values.astype(np.float32), SMOOTH, axis=0, mode="nearest")
    moments = np.rint((np.arange(MOMENTS) + 0.5) / MOMENTS * len(values) - 0.5).astype(int).clip(0, len(values) - 1)
    shape = smooth[moments].ravel()
    size = float(np.linalg.norm(shape) / np.sqrt(MOMENTS))
    scale = 127 / max(float(np.abs(shape).max()), 1e-6)
    return Signature(layout, len(values), round(size, 5), np.rint(shape * scale).astype(np.int8))


def near_duplicates(
    signatures: Sequence[Signature], ranks: Sequence[tuple[Any, ...]], groups: Sequence[Hashable] | None = None
) -> dict[int, int]:
    """Which takes to leave out, and in favour of which.

    Args:
        signatures: of the takes.
        ranks: of two near-duplicates the one whose rank sorts first stays. No two may be equal; they should depend on
            the takes alone, so that the order of the takes changes nothing.
        groups: takes of one group are not compared, unless it is None.

    Returns:
        Index of a take left out -> index of the one that stays.
    """
    dropped: dict[int, int] = {}
    moving = [i for i, found in enumerate(signatures) if found.size > STILL]
    for layout in sorted({signatures[i].layout for i in moving}):
        group = sorted((i for i in moving if signatures[i].layout == layout), key=lambda i: ranks[i])
        for place, beside in _neighbours([signatures[i] for i in group]):
            one = group[place]
            if one in dropped:
                continue
            for other in (group[j] for j in beside):
                apart = groups is None or groups[one] is None or groups[one] != groups[other]
                if apart and other not in dropped:
                    dropped[other] = one
    return dropped


def _neighbours(group: list[Signature]) -> Iterator[tuple[int, list[int]]]:
    """For each take with near-duplicates of higher index: its index and theirs."""
    width = len(group[0].shape)
    matrix = np.random.default_rng(0).normal(size=(width, PROJECTIONS)).astype(np.float32) / np.sqrt(PROJECTIONS)
    points = np.concatenate([_unit(group[i : i + BLOCK]) @ matrix for i in range(0, len(group), BLOCK)])
    tree = cKDTree(points)
    for first in range(0, len(group), BLOCK):
        found = tree.query_ball_point(points[first : first + BLOCK], SLACK * DISTANCE)
        for place, candidates in enumerate(found, start=first):
            later = sorted(other for other in candidates if other > place)
            same = [other for other in later if _same(group[place], group[other])]
            if same:
                yield place, same


def _unit(group: Sequence[Signature]) -> np.ndarray:
    shapes = np.stack([found.shape for found in group]).astype(np.float32)
    return shapes / np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-6)


def _same(a: Signature, b: Signature) -> bool:
    if abs(a.frames - b.frames) > 2 + LENGTHS * max(a.frames, b.frames):
        return False
    if abs(a.size - b.size) > SIZES * max(a.size, b.size):
        return False
    one, other = _unit([a, b])
    return bool(np.linalg.norm(one - other) <= DISTANCE)
