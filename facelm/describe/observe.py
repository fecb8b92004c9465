"""The plan of a motion that nobody planned: phases found where the face changes, each with what a person would mention.

observed_plan(FaceMotion.load("take.csv")).text()
"""

import numpy as np

from facelm.describe.events import phase_levels
from facelm.describe.facts import Fact, item_facts
from facelm.describe.phases import split
from facelm.describe.plan import MAX_PHASES, Item, Phase, Plan
from facelm.describe.speech import held_through_speech
from facelm.describe.timeline import BLINK, Timeline, read
from facelm.describe.tracks import COLUMNS, FPS, SHORTEST_REST, Tracks, resting, tracks
from facelm.describe.units import BLINK_COUNTS, EMOTIONS, INTENSITIES, UNITS
from facelm.motion import FaceMotion

PENALTY = 1.5  # squared error, summed over frames, that one more phase has to save
MOST_UNITS = 4  # a phase, beside an emotion
GRID = 320  # places at which a border may lie
BORDERS = (0.51, 0.79)  # of a unit's peak, between slight, moderate and strong
UNEVEN = 2.2  # largest ratio of the units' shares of a prototype at which they are one emotion


def observed_plan(motion: FaceMotion, rest: np.ndarray | None = None) -> Plan:
    """The plan that describes a motion, in the closed vocabulary of plans; times are tenths of a second.

    Phases lie where units, head and gaze change: the split with the least squared error within phases, plus a penalty
    for each phase (at most 8, none under 0.6 s). Each phase lists an emotion where a prototype fits, the strongest
    units beside it, head gestures, gaze and blinks; what speech explains is left out.

    Args:
        motion: layout arkit or livelink, any fps.
        rest: as in `timeline`.
    """
    if rest is None and motion.seconds >= SHORTEST_REST:
        rest = resting(motion)
    curves = tracks(motion, rest)
    return summarise(curves, read(curves, motion.seconds))


def summarise(curves: Tracks, shown: Timeline) -> Plan:
    """The plan of curves and their timeline."""
    speech = [(round(begin * FPS), round(end * FPS)) for begin, end in shown.talking]
    quiet = Tracks(held_through_speech(curves.levels, speech), curves.lids, curves.gaze, curves.mouth, curves.head)
    tenths = max(1, round(shown.seconds * 10))
    ranges = split(_activity(quiet, shown), MAX_PHASES, PENALTY, _weights(len(quiet)), GRID)
    borders = [0, *(round(end / FPS * 10) for _, end in ranges[:-1]), tenths]
    phases = []
    for begin, end in zip(borders, borders[1:], strict=False):
        frames = round(begin / 10 * FPS), min(len(curves), max(round(end / 10 * FPS), round(begin / 10 * FPS) + 1))
        phases.append(Phase(begin / 10, end / 10, _items(phase_levels(quiet, *frames), shown, begin / 10, end / 10)))
    return Plan(tuple(phases))


def _activity(curves: Tracks, shown: Timeline) -> np.ndarray:
    """What changes from phase to phase, (T, curves): unit levels during their events; head and gaze as 0 or 0.5."""
    units = np.zeros_like(curves.levels)
    others: dict[Fact, np.ndarray] = {}
    for event in shown.expressive:
        inside = slice(round(event.onset * FPS), round(event.offset * FPS))
        unit = UNITS.get(event.fact.name)
        if unit:
            sides = ("left", "right") if event.fact.side == "both" else (event.fact.side,)
            for column in (COLUMNS[unit.code, side] for side in sides):
                units[inside, column] = curves.smooth_levels[inside, column]
        elif event.fact != BLINK:
            others.setdefault(event.fact, np.zeros(len(curves)))[inside] = 0.5
    return np.column_stack([units[:, units.any(axis=0)], *others.values()]) if others or units.any() else units[:, :1]


def _weights(frames: int) -> np.ndarray:
    """A face that starts or ends at rest does not make a phase of its own of the first 0.5 or the last 0.4 s."""
    weights = np.ones(frames)
    if frames > 2 * FPS:
        weights[: round(0.5 * FPS)] = 0.0
        weights[-round(0.4 * FPS) :] = 0.0
    return weights


def _items(levels: dict[Fact, float], shown: Timeline, begin: float, end: float) -> tuple[Item, ...]:
    """What a person would mention of a phase, in the order of plans: emotion, units, head, gaze, blinks."""
    units = {fact: level for fact, level in levels.items() if fact.name in UNITS}
    items = []
    emotion = _emotion(units)
    if emotion:
        items.append(emotion)
        units = {fact: level for fact, level in units.items() if fact not in item_facts(emotion)}
    strongest = sorted(units, key=lambda fact: -units[fact])[:MOST_UNITS]
    items += [
        Item("unit", fact.name, fact.side, _intensity(units[fact]))
        for fact in sorted(strongest, key=lambda fact: _ORDER[fact.name])
    ]
    for fact in levels:
        if fact.name.startswith("head "):
            items.append(Item("head", fact.name.removeprefix("head "), fact.side))
        elif fact.name == "gaze" and fact.side:
            items.append(Item("gaze", fact.side))
    count = sum(begin <= blink.apex < end for blink in shown.blinks)
    if count:
        items.append(Item("blink", BLINK_COUNTS[min(count, len(BLINK_COUNTS)) - 1]))
    return tuple(items)


_ORDER = {code: index for index, code in enumerate(UNITS)}


def _emotion(levels: dict[Fact, float]) -> Item | None:
    """The emotion whose units are all held, evenly for its prototype; of several the one that explains most."""
    best, most = None, 0.0
    for emotion in EMOTIONS.values():
        for side in ("left", "right") if emotion.sided else (None,):
            item = Item("emotion", emotion.name, side, "moderate")
            stated = item_facts(item)
            if not stated <= levels.keys():
                continue
            shares = [levels[fact] / emotion.units[fact.name] for fact in stated]
            explained = sum(levels[fact] for fact in stated)
            if max(shares) <= UNEVEN * min(shares) and explained > most:
                best, most = Item("emotion", emotion.name, side, _intensity(float(np.median(shares)))), explained
    return best


def _intensity(share: float) -> str:
    return INTENSITIES[int(np.searchsorted(BORDERS, share))]
