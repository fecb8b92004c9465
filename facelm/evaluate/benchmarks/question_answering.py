"""question-answering: is a question about a motion answered as the corpus does?

Answers are compared as SQuAD's are: in small letters, without punctuation and articles, exactly and by the words they
share. Floors are the commonest answer to that kind of question, and the model's own answers to other clips' questions.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

from facelm.evaluate.clips import deal
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import Case, Result
from facelm.evaluate.score import Score, Tally
from facelm.evaluate.setting import Setting
from facelm.evaluate.text import words

NAME = "question-answering"
TABLE = ["exact", "normalised", "token F1"]
FORMULAS = {
    "exact": "share of answers equal to the corpus' letter by letter",
    "normalised": "share of answers equal in small letters, without punctuation and articles",
    "token F1": "F1 of the words an answer shares with the corpus', mean over questions (SQuAD)",
}
KINDS = {  # by words of the question, the first that fits
    "emotion": ("emotion", "feel", "express"),
    "blinks": ("blink", "blinks"),
    "order": ("first", "last", "start", "end"),
    "side": ("side",),
    "head": ("head",),
    "talk": ("talk", "said", "speak"),
}
YES_NO = ("does", "do", "is", "are", "can", "has", "have", "did", "was", "were")
OTHER = "other"
_ARTICLES = {"a", "an", "the"}


def kind(question: str) -> str:
    """What a question is about: "emotion", "blinks", "order", "side", "head", "talk", "yes or no" or "other"."""
    asked = words(question)
    for name, marks in KINDS.items():
        if any(mark in asked or f"{mark}s" in asked for mark in marks):
            return name
    return "yes or no" if asked and asked[0] in YES_NO else OTHER


def score(setting: Setting, predictions: Predictions) -> Result:
    """The result of answers to the clips' questions; clips without questions are left out.

    Raises FacelmError when none is left.
    """
    asked = [given if c.questions else None for c, given in zip(setting.clips, predictions.answers, strict=True)]
    setting, given = setting.of(asked, "answers")
    true = [tuple(answer for _, answer in clip.questions) for clip in setting.clips]
    kinds = [tuple(kind(question) for question, _ in clip.questions) for clip in setting.clips]
    rows = {"reference": true, "model": given, **_floors(setting, given, kinds)}
    breakdown = {
        name: _scores(given, true, lambda place, number, name=name: kinds[place][number] == name)  # type: ignore[misc]
        for name in dict.fromkeys(name for own in kinds for name in own)
    }
    cases = [
        Case(
            clip.id,
            "\n".join(question for question, _ in clip.questions),
            clip.motion,
            None,
            "\n".join(own),
            "\n".join(right),
            {"token F1": sum(map(token_f1, own, right)) / len(right)},
        )
        for clip, own, right in zip(setting.clips, given, true, strict=True)
    ]
    result = setting.result(
        NAME,
        "token F1",
        {"answers": TABLE},
        rows={row: _scores(answers, true) for row, answers in rows.items()},
        breakdown={"question": breakdown},
        cases=cases,
    )
    result.notes += predictions.notes
    return result


def normalised(answer: str) -> str:
    """An answer in small letters, without punctuation and articles."""
    return " ".join(word for word in words(answer) if word not in _ARTICLES)


def token_f1(given: str, true: str) -> float:
    """F1 of the words two answers share; 1 where both have none."""
    own, right = normalised(given).split(), normalised(true).split()
    if not own or not right:
        return float(own == right)
    shared = sum((Counter(own) & Counter(right)).values())
    return 2 * shared / (len(own) + len(right))


def _scores(
    given: Sequence[Sequence[str]],
    true: Sequence[Sequence[str]],
    counts: Callable[[int, int], bool] = lambda place, number: True,
) -> dict[str, Score]:
    """Scores over questions, resampled by clip, because the questions about one clip hang together."""
    tallies = {name: Tally() for name in TABLE}
    for place, (own, right) in enumerate(zip(given, true, strict=True)):
        pairs = [(a, b) for number, (a, b) in enumerate(zip(own, right, strict=True)) if counts(place, number)]
        if pairs:
            tallies["exact"].add(sum(a.strip() == b.strip() for a, b in pairs), len(pairs))
            tallies["normalised"].add(sum(normalised(a) == normalised(b) for a, b in pairs), len(pairs))
            tallies["token F1"].add(sum(token_f1(a, b) for a, b in pairs), len(pairs))
    return {name: tally.score(name, "1", FORMULAS[name]) for name, tally in tallies.items()}


def _floors(
    setting: Setting, given: Sequence[Sequence[str]], kinds: Sequence[Sequence[str]]
) -> dict[str, list[tuple[str, ...]]]:
    """The commonest answer to each kind of question, and the model's answers to others' questions of that kind."""
    pool: dict[str, Counter[str]] = {}
    questions = (
        [((pair["question"], pair["answer"]) for pair in own or ()) for own in setting.training.rows["questions"]]
        if setting.training is not None
        else [clip.questions for clip in setting.clips]
    )
    for own in questions:
        for question, answer in own:
            pool.setdefault(kind(question), Counter())[answer] += 1
    commonest = {name: answers.most_common(1)[0][0] for name, answers in pool.items()}
    rows = {"majority answer": [tuple(commonest.get(name, "") for name in own) for own in kinds]}
    places = [(p, n) for p, own in enumerate(kinds) for n in range(len(own))]
    dealt: dict[tuple[int, int], str] = {}
    for name in dict.fromkeys(name for own in kinds for name in own):
        alike = [(p, n) for p, n in places if kinds[p][n] == name]
        order = deal(len(alike), random.Random(setting.seed)) if len(alike) > 1 else [0]
        for place, taken in zip(alike, (alike[i] for i in order), strict=True):
            dealt[place] = given[taken[0]][taken[1]]
    rows["shuffled"] = [tuple(dealt[p, n] for n in range(len(own))) for p, own in enumerate(kinds)]
    return rows
