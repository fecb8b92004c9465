"""Instruction examples: chat messages made of a corpus row, its motion codes and worded templates.

The four tasks: `animate` (a wish; the answer is the plan, then the motion), `duration` (the same with a length),
`describe` (a motion; the answer is a caption) and `question` (a motion and a question).
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

TASKS = ("animate", "duration", "describe", "question")


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
    wording = int(rng.integers(len(templates(task))))
    if task in ("animate", "duration"):
        seconds = row["seconds"] if task == "duration" else None
        asked = animate_request(_one(row["prompts"], rng), seconds, wording)
        answer = [{"type": "text", "text": row["plan"]}, {"type": "motion", "motion": codes}]
    elif task == "describe":
        asked = describe_request(codes, None, wording)
        answer = [{"type": "text", "text": _one(row["captions"], rng)}]
    else:
        pair = _one(row["questions"], rng)
        asked = describe_request(codes, pair["question"], wording)
        answer = [{"type": "text", "text": pair["answer"]}]
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def examples(row: Mapping[str, Any], codes: np.ndarray, rng: np.random.Generator) -> list[list[dict[str, Any]]]:
    """One example of every task that the row can serve (a row without questions serves three)."""
    return [example(task, row, codes, rng) for task in TASKS if task != "question" or len(row["questions"])]


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
