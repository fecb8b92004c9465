"""A synthesised performer: it invents what a face does (`invent`) and performs it (`perform`).

In the spirit of TDMM-LM's balanced prompt suite: emotions, blends and single action units at three intensities, left,
right or both, blinks, gaze and head gestures, and changes over time. Dynamics are minimum-jerk (Flash and Hogan, 1985)
with an onset, a hold that sags a little, and an offset that is slower than the onset; units of one expression start
apart, the two sides differ a little, and everything carries small noise.

Where the constants come from: rises of 0.16 to 0.9 s (median 0.3 to 0.6 s) and blinks of 0.12 to 0.28 s were measured
on the MIT-licensed Live Link takes rom_3, facial and apfel (onset of spontaneous smiles 0.4 to 0.7 s: Schmidt, Cohn and
Tian, 2003); blinks close in 0.1 s and open slower (VanderWerff et al., 2003); peaks are in describe/units.py; nods and
shakes of 1.3 to 2.2 Hz and 0.1 to 0.3 rad are ordinary conversational ones (Hadar et al., 1983).
"""

import random

import numpy as np
from scipy.ndimage import gaussian_filter1d

from facelm.corpus.heldout import HeldOut
from facelm.describe.plan import Item, Phase, Plan
from facelm.describe.units import (
    BASIC_EMOTIONS,
    BLINK_COUNTS,
    EMOTIONS,
    GAZE_DIRECTIONS,
    HEAD_GESTURES,
    INTENSITIES,
    UNITS,
)
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT

FPS = 25
STEP = 4  # durations are whole token steps of the default tokenizer
LEVELS = {"slight": 0.38, "moderate": 0.64, "strong": 0.94}  # share of a unit's peak
CATEGORIES = {"emotion": 0.18, "unit": 0.3, "two units": 0.2, "two phases": 0.26, "three phases": 0.06}
BLENDS = tuple(name for name in EMOTIONS if name not in BASIC_EMOTIONS)
EYE_UNITS = {"AU5", "AU7", "AU43"}  # they fight over the eyelids, so two of them never go together
LIP_UNITS = {
    "AU10",
    "AU16",
    "AU18",
    "AU19",
    "AU20",
    "AU22",
    "AU24",
    "AU26",
    "AU28",
    "AU12",
    "AU14",
    "AU15",
    "M60",
    "AU30",
}
GAZE_CHANNELS = {
    "left": ("eyeLookOutLeft", "eyeLookInRight"),
    "right": ("eyeLookInLeft", "eyeLookOutRight"),
    "up": ("eyeLookUpLeft", "eyeLookUpRight"),
    "down": ("eyeLookDownLeft", "eyeLookDownRight"),
}
HEAD_AXES = {  # gesture -> channel, sign of its first movement, range of its amplitude in radians
    ("nod", None): ("headPitch", 1, (0.12, 0.24)),
    ("shake", None): ("headYaw", 1, (0.14, 0.3)),
    ("up", None): ("headPitch", -1, (0.18, 0.36)),
    ("down", None): ("headPitch", 1, (0.18, 0.36)),
    ("turn", "left"): ("headYaw", 1, (0.22, 0.5)),
    ("turn", "right"): ("headYaw", -1, (0.22, 0.5)),
    ("tilt", "left"): ("headRoll", -1, (0.16, 0.34)),
    ("tilt", "right"): ("headRoll", 1, (0.16, 0.34)),
}
COLUMN = {name: index for index, name in enumerate(ARKIT.names)}


# ---------------------------------------------------------------- what to perform


def invent(rng: random.Random, category: str, held_out: HeldOut, test: bool) -> Plan:
    """A plan of a category ("emotion", "unit", "two units", "two phases", "three phases").

    With `test` it contains at least one held-out pair, without it none.
    """
    while True:
        plan = _schedule(rng, _phases(rng, category, test))
        if bool(held_out.pairs_in(plan)) == test:
            return plan


def _phases(rng: random.Random, category: str, test: bool) -> list[tuple[Item, ...]]:
    if category in ("two phases", "three phases"):
        count = 2 if category == "two phases" else 3
        phases = [_extras(rng, _content(rng), 0.22) for _ in range(count)]
        kinds = [[(item.name, item.side) for item in phase if item.kind in ("emotion", "unit")] for phase in phases]
        if any(a == b for a, b in zip(kinds, kinds[1:], strict=False)):
            return _phases(rng, category, test)  # a change must change something
        return phases
    if category == "emotion":
        return [_extras(rng, (_emotion(rng),), 1.0 if test else 0.5)]
    if category == "unit":
        return [_extras(rng, (_unit(rng),), 0.25)]
    return [_extras(rng, _two_units(rng), 0.2)]


