"""The pairs of things that no training clip shows together, so that the test split asks for new combinations.

Three kinds of pair are held out, at least a quarter of each: an emotion with a head gesture, an action unit with a
side, and "first A, then B". Every emotion, gesture, unit, side and phase content by itself does occur in training.
The list is drawn once by `draw` and committed as heldout.json; the corpus only ever reads the file.

    python -m facelm.corpus.heldout        # writes heldout.json anew (the committed one is seed 0)
"""

import json
import random
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from facelm.describe.plan import NEUTRAL, Item, Phase, Plan
from facelm.describe.units import EMOTIONS, HEAD_GESTURES, UNITS

SHARE = 0.26
FILE = "heldout.json"


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs by kind; each pair is two names."""

    emotion_head: frozenset[tuple[str, str]]
    unit_side: frozenset[tuple[str, str]]
    then: frozenset[tuple[str, str]]

    def pairs_in(self, plan: Plan) -> set[tuple[str, str]]:
        """The held-out pairs that a plan contains."""
        found = set()
        for phase in plan.phases:
            emotions = [item.name for item in phase.items if item.kind == "emotion"]
            heads = [head_name(item) for item in phase.items if item.kind == "head"]
            found |= {(e, h) for e in emotions for h in heads} & self.emotion_head
            found |= {(i.name, i.side or "") for i in phase.items if i.kind == "unit"} & self.unit_side
        for before, after in zip(plan.phases, plan.phases[1:], strict=False):
            found |= {(a, b) for a in contents(before) for b in contents(after)} & self.then
        return found


def head_name(item: Item) -> str:
    """A head gesture with its side, for example "turn left"."""
    return f"{item.name} {item.side}" if item.side else item.name


def contents(phase: Phase) -> list[str]:
    """What a phase shows on the face: emotion names and unit codes, or "neutral"."""
    return [item.name for item in phase.items if item.kind in ("emotion", "unit")] or [NEUTRAL]


def universe() -> dict[str, list[tuple[str, str]]]:
    """Every pair of each kind, held out or not."""
    heads = [f"{name} {side}" if side else name for name, side in HEAD_GESTURES]
    shown = [*EMOTIONS, *UNITS, NEUTRAL]
    return {
        "emotion_head": [(emotion, head) for emotion in EMOTIONS for head in heads],
        "unit_side": [(unit.code, side) for unit in UNITS.values() for side in unit.sides],
        "then": [(a, b) for a in shown for b in shown if a != b],
    }


def draw(seed: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Draw the held-out pairs: `SHARE` of each kind, and never more than one side of a unit.

    A unit that only has a left and a right (jaw slide, mouth shift) keeps both: with one of them gone, nothing would
    be left to compose it from.
    """
    rng = random.Random(seed)
    drawn: dict[str, list[tuple[str, str]]] = {}
    for kind, pairs in universe().items():
        count = -int(-SHARE * len(pairs) // 1)
        if kind == "unit_side":
            units = rng.sample([unit for unit in UNITS.values() if len(unit.sides) == 3], count)
            drawn[kind] = sorted((unit.code, rng.choice(unit.sides)) for unit in units)
        else:
            drawn[kind] = sorted(rng.sample(pairs, count))
    return drawn


@cache
def held_out() -> HeldOut:
    """The committed list."""
    data = json.loads(resources.files("facelm.corpus").joinpath(FILE).read_text())
    return HeldOut(**{kind: frozenset((a, b) for a, b in pairs) for kind, pairs in data.items()})


if __name__ == "__main__":
    lines = ",\n".join(f' "{kind}": {json.dumps(pairs)}' for kind, pairs in draw().items())
    Path(__file__).with_name(FILE).write_text("{\n" + lines + "\n}\n")
