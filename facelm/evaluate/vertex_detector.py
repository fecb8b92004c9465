"""A second detector of the same facts, which sees the vertices of a face and nothing else.

It shares no code with the first (describe/events.py), which reads named coefficients: here patches of skin are measured
on the mesh (vertex_measures.py), and a unit is how far the patches move the way they moved in performances of that unit
(vertex_templates.csv: displacements in thousandths of the distance between the eyeballs). Competing units share the
movement between them, none of them negative. The head's angles come from the skull, gaze from the eyeballs, blinks from
the lids. A judge that used one detector alone could not tell a fault of the model from a fault of the ruler.

    measure(motion, phases)                            # on the default head
    measure_vertices(vertices, fps, rig, phases)       # vertices of any rig
    measure_vertices(..., templates=calibrated(rig))   # of a rig whose sculptor made another smile
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from facelm.describe.facts import Fact, PhaseFacts
from facelm.describe.units import UNITS
from facelm.evaluate.vertex_measures import Measures, measures_of
from facelm.evaluate.vertex_measures import measure as measure_patches
from facelm.evaluate.vertex_templates import KEYS, Templates, shipped
from facelm.motion import FaceMotion
from facelm.rig.base import Rig
from facelm.rig.load import default_rig
from facelm.runs import runs

SHOWN = 0.18  # of a strong performance of the unit: from here it counts
LEAST = 2.5  # thousandths of the eye distance (0.15 mm on an adult): what moves less is not seen
ONE_SIDE = 0.45  # the weaker side under this share of the stronger: shown on one side
SETTLE_S = (0.35, 0.2)  # of a phase's start and end that belong to the changes into and out of it
HELD = 60  # percentile of a level over the rest of the phase
SHORTEST_PHASE_S = 0.6
SMOOTH_S = 0.04
POSE = 0.1  # rad
NOD, SHAKE = 0.05, 0.055  # rad that the head must turn back by for a dip, a swing
NOD_S, SHAKE_S = 1.1, 0.75  # from one dip to the next, from one swing to the next, at most
LOOK = {"left": 0.075, "right": 0.075, "up": 0.05, "down": 0.05}  # rad of the eyeballs
SHUT, OPEN_AGAIN, BLINK_S = 0.5, 0.3, 0.5  # lids shut by more than this, open again, within this time
BORDERS = 240  # places at most where a phase may begin
SWEEPS = 60
_OPPOSITE = [
    (KEYS.index((name, a)), KEYS.index((name, b)))
    for name, a, b in (
        *((code, "left", "right") for code, unit in UNITS.items() if unit.sides and "both" not in unit.sides),
        ("gaze", "left", "right"),
        ("gaze", "up", "down"),
    )
]
_LIDS = [KEYS.index(("AU43", side)) for side in ("left", "right")]
_EYES = [i for i, (name, _) in enumerate(KEYS) if name in ("AU5", "AU7", "AU43", "gaze")]


def measure(motion: FaceMotion, phases: int = 1) -> list[PhaseFacts]:
    """The facts of each of `phases` phases of a motion, seen on the default head; the signature of events.measure.

    Raises FacelmError when the motion's layout cannot drive that head.
    """
    return read(measures_of(motion, default_rig()), motion.fps, phases)


def measure_vertices(
    vertices: np.ndarray, fps: float, rig: Rig, phases: int = 1, templates: Templates | None = None
) -> list[PhaseFacts]:
    """The facts of vertices (T, V, 3) in metres of a rig's topology, head turned or not.

    templates: of this rig (`vertex_templates.calibrated`); without them those of the default head, whose units other
    sculptors have made otherwise. A rig whose eyeballs do not turn shows no gaze, one without a tongue no tongue.
    """
    return read(measure_patches(vertices, rig), fps, phases, templates)


def read(seen: Measures, fps: float, phases: int = 1, templates: Templates | None = None) -> list[PhaseFacts]:
    """The facts of what was measured, in each of `phases` phases; fewer where it is too short for that many."""
    templates = templates or shipped(seen.patch_names)
    held, blinks = curves(seen, fps, templates)
    bars = thresholds(templates)
    smooth, head = (gaussian_filter1d(curve, SMOOTH_S * fps, axis=0, mode="nearest") for curve in (held, seen.head))
    found = []
    for begin, end in _phases(smooth, phases, round(SHORTEST_PHASE_S * fps)):
        first = begin + min(round(SETTLE_S[0] * fps), (end - begin) // 3)
        core = slice(first, max(first + 1, end - min(round(SETTLE_S[1] * fps), (end - begin) // 6)))
        shown = _units(np.percentile(held[core], HELD, axis=0), bars)
        shown |= _head(head[begin:end], head[core], fps) | _gaze(np.median(seen.eyes[core], axis=0))
        times = tuple(time for time in blinks if begin <= time * fps < end)
        found.append(PhaseFacts(begin / fps, end / fps, shown, times))
    return found


def levels(seen: Measures, templates: Templates | None = None) -> np.ndarray:
    """(T, len(KEYS)): the share of a strong performance of each unit that together moves the patches most nearly as
    they moved; least squares with no negative share, by coordinate descent. Each coordinate of a patch counts by the
    inverse of how far it moves at most, so that the jaw does not drown the lids.
    """
    templates = templates or shipped(seen.patch_names)
    weight = 1 / (10.0 + np.abs(templates.moves).max(0))
    moves = (np.concatenate([templates.moves, _lips_kept_shut(templates)]) * weight).reshape(len(KEYS) + 1, -1)
    size = np.linalg.norm(moves, axis=1).clip(1e-9)[:, None]
    moves /= size
    wanted = (moves @ (seen.moves * weight).reshape(len(seen.head), -1).T) / size
    shared = (moves @ moves.T) * size.T / size
    shares = np.zeros_like(wanted)  # (units, T): rows of their own in memory
    for sweep in range(SWEEPS):
        for k in range(len(shares)):
            shares[k] = (shares[k] + wanted[k] - shared[k] @ shares).clip(0, None)
        if sweep < SWEEPS // 2:  # to the left and to the right at once is neither; one at a time would find it slowly
            for one, other in _OPPOSITE:
                shares[[one, other]] -= np.minimum(shares[one], shares[other])
    return shares[: len(KEYS)].T


def _lips_kept_shut(templates: Templates) -> np.ndarray:
    """(1, patches, 3): what lower lip and corners do when lips stay together over a jaw that opens, the reverse of what
    they do as it opens them. No unit states it, and without it a raised lower lip would be taken for a raised chin.
    """
    shares = {"lower lip": 1.0, "lip corner": 0.5, "beside the lips": 0.5}
    share = np.array([sum(s for start, s in shares.items() if name.startswith(start)) for name in templates.patches])
    return -share[None, :, None] * templates.moves[KEYS.index(("AU26", ""))][None]


def _closures(curves: np.ndarray, fps: float) -> list[tuple[int, int, int]]:
    """(begin, most shut, end) frames of each short closure of both lids, from levels (T, len(KEYS))."""
    shut = curves[:, _LIDS].min(1)
    return [
        (begin, begin + int(shut[begin:end].argmax()), end)
        for begin, end in runs(shut > OPEN_AGAIN)
        if shut[begin:end].max() > SHUT and end - begin <= BLINK_S * fps
    ]


def curves(seen: Measures, fps: float, templates: Templates) -> tuple[np.ndarray, list[float]]:
    """Levels (T, len(KEYS)) with lids and gaze carried straight through the blinks, and the seconds of the blinks."""
    result = levels(seen, templates)
    found = _closures(result, fps)
    shut = np.zeros(len(result), bool)
    margin = round(0.08 * fps)
    for begin, _, end in found:
        shut[max(0, begin - margin) : end + margin] = True
    if shut.any() and not shut.all():
        for column in _EYES:
            result[shut, column] = np.interp(np.flatnonzero(shut), np.flatnonzero(~shut), result[~shut, column])
    return result, [apex / fps for _, apex, _ in found]


def thresholds(templates: Templates) -> np.ndarray:
    """(len(KEYS),): the level from which each unit counts; infinite for what the rig cannot show."""
    furthest = np.abs(templates.moves).max((1, 2))
    return np.where(furthest >= LEAST, np.maximum(SHOWN, LEAST / furthest.clip(1e-9)), np.inf)


def _units(held: np.ndarray, bars: np.ndarray) -> dict[Fact, float]:
    """Units that reach their thresholds; both (len(KEYS),)."""
    at = {key: (float(level), level >= bar) for key, level, bar in zip(KEYS, held, bars, strict=True)}
    found: dict[Fact, float] = {}
    for code, unit in UNITS.items():
        if not unit.sides:
            level, shown = at[code, ""]
            if shown:
                found[Fact(code)] = level
            continue
        (left, left_shown), (right, right_shown) = at[code, "left"], at[code, "right"]
        if "both" in unit.sides and left_shown and right_shown and min(left, right) >= ONE_SIDE * max(left, right):
            found[Fact(code, "both")] = (left + right) / 2
        elif (left_shown, left) > (right_shown, right) and left_shown:
            found[Fact(code, "left")] = left
        elif right_shown:
            found[Fact(code, "right")] = right
    return found


def _gaze(eyes: np.ndarray) -> dict[Fact, float]:
    """The direction in which the eyeballs have turned furthest beyond its threshold; eyes: rad to the left, up."""
    turned = {"left": eyes[0], "right": -eyes[0], "up": eyes[1], "down": -eyes[1]}
    direction = max(turned, key=lambda name: turned[name] / LOOK[name])
    return {Fact("gaze", direction): float(turned[direction])} if turned[direction] >= LOOK[direction] else {}


def _head(angles: np.ndarray, held: np.ndarray, fps: float) -> dict[Fact, float]:
    """Gestures and poses of a phase's angles (T, 3), and of those without its changes."""
    found: dict[Fact, float] = {}
    yaw, pitch = angles[:, 0], angles[:, 1]
    nods = [frame for frame, sign in _turns(pitch, NOD) if sign > 0]
    if (np.diff(nods) <= NOD_S * fps).any():
        found[Fact("head nod")] = float(np.ptp(pitch))
    swings = [frame for frame, _ in _turns(yaw, SHAKE)]
    if any(
        b - a <= SHAKE_S * fps and c - b <= SHAKE_S * fps
        for a, b, c in zip(swings, swings[1:], swings[2:], strict=False)
    ):
        found[Fact("head shake")] = float(np.ptp(yaw))
    poses = (
        ("head shake", 0, Fact("head turn", "left"), Fact("head turn", "right")),
        ("head nod", 1, Fact("head down"), Fact("head up")),
        ("", 2, Fact("head tilt", "right"), Fact("head tilt", "left")),
    )
    for gesture, axis, positive, negative in poses:
        angle = float(np.median(held[:, axis]))
        if abs(angle) >= POSE and Fact(gesture) not in found:
            found[positive if angle > 0 else negative] = abs(angle)
    return found


