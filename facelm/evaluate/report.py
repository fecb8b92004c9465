"""A page on which a person reads what benchmarks found: tables, distributions, best and worst clips as films.

render(load_results("scores.json"), "report")    # opens from disk: report/index.html
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.charts import figure, histogram, interval, kind, ladder
from facelm.evaluate.films import LONGEST, SIZE, film
from facelm.evaluate.result import Case, Result
from facelm.evaluate.score import Score
from facelm.files import atomic_folder

CASES = 3  # best, and worst
FPS = 12.5  # of the films
WORDS = {  # of the rows
    "reference": "the true motions (or words) themselves, judged as if a model had made them. What is lost here is "
    "lost in the judging.",
    "reconstruction": "the true motions after the motion tokenizer alone. A model that writes its tokens can hardly "
    "do better.",
    "model": "what is tested.",
    "its plan": "the plan the model wrote, as if it had been performed to the letter: a model that plans well and "
    "moves badly shows here.",
    "nearest training": "the training clip nearest to what was asked, given as the answer. A model below it has learnt "
    "less than a search finds.",
    "random training": "any training clip, given as the answer: what scores without having to do with the question.",
    "shuffled": "the model's own answers, dealt to other clips: what is left when nothing fits.",
    "rest pose": "a face that does not move, or the words for one.",
}


def render(
    results: Sequence[Result],
    folder: str | Path,
    cases: int = CASES,
    size: int = SIZE,
    fps: float = FPS,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Write the report of results: folder/index.html, and its films in folder/media. Nothing else is needed to read it.

    Args:
        cases: of the best and of the worst clips of each result.
        size, fps: pixels of each face and frames/s of the films.
        progress: called with 1 after each clip filmed; `films` says how many there will be.

    Returns the page. A clip that cannot be filmed (no EGL on this machine, a FLAME motion without the FLAME model) is
    shown without a film, and the page says why.
    Raises FacelmError when there is no result, or the folder cannot be written.
    """
    if not results:
        raise FacelmError("there is no result to report; run facelm evaluate first")
    with atomic_folder(folder) as temporary:
        (temporary / "media").mkdir()
        models = list(dict.fromkeys(result.model for result in results))
        sections = [Section(result, index, cases, len(models) > 1) for index, result in enumerate(results)]
        for section in sections:
            section.film(temporary, size, fps, progress)
        page = environment().get_template("report.html")
        text = page.render(
            title=f"Scores of {', '.join(models)}", version=_version(), sections=sections, row_words=_row_words(results)
        )
        (temporary / "index.html").write_text(text, encoding="utf-8")
    return Path(folder) / "index.html"


def films(results: Sequence[Result], cases: int = CASES) -> int:
    """How many clips `render` films."""
    return sum(len(ends) for result in results for ends in _ends(result, cases))


