"""How well facts agree with facts: precision, recall and F1, with unasked facts counting against."""

from collections.abc import Sequence
from dataclasses import dataclass

from facelm.describe.events import measure
from facelm.describe.facts import Fact, plan_facts
from facelm.describe.plan import Plan
from facelm.motion import FaceMotion


@dataclass(frozen=True)
class Agreement:
    """Counts of facts: stated and found, stated but not found, found but not stated. Sums pool counts (micro F1)."""

    hits: int = 0
    missed: int = 0
    unasked: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.hits + other.hits, self.missed + other.missed, self.unasked + other.unasked)

    @property
    def f1(self) -> float:
        """2 hits / (2 hits + missed + unasked), 0 to 1; 1 when nothing was stated and nothing found."""
        total = 2 * self.hits + self.missed + self.unasked
        return 2 * self.hits / total if total else 1.0


def agree(stated: Sequence[set[Fact]], found: Sequence[set[Fact]], strict: bool = True) -> Agreement:
    """Compare facts phase by phase (`strict`), or all of them together whatever the phase.

    A phase that one side lacks counts as one without facts.
    """
    if not strict:
        stated, found = [set().union(*stated)], [set().union(*found)]
    total = Agreement()
    for index in range(max(len(stated), len(found))):
        a = stated[index] if index < len(stated) else set()
        b = found[index] if index < len(found) else set()
        total += Agreement(len(a & b), len(a - b), len(b - a))
    return total


def performed(plan: Plan, motion: FaceMotion) -> float:
    """Strict F1, 0 to 1, of the facts measured on a motion against those its plan states."""
    return agree(plan_facts(plan), [phase.facts for phase in measure(motion, len(plan.phases))]).f1
