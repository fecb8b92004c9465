"""How patches of skin move in a strong performance of each unit: what the vertex detector holds a face against.

    python -m facelm.evaluate.vertex_templates     # performs and sees anew what vertex_templates.csv holds

Templates are seen, not taken from a rig's shapes: plans are performed, the vertices measured, and the moves shared out
among the units that the plans state.
"""

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facelm.corpus.heldout import HeldOut
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.facts import item_facts
from facelm.describe.plan import Phase, Plan
from facelm.describe.units import EMOTIONS, GAZE_DIRECTIONS, INTENSITIES, UNITS
from facelm.errors import FacelmError
from facelm.evaluate.vertex_measures import Measures, measures_of
from facelm.files import atomic_path
from facelm.rig.base import Rig
from facelm.rig.load import default_rig

Key = tuple[str, str]  # unit code or "gaze"; "left", "right", "" in the middle, or the direction
KEYS: tuple[Key, ...] = (
    *((code, side) for code, unit in UNITS.items() for side in (("left", "right") if unit.sides else ("",))),
    *(("gaze", direction) for direction in GAZE_DIRECTIONS),
)
FILE = Path(__file__).with_name("vertex_templates.csv")
SEED, PLANS = 101, 120  # of the committed table; plans of each category


@dataclass(frozen=True, eq=False)
class Templates:
    """How patches move in a strong performance of each unit.

    patches: their names, each with x, y and z; "tongue" has z only. moves: (len(KEYS), len(patches), 3), thousandths of
    the distance between the eyeballs.
    """

    patches: tuple[str, ...]
    moves: np.ndarray

    def save(self, path: str | Path) -> None:
        """Write them as a table with a row for every patch that a unit moves by at least 0.5 thousandths."""
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("unit", "side", "patch", "x", "y", "z"))
            for (unit, side), moves in zip(KEYS, self.moves, strict=True):
                for patch, move in zip(self.patches, moves, strict=True):
                    if np.abs(move).max() >= 0.5:
                        table.writerow((unit, side, patch, *(f"{value:.1f}" for value in move)))

    @staticmethod
    def load(path: str | Path, patches: Sequence[str]) -> "Templates":
        """Read a table for patches of these names. Raises FacelmError naming the row that is of something else."""
        moves = np.zeros((len(KEYS), len(patches), 3))
        with Path(path).open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                key = (row["unit"], row["side"])
                if key not in KEYS or row["patch"] not in patches:
                    raise FacelmError(f"{path}, row {number}: no unit {key} or no patch {row['patch']!r} is measured")
                moves[KEYS.index(key), patches.index(row["patch"])] = [float(row[axis]) for axis in "xyz"]
        return Templates(tuple(patches), moves)


@cache
def shipped(patches: tuple[str, ...]) -> Templates:
    """The templates of the default head, for patches of these names."""
    return Templates.load(FILE, patches)


def calibrated(rig: Rig, plans: int = PLANS, seed: int = SEED) -> Templates:
    """Templates of a rig: `plans` plans of each category are performed on it. About 50 s for 5,000 vertices.

    Raises FacelmError when an arkit motion cannot drive the rig.
    """
    rng, nothing = random.Random(seed), HeldOut(frozenset(), frozenset(), frozenset())
    asked = [invent(rng, category, nothing, False) for category in CATEGORIES for _ in range(plans)]
    shown = (perform(plan, np.random.default_rng((seed, i))) for i, plan in enumerate(asked))
    return calibrate(asked, (measures_of(motion, rig) for motion in shown), 25.0)


def calibrate(plans: Sequence[Plan], seen: Iterable[Measures], fps: float) -> Templates:
    """Templates of a rig, from performances of plans seen on it: the mean move of each patch for each unit stated,
    where units stated together share it (least squares over phases). Only what the plans state and what the vertices
    do is looked at. A few hundred plans are enough for every unit to occur on every side.
    """
    stated, moved, names = [], [], None
    for plan, one in zip(plans, seen, strict=True):
        names = one.patch_names
        patches = one.moves
        for phase in plan.phases:
            begin, end = round(phase.start * fps), min(len(patches), round(phase.end * fps))
            first = begin + min(round(0.55 * fps), (end - begin) // 2)
            stated.append(_amounts(phase))
            moved.append(np.median(patches[first : max(first + 1, end - round(0.25 * fps))], axis=0))
    if names is None:
        raise FacelmError("no plan was given to calibrate with")
    a, b = np.array(stated), np.array(moved).reshape(len(moved), -1)
    moves = np.linalg.solve(a.T @ a + 0.1 * np.eye(len(KEYS)), a.T @ b)
    return Templates(names, moves.reshape(len(KEYS), -1, 3))


def _amounts(phase: Phase) -> np.ndarray:
    """(len(KEYS),): how strongly a phase states each unit, 1 being strong."""
    amounts = np.zeros(len(KEYS))
    for item in phase.items:
        for fact in item_facts(item):
            share = EMOTIONS[item.name].units[fact.name] if item.kind == "emotion" else 1.0
            level = (INTENSITIES.index(item.intensity) + 1) / len(INTENSITIES) if item.intensity else 1.0
            for side in ("left", "right") if fact.side == "both" else (fact.side or "",):
                if (fact.name, side) in KEYS:
                    place = KEYS.index((fact.name, side))
                    amounts[place] = max(amounts[place], share * level)
    return amounts


if __name__ == "__main__":
    calibrated(default_rig()).save(FILE)
