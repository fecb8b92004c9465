"""Facts of motion that has no ARKit channels: carried to arkit by a map or by its vertices, then read as any other."""

from dataclasses import replace

import numpy as np

from facelm.errors import FacelmError
from facelm.motion.layout import ARKIT
from facelm.motion.retarget import LinearMap


def levelled(to_arkit: LinearMap) -> LinearMap:
    """The map with every shape's share of the source's shapes summing to 1.

    A map fitted between two rigs (`facelm.rig.fit.fit_map`) keeps distances: where one sculptor took the smile twice as
    far as the other, 1 becomes 0.5. Facts are about levels, and a smile at its full should be one at its full on the
    other rig too. Shapes that the source hardly reaches (shares that sum to under 0.1) stay as they are.
    Raises FacelmError when the map does not lead from weights of 0 to 1 to arkit: those of FLAME have no full.
    """
    sources = np.array([c.unit == "weight" and (c.low, c.high) == (0, 1) for c in to_arkit.source.channels])
    if to_arkit.target.names != ARKIT.names or to_arkit.source.is_flame:
        raise FacelmError(
            f"a map from {to_arkit.source.name} to {to_arkit.target.name} has no levels to keep; "
            "it must lead from shapes of 0 to 1 to arkit"
        )
    shares = to_arkit.matrix[:, sources].clip(0, None).sum(axis=1)
    scale = np.where(shares > 0.1, 1 / np.maximum(shares, 0.1), 1.0)
    return replace(to_arkit, matrix=to_arkit.matrix * scale[:, None], offset=to_arkit.offset * scale)