def _turns(curve: np.ndarray, least: float) -> list[tuple[int, int]]:
    """(frame, +1 or -1) of the highest and lowest places between which a curve (T,) swings by at least so much."""
    found: list[tuple[int, int]] = []
    top = bottom = 0
    direction = 0
    for frame, value in enumerate(curve):
        top = frame if value > curve[top] else top
        bottom = frame if value < curve[bottom] else bottom
        if direction >= 0 and curve[top] - value >= least:
            if direction or top:
                found.append((top, 1))
            direction, bottom = -1, frame
            top = frame
        elif direction <= 0 and value - curve[bottom] >= least:
            if direction or bottom:
                found.append((bottom, -1))
            direction, top = 1, frame
            bottom = frame
    return found


def _phases(curves: np.ndarray, count: int, shortest: int) -> list[tuple[int, int]]:
    """Frames (begin, end) of the phases whose means leave the least squared error of curves (T, K)."""
    frames = len(curves)
    count = max(1, min(count, frames // max(1, shortest)))
    borders = np.unique(np.linspace(0, frames, min(frames, BORDERS) + 1).round().astype(int))
    sums = np.concatenate([np.zeros((1, curves.shape[1])), curves.cumsum(0)])[borders]
    squares = np.concatenate([[0.0], (curves**2).sum(1).cumsum()])[borders]
    length = borders[None] - borders[:, None]
    error = squares[None] - squares[:, None] - ((sums[None] - sums[:, None]) ** 2).sum(-1) / np.maximum(length, 1)
    error = np.where(length >= shortest, error, np.inf)
    best, choices = error[0], []
    if count == 1:
        return [(0, frames)]
    for _ in range(count - 1):
        total = best[:, None] + error
        choices.append(total.argmin(0))
        best = total.min(0)
    ends = [len(borders) - 1]
    for choice in reversed(choices):
        ends.append(int(choice[ends[-1]]))
    places = [0, *(int(borders[end]) for end in reversed(ends))]
    return list(zip(places, places[1:], strict=False))
