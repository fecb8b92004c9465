"""How far the lips and the lids of a rig are apart: what people see first when it is wrong."""

from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from facelm.errors import FacelmError
from facelm.rig.landmarks import LIP_POINTS, anatomy, opening

SIDES = ("left", "right")
LIPS_REACH = 0.1  # of the distance between the eyeballs' centres: vertices so near the middle of the mouth's line
LIDS_REACH = 0.1  # ... and so near the middle of a lid's rim
FOLLOWS_JAW = 0.35  # of the largest displacement as the jaw opens: from here a vertex is of the lower lip


@dataclass(frozen=True, eq=False)
class Gaps:
    """Vertex numbers of the two rims of each opening: lips, left eye and right eye (the person's own)."""

    lips: tuple[np.ndarray, np.ndarray]
    left: tuple[np.ndarray, np.ndarray]
    right: tuple[np.ndarray, np.ndarray]

    def of(self, vertices: Any, opening: str) -> Any:
        """The least distance of the two rims of "lips", "left" or "right", (T,) metres. vertices: (T, V, 3)."""
        upper, lower = getattr(self, opening)
        xp = array_api_compat.array_namespace(vertices)
        between = vertices[:, upper][:, :, None] - vertices[:, lower][:, None]  # (T, upper, lower, 3)
        x, y, z = (between[..., i] for i in range(3))
        return xp.sqrt(xp.min(xp.min(x * x + y * y + z * z, axis=-1), axis=-1))


def gaps(rig: Any) -> Gaps:
    """The rims of a rig's lips and lids, found from its landmarks.

    Raises FacelmError where landmarks cannot be found (no eyeballs, a jaw that does not open, closed eyes at rest).
    """
    face = anatomy(rig)
    rest = np.asarray(rig.rest, np.float64)
    outside = np.flatnonzero(face.outside)
    places = rest[outside]
    opened = np.linalg.norm(np.asarray(opening(rig), np.float64) - rest, axis=1)

    def near(names: list[str], reach: float) -> np.ndarray:
        points = np.stack([face.points[name] for name in names])
        distance = np.linalg.norm(places[:, None] - points[None], axis=2).min(1)
        return outside[distance < reach * face.unit]

    middle = LIP_POINTS // 2
    lips = near([f"mouth{i}" for i in (middle - 1, middle, middle + 1)], LIPS_REACH)
    lower = opened[lips] > FOLLOWS_JAW * opened.max()
    found = {"lips": (lips[~lower], lips[lower])}
    for side in SIDES:
        rims = [near([f"eye_{side}_{lid}{i}" for i in (1, 2, 3)], LIDS_REACH) for lid in ("upper", "lower")]
        height = np.mean([face.points[f"eye_{side}_{lid}2"][1] for lid in ("upper", "lower")])
        found[side] = (rims[0][rest[rims[0], 1] > height], rims[1][rest[rims[1], 1] <= height])
    for name, (upper, under) in found.items():
        if not len(upper) or not len(under):
            raise FacelmError(f"no two rims of the {name} opening were found on the rig; its mesh is too coarse there")
    return Gaps(**found)