def _content(rng: random.Random) -> tuple[Item, ...]:
    """What one phase of several shows: an emotion, a unit, or nothing."""
    draw = rng.random()
    if draw < 0.45:
        return (_emotion(rng),)
    return (_unit(rng),) if draw < 0.88 else ()


def _emotion(rng: random.Random) -> Item:
    name = rng.choice(BASIC_EMOTIONS if rng.random() < 0.7 else BLENDS)
    side = rng.choice(("left", "right")) if EMOTIONS[name].sided else None
    return Item("emotion", name, side, rng.choice(INTENSITIES))


def _unit(rng: random.Random) -> Item:
    unit = UNITS[rng.choice(list(UNITS))]
    return Item("unit", unit.code, rng.choice(unit.sides) if unit.sides else None, rng.choice(INTENSITIES))


def _two_units(rng: random.Random) -> tuple[Item, ...]:
    """Two different units that do not fight over the same muscles, in the order of `UNITS` (from the brows down)."""
    while True:
        a, b = sorted((_unit(rng), _unit(rng)), key=lambda item: list(UNITS).index(item.name))
        codes = {a.name, b.name}
        if len(codes) == 2 and not codes <= EYE_UNITS and not codes <= LIP_UNITS:
            return a, b


def _extras(rng: random.Random, items: tuple[Item, ...], head: float) -> tuple[Item, ...]:
    """Add a head gesture with probability `head`, and now and then gaze or blinks."""
    added = list(items)
    if rng.random() < head:
        added.append(Item("head", *rng.choice(HEAD_GESTURES)))
    if rng.random() < 0.14:
        added.append(Item("gaze", rng.choice(GAZE_DIRECTIONS)))
    if rng.random() < 0.18 and not any(item.name == "AU43" for item in items):
        added.append(Item("blink", rng.choices(BLINK_COUNTS, (5, 3, 1))[0]))
    return tuple(added)


def _schedule(rng: random.Random, phases: list[tuple[Item, ...]]) -> Plan:
    """Give each phase a time that its items need; the whole lasts whole steps of 0.16 s."""
    lengths = []
    for items in phases:
        shortest = 1.2 + 0.4 * any(item.name in ("nod", "shake") for item in items)
        shortest += 0.3 * sum(BLINK_COUNTS.index(item.name) for item in items if item.kind == "blink")
        lengths.append(shortest + rng.random() * (1.2 if len(phases) == 1 else 0.8))
    step = STEP / FPS
    total = round(sum(lengths) / step) * step
    ends = np.round(np.cumsum(lengths) * total / sum(lengths), 1).tolist()
    ends[-1] = round(total, 2)
    starts = [0.0, *ends[:-1]]
    return Plan(tuple(Phase(s, e, items) for s, e, items in zip(starts, ends, phases, strict=True)))


# ---------------------------------------------------------------- how to perform it


def perform(plan: Plan, rng: np.random.Generator) -> FaceMotion:
    """Perform a plan: a motion of layout arkit at 25 fps, of round(plan.seconds * 25) frames.

    The face starts neutral; each phase's expression grows out of the one before it; about a third of the clips end
    back at rest. The same plan and generator state give the same values.
    """
    frames = round(plan.seconds * FPS)
    time = (np.arange(frames) + 0.5) / FPS
    values = np.zeros((frames, ARKIT.width))
    release = plan.seconds - rng.uniform(0.05, 0.2) if rng.random() < 0.3 else None
    _perform_units(plan, values, time, rng, release)
    for phase in plan.phases:
        for item in phase.items:
            if item.kind == "head":
                _perform_head(item, phase, values, time, rng, last=phase is plan.phases[-1] and release is None)
            elif item.kind == "gaze":
                _perform_gaze(item, phase, values, time, rng)
            elif item.kind == "blink":
                _perform_blinks(item.blinks, phase, values, time, rng)
    _add_noise(values, rng)
    values[:, :52] = values[:, :52].clip(0, 1)
    return FaceMotion(values.astype(np.float32), FPS, "arkit", metadata={"generator": "facelm corpus synth"})


