"""The plan of a motion that nobody planned: phases found where the face changes, each with what a person would mention.

observed_plan(FaceMotion.load("take.csv")).text()
"""

from dataclasses import replace

import numpy as np

from facelm.describe.events import phase_levels
from facelm.describe.facts import Fact, item_facts
from facelm.describe.phases import split
from facelm.describe.plan import MAX_PHASES, Item, Phase, Plan
from facelm.describe.speech import held_through_speech
from facelm.describe.timeline import BLINK, FOLLOWER, LEADERS, Timeline, read, tracks_at_rest
from facelm.describe.tracks import COLUMNS, FPS, Tracks
from facelm.describe.units import BLINK_COUNTS, EMOTIONS, INTENSITIES, UNITS
from facelm.motion import FaceMotion

PENALTY = 2.0  # squared error, summed over frames, that one more phase has to save
MOST_UNITS = 4  # a phase, beside an emotion
GRID = 320  # places at which a border may lie
BORDERS = (0.51, 0.79)  # of a unit's peak, between slight, moderate and strong
SHORT = 1.0  # s
UNEVEN = 2.2  # largest ratio of the units' shares of a prototype at which they are one emotion


def observed_plan(motion: FaceMotion, rest: np.ndarray | None = None) -> Plan:
    """The plan that describes a motion, in the closed vocabulary of plans; times are tenths of a second.

    Phases lie where units, head and gaze change: the split with the least squared error within phases, plus a penalty
    for each phase (at most 8, none under 0.6 s); neighbours that show the same are joined. Each phase lists an emotion
    where a prototype fits, the strongest units beside it, head gestures, gaze and blinks; mouth movement that speech
    explains is left out.

    Args:
        motion: layout arkit or livelink, any fps. Takes of minutes are better cut into clips first.
        rest: as in `timeline`.
    """
    return observe(motion, rest)[1]


def observe(motion: FaceMotion, rest: np.ndarray | None = None) -> tuple[Timeline, Plan]:
    """`timeline(motion)` and `observed_plan(motion)` for little more than the price of one."""
    curves = tracks_at_rest(motion, rest)
    shown = read(curves, motion.seconds)
    return shown, _summary(curves, shown)


def _summary(curves: Tracks, shown: Timeline) -> Plan:
    speech = [(round(begin * FPS), round(end * FPS)) for begin, end in shown.talking]
    quiet = replace(curves, levels=held_through_speech(curves.levels, speech))
    ranges = split(_activity(quiet, shown), MAX_PHASES, PENALTY, _weights(len(quiet)), GRID)
    tenths = max(1, round(shown.seconds * 10))
    borders = [0, *(round(end / FPS * 10) for _, end in ranges[:-1]), tenths]

    def phase(begin: int, end: int) -> Phase:
        first = round(begin / 10 * FPS)
        last = min(len(curves), max(round(end / 10 * FPS), first + 1))
        return Phase(begin / 10, end / 10, _items(phase_levels(quiet, first, last), shown, begin / 10, end / 10))

    phases = [phase(begin, end) for begin, end in zip(borders, borders[1:], strict=False)]
    index = 1
    while index < len(phases):
        if _alike(phases[index - 1], phases[index]):
            phases[index - 1 : index + 1] = [phase(borders[index - 1], borders[index + 1])]
            del borders[index]
            index = max(1, index - 1)
        else:
            index += 1
    return Plan(tuple(phases))


def _alike(a: Phase, b: Phase) -> bool:
    """Whether a person would tell two phases in one: the same expression, pose and gaze, whatever nods and blinks.

    Pose and gaze may differ where one of the phases is short, and one intensity may differ by a step.
    """
    short = min(a.end - a.start, b.end - b.start) < SHORT
    kinds = ("emotion", "unit") if short else ("emotion", "unit", "head", "gaze")

    def states(phase: Phase) -> dict[tuple[str, str, str | None], str | None]:
        held = (item for item in phase.items if item.kind in kinds and item.name not in ("nod", "shake"))
        return {(item.kind, item.name, item.side): item.intensity for item in held}

    one, other = states(a), states(b)
    if one.keys() != other.keys():
        return False
    changed = [(one[key], other[key]) for key in one if one[key] != other[key]]
    return not changed or (len(changed) == 1 < len(one) and set(changed[0]) != {INTENSITIES[0], INTENSITIES[-1]})


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
    """A face that starts or ends at rest does not make a phase of its own of the first 0.5 or the last 0.6 s."""
    weights = np.ones(frames)
    if frames > 2 * FPS:
        weights[: round(0.5 * FPS)] = 0.0
        weights[-round(0.6 * FPS) :] = 0.0
    return weights


def _items(levels: dict[Fact, float], shown: Timeline, begin: float, end: float) -> tuple[Item, ...]:
    """What a person would mention of a phase, in the order of plans: emotion, units, head, gaze, blinks."""
    units = {fact: level for fact, level in levels.items() if fact.name in UNITS}
    thrust = Fact(FOLLOWER)
    if thrust in units and max(units[fact] for fact in units if fact.name in (FOLLOWER, *LEADERS)) > units[thrust]:
        del units[thrust]
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