def environment() -> jinja2.Environment:
    """Templates of this folder, with what they share."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.globals.update(figure=figure, interval=interval, kind=kind, reason=reason)
    return found


# ---------------------------------------------------------------------- a result, as the page shows it


def reason(score: Score) -> str:
    """Why it could not be computed."""
    return f"{score.name}: {score.note or 'no reason was given'}"


class Section:
    """One result, with what its part of the page needs.

    Attributes:
        best, worst: cases as the page shows them, filled by `film`.
    """

    def __init__(self, result: Result, index: int, cases: int, several: bool = False) -> None:
        self.result, self.index = result, index
        self.anchor = f"result{index + 1}"
        self.heading = f"{result.benchmark}: {result.model}" if several else result.benchmark
        self.ends = _ends(result, cases)
        self.best: list[dict[str, Any]] = []
        self.worst: list[dict[str, Any]] = []

    def film(self, folder: Path, size: int, fps: float, progress: Callable[[int], None]) -> None:
        """Film the best and worst cases into folder/media."""
        for name, cases, shown in zip(("best", "worst"), self.ends, (self.best, self.worst), strict=True):
            for number, case in enumerate(cases, 1):
                relative = f"media/{self.index + 1}-{name}-{number}.mp4"
                shown.append(self._shown(case, folder, relative, size, fps))
                progress(1)

    def _shown(self, case: Case, folder: Path, relative: str, size: int, fps: float) -> dict[str, Any]:
        """A case as the page shows it; its film is written to folder/relative."""
        sides = {"reference": case.reference, "model": case.made}
        motions = {name: motion for name, motion in sides.items() if motion is not None}
        why = "" if motions else "There is no motion to show."
        if motions:
            try:
                film(list(motions.values()), folder / relative, size, fps)
            except FacelmError as error:
                why = f"Not filmed: {error}"
        long = any(motion.seconds > LONGEST for motion in motions.values())
        plan = case.made.metadata.get("plan", "") if case.made is not None else ""
        where = " on the left, ".join(motions) + (" on the right" if len(motions) > 1 else "")
        told = (
            ("its plan", plan),
            ("it says", case.caption),
            ("reference says", case.reference_caption),
            ("shown", f"the first {LONGEST:g} s" if long else ""),
        )
        return {
            "id": case.id,
            "prompt": case.prompt,
            "film": "" if why else relative,
            "why_no_film": why,
            "sides": list(motions),
            "words": f"Film of {where}: {case.prompt}",
            "texts": [(name, text) for name, text in told if text],
            "scores": [(name, f"{figure(value)} {self.unit(name)}".strip()) for name, value in case.scores.items()],
        }

    @cached_property
    def _all(self) -> dict[str, Score]:
        """One score of each name, a known one of the row "model" where there is one."""
        found: dict[str, Score] = {}
        rows = self.result.rows
        tables = [
            rows.get("model", {}),
            *rows.values(),
            *(g for b in self.result.breakdown.values() for g in b.values()),
        ]
        for scores in tables:
            for name, score in scores.items():
                if name not in found or (score.known and not found[name].known):
                    found[name] = score
        return found

    @property
    def tables(self) -> list[tuple[str, list[str], dict[str, dict[str, Score]]]]:
        """Title, columns and rows of each table; a row that has none of the columns is left out."""
        rows = self.result.rows
        tables = []
        for title, names in (self.result.tables or {"Scores": list(self._all)}).items():
            held = {row: scores for row, scores in rows.items() if any(name in scores for name in names)}
            if held:
                tables.append((title, names, held))
        return tables

    @cached_property
    def more(self) -> list[str]:
        """Scores the rows hold besides."""
        printed = {name for names in self.result.tables.values() for name in names}
        held = dict.fromkeys(name for scores in self.result.rows.values() for name in scores)
        return [name for name in held if name not in printed] if printed else []

    @property
    def definitions(self) -> list[Score]:
        """Of every score shown."""
        return list(self._all.values())

    @cached_property
    def reasons(self) -> list[str]:
        """Why scores could not be computed, each reason once."""
        tables = [*self.result.rows.values(), *(g for b in self.result.breakdown.values() for g in b.values())]
        return list(dict.fromkeys(reason(s) for scores in tables for s in scores.values() if not s.known))

    @property
    def judge_quality(self) -> list[Score]:
        """The judge's own scores on real pairs."""
        own = self.result.rows.get("reference", {})
        return [score for name, score in own.items() if name.startswith("R@") and score.known]

    @property
    def ordered(self) -> int:
        """Cases that have the main score."""
        return len(_ordered(self.result))

    @staticmethod
    def count(scores: Mapping[str, Score]) -> int:
        """Clips of a group."""
        return max((score.n for score in scores.values()), default=0)

    def unit(self, name: str) -> str:
        """Of a score, "" for shares and ratios."""
        unit = self._all[name].unit if name in self._all else ""
        return "" if unit == "1" else unit

    @staticmethod
    def names_of(groups: Mapping[str, Mapping[str, Score]]) -> list[str]:
        """The columns of a breakdown."""
        return list(dict.fromkeys(name for scores in groups.values() for name in scores))

    @cached_property
    def plots(self) -> list[dict[str, Any]]:
        """Histograms of the scores of single clips, the main one first."""
        names = dict.fromkeys([self.result.main, *(name for case in self.result.cases for name in case.scores)])
        drawn = []
        for name in names:
            values = np.array([case.scores[name] for case in self.result.cases if name in case.scores], np.float64)
            values = values[np.isfinite(values)]
            if len(values) > 1:
                drawn.append(histogram(name, values, self.unit(name)))
        return drawn

    @cached_property
    def ladder(self) -> dict[str, Any] | None:
        """The main score of every row on one line, from which one reads where the model stands."""
        known = {row: s[self.result.main] for row, s in self.result.rows.items() if self.result.main in s}
        known = {row: score for row, score in known.items() if math.isfinite(score.value)}
        if len(known) < 2:
            return None
        return ladder(self.result.main, known)


# ---------------------------------------------------------------------- cases


def _ordered(result: Result) -> list[Case]:
    """Cases that have the main score, the best first."""
    known = [case for case in result.cases if math.isfinite(case.scores.get(result.main, math.nan))]
    return sorted(known, key=lambda case: case.scores[result.main], reverse=result.higher_is_better)


def _ends(result: Result, count: int) -> tuple[list[Case], list[Case]]:
    """The best cases, and of the others the worst, the very worst first."""
    ordered = _ordered(result)
    best = ordered[: min(count, (len(ordered) + 1) // 2)]
    return best, ordered[len(best) :][::-1][:count]


def _row_words(results: Sequence[Result]) -> dict[str, str]:
    """Of the rows that occur."""
    rows = {row for result in results for row in result.rows}
    return {row: words for row, words in WORDS.items() if row in rows}


def _version() -> str:
    from facelm import __version__

    return __version__
