"""Plans: what a face does, phase by phase, as data and as the short words a model writes before it moves.

    0.0-1.4 s slight sad, nod; 1.4-3.0 s strong dimple left, blink twice

A plan is a list of phases that follow each other without gaps; each phase lists items. It serves as the chain of
thought of an animate answer ("plan, then move"), as the canonical form of a clip's facts in the corpus, and as what a
user edits. Its grammar is fixed, so that it can be parsed, scored and turned into cue tokens.
"""

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from facelm.describe.units import (
    BLINK_COUNTS,
    EMOTIONS,
    GAZE_DIRECTIONS,
    HEAD_GESTURES,
    HEAD_WORDS,
    INTENSITIES,
    SIDES,
    UNITS,
)
from facelm.errors import FacelmError

MAX_PHASES = 8
POSITIONS = 8
KINDS = ("emotion", "unit", "head", "gaze", "blink")
NEUTRAL = "neutral"
_PHASE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*s\b\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Item:
    """One thing a face does during a phase.

    Attributes:
        kind: "emotion", "unit", "head", "gaze" or "blink".
        name: an emotion's name, a unit's code ("AU12"), a head gesture ("nod", "turn"), a gaze direction ("left"), or
            how often the eyes blink ("once", "twice", "three times").
        side: the person's own "left" or "right", or "both"; None where a side has no meaning.
        intensity: "slight", "moderate" or "strong" for emotions and units, else None.
    """

    kind: str
    name: str
    side: str | None = None
    intensity: str | None = None

    @property
    def blinks(self) -> int:
        """How often the eyes blink; 0 for items of another kind."""
        return BLINK_COUNTS.index(self.name) + 1 if self.kind == "blink" else 0

    def text(self) -> str:
        """The item's canonical words, for example "slight smile left".

        The side comes last, so that a model that writes a plan names a unit before it has said a side: then a unit and
        a side that it never saw together are still two ordinary choices.
        """
        if self.kind in ("emotion", "unit"):
            name = self.name if self.kind == "emotion" else UNITS[self.name].name
            return " ".join(word for word in (self.intensity, name, self.side) if word)
        if self.kind == "head":
            return " ".join(word for word in (HEAD_WORDS[self.name], self.side) if word)
        if self.kind == "gaze":
            return f"look {self.name}"
        return "blink" if self.name == "once" else f"blink {self.name}"


def _every_item() -> Iterator[Item]:
    for emotion in EMOTIONS.values():
        for intensity in INTENSITIES:
            for side in ("left", "right") if emotion.sided else (None,):
                yield Item("emotion", emotion.name, side, intensity)
    for unit in UNITS.values():
        for intensity in INTENSITIES:
            for side in unit.sides or (None,):
                yield Item("unit", unit.code, side, intensity)
    for name, side in HEAD_GESTURES:
        yield Item("head", name, side)
    for direction in GAZE_DIRECTIONS:
        yield Item("gaze", direction)
    for count in BLINK_COUNTS:
        yield Item("blink", count)


ITEMS: dict[str, Item] = {item.text(): item for item in _every_item()}


@dataclass(frozen=True)
class Phase:
    """A stretch of time, `start` to `end` in seconds, and what the face does in it; no items means neutral."""

    start: float
    end: float
    items: tuple[Item, ...] = ()

    def text(self) -> str:
        """Canonical words, for example "0.0-1.4 s slight sad, nod"."""
        return f"{self.start:.1f}-{self.end:.1f} s {', '.join(item.text() for item in self.items) or NEUTRAL}"


@dataclass(frozen=True)
class Plan:
    """Phases in order, the first starting at 0 s and each starting where the one before it ends.

    Raises FacelmError (a ValueError) when there is no phase, too many, or their times do not follow each other.
    """

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        if not self.phases:
            raise FacelmError("a plan needs at least one phase, for example '0.0-2.0 s moderate happy'")
        if len(self.phases) > MAX_PHASES:
            raise FacelmError(f"a plan has at most {MAX_PHASES} phases, this one has {len(self.phases)}; join some")
        before = 0.0
        for phase in self.phases:
            if not (math.isfinite(phase.end) and phase.end > phase.start):
                raise FacelmError(f"phase '{phase.text()}' ends before it starts; give it as START-END s")
            if abs(phase.start - before) > 0.051:
                raise FacelmError(
                    f"phase '{phase.text()}' should start at {before:.1f} s, where the one before it ends"
                )
            before = phase.end

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.phases[-1].end

    @property
    def blinks(self) -> int:
        """How often the eyes blink in all."""
        return sum(item.blinks for phase in self.phases for item in phase.items)

    def text(self) -> str:
        """The canonical words; `Plan.parse` reads them back."""
        return "; ".join(phase.text() for phase in self.phases)

    @classmethod
    def parse(cls, text: str) -> "Plan":
        """Read a plan's words.

        Raises:
            FacelmError: naming the phase that has no times, or the words that mean nothing and the nearest that do.
        """
        phases = []
        for part in text.strip().rstrip(".;").split(";"):
            match = _PHASE.fullmatch(part)
            if not match:
                raise FacelmError(f"plan phase '{part.strip()}' needs times first, for example '0.0-1.4 s slight sad'")
            words = [word.strip().lower() for word in match[3].split(",")]
            items = tuple(_item(word) for word in words if word not in ("", NEUTRAL))
            phases.append(Phase(float(match[1]), float(match[2]), items))
        return cls(tuple(phases))

    def scaled(self, seconds: float) -> "Plan":
        """The same plan stretched to last `seconds`, its times rounded to tenths of a second as they are written.

        Raises FacelmError when `seconds` leaves some phase shorter than a tenth of a second.
        """
        factor = seconds / self.seconds
        ends = [round(phase.end * factor, 1) for phase in self.phases[:-1]] + [seconds]
        starts = [0.0, *ends[:-1]]
        return Plan(tuple(replace(p, start=s, end=e) for p, s, e in zip(self.phases, starts, ends, strict=True)))

    def cues(self, steps: int, rate: float) -> list[tuple[int, int]]:
        """(phase, position) of each of `steps` token steps of `rate` steps a second.

        The phase is the index of the one that holds the step's middle; the position says how far through that phase
        it lies, in eighths: 0 at its start, 7 at its end. The plan is stretched to cover the steps exactly.
        """
        stretch = self.seconds / (steps / rate)
        cues = []
        for step in range(steps):
            time = (step + 0.5) / rate * stretch
            index = next((i for i, phase in enumerate(self.phases) if time < phase.end), len(self.phases) - 1)
            phase = self.phases[index]
            share = (time - phase.start) / (phase.end - phase.start)
            cues.append((index, min(POSITIONS - 1, max(0, int(share * POSITIONS)))))
        return cues


def _item(words: str) -> Item:
    """The item of some words; an intensity or "both" may be left out, and the side may stand before the name."""
    given = words.split()
    intensity = next((word for word in given if word in INTENSITIES), "moderate")
    side = next((word for word in given if word in SIDES), "both")
    name = " ".join(word for word in given if word not in (*INTENSITIES, *SIDES))
    forms = (words, f"{intensity} {name}", f"{intensity} {name} {side}")
    item = next((ITEMS[form] for form in forms if form in ITEMS), None)
    if item is None:
        near = difflib.get_close_matches(words, ITEMS, n=1, cutoff=0.0)[0]
        raise FacelmError(f"unknown words '{words}' in the plan; the nearest known are '{near}'")
    return item
