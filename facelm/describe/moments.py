"""What is worth telling of a timeline, in order: moments (one thing each), gathered into beats that begin together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from facelm.describe.facts import Fact
from facelm.describe.observe import BORDERS
from facelm.describe.timeline import BLINK, Event, Timeline
from facelm.describe.units import INTENSITIES, UNITS

HEAD_BORDERS = (0.2, 0.4)  # rad, between slight, moderate and strong
TOGETHER = 0.3  # s within which moments begin together
BEAT = 4  # moments of one beat at most
REPEAT_GAP = 1.2  # s between repeats that are told as one
SAME_ENDS = 0.4  # s by which the ends of a left and a right event may differ to be told as both


@dataclass(frozen=True)
class Moment:
    """Something that happens, perhaps several times in a row.

    Attributes:
        fact: what.
        level: "slight", "moderate" or "strong"; None for gaze and blinks, which have none.
        count: how often in a row.
        onset, apex, offset: seconds; `apex` of the first time.
        weight: how much it deserves to be told, by size and duration.
    """

    fact: Fact
    level: str | None
    onset: float
    apex: float
    offset: float
    weight: float
    count: int = 1

    @property
    def is_head(self) -> bool:
        """Whether it belongs to the head's movements."""
        return is_head(self.fact)


def is_head(fact: Fact) -> bool:
    """Whether a fact is a head gesture or pose."""
    return fact.name.startswith("head ")


def moments(timeline: Timeline, head: bool) -> list[Moment]:
    """The head's moments, or the face's, in order of onset; what speech explains is left out.

    Left and right that come and go together are told as both; repeats with little between them are told as one.
    """
    events = [event for event in timeline.expressive if is_head(event.fact) == head]
    found: list[Moment] = []
    latest: dict[Fact, int] = {}
    for event in _merged(events):
        index = latest.get(event.fact)
        if index is not None and event.onset - found[index].offset <= REPEAT_GAP:
            last = found[index]
            found[index] = replace(
                last,
                offset=max(last.offset, event.offset),
                weight=last.weight + _weight(event),
                count=last.count + 1,
            )
        else:
            latest[event.fact] = len(found)
            found.append(
                Moment(event.fact, _level(event), event.onset, event.apex, event.offset, _weight(event)),
            )
    return found


def beats(told: Iterable[Moment]) -> list[list[Moment]]:
    """Moments gathered: those of a beat begin within 0.3 s, at most four of them, the weightiest first."""
    groups: list[list[Moment]] = []
    for moment in told:
        if groups and moment.onset - groups[-1][0].onset <= TOGETHER:
            groups[-1].append(moment)
        else:
            groups.append([moment])
    found = []
    for group in groups:
        group.sort(key=lambda moment: -moment.weight)
        parts = -(-len(group) // BEAT)
        size = -(-len(group) // parts)
        found += [group[start : start + size] for start in range(0, len(group), size)]
    return found


def lightest(groups: Sequence[Sequence[Moment]]) -> Moment:
    """The moment that is missed least: of the middle beats, or if there are none, of those that have several."""
    middle = [moment for group in groups[1:-1] for moment in group]
    several = [moment for group in (groups[0], groups[-1]) for moment in group[1:]]
    return min(middle or several or groups[0], key=lambda moment: moment.weight)


def _merged(events: Sequence[Event]) -> list[Event]:
    """Events in order of onset, a left and a right one that come and go together joined."""
    found: list[Event] = []
    for event in sorted(events, key=lambda event: (event.onset, event.fact.name, event.fact.side or "")):
        side = {"left": "right", "right": "left"}.get(event.fact.side or "")
        twin = next(
            (
                other
                for other in found
                if event.fact.name in UNITS
                and "both" in UNITS[event.fact.name].sides
                and other.fact == Fact(event.fact.name, side)
                and abs(other.onset - event.onset) <= TOGETHER
                and abs(other.offset - event.offset) <= SAME_ENDS
            ),
            None,
        )
        if twin:
            both = replace(twin, fact=Fact(event.fact.name, "both"), intensity=max(twin.intensity, event.intensity))
            found[found.index(twin)] = both
        else:
            found.append(event)
    return found


def _level(event: Event) -> str | None:
    if event.fact.name in UNITS:
        borders = BORDERS
    elif is_head(event.fact):
        borders = HEAD_BORDERS
    else:
        return None
    return INTENSITIES[sum(event.intensity >= border for border in borders)]


def _weight(event: Event) -> float:
    if event.fact == BLINK:
        return 0.1
    size = event.intensity / 0.4 if is_head(event.fact) else event.intensity
    return min(size, 1.5) * (0.5 + min(event.seconds, 2.0))
