"""What a benchmark found: a row of scores for the system and for each floor and ceiling, and every clip beside it.

`Result.text()` prints it, `save_results` writes JSON with the motions in an npz file of the same name beside it.
"""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from facelm.errors import FacelmError, MissingFileError
from facelm.evaluate.score import Score, printed
from facelm.files import atomic_path
from facelm.motion import FaceMotion

ROWS = (  # in the order of a table: what the judges make of the truth, the systems from the ceiling to the floors
    "reference",
    "reconstruction",
    "model",
    "its plan",
    "nearest training",
    "random training",
    "majority answer",
    "shuffled",
    "rest pose",
)
FORMAT = 1


@dataclass
class Case:
    """One clip, to be looked at.

    Attributes:
        id, prompt: of the clip.
        reference, made: the motions; None where the benchmark has none.
        caption, reference_caption: what was said of it; "" where the benchmark asks for no words.
        scores: of this clip alone, by name.
    """

    id: str
    prompt: str
    reference: FaceMotion | None = None
    made: FaceMotion | None = None
    caption: str = ""
    reference_caption: str = ""
    scores: dict[str, float] = field(default_factory=dict)


@dataclass
class Result:
    """Everything one benchmark measured of one system.

    Attributes:
        benchmark, model: names; the model is a folder of weights or of predictions.
        data, split: the corpus.
        n: clips scored.
        seed: of everything drawn.
        machine: in words.
        judge: the retrieval judge in words, "" without one.
        main: the score by which cases are sorted; higher_is_better says which way.
        tables: the scores to print by title of their table; the rows may hold more.
        rows: scores by name, by row name (see ROWS).
        breakdown: scores of the row "model" by group, by what clips are grouped by ("category", "emotion", "length").
        cases: every clip.
        notes: what a reader must know, a sentence each.
    """

    benchmark: str
    model: str
    data: str
    split: str
    n: int
    seed: int
    machine: str
    judge: str = ""
    main: str = ""
    higher_is_better: bool = True
    tables: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, dict[str, Score]] = field(default_factory=dict)
    breakdown: dict[str, dict[str, dict[str, Score]]] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = {name: self.rows[name] for name in sorted(self.rows, key=_place)}

    # ------------------------------------------------------------------ as text

    def text(self, definitions: bool = True) -> str:
        """The result as Markdown: a heading, the rows, the model by group, what could not be computed and why.

        definitions: end with the definition of every printed score, and its interval, unit and N for the row "model".
        """
        parts = [
            f"## {self.benchmark}",
            f"{self.model} on {self.n} clips of {self.data} ({self.split}), seed {self.seed}, on {self.machine}.",
        ]
        if self.judge:
            parts.append(f"Judge: {self.judge}; {self._own_quality()}")
        for title, names in self.tables.items():
            parts.append(_grid([title, *names], self.rows, names))
        for what, groups in self.breakdown.items():
            names = list(dict.fromkeys(name for scores in groups.values() for name in scores))
            parts.append(_grid([f"model, by {what}", "N", *names], groups, names, count=True))
        if definitions:
            parts.append(self._definitions())
        parts += [*self.notes, self._missing()]
        return "\n\n".join(part for part in parts if part)

    def _own_quality(self) -> str:
        """How often the judge finds the true partner of real pairs."""
        own = self.rows.get("reference", {})
        own = {name: score for name, score in own.items() if not name.startswith("all ")}  # whole set as one gallery
        found = [f"{name} {own[name].value:.3f}" for name in own if "R@" in name and own[name].known]
        return f"on real pairs {', '.join(found)}." if found else "its quality on real pairs could not be computed."

    def _definitions(self) -> str:
        """What the printed scores are, with the interval, unit and N of the row "model"."""
        row = self.rows.get("model", {})
        printed = (row[name] for names in self.tables.values() for name in names if name in row)
        lines = [
            [score.name, _interval(score), score.unit, f"{score.n} {score.of}", score.formula.replace("|", "\\|")]
            for score in printed
            if score.known
        ]
        return tabulate(lines, ["model", "95% interval", "unit", "N", "definition"], "pipe", disable_numparse=True)

    def _missing(self) -> str:
        """Why cells are empty, each reason once."""
        reasons: dict[str, list[str]] = {}
        for row, scores in self.rows.items():
            for name in (name for names in self.tables.values() for name in names):
                if name in scores and not scores[name].known:
                    reasons.setdefault(scores[name].note, []).append(f"{name} of {row}")
        lines = [f"- {', '.join(cells)}: {reason}" for reason, cells in reasons.items()]
        return "\n".join(["Not computed:", "", *lines]) if lines else ""

    # ------------------------------------------------------------------ as JSON

    def to_json(self) -> dict[str, Any]:
        """As JSON knows it; motions are named by "<id>/reference" and "<id>/made" only, see `save_results`."""
        document = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("rows", "breakdown", "cases")}
        document["rows"] = {row: _scores_to_json(scores) for row, scores in self.rows.items()}
        document["breakdown"] = {
            what: {group: _scores_to_json(scores) for group, scores in groups.items()}
            for what, groups in self.breakdown.items()
        }
        document["cases"] = [
            {
                **{
                    f.name: getattr(case, f.name) for f in fields(case) if f.name not in ("reference", "made", "scores")
                },
                "scores": {name: _number(value) for name, value in case.scores.items()},
                "reference": _described(case.reference),
                "made": _described(case.made),
            }
            for case in self.cases
        ]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any], motions: Mapping[str, np.ndarray]) -> "Result":
        """What `to_json` made. motions: values by "<id>/reference" and "<benchmark>/<id>/made".

        Raises FacelmError when something is lacking.
        """
        try:
            words = dict(document)
            words["rows"] = {row: _scores_from_json(scores) for row, scores in words["rows"].items()}
            words["breakdown"] = {
                what: {group: _scores_from_json(scores) for group, scores in groups.items()}
                for what, groups in words["breakdown"].items()
            }
            words["cases"] = [
                Case(
                    **{
                        **case,
                        "scores": {n: math.nan if v is None else v for n, v in case["scores"].items()},
                        "reference": _restored(case["reference"], motions, f"{case['id']}/reference"),
                        "made": _restored(case["made"], motions, f"{words['benchmark']}/{case['id']}/made"),
                    }
                )
                for case in words["cases"]
            ]
            return cls(**words)
        except (KeyError, TypeError, AttributeError) as error:
            raise FacelmError(f"the scores are not what this facelm writes ({error}); evaluate again") from error


