"""Situations that would explain an emotion, in at most 15 words, from the parts of describe/scenarios.yaml."""

import random
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from facelm.describe.labels import NEUTRAL
from facelm.describe.limits import LIMITS, SCENARIOS

SHORT = 5  # words of each of two happenings: with who and a link they make 15


@cache
def _bank() -> dict[str, Any]:
    return yaml.safe_load(files("facelm.describe").joinpath("scenarios.yaml").read_text(encoding="utf-8"))


def people() -> tuple[str, ...]:
    """Who scenarios are about, as they begin: "A nurse", "A teacher" …"""
    return tuple(who[0].upper() + who[1:] for who in _bank()["who"])


def scenarios(emotions: Sequence[str], talking: bool, rng: random.Random) -> tuple[str, ...]:
    """Three different situations for emotions in their order of time.

    Args:
        emotions: names as `labels.emotion_name` gives them; () counts as neutral. One that the bank does not know gets
            situations that fit any. Of more than two, the first and the last are told.
        talking: whether the person talks, which matters where no emotion shows.
        rng: source of the draws.
    """
    told = list(dict.fromkeys((emotions[0], emotions[-1]))) if emotions else [NEUTRAL]
    found: dict[str, None] = {}
    while len(found) < SCENARIOS:
        found[_scenario([_happenings(name, talking) for name in told], rng)] = None
    return tuple(found)


def _happenings(emotion: str, talking: bool) -> list[str]:
    emotions = _bank()["emotions"]
    if emotion == NEUTRAL and talking:
        return emotions["neutral talking"]
    return emotions.get(emotion, emotions["other"])


def _scenario(happenings: list[list[str]], rng: random.Random) -> str:
    """Only parts that fit are drawn, counted with the longest word for each of their slots."""
    bank = _bank()
    who = rng.choice(bank["who"])
    if len(happenings) == 1:
        happening = rng.choice(happenings[0])
        room = LIMITS["scenarios"] - len(who.split()) - _longest(happening)
        when = [words for words in bank["when"] if len(words.split()) <= room]
        text = f"{who} {_fill(happening, rng)}"
        if when and rng.random() < 0.5:
            text += f" {rng.choice(when)}"
        text += "."
    else:
        first, second = (
            _fill(rng.choice([words for words in some if _longest(words) <= SHORT]), rng) for some in happenings
        )
        text = rng.choice(bank["joins"]).format(who=who, first=first, second=second)
    return text[0].upper() + text[1:]


@cache
def _longest(words: str) -> int:
    """The most words a happening can have."""
    parts = _bank()["parts"]
    return sum(
        max(len(part.split()) for part in parts[word.strip("{},")]) if "{" in word else 1 for word in words.split()
    )


def _fill(words: str, rng: random.Random) -> str:
    parts = _bank()["parts"]
    return re.sub(r"\{(\w+)\}", lambda match: rng.choice(parts[match[1]]), words)
