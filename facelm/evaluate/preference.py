"""Which of two systems do people prefer? A page that shows pairs of clips without names, and the counting after it.

    write_preference("outputs/a.json", "outputs/b", "study", seed=0)    # study/page is what people get
    counted = count_preferences("study", ["choices-ann.json", "choices-bo.json"])
    print(counted.text())

Which side showed which system is in study/key.json, which the page neither holds nor links: keep it to yourself.
"""

import hashlib
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest
from tabulate import tabulate

from facelm.errors import FacelmError, MissingFileError
from facelm.evaluate.clips import Clip
from facelm.evaluate.films import SIZE, film
from facelm.evaluate.report import environment
from facelm.evaluate.score import Score
from facelm.evaluate.shown import Shown, load_shown
from facelm.files import atomic_folder

FORMAT = 1
PAIRS = 30
FPS = 25.0
KEY = "key.json"
CHOICES = ("left", "right", "none")
FITS_WORDS, NATURAL, FITS_SOUND = "words", "natural", "sound"
QUESTIONS = {  # as the page asks them
    FITS_WORDS: "Which face does more of what the words say?",
    FITS_SOUND: "Which mouth fits the sound better?",
    NATURAL: "Which face moves more naturally?",
}
SHARE = "clips where A was chosen / clips where A or B was chosen; Wilson's 95% interval, choices taken as independent"


