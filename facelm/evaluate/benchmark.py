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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata
from tabulate import tabulate

from facelm.corpus import load_corpus, motion
from facelm.describe.agreement import Agreement, agree
from facelm.describe.captions import facts_in_words
from facelm.describe.events import blink_times, measure
from facelm.describe.facts import Fact, item_facts, plan_facts
from facelm.describe.plan import Plan
from facelm.describe.units import EMOTIONS, INTENSITIES
from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from facelm.agent import FaceLM

RESAMPLES = 1000  # of the bootstrap over clips
BATCH = 50
DEFINITIONS = {
    "strict": "F1 of facts (action unit with side, head gesture, gaze), each in its phase; unasked facts count against",
    "facts": "F1 of the same facts whatever their phase",
    "head": "share of prompts with a head gesture whose motion shows that gesture and no other (chance 1/9)",
    "side": "share of units asked on one side that the motion shows on that side alone",
    "order": "share of two-phase prompts whose facts fit the phases better in the order asked than in reverse",
    "blinks": "share of prompts whose motion blinks as often as asked (prompts that ask for blinks)",
    "intensity": "Spearman correlation of the intensity asked (1 to 3) and measured, over units that were shown",
}


@dataclass(frozen=True)
class Trial:
    """One clip: what was asked, and what was found in each phase (fact -> size)."""

    category: str
    plan: Plan
    found: list[dict[Fact, float]]
    blinks: int

    @property
    def strict(self) -> Agreement:
        return agree(plan_facts(self.plan), [set(phase) for phase in self.found])

    @property
    def facts(self) -> Agreement:
        return agree(plan_facts(self.plan), [set(phase) for phase in self.found], strict=False)


@dataclass(frozen=True)
class Value:
    """A figure with its 95% bootstrap interval over clips and the number of clips it is of."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f}" if self.n else "-"


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
    text_to_motion: dict[str, dict[str, dict[str, Value]]] = field(default_factory=dict)  # row, category, column
    motion_to_text: dict[str, dict[str, Value]] = field(default_factory=dict)  # row, category
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
            [name, category, *(str(values[c]) if c in values else "-" for c in columns), _interval(values["strict"])]
            for name, table in self.text_to_motion.items()
            for category, values in table.items()
        ]
        parts.append(tabulate(rows, ["", "category", *columns, "strict, 95%"], disable_numparse=True))
        parts += ["", "Motion to text (F1 of the facts a caption states, whatever their phase)"]
        categories = list(next(iter(self.motion_to_text.values())))
        rows = [[name, *(str(v) for v in t.values()), _interval(t["all"])] for name, t in self.motion_to_text.items()]
        parts.append(tabulate(rows, ["", *categories, "all, 95%"], disable_numparse=True))
        parts += ["", *(f"{name}: {text}" for name, text in self.definitions.items())]
        return "\n".join(parts)


def _interval(value: Value) -> str:
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

    def trials(motions: Sequence[FaceMotion]) -> list[Trial]:
        return [_trial(c, p, m) for c, p, m in zip(categories, plans, motions, strict=True)]

    report = Report(name, str(corpus), split, len(rows), candidates, seed, machine())
    report.text_to_motion = {
        "model": _scores(trials(made)),
        "its plan": _scores([_plan_trial(c, p, m) for c, p, m in zip(categories, plans, made, strict=True)]),
        "reconstruction": _scores(trials(rebuilt)),
        "reference": _scores(trials(references)),
        "shuffled": _scores(trials([made[i] for i in dealt])),
    }
    said = [facts_in_words(caption) for caption in captions]
    report.motion_to_text = {
        "model": _caption_scores(categories, plans, said),
        "reference": _caption_scores(categories, plans, [facts_in_words(rng.choice(row["captions"])) for row in rows]),
        "shuffled": _caption_scores(categories, plans, [said[i] for i in dealt]),
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


def _trial(category: str, plan: Plan, shown: FaceMotion) -> Trial:
    found = [phase.levels for phase in measure(shown, len(plan.phases))]
    return Trial(category, plan, found, len(blink_times(shown)))


def _plan_trial(category: str, plan: Plan, shown: FaceMotion) -> Trial:
    """The plan a motion followed, scored as if it had been performed to the letter."""
    try:
        made = Plan.parse(shown.metadata["plan"])
    except FacelmError:
        return Trial(category, plan, [], 0)
    return Trial(category, plan, [_stated_levels(phase.items) for phase in made.phases], made.blinks)


def _stated_levels(items: Sequence[Any]) -> dict[Fact, float]:
    """Facts of items with the size they ask for."""
    levels: dict[Fact, float] = {}
    for item in items:
        share = 1.0 if item.intensity is None else INTENSITIES.index(item.intensity) + 1
        for fact in item_facts(item):
            levels[fact] = max(levels.get(fact, 0.0), share * _unit_share(item, fact))
    return levels


def _unit_share(item: Any, fact: Fact) -> float:
    return EMOTIONS[item.name].units[fact.name] if item.kind == "emotion" else 1.0


def _scores(trials: list[Trial]) -> dict[str, dict[str, Value]]:
    """Columns of `DEFINITIONS` for each category and all."""
    categories = [*dict.fromkeys(trial.category for trial in trials), "all"]
    return {c: _columns([t for t in trials if c in (t.category, "all")]) for c in categories}


def _columns(trials: list[Trial]) -> dict[str, Value]:
    values = {
        "strict": _bootstrap(_counts(t.strict for t in trials), _f1),
        "facts": _bootstrap(_counts(t.facts for t in trials), _f1),
    }
    shares = {"head": _head_right, "side": _sides_right, "order": _order_right, "blinks": _blinks_right}
    for name, judge in shares.items():
        outcomes = [[float(outcome)] for trial in trials for outcome in judge(trial)]
        if outcomes:
            values[name] = _bootstrap(np.array(outcomes), lambda some: some[..., 0].mean(-1))
    pairs = np.array([pair for trial in trials for pair in _intensities(trial)]).reshape(-1, 2)
    if all(len(np.unique(column)) > 1 for column in pairs.T):
        values["intensity"] = _bootstrap(rankdata(pairs, axis=0), _correlation)
    return values


def _bootstrap(items: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Value:
    """The statistic of items (N, K), which works on (..., N, K), with its interval over resampled items."""
    draws = np.random.default_rng(0).integers(len(items), size=(RESAMPLES, len(items)))
    low, high = np.nanpercentile(statistic(items[draws]), [2.5, 97.5])
    return Value(float(statistic(items)), float(low), float(high), len(items))


def _counts(agreements: Iterable[Agreement]) -> np.ndarray:
    return np.array([(a.hits, a.missed, a.unasked) for a in agreements], float)


def _f1(counts: np.ndarray) -> np.ndarray:
    """Micro F1 of counts (..., N, 3); 1 where nothing was stated and nothing found."""
    hits, missed, unasked = np.moveaxis(counts.sum(-2), -1, 0)
    total = 2 * hits + missed + unasked
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), 1.0)


def _correlation(pairs: np.ndarray) -> np.ndarray:
    """Pearson correlation of pairs (..., N, 2); of ranks, it is Spearman's. NaN where one side does not vary."""
    centred = pairs - pairs.mean(-2, keepdims=True)
    a, b = centred[..., 0], centred[..., 1]
    spread = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.where(spread > 0, (a * b).sum(-1) / np.where(spread > 0, spread, 1), np.nan)