def _smooth_step(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk rise from 0 to 1 for x from 0 to 1."""
    x = x.clip(0, 1)
    return x * x * x * (10 + x * (6 * x - 15))


def _levels(phase: Phase) -> dict[str, float]:
    """Coefficient of every channel that a phase's emotions and units hold."""
    held: dict[str, float] = {}

    def hold(code: str, side: str | None, share: float) -> None:
        unit = UNITS[code]
        for channel in unit.side_channels(side if unit.sides else None):
            held[channel] = max(held.get(channel, 0.0), share * unit.peak)

    for item in phase.items:
        level = LEVELS[item.intensity or "moderate"] if item.kind in ("emotion", "unit") else 0.0
        if item.kind == "emotion":
            for code, share in EMOTIONS[item.name].units.items():
                hold(code, item.side, level * share)
        elif item.kind == "unit":
            hold(item.name, item.side, level)
    return held


def _perform_units(
    plan: Plan, values: np.ndarray, time: np.ndarray, rng: np.random.Generator, release: float | None
) -> None:
    """Move every channel from phase to phase, each with its own small delay, speed and gain."""
    targets = [(phase.start, _levels(phase)) for phase in plan.phases]
    if release is not None:
        targets.append((release - 0.35, {}))
    for channel in sorted({name for _, held in targets for name in held}):
        gain = rng.normal(1, 0.06)
        level = 0.0
        for start, held in targets:
            goal = held.get(channel, 0.0) * gain
            if goal == level:
                continue
            rising = goal > level
            length = rng.uniform(0.24, 0.46) if rising else rng.uniform(0.32, 0.55)
            begin = start + rng.uniform(0.0, 0.1) - (0.12 if start > 0 else 0.0)
            values[:, COLUMN[channel]] += (goal - level) * _smooth_step((time - begin) / length)
            if rising:  # a hold sags a little
                values[:, COLUMN[channel]] -= goal * rng.uniform(0, 0.08) * _smooth_step((time - begin - length) / 1.5)
            level = goal
    values.clip(0, None, out=values)


def _perform_head(
    item: Item, phase: Phase, values: np.ndarray, time: np.ndarray, rng: np.random.Generator, last: bool
) -> None:
    channel, sign, (low, high) = HEAD_AXES[item.name, item.side]
    size = sign * rng.uniform(low, high)
    length = phase.end - phase.start
    if item.name in ("nod", "shake"):
        rate = rng.uniform(1.4, 2.0)
        cycles = max(2, int((length - 0.25) * rate))
        cycles = min(cycles, 3)
        span = min(cycles / rate, length - 0.15)
        begin = phase.start + rng.uniform(0.05, max(0.06, min(0.3, length - span)))
        x = ((time - begin) / span).clip(0, 1)
        envelope = np.sin(np.pi * x) ** 0.7
        curve = np.sin(2 * np.pi * cycles * x) if item.name == "shake" else (1 - np.cos(2 * np.pi * cycles * x)) / 2
        values[:, COLUMN[channel]] += size * envelope * curve
        return
    begin = phase.start + rng.uniform(0.0, 0.15)
    move = _smooth_step((time - begin) / rng.uniform(0.35, 0.6))
    if not last:
        move = move - _smooth_step((time - phase.end + rng.uniform(0.15, 0.3)) / rng.uniform(0.4, 0.6))
    values[:, COLUMN[channel]] += size * move


def _perform_gaze(item: Item, phase: Phase, values: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> None:
    begin = phase.start + rng.uniform(0.05, 0.2)
    end = phase.end - rng.uniform(0.05, 0.15)
    size = rng.uniform(0.45, 0.85)
    curve = _smooth_step((time - begin) / 0.1) - _smooth_step((time - end) / 0.12)
    for channel in GAZE_CHANNELS[item.name]:
        values[:, COLUMN[channel]] += size * curve


def _perform_blinks(count: int, phase: Phase, values: np.ndarray, time: np.ndarray, rng: np.random.Generator) -> None:
    for index in range(count):
        share = (index + 0.5) / count
        middle = phase.start + (phase.end - phase.start) * share + rng.uniform(-0.06, 0.06)
        close, open_ = rng.uniform(0.08, 0.12), rng.uniform(0.12, 0.2)
        curve = _smooth_step((time - middle + close) / close) - _smooth_step((time - middle - 0.02) / open_)
        for channel in ("eyeBlinkLeft", "eyeBlinkRight"):
            column = values[:, COLUMN[channel]]
            np.maximum(column, rng.uniform(0.88, 1.0) * curve, out=column)


def _add_noise(values: np.ndarray, rng: np.random.Generator) -> None:
    """Slow wander and faint jitter: 0.01 of a coefficient (too little to show a unit), 0.003 rad of the head."""
    slow = gaussian_filter1d(rng.normal(size=values.shape), 6, axis=0) * 4.6  # about unit variance
    size = np.full(values.shape[1], 0.005)
    size[52:] = 0.003
    scale = 0.4 + values[:, :52].clip(0, 1) * 2.0  # what moves, wanders more
    values[:, :52] += slow[:, :52] * size[:52] * scale
    values[:, 52:] += slow[:, 52:] * size[52:]
    values += rng.normal(size=values.shape) * size * 0.2
