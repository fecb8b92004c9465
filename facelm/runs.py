"""Stretches of time in which something holds."""

import numpy as np


def runs(mask: np.ndarray, least: int = 1) -> list[tuple[int, int]]:
    """(first, end) of the stretches of True in a mask (T,) that last at least so many frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2) if end - first >= least]
