"""Does every channel carry the name it should? Left and right of a face mostly move together; shuffled names do not.

Measured on eight real Live Link takes (5 s to 2 min): with the right names the two sides of 75 to 100% of the moving
pairs move together (of all of them in six takes; of 75% at least in synthesised clips). With names in alphabetical
order, moved by one column, reversed or shuffled it is at most 38%. Two names exchanged with each other (jawLeft and
jawRight), or both sides throughout, cannot be seen.
"""

import numpy as np

from facelm.motion.layout import ARKIT, SHAPES
from facelm.motion.sequence import FaceMotion

MOVES = 0.03  # a channel that stays within this range says nothing
MIN_PAIRS = 8
MIN_FRAMES = 100
MIN_SHARE = 0.55
TOGETHER = 0.9  # sides that correlate so well do move together, even where another channel follows still closer


def _other_side(name: str) -> str:
    """The shape of the other side that moves along; a gaze to one side is "in" for one eye and "out" for the other."""
    turned = {"eyeLookIn": "eyeLookOut", "eyeLookOut": "eyeLookIn"}
    shape = name.removesuffix("Left")
    return turned.get(shape, shape) + "Right"


PAIRS = tuple((n, _other_side(n)) for n in SHAPES if n.endswith("Left") and n not in ("jawLeft", "mouthLeft"))


def suspicious_order(motion: FaceMotion) -> str | None:
    """A sentence when the names of a motion's channels look shuffled, None when they do not or nobody can tell.

    For arkit and livelink motions of at least 100 frames in which 8 pairs of left and right move.
    """
    if "jawOpen" not in motion.layout or len(motion) < MIN_FRAMES:
        return None
    values = motion.to(ARKIT).values[:, : len(SHAPES)].astype(np.float64)
    moves = np.ptp(values, axis=0) > MOVES
    alive = np.flatnonzero(moves)
    if len(alive) < 2:
        return None
    correlation = np.full((len(SHAPES), len(SHAPES)), -np.inf)
    correlation[np.ix_(alive, alive)] = np.corrcoef(values[:, alive].T)
    np.fill_diagonal(correlation, -np.inf)
    pairs = [(SHAPES.index(left), SHAPES.index(right)) for left, right in PAIRS]
    pairs = [(left, right) for left, right in pairs if moves[left] or moves[right]]
    odd = [(a, b) for a, b in pairs if not moves[a] or correlation[a, b] < min(TOGETHER, correlation[a].max() - 1e-6)]
    if len(pairs) < MIN_PAIRS or 1 - len(odd) / len(pairs) >= MIN_SHARE:
        return None
    a, b = next(((a, b) for a, b in odd if moves[a]), odd[0])
    nearest = SHAPES[int(correlation[a].argmax())]
    return (
        f"the names look shuffled: of {len(pairs)} pairs of left and right that move, {len(odd)} do not move together "
        f"({SHAPES[a]} moves with {nearest} rather than {SHAPES[b]}); check the order of the names."
    )