def _heads(facts: set[Fact]) -> set[Fact]:
    return {fact for fact in facts if fact.name.startswith("head")}


def _head_right(trial: Trial) -> list[bool]:
    asked = _heads(set().union(*plan_facts(trial.plan)))
    return [_heads(set().union(*map(set, trial.found))) == asked] if asked else []


def _sides_right(trial: Trial) -> list[bool]:
    outcomes = []
    for index, phase in enumerate(plan_facts(trial.plan)):
        found = set(trial.found[index]) if index < len(trial.found) else set()
        for fact in phase:
            if fact.name != "gaze" and not fact.name.startswith("head") and fact.side in ("left", "right"):
                shown = {other.side for other in found if other.name == fact.name}
                outcomes.append(shown == {fact.side})
    return outcomes


def _order_right(trial: Trial) -> list[bool]:
    stated = plan_facts(trial.plan)
    if len(stated) != 2 or stated[0] == stated[1]:
        return []
    found = [set(phase) for phase in trial.found]
    return [agree(stated, found).hits > agree(stated[::-1], found).hits]


def _blinks_right(trial: Trial) -> list[bool]:
    asked = trial.plan.blinks
    return [trial.blinks == asked] if asked else []


def _intensities(trial: Trial) -> list[tuple[float, float]]:
    """(asked 1 to 3, size shown as if the unit were asked for itself) of each unit that was asked and shown."""
    pairs: list[tuple[float, float]] = []
    for phase, found in zip(trial.plan.phases, trial.found, strict=False):
        for item in phase.items:
            if item.intensity is not None:
                asked = INTENSITIES.index(item.intensity) + 1
                pairs += [(asked, found[f] / _unit_share(item, f)) for f in item_facts(item) if f in found]
    return pairs


def _caption_scores(
    categories: Sequence[str], plans: Sequence[Plan], said: Sequence[list[set[Fact]]]
) -> dict[str, Value]:
    scores = [agree(plan_facts(plan), facts, strict=False) for plan, facts in zip(plans, said, strict=True)]
    names = [*dict.fromkeys(categories), "all"]
    return {
        name: _bootstrap(_counts(score for c, score in zip(categories, scores, strict=True) if name in (c, "all")), _f1)
        for name in names
    }
