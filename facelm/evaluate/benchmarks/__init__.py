"""Benchmarks: named protocols that score a model, or a folder of anybody's predictions, between floors and ceilings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from facelm.errors import FacelmError
from facelm.evaluate import predict
from facelm.evaluate.benchmarks import (
    captioning,
    question_answering,
    reconstruction,
    speech,
    speed,
    text_to_motion,
)
from facelm.evaluate.predict import Share
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import Result
from facelm.evaluate.setting import Setting

if TYPE_CHECKING:
    from facelm.agent import FaceLM

__all__ = ["BENCHMARKS", "DEFAULT", "NAMES", "NEEDS", "SPEED", "evaluate", "names_of", "score"]

BENCHMARKS: dict[str, Callable[[Setting, Predictions], Result]] = {
    text_to_motion.NAME: text_to_motion.score,
    speech.BOTH: speech.score_with_text,
    speech.NAME: speech.score,
    captioning.NAME: captioning.score,
    reconstruction.NAME: reconstruction.score,
    question_answering.NAME: question_answering.score,
}
NEEDS = {  # what a folder of predictions should hold for each
    text_to_motion.NAME: "motions",
    speech.BOTH: "motions",
    speech.NAME: "motions",
    captioning.NAME: "captions",
    reconstruction.NAME: "motions",
    question_answering.NAME: "answers",
}
OF_SOUND = (speech.BOTH, speech.NAME)
DEFAULT = (text_to_motion.NAME, captioning.NAME, reconstruction.NAME, speed.NAME)
SPEED = speed.NAME
NAMES = [*BENCHMARKS, SPEED]


def names_of(text: str, known: Sequence[str]) -> list[str]:
    """Names of benchmarks from "one,another". Raises FacelmError for one that is not among the known."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise FacelmError(f"unknown benchmark {', '.join(unknown) or repr(text)}; there are {', '.join(known)}")
    return names


def evaluate(
    lm: "FaceLM",
    setting: Setting,
    names: Sequence[str] = DEFAULT,
    candidates: int = 1,
    samples: int = 0,
    share: Share | None = None,
) -> list[Result]:
    """Results of a model, one a benchmark.

    Args:
        lm: the model.
        setting: clips, judges, floors; without a tokenizer it takes the model's.
        names: of benchmarks.
        candidates: motions drawn for each prompt, of which the best is kept.
        samples: further motions drawn for prompts of text-to-motion, for MEE, CE and MultiModality.
        share: of the work, where several processes do it; the first of them gets the results, the others none.

    Raises:
        FacelmError: an unknown benchmark, or one the model cannot take part in.
    """
    share = share or Share()
    tokenizer = lm.processor.motion_tokenizer
    setting = setting if setting.tokenizer is not None else replace(setting, tokenizer=tokenizer)
    results = []
    for name in names_of(",".join(names), NAMES):
        if name in OF_SOUND:
            raise FacelmError(
                f"{name} asks for motion from sound, which this model does not make; score a folder of predictions "
                "with 'facelm score'"
            )
        if name == speed.NAME:
            results += [speed.score(setting, lm)] if share.rank == 0 else []
            continue
        if name == text_to_motion.NAME:
            predictions = predict.animate(lm, setting.clips, setting.seed, candidates, samples, share)
        elif name == captioning.NAME:
            predictions = predict.describe(lm, setting.clips, share)
        elif name == question_answering.NAME:
            predictions = predict.answer(lm, setting.clips, share)
        else:
            predictions = Predictions(motions=list(predict.rebuild(tokenizer, setting.clips)))
        if share.rank == 0:
            results.append(score(name, setting, predictions))
    return results


def score(name: str, setting: Setting, predictions: Predictions) -> Result:
    """The result of predictions, whoever made them. Raises FacelmError for an unknown benchmark."""
    if name not in BENCHMARKS:
        raise FacelmError(f"unknown benchmark {name}; there are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](setting, predictions)
