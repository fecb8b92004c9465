"""Small films of motions side by side, for pages on which a person compares them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.rig.export import write_film
from facelm.rig.render import frames

SIZE = 240  # pixels, of each face
LONGEST = 20.0  # seconds shown
GAP = 8  # pixels between faces
PAPER = 226  # grey of the gap


def film(
    motions: Sequence[FaceMotion],
    path: str | os.PathLike[str],
    size: int = SIZE,
    fps: float = 25.0,
    sound: Path | None = None,
) -> None:
    """Write a film (.mp4) of motions side by side, each on the head of its layout, the first on the left.

    It is as long as the longest, at most `LONGEST` seconds; a face that ends earlier keeps its last frame. The file
    says nothing of where the motions come from.
    Raises FacelmError where a motion cannot be shown (no EGL, no FLAME model) or there is none.
    """
    if not motions:
        raise FacelmError("there is no motion to film")
    rows = [
        list(frames(motion.crop(0, min(LONGEST, motion.seconds)), size, fps, smooth=size > SIZE)) for motion in motions
    ]
    write_film(_beside(rows), path, fps, sound=sound)


def _beside(rows: Sequence[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
    """Pictures (size, n * size + gaps, 3)."""
    size = rows[0][0].shape[0]
    gap = np.full((size, GAP, 3), PAPER, np.uint8)
    for i in range(max(map(len, rows))):
        faces = [row[min(i, len(row) - 1)] for row in rows]
        yield np.concatenate([part for face in faces for part in (face, gap)][:-1], axis=1)