def write_preference(
    a: str | Path,
    b: str | Path,
    out: str | Path,
    seed: int = 0,
    pairs: int = PAIRS,
    clips: Sequence[Clip] = (),
    benchmark: str | None = None,
    size: int = SIZE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[str]:
    """Write out/page, a page for people, and out/key.json, which says what they saw.

    Args:
        a, b, clips, benchmark: what is compared, see `facelm.evaluate.shown.load_shown`. Clips are matched by their id.
        seed: of the choice of clips, their order and their sides; each system is on the left in half of the pairs.
        pairs: at most so many clips.
        size: pixels of each face.
        progress: called with how many pairs are filmed, and of how many, after each.

    Returns sentences about clips that had to be left out.
    Raises FacelmError when the two have no clip in common, were asked for different words, a clip cannot be filmed, or
    `out` holds another study.
    """
    sides = {"a": load_shown(a, clips, benchmark), "b": load_shown(b, clips, benchmark)}
    common = _common(sides, a, b)
    rng = random.Random(seed)
    chosen = rng.sample(common, min(pairs, len(common)))
    lefts = ["ab"[i % 2] for i in range(len(chosen))]
    rng.shuffle(lefts)
    study = _study(chosen, lefts, sides)
    held = Path(out) / KEY
    if held.exists() and _read(held, "remove it").get("study") != study:
        raise FacelmError(f"{out} holds another study, whose choices need its {KEY}; choose another folder")
    shown, key = [], []
    with atomic_folder(out) as temporary, tempfile.TemporaryDirectory() as sounds:
        (temporary / "page" / "media").mkdir(parents=True)
        for number, (name, left) in enumerate(zip(chosen, lefts, strict=True), 1):
            first, second = (sides[side][name] for side in (left, _other(left)))
            prompt, sound = first.prompt or second.prompt, first.sound or second.sound
            heard = None
            if sound is not None:
                heard = Path(sounds) / "sound"
                heard.write_bytes(sound)
            questions = [q for q, has in ((FITS_WORDS, prompt), (FITS_SOUND, sound), (NATURAL, True)) if has]
            file = f"media/{number:03d}.mp4"
            film([first.motion, second.motion], temporary / "page" / file, size, FPS, heard)
            entry = {"pair": number, "questions": questions}
            shown.append({**entry, "film": file, "prompt": prompt, "sound": sound is not None})
            key.append({**entry, "id": name, "left": left})
            progress(number, len(chosen))
        page = environment().get_template("preference.html").render(study=study, pairs=shown, questions=QUESTIONS)
        (temporary / "page" / "index.html").write_text(page, encoding="utf-8")
        document = {"format": FORMAT, "study": study, "a": str(a), "b": str(b), "seed": seed, "pairs": key}
        (temporary / KEY).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [
        f"{len(lone)} clip(s) of {path} are not in the other and were left out, such as {min(lone)}."
        for path, lone in ((a, sides["a"].keys() - common), (b, sides["b"].keys() - common))
        if lone
    ]


def _common(sides: Mapping[str, Mapping[str, Shown]], a: str | Path, b: str | Path) -> list[str]:
    """Ids of both sides. Raises FacelmError when there is none, or one was asked for different words."""
    common = sorted(sides["a"].keys() & sides["b"].keys())
    if not common:
        raise FacelmError(f"{a} and {b} have no clip in common; give two answers to the same prompts")
    for name in common:
        if len({sides[side][name].prompt for side in "ab"} - {""}) > 1:
            raise FacelmError(f"clip {name} was asked for with different words in {a} and {b}; compare like with like")
    return common


@dataclass(frozen=True)
class Preference:
    """What people preferred, by question.

    Attributes:
        a, b: what was compared.
        raters: people who answered.
        chosen: how often "a", "b" and "none" (no difference) were chosen, by question.
        shares: the share of A among choices that were no tie, by question.
        notes: sentences about the files.
    """

    a: str
    b: str
    raters: int
    chosen: dict[str, Counter[str]]
    shares: dict[str, Score]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """A Markdown table, what A and B are, and what to keep in mind."""
        rows = [
            [
                QUESTIONS[question],
                *(counts[choice] for choice in ("a", "b", "none")),
                f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" if score.known else "not computed",
                f"{binomtest(counts['a'], score.n).pvalue:.2g}" if score.known else "-",
            ]
            for question, score in self.shares.items()
            for counts in [self.chosen[question]]
        ]
        head = ["question", "A", "B", "no difference", "share of A (95%)", "p of A = B"]
        parts = [
            f"A is {self.a}, B is {self.b}; {self.raters} rater(s).",
            tabulate(rows, head, "pipe", disable_numparse=True),
            f"Share of A: {SHARE}. p: exact binomial test, two-sided.",
            *self.notes,
        ]
        return "\n\n".join(parts)


def count_preferences(study: str | Path, files: Sequence[str | Path]) -> Preference:
    """Count the choices that people saved from the page of a study.

    study: the folder that `write_preference` wrote. A person who saved more than once counts once, with the last file.
    Raises FacelmError when the key is missing, or a file is damaged or belongs to another study.
    """
    key = _read(Path(study) / KEY, "facelm evaluate --preference writes it")
    if key.get("format") != FORMAT:
        raise FacelmError(f"{Path(study) / KEY} is of format {key.get('format')} and this facelm reads {FORMAT}")
    if not files:
        raise FacelmError("there are no choices to count; give the files that people saved from the page")
    pairs = {entry["pair"]: entry for entry in key["pairs"]}
    by_rater: dict[str, tuple[str, dict[int, dict[str, str]]]] = {}
    notes = []
    for file in map(Path, files):
        rater, saved, choices = _choices(file, key["study"], pairs)
        if rater in by_rater:
            notes.append(f"{file} is of a rater who is there already; the file saved last counts.")
        if rater not in by_rater or saved >= by_rater[rater][0]:
            by_rater[rater] = (saved, choices)
    chosen = {q: Counter[str]() for q in QUESTIONS if any(q in entry["questions"] for entry in pairs.values())}
    for _, choices in by_rater.values():
        for pair, answers in choices.items():
            for question, choice in answers.items():
                chosen[question][_meaning(choice, pairs[pair]["left"])] += 1
    unanswered = sum(len(entry["questions"]) for entry in pairs.values()) * len(by_rater) - sum(
        counts.total() for counts in chosen.values()
    )
    if unanswered:
        notes.append(f"{unanswered} question(s) were left unanswered.")
    notes.append("Choices of one person, or about one clip, hang together, so that the true interval is wider.")
    shares = {question: _share(question, counts) for question, counts in chosen.items()}
    return Preference(key["a"], key["b"], len(by_rater), chosen, shares, tuple(notes))


def _share(question: str, counts: Counter[str]) -> Score:
    decided = counts["a"] + counts["b"]
    note = f"{counts['none']} of {counts.total()} choices were no difference"
    if not decided:
        return Score.missing(question, "1", SHARE, f"nobody chose A or B; {note}", of="choices")
    low, high = binomtest(counts["a"], decided).proportion_ci(method="wilson")
    return Score(question, counts["a"] / decided, float(low), float(high), decided, "1", SHARE, "choices", note)


def _meaning(choice: str, left: str) -> str:
    """What a person clicked: "a", "b" or "none"."""
    return {"left": left, "right": _other(left), "none": "none"}[choice]


def _choices(file: Path, study: str, pairs: dict[int, Any]) -> tuple[str, str, dict[int, dict[str, str]]]:
    """Rater, time of saving and choices by pair and question of one file."""
    held = _read(file, "people save it from the page")
    try:
        if held["study"] != study:
            raise FacelmError(f"{file} belongs to another study; count it with the folder whose page it was saved from")
        choices = {int(pair): dict(answers) for pair, answers in held["choices"].items()}
        rater, saved = str(held["rater"]), str(held["saved"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FacelmError(f"{file} holds no choices as the page saves them ({error}); save them again") from error
    for pair, answers in choices.items():
        for question, choice in answers.items():
            if pair not in pairs or question not in pairs[pair]["questions"] or choice not in CHOICES:
                raise FacelmError(
                    f"{file}: pair {pair} has the choice {question}: {choice!r}, which the page never asks"
                )
    return rater, saved, choices


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path} does not exist; {remedy}") from None
    except (OSError, ValueError) as error:
        raise FacelmError(f"{path} is no readable JSON ({error}); {remedy}") from error
    if not isinstance(held, dict):
        raise FacelmError(f"{path} holds a {type(held).__name__} instead of an object; {remedy}")
    return held


def _study(chosen: Sequence[str], lefts: Sequence[str], sides: Mapping[str, Mapping[str, Shown]]) -> str:
    """A name that is the same for the same pairs and says nothing about them."""
    digest = hashlib.sha256()
    for name, left in zip(chosen, lefts, strict=True):
        for side in (left, _other(left)):
            shown = sides[side][name]
            digest.update(f"{name} {shown.prompt}".encode() + shown.motion.values.tobytes())
    return digest.hexdigest()[:16]


def _other(side: str) -> str:
    return "b" if side == "a" else "a"
