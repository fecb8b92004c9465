"""What every rig can do, whatever moves its vertices."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Rig(Protocol):
    """A face that turns values of one layout into vertices, in metres.

    Axes are right-handed: x to the person's left, y up, z out of the face.
    """

    @property
    def layout(self) -> str:
        """The name of the layout `vertices` takes; a motion is converted to it where that can be done by name."""
        ...

    @property
    def rest(self) -> np.ndarray:
        """(V, 3) float32, the neutral face."""
        ...

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) or (F, 4) int32."""
        ...

    @property
    def regions(self) -> Mapping[str, np.ndarray]:
        """Boolean (V,) masks, at least "lips", "face", "upper_face" and "eyes"."""
        ...

    def vertices(self, motion: Any, head: bool = False) -> Any:
        """(..., V, 3) of a FaceMotion, an array or a tensor (which gives a tensor, with gradients) of values.

        head=False leaves the head upright; head=True also turns it.
        """
        ...