def save_results(results: Sequence[Result], path: str | Path, beside: str | Path | None = None) -> None:
    """Write results as JSON, and the motions of their cases as npz: `beside`, by default path with that ending."""
    path = Path(path)
    motions: dict[str, np.ndarray] = {}
    for result in results:
        for case in result.cases:
            if case.reference is not None:
                motions.setdefault(f"{case.id}/reference", case.reference.values)
            if case.made is not None:
                motions[f"{result.benchmark}/{case.id}/made"] = case.made.values
    document = {"format": FORMAT, "results": [result.to_json() for result in results]}
    with atomic_path(beside or path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **motions)  # type: ignore[arg-type]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_results(path: str | Path) -> list[Result]:
    """What `save_results` wrote. Raises FacelmError when a file is missing, damaged or of another version."""
    path = Path(path)
    beside = path.with_suffix(".npz")
    for file in (path, beside):
        if not file.is_file():
            raise MissingFileError(f"there is no {file}; results are a .json and the .npz of its motions beside it")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version, entries = document["format"], document["results"]
        with np.load(beside, allow_pickle=False) as archive:
            motions = {name: archive[name] for name in archive.files}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise FacelmError(f"{path} or {beside.name} is damaged ({error}); evaluate again") from error
    if version != FORMAT:
        raise FacelmError(f"{path} is of format {version} and this facelm reads {FORMAT}; evaluate again")
    return [Result.from_json(entry, motions) for entry in entries]


def machine() -> str:
    """This machine in words: processor or accelerator."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _place(row: str) -> tuple[int, str]:
    return (ROWS.index(row), row) if row in ROWS else (len(ROWS), row)


def _grid(
    head: Sequence[str], rows: Mapping[str, Mapping[str, Score]], names: Sequence[str], count: bool = False
) -> str:
    lines = []
    for row, scores in rows.items():
        if not any(name in scores for name in names):
            continue
        cells = [_cell(scores.get(name)) for name in names]
        lines.append([row, *([str(max((s.n for s in scores.values()), default=0))] if count else []), *cells])
    align = ("left", *("right",) * (len(head) - 1))
    return tabulate(lines, head, "pipe", disable_numparse=True, colalign=align) if lines else ""


def _cell(score: Score | None) -> str:
    if score is None or not score.known:
        return "-"
    if math.isinf(score.value):
        return "inf"
    return printed(score.value)


def _interval(score: Score) -> str:
    if math.isnan(score.low):
        return "-"
    low, high = (_cell(replace(score, value=end)) for end in (score.low, score.high))
    return f"{low} to {high}"


def _scores_to_json(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {
        name: {key: _number(value) if isinstance(value, float) else value for key, value in asdict(score).items()}
        for name, score in scores.items()
    }


def _scores_from_json(scores: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(**{key: math.nan if value is None else value for key, value in entry.items()})  # type: ignore[arg-type]
        for name, entry in scores.items()
    }


def _number(value: float) -> float | None:
    """JSON has no NaN: what could not be computed is null."""
    return None if not math.isfinite(value) else float(value)


def _described(motion: FaceMotion | None) -> dict[str, Any] | None:
    if motion is None:
        return None
    rate = motion.rate
    return {"fps": [rate.numerator, rate.denominator], "layout": motion.layout.name, "metadata": motion.metadata}


def _restored(described: Mapping[str, Any] | None, motions: Mapping[str, np.ndarray], name: str) -> FaceMotion | None:
    if described is None:
        return None
    return FaceMotion(motions[name], Fraction(*described["fps"]), described["layout"], metadata=described["metadata"])
