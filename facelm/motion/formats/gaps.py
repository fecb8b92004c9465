"""Frames that are missing between frames that are there."""

import numpy as np


def interpolate(positions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (N, D) at frame positions (N,) from 0, as frames 0, 1, ... up to the last position: float32 (T, D)."""
    frames = np.arange(int(np.floor(positions[-1] + 1e-6)) + 1)
    return np.stack([np.interp(frames, positions, column) for column in values.T], axis=1).astype(np.float32)


def missing_between(frames: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(first, end) of each stretch of frames missing between increasing frame numbers, int64 (N,)."""
    after = np.flatnonzero(np.diff(frames) > 1)
    return tuple((int(frames[i]) + 1, int(frames[i + 1])) for i in after)
