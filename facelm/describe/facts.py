"""Facts: what can be stated in words and measured on a motion."""

from dataclasses import dataclass

from facelm.describe.plan import Item, Plan
from facelm.describe.units import EMOTIONS, UNITS


@dataclass(frozen=True)
class Fact:
    """Something that can be measured on a motion: an action unit with its side, a head gesture, or a gaze direction.

    Attributes:
        name: FACS code ("AU12"), "head nod", "head turn" …, or "gaze".
        side: "left", "right", "both", a gaze direction, or None.
    """

    name: str
    side: str | None = None

    @property
    def words(self) -> str:
        """For people, for example "left smile", "head turn left" or "look up"."""
        if self.name == "gaze":
            return f"look {self.side}"
        if self.name not in UNITS:
            return f"{self.name} {self.side}" if self.side else self.name
        return f"{self.side} {UNITS[self.name].name}" if self.side in ("left", "right") else UNITS[self.name].name


@dataclass(frozen=True)
class PhaseFacts:
    """What was measured in one phase.

    Attributes:
        start, end: seconds.
        levels: fact -> its size: share of the unit's peak (0 to about 1), radians of a head gesture, or the eyeLook
            coefficient of a gaze.
        blinks: seconds at which the eyes are most closed in each blink.
    """

    start: float
    end: float
    levels: dict[Fact, float]
    blinks: tuple[float, ...] = ()

    @property
    def facts(self) -> set[Fact]:
        """The facts alone."""
        return set(self.levels)


def item_facts(item: Item) -> set[Fact]:
    """The facts an item states: an emotion states its prototype's units; blinks are counted apart and state none."""
    if item.kind == "emotion":
        emotion = EMOTIONS[item.name]
        return {_unit_fact(code, item.side if emotion.sided else "both") for code in emotion.units}
    if item.kind == "unit":
        return {_unit_fact(item.name, item.side)}
    if item.kind == "head":
        return {Fact(f"head {item.name}", item.side)}
    if item.kind == "gaze":
        return {Fact("gaze", item.name)}
    return set()


def plan_facts(plan: Plan) -> list[set[Fact]]:
    """The facts each phase of a plan states."""
    return [set().union(*(item_facts(item) for item in phase.items)) for phase in plan.phases]


def _unit_fact(code: str, side: str | None) -> Fact:
    return Fact(code, side or "both") if UNITS[code].sides else Fact(code)
