"""What a user would ask to see a clip, and what one would say of it: prompts and captions of a corpus row.

A row of a real capture has an observed plan and annotations; one of the synthesised corpus has a plan alone; words of
a user's own (take.txt) come before anything made here.
"""

import random
from collections.abc import Callable, Sequence

from facelm.describe.annotations import Annotations
from facelm.describe.captions import Wording
from facelm.describe.plan import Plan
from facelm.describe.scenarios import people

LONGEST_PLAN = 45  # words of a plan said as one sentence; a longer one is left to the annotations

_PLAY = (
    "{text}",
    "Animate this: {text}",
    "Make the face do this. {text}",
    "Show me a face. {text}",
    "Act this out: {text}",
    "Generate this performance: {text}",
    "I need a take of this: {text}",
    "Create a facial animation. {text}",
)
_SITUATION = (
    "Animate a face in this situation: {text}",
    "Show the face of somebody in this scene: {text}",
    "The scene: {text} How does the face move?",
    "Here is the scene. {text} Animate the face.",
    "Imagine this: {text} Act it out.",
    "React to this: {text}",
    "Play the face for this story: {text}",
)
_LIKE = (
    "Look like {who} who {rest}",
    "Act like {who} who {rest}",
    "Move like {who} who {rest}",
    "Animate {who} who {rest}",
    "Be {who} who {rest}",
    "Show me {who} who {rest}",
)
_DETAIL = (
    "{face} {head}",
    "Follow this closely: {face} {head}",
    "Animate every detail: {face} {head}",
    "Face: {face} Head: {head}",
    "The head: {head} The face: {face}",
    "In detail: {face} {head}",
)


def prompts(
    annotations: Annotations | None, plan: Plan | None, rng: random.Random, count: int = 4, texts: Sequence[str] = ()
) -> list[str]:
    """Requests that a clip would answer, `count` of them, no two alike while there are words enough.

    Args:
        annotations, plan: of the clip; None where it has none.
        rng: source of the draws.
        count: how many.
        texts: the user's own words for the clip; each is a request as it stands, and comes first.
    """
    makers: list[Callable[[], str]] = []
    if annotations is not None:
        makers = [
            lambda: _framed(_PLAY, rng, annotations.action, annotations.emotion),
            lambda: _scenario(annotations, rng),
            lambda: _detail(annotations, rng),
            lambda: _framed(_PLAY, rng, annotations.summary),
        ]
    if plan is not None:
        makers.insert(min(1, len(makers)), lambda: _short(Wording(rng).prompt(plan)))
    own = [*texts[:count], *([_framed(_PLAY[1:], rng, texts[0])] if texts and count > len(texts) else [])]
    return _collected(own, makers, rng, count)


def captions(
    annotations: Annotations | None, plan: Plan | None, rng: random.Random, count: int = 4, texts: Sequence[str] = ()
) -> list[str]:
    """Descriptions of a clip, `count` of them, no two alike while there are words enough; arguments as of `prompts`.

    The user's own words come first; scenarios are left out, as nobody can see them.
    """
    makers: list[Callable[[], str]] = []
    if annotations is not None:
        makers = [
            lambda: _text(annotations.action, annotations.emotion),
            lambda: _text(annotations.expression, annotations.head_pose),
            lambda: _text(annotations.summary),
            lambda: _text(annotations.action, annotations.emotion, annotations.head_pose, annotations.expression),
        ]
    if plan is not None:
        makers.insert(min(1, len(makers)), lambda: _short(Wording(rng).caption(plan)))
    return _collected(list(texts[:count]), makers, rng, count)


def _collected(own: list[str], makers: Sequence[Callable[[], str]], rng: random.Random, count: int) -> list[str]:
    """`own` texts, then what the makers give in turn; without makers the own texts are repeated."""
    found = list(dict.fromkeys(text for text in own if text.strip()))[:count]
    for turn in range(4 * count if makers else 0):
        text = makers[turn % len(makers)]() if len(found) < count else ""
        if text and text not in found:
            found.append(text)
    while found and len(found) < count:
        found.append(rng.choice(found))
    return found


def _text(*texts: str) -> str:
    return " ".join(text.strip() for text in texts if text.strip())


def _framed(frames: Sequence[str], rng: random.Random, *texts: str) -> str:
    text = _text(*texts)
    return rng.choice(frames).replace("{text}", text) if text else ""


def _scenario(annotations: Annotations, rng: random.Random) -> str:
    """A scenario as a request: "Look like a nurse who hears good news."."""
    scenarios = [text for text in annotations.scenarios if text.strip()]
    if not scenarios:
        return ""
    text = rng.choice(scenarios)
    who = next((who for who in people() if text.startswith(f"{who} ")), None)
    if who and rng.random() < 0.6:
        rest = text[len(who) + 1 :]
        return rng.choice(_LIKE).replace("{who}", who[0].lower() + who[1:]).replace("{rest}", rest)
    return _framed(_SITUATION, rng, text)


def _detail(annotations: Annotations, rng: random.Random) -> str:
    if not (annotations.expression.strip() and annotations.head_pose.strip()):
        return _framed(_PLAY, rng, annotations.expression, annotations.head_pose)
    frame = rng.choice(_DETAIL)
    return frame.replace("{face}", annotations.expression).replace("{head}", annotations.head_pose)


def _short(text: str) -> str:
    return text if len(text.split()) <= LONGEST_PLAN else ""
