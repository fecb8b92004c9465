"""Instruction examples: chat messages made of a corpus row, its motion codes and worded templates.

The tasks: `animate` (a wish; the answer is the plan, then the motion), `duration` (the same with a length), `describe`
(a motion; the answer is its plan, a line break, then a caption; two questions follow), `question` (a motion and a
question at once), and two in words alone, which cost a third of the tokens and teach the language of plans: `plan` (a
wish; the answer is the plan) and `words` (a plan; the answer is a caption).

Plan, then move; note, then tell: the plan is the chain of thought of both directions.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

TASKS = ("animate", "duration", "describe", "question", "plan", "words")
CANONICAL = 0.5  # share of examples in the wording that facelm itself sends
FOLLOWING = 2  # questions after a description


@cache
def templates(task: str) -> tuple[str, ...]:
    """The wordings of a task; the first is the canonical one."""
    text = files("facelm.lm").joinpath(f"templates/{task}.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text))


def animate_request(prompt: str, seconds: float | None = None, wording: int = 0) -> list[dict[str, str]]:
    """Content parts of a user's wish for a motion, of `seconds` if given."""
    if seconds is None:
        return _content(templates("animate")[wording], prompt=prompt)
    return _content(
        templates("duration")[wording], prompt=prompt, seconds=f"{seconds:.1f}", short=f"{round(seconds, 1):g}"
    )


def describe_request(motion: Any, question: str | None = None, wording: int = 0) -> list[dict[str, Any]]:
    """Content parts that ask to describe a motion (FaceMotion, EncodedMotion or codes), or a question about it."""
    if question is None:
        return _content(templates("describe")[wording], motion)
    return _content(templates("question")[wording], motion, question=question)


def example(task: str, row: Mapping[str, Any], codes: np.ndarray, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Messages of one task for a corpus row; the wordings are drawn with `rng`.

    `codes` (steps, streams) is the row's motion. The plan in the answer is `row["plan"]`, letter by letter.
    """
    following: list[dict[str, Any]] = []
    wording = 0 if rng.random() < CANONICAL else int(rng.integers(len(templates(task))))
    if task in ("animate", "duration"):
        seconds = row["seconds"] if task == "duration" else None
        asked = animate_request(_one(row["prompts"], rng), seconds, wording)
        answer = [{"type": "text", "text": row["plan"]}, {"type": "motion", "motion": codes}]
    elif task == "describe":
        asked = describe_request(codes, None, wording)
        answer = [{"type": "text", "text": noted(row["plan"], _one(row["captions"], rng))}]
        for index in rng.permutation(len(row["questions"]))[:FOLLOWING]:
            pair = row["questions"][int(index)]
            following += [_said("user", pair["question"]), _said("assistant", pair["answer"])]
    elif task == "plan":
        asked = _content(templates(task)[wording], prompt=_one(row["prompts"], rng))
        answer = [{"type": "text", "text": row["plan"]}]
    elif task == "words":
        asked = _content(templates(task)[wording], plan=row["plan"])
        answer = [{"type": "text", "text": _one(row["captions"], rng)}]
    else:
        pair = _one(row["questions"], rng)
        asked = describe_request(codes, pair["question"], wording)
        answer = [{"type": "text", "text": pair["answer"]}]
    return [_said("user", asked), _said("assistant", answer), *following]


def noted(plan: str, caption: str) -> str:
    """The answer that describes a motion: its plan, where there is one, on a line of its own, then the caption."""
    return f"{plan}\n{caption}" if plan else caption


def told(answer: str) -> str:
    """The caption of such an answer, without the plan before it."""
    notes, _, caption = answer.partition("\n")
    return (caption or notes).strip()


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def _one(items: Any, rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))]


def _content(template: str, motion: Any = None, **words: str) -> list[dict[str, Any]]:
    """A template as content parts. The user's words are put in last and never read as part of a template."""
    before, mark, after = template.partition("{motion}")
    parts: list[dict[str, Any]] = [{"type": "text", "text": _fill(before, words)}]
    if mark:
        parts += [{"type": "motion", "motion": motion}, {"type": "text", "text": _fill(after, words)}]
    return [part for part in parts if part["type"] == "motion" or part["text"]]


def _fill(text: str, words: Mapping[str, str]) -> str:
    pieces = text.replace("}", "{").split("{")  # text, name, text, name, ... as templates hold no nested braces
    return "".join(words[piece] if index % 2 else piece for index, piece in enumerate(pieces))
