"""The facts judge: is what words state what a motion shows?

    judge(prompts, motions)              # does the motion do what the prompt asks?
    judge(captions, motions, told=True)  # did what the caption tells happen?

Words are plans, or sentences read by `facts_in_words`; what is shown is measured on the motion by a detector: that of
describe/events.py, which reads named coefficients, or that of vertex_detector.py, which sees vertices only. Nothing is
learnt. A fact is an action unit with its side, a head gesture or a gaze; an emotion states its prototype's units.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import rankdata

from facelm.describe.agreement import Agreement, agree
from facelm.describe.captions import items_in_words
from facelm.describe.events import measure
from facelm.describe.facts import Fact, PhaseFacts, item_facts
from facelm.describe.lexicon import NEUTRAL_PHRASES
from facelm.describe.phrases import FACE_RESTS, HEAD_RESTS, third_person
from facelm.describe.plan import Item, Plan
from facelm.describe.units import EMOTIONS, INTENSITIES
from facelm.errors import FacelmError
from facelm.evaluate.score import RESAMPLES, Score, Tally
from facelm.motion import FaceMotion

Detector = Callable[[FaceMotion, int], list[PhaseFacts]]
FORMULAS = {
    "facts precision": "share of the facts shown that were asked, whatever their phase",
    "facts recall": "share of the facts asked that are shown, whatever their phase",
    "facts F1": "2 hits / (2 hits + missed + unasked) of facts pooled over clips, whatever their phase",
    "facts F1 strict": "2 hits / (2 hits + missed + unasked) of facts pooled over clips, each in its phase",
    "head": "share of clips whose words state a head gesture that show that gesture and no other",
    "side": "share of units stated on one side that are shown in their phase on that side alone",
    "order": "share of clips of two or more different phases whose facts fit better in the order stated than reversed",
    "blinks": "share of clips whose words count blinks that show as many",
    "intensity": "Spearman correlation of the intensity stated (1 to 3) and the size shown, of units stated and shown",
}
TOLD = {
    "facts precision": "share of the facts told that are shown, whatever their phase",
    "facts recall": "share of the facts shown that are told, whatever their phase",
}


@dataclass(frozen=True)
class Trial:
    """One clip: what its words state, and what was found.

    Attributes:
        stated: the items of each phase.
        found: the facts of each phase with their sizes.
        blinks: how many were found.
        readable: whether anything could be read from the words; "stays neutral" can be, and states no fact.
    """

    stated: tuple[tuple[Item, ...], ...]
    found: tuple[dict[Fact, float], ...]
    blinks: int = 0
    readable: bool = True

    @cached_property
    def facts(self) -> list[set[Fact]]:
        """The facts stated, phase by phase."""
        return [set().union(*map(item_facts, items)) for items in self.stated]

    def agreement(self, strict: bool = False) -> Agreement:
        """Counts of facts stated and found, whatever their phase or phase by phase (`strict`)."""
        return agree(self.facts, [set(phase) for phase in self.found], strict=strict)


def judge(
    words: Sequence[Plan | str],
    shown: Sequence[FaceMotion | Plan],
    detector: Detector = measure,
    told: bool = False,
) -> dict[str, Score]:
    """Scores by the names of `FORMULAS`.

    Args:
        words: a plan or a text for each clip.
        shown: the motions, or plans that stand for what was shown.
        detector: what measures the motions.
        told: the words are captions, whose claims are held against the motion, and not prompts, against whose wishes
            the motion is held. This only turns precision and recall round, and unreadable prompts are left out while
            unreadable captions count as telling nothing; the note tells how many there were.

    Raises FacelmError when there are not as many words as motions, or a motion is of a FLAME layout.
    """
    return scores(trials(words, shown, detector), told)


def trials(
    words: Sequence[Plan | str], shown: Sequence[FaceMotion | Plan], detector: Detector = measure
) -> list[Trial]:
    """What `judge` scores, clip by clip, for tables by category and for the best and worst cases."""
    if len(words) != len(shown):
        raise FacelmError(f"{len(words)} texts or plans and {len(shown)} motions; the judge needs one for each")
    return [_trial(*both, detector) for both in zip(words, shown, strict=True)]


def scores(trials: Sequence[Trial], told: bool = False) -> dict[str, Score]:
    """The figures of some trials; 95% intervals by bootstrap over clips."""
    unreadable = sum(not trial.readable for trial in trials)
    kept = list(trials) if told else [trial for trial in trials if trial.readable]
    formulas = FORMULAS | TOLD if told else FORMULAS
    note = ""
    if unreadable:
        what = ("captions", "count as telling nothing") if told else ("prompts", "are left out")
        note = f"{unreadable} of {len(trials)} {what[0]} are empty or nothing can be read from them; they {what[1]}"
    if unreadable == len(trials):
        why = note.split(";")[0] if trials else "there is no clip"
        return {name: Score.missing(name, "1", formula, why) for name, formula in formulas.items()}

    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in formulas if name != "intensity"}
    for trial in kept:
        loose, strict = trial.agreement(), trial.agreement(strict=True)
        stated, found = loose.hits + loose.missed, loose.hits + loose.unasked
        ratios["facts precision"].append((loose.hits, stated if told else found))
        ratios["facts recall"].append((loose.hits, found if told else stated))
        ratios["facts F1"].append((2 * loose.hits, stated + found))
        ratios["facts F1 strict"].append((2 * strict.hits, 2 * strict.hits + strict.missed + strict.unasked))
        for name, claims in (("head", _head), ("side", _sides), ("order", _order), ("blinks", _blinks)):
            if outcomes := claims(trial):
                ratios[name].append((sum(outcomes), len(outcomes)))
    result = {name: _ratio(name, formulas[name], parts, note) for name, parts in ratios.items()}
    result["intensity"] = _intensity(kept, formulas["intensity"], note)
    return result


def by_fact(trials: Iterable[Trial]) -> dict[str, Score]:
    """Strict F1 of each kind of fact by name ("AU12", "head nod" …), over the clips in which it is stated or found."""
    parts: dict[str, list[tuple[float, float]]] = {}
    for trial in trials:
        phases = max(len(trial.facts), len(trial.found))
        stated = [*trial.facts, *[set[Fact]()] * (phases - len(trial.facts))]
        found = [*map(set, trial.found), *[set[Fact]()] * (phases - len(trial.found))]
        for name in {fact.name for phase in (*stated, *found) for fact in phase}:
            own, other = ([{f for f in phase if f.name == name} for phase in side] for side in (stated, found))
            counts = agree(own, other)
            parts.setdefault(name, []).append((2 * counts.hits, 2 * counts.hits + counts.missed + counts.unasked))
    formula = "strict F1 of one kind of fact over the clips that state or show it"
    return {name: _ratio(name, formula, found, "") for name, found in sorted(parts.items())}


def _trial(words: Plan | str, shown: FaceMotion | Plan, detector: Detector) -> Trial:
    if isinstance(words, Plan):
        stated, readable = tuple(phase.items for phase in words.phases), True
    else:
        stated = tuple(map(tuple, items_in_words(words)))
        readable = any(stated) or bool(_still().search(words.lower()))
    if isinstance(shown, Plan):
        return Trial(stated, tuple(_levels(phase.items) for phase in shown.phases), shown.blinks, readable)
    if detector is measure and shown.layout.is_flame:
        raise FacelmError(
            f"a {shown.layout.name} motion names no action units, so its facts cannot be judged; carry it to arkit "
            "(facelm rig map), or judge its vertices with facelm.evaluate.vertex_detector"
        )
    phases = detector(shown, max(1, len(stated)))
    return Trial(stated, tuple(phase.levels for phase in phases), sum(len(phase.blinks) for phase in phases), readable)


def _still() -> re.Pattern[str]:
    """Phrases that say that nothing happens: they can be read, and state no fact."""
    phrases = [f"{form} {rest}" for verb, rest in NEUTRAL_PHRASES for form in (verb, third_person(verb))]
    phrases += [verb for _, verbs, _ in (FACE_RESTS, HEAD_RESTS) for verb in verbs]
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b")


def _levels(items: Sequence[Item]) -> dict[Fact, float]:
    """The facts of items with the size they state: 1 to 3, less where a unit plays a smaller part in an emotion."""
    levels: dict[Fact, float] = {}
    for item in items:
        for fact in item_facts(item):
            levels[fact] = max(levels.get(fact, 0.0), _rank(item) * _share(item, fact))
    return levels


def _rank(item: Item) -> int:
    return INTENSITIES.index(item.intensity) + 1 if item.intensity else 1


def _share(item: Item, fact: Fact) -> float:
    return EMOTIONS[item.name].units[fact.name] if item.kind == "emotion" else 1.0


def _head(trial: Trial) -> list[bool]:
    stated, found = (
        {fact for phase in phases for fact in phase if fact.name.startswith("head")}
        for phases in (trial.facts, trial.found)
    )
    return [found == stated] if stated else []


def _sides(trial: Trial) -> list[bool]:
    outcomes = []
    for index, phase in enumerate(trial.facts):
        found = trial.found[index] if index < len(trial.found) else {}
        for fact in phase:
            if fact.side in ("left", "right") and fact.name != "gaze" and not fact.name.startswith("head"):
                outcomes.append({other.side for other in found if other.name == fact.name} == {fact.side})
    return outcomes


def _order(trial: Trial) -> list[bool]:
    stated, found = trial.facts, [set(phase) for phase in trial.found]
    if stated == stated[::-1]:
        return []
    return [agree(stated, found).hits > agree(stated[::-1], found).hits]


def _blinks(trial: Trial) -> list[bool]:
    stated = sum(item.blinks for items in trial.stated for item in items)
    return [trial.blinks == stated] if stated else []


def _ratio(name: str, formula: str, parts: Iterable[tuple[float, float]], note: str) -> Score:
    tally = Tally()
    for part in parts:
        tally.add(*part)
    if not sum(tally.weights):
        why = "no clip states or shows any such thing"
        return Score.missing(name, "1", formula, f"{why}; {note}" if note else why)
    return tally.score(name, "1", formula, note=note)


def _intensity(trials: Sequence[Trial], formula: str, note: str) -> Score:
    """Spearman's correlation; of a sample of clips, that of the ranks among all, for its interval."""
    clips, pairs = [], []
    for number, trial in enumerate(trials):
        for items, found in zip(trial.stated, trial.found, strict=False):
            for item in items:
                shown = [fact for fact in item_facts(item) if fact in found] if item.intensity else []
                pairs += [(_rank(item), found[fact] / _share(item, fact)) for fact in shown]
                clips += [number] * len(shown)
    both = np.array(pairs, float).reshape(-1, 2)
    if len(both) < 3 or any(len(np.unique(column)) < 2 for column in both.T):
        return Score.missing("intensity", "1", formula, "too few units are stated and shown, or all of one intensity")
    a, b = rankdata(both, axis=0).T
    moments = np.stack([np.ones_like(a), a, b, a * a, b * b, a * b])
    sums = np.stack([np.bincount(clips, moment, len(trials)) for moment in moments])[:, np.unique(clips)]
    count = sums.shape[1]
    low = high = np.nan
    if count > 1:
        draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
        low, high = np.nanpercentile(_correlation(sums[:, draws].sum(-1)), [2.5, 97.5])
    value = float(_correlation(sums.sum(-1)))
    return Score("intensity", value, float(low), float(high), count, "1", formula, note=note)


def _correlation(moments: np.ndarray) -> np.ndarray:
    """Pearson's correlation from sums (6, ...) of 1, a, b, aa, bb and ab; NaN where one side does not vary."""
    n, a, b, aa, bb, ab = moments
    spread = np.sqrt(np.clip(n * aa - a * a, 0, None) * np.clip(n * bb - b * b, 0, None))
    return np.where(spread > 1e-9, (n * ab - a * b) / np.where(spread > 1e-9, spread, 1), np.nan)
