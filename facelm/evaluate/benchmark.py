"""The facts benchmark: does a model do what the words say, and say what the motion does?

Text to motion: each prompt of a split is animated, and the facts measured on the motion (describe/events.py) are
compared with the facts the prompt was made from. Motion to text: each reference motion is described, and the facts read
from the caption (describe/captions.py) are compared with the same facts. F1 pools the counts of all clips (micro F1);
facts nobody asked for count against it. *Strict* compares phase by phase, the other ignores when.

Beside the model stand the references themselves (what the measuring loses), their reconstruction by the motion
tokenizer (the ceiling) and the model's motions and captions dealt to other prompts (the floor).
"""

import json
import platform
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from facelm.corpus import load_corpus, motion
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.evaluate.facts import FORMULAS, Trial, scores, trials
from facelm.evaluate.score import Score
from facelm.files import atomic_path
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from facelm.agent import FaceLM

BATCH = 50
COLUMNS = {  # of the table -> score of the facts judge
    "strict": "facts F1 strict",
    "facts": "facts F1",
    "head": "head",
    "side": "side",
    "order": "order",
    "blinks": "blinks",
    "intensity": "intensity",
}
DEFINITIONS = {column: FORMULAS[name] for column, name in COLUMNS.items()}


@dataclass
class Report:
    """Everything `run` measured; `tables()` prints it, `asdict` makes it JSON."""

    model: str
    corpus: str
    split: str
    prompts: int
    candidates: int
    seed: int
    machine: str
    text_to_motion: dict[str, dict[str, dict[str, Score]]] = field(default_factory=dict)  # row, category, column
    motion_to_text: dict[str, dict[str, Score]] = field(default_factory=dict)  # row, category
    definitions: dict[str, str] = field(default_factory=lambda: DEFINITIONS)

    def tables(self) -> str:
        """The report as text."""
        parts = [
            f"{self.prompts} prompts of {self.corpus} ({self.split}), model {self.model}, "
            f"{self.candidates} candidate(s), seed {self.seed}, on {self.machine}",
            "",
            "Text to motion",
        ]
        columns = list(DEFINITIONS)
        rows = [
            [name, category, *(_cell(values.get(c)) for c in columns), _interval(values["strict"])]
            for name, table in self.text_to_motion.items()
            for category, values in table.items()
        ]
        parts.append(tabulate(rows, ["", "category", *columns, "strict, 95%"], disable_numparse=True))
        parts += ["", "Motion to text (F1 of the facts a caption states, whatever their phase)"]
        categories = list(next(iter(self.motion_to_text.values())))
        rows = [[name, *(_cell(v) for v in t.values()), _interval(t["all"])] for name, t in self.motion_to_text.items()]
        parts.append(tabulate(rows, ["", *categories, "all, 95%"], disable_numparse=True))
        parts += ["", *(f"{name}: {text}" for name, text in self.definitions.items())]
        return "\n".join(parts)


def _cell(score: Score | None) -> str:
    return f"{score.value:.2f}" if score is not None and score.known else "-"


def _interval(value: Score) -> str:
    return f"{value.low:.2f}-{value.high:.2f}"


def run(
    lm: "FaceLM",
    corpus: str | Path,
    split: str = "test",
    prompts: int = 200,
    candidates: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    name: str = "",
) -> Report:
    """Score a model on a corpus split, both ways.

    Args:
        lm: the model.
        corpus, split: where the prompts and reference motions come from.
        prompts: how many clips, spread evenly over the categories.
        candidates: motions drawn for each prompt, of which the one that fits its own plan best is kept.
        seed: of sampling, of the choice of wordings and of the shuffled floor.
        progress: called with the number of clips just done (each clip counts twice: animated and described).

    Raises:
        FacelmError: the split is missing, or prompts is not positive.
    """
    if prompts < 2:
        raise FacelmError(f"--prompts {prompts}: score at least 2")
    rows = spread(load_corpus(corpus, split), prompts)
    rng = random.Random(seed)
    plans = [Plan.parse(row["plan"]) for row in rows]
    texts = [rng.choice(row["prompts"]) for row in rows]
    references = [motion(row) for row in rows]
    made: list[FaceMotion] = []
    captions: list[str] = []
    for first in range(0, len(rows), BATCH):
        part = slice(first, first + BATCH)
        made += lm.animate_batch(texts[part], seed=seed + first * candidates, candidates=candidates)
        progress(len(texts[part]))
        captions += lm.describe_batch(references[part])
        progress(len(texts[part]))
    tokenizer = lm.processor.motion_tokenizer
    rebuilt = tokenizer.decode_batch(tokenizer.encode_batch(references))
    categories = [row["category"] for row in rows]
    dealt = _deal(len(rows), rng)

    def table(motions: Sequence[FaceMotion]) -> dict[str, dict[str, Score]]:
        return _table(categories, trials(plans, motions))

    report = Report(name, str(corpus), split, len(rows), candidates, seed, machine())
    report.text_to_motion = {
        "model": table(made),
        "its plan": _table(categories, [_plan_trial(*both) for both in zip(plans, made, strict=True)]),
        "reconstruction": table(rebuilt),
        "reference": table(references),
        "shuffled": table([made[i] for i in dealt]),
    }
    report.motion_to_text = {
        "model": _caption_table(categories, plans, captions),
        "reference": _caption_table(categories, plans, [rng.choice(row["captions"]) for row in rows]),
        "shuffled": _caption_table(categories, plans, [captions[i] for i in dealt]),
    }
    return report


def save(report: Report, path: str | Path) -> None:
    """Write a report as JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(asdict(report), indent=2) + "\n")


def machine() -> str:
    """The machine in words: processor and accelerator."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def spread(dataset: Any, count: int) -> list[dict[str, Any]]:
    """`count` rows, the same number of each category (as far as there are that many)."""
    by_category: dict[str, list[int]] = {}
    for index, category in enumerate(dataset["category"]):
        by_category.setdefault(category, []).append(index)
    taken: list[int] = []
    turn = 0
    while len(taken) < min(count, len(dataset)):
        taken += [indices[turn] for indices in by_category.values() if turn < len(indices)]
        turn += 1
    return [dataset[index] for index in sorted(taken[:count])]


def _deal(count: int, rng: random.Random) -> list[int]:
    """A random permutation that leaves nothing in its place."""
    order = list(range(count))
    rng.shuffle(order)
    shift = order[1:] + order[:1]
    dealt = [0] * count
    for a, b in zip(order, shift, strict=True):
        dealt[a] = b
    return dealt


def _plan_trial(plan: Plan, shown: FaceMotion) -> Trial:
    """The plan a motion followed, scored as if it had been performed to the letter."""
    try:
        return trials([plan], [Plan.parse(shown.metadata["plan"])])[0]
    except FacelmError:
        return Trial(tuple(phase.items for phase in plan.phases), ())


def _table(categories: Sequence[str], judged: Sequence[Trial]) -> dict[str, dict[str, Score]]:
    """Columns of `DEFINITIONS` for each category and all."""
    table = {}
    for category in (*dict.fromkeys(categories), "all"):
        found = scores([trial for c, trial in zip(categories, judged, strict=True) if category in (c, "all")])
        table[category] = {column: found[name] for column, name in COLUMNS.items() if found[name].known}
    return table


def _caption_table(categories: Sequence[str], plans: Sequence[Plan], captions: Sequence[str]) -> dict[str, Score]:
    judged = trials(captions, plans)
    names = (*dict.fromkeys(categories), "all")
    return {
        name: scores([t for c, t in zip(categories, judged, strict=True) if name in (c, "all")], told=True)["facts F1"]
        for name in names
    }
