"""speech and text-and-speech: does a face speak what is heard?

`speech` is that of PMMTalk and MMFace4D: errors on coefficients and vertices against the reference, and lips that keep
time with the sound; which people are in the test, the corpus' protocol says (identity, cross-gender …).
`text-and-speech` is benchmark I of MMHead: the same, and the retrieval judges of text and of sound.
"""

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate import speech
from facelm.evaluate.baselines import motion_rows
from facelm.evaluate.benchmarks.text_to_motion import FACTS
from facelm.evaluate.clips import groups
from facelm.evaluate.compare import closure_metrics, coefficient_metrics, compare, vertex_metrics
from facelm.evaluate.judged import Judged
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import Case, Result
from facelm.evaluate.score import Score
from facelm.evaluate.setting import SOUND_RATE, Setting, merged, retrieval_scores
from facelm.motion import FaceMotion

NAME = "speech"
BOTH = "text-and-speech"
VERTICES = ["LVE", "FVE", "L_max lips", "L_mean lips", "L_max upper_face", "L_max face", "FDD", "jerk ratio"]
COEFFICIENTS = ["ALE", "coefficient LVE", "jaw_r", "round_r", "close_r", "amplitude ratio", "ba_ref", "ba_pred"]
CLOSURES = ["lip closure recall", "lip closure precision", "eyelid closure recall"]
SOUND = ["lip lag", "lip lag spread", "energy r", "energy r, no lag"]
TALK = ["LVE", "ALE", "jaw_r", "lip closure recall"]  # by group


def score(setting: Setting, predictions: Predictions) -> Result:
    """The result of motions for the clips' sounds; clips without sound or motion are left out.

    Raises FacelmError when none is left, or a sound cannot be read.
    """
    return _score(setting, predictions, NAME)


def score_with_text(setting: Setting, predictions: Predictions) -> Result:
    """The result of motions for the clips' sounds and prompts, as `score`."""
    return _score(setting, predictions, BOTH)


def _score(setting: Setting, predictions: Predictions, benchmark: str) -> Result:
    heard = [m if c.audio is not None else None for c, m in zip(setting.clips, predictions.motions, strict=True)]
    setting, made = setting.of(heard, "motions (or sounds)")
    clips = setting.clips
    rows = motion_rows(setting, made, by="text" if benchmark == BOTH else "motion")
    metrics = [*vertex_metrics(), *coefficient_metrics(), *closure_metrics(setting.rig)]
    compared = compare(metrics, rows, setting.rig, [clip.id for clip in clips])
    sounds = [_at(SOUND_RATE, *clip.sound()) for clip in clips]
    spoken = _spoken(setting, rows, sounds)
    found = [{row: own.scores() for row, own in compared.items()}, spoken]
    tables: dict[str, list[str]] = {
        "vertices": VERTICES,
        "coefficients": COEFFICIENTS,
        "closures": CLOSURES,
        "sound": SOUND,
    }
    if setting.listener is not None:
        queries = setting.listener.embed_audio(sounds)
        own = retrieval_scores(setting.listener, queries, rows, "Audio-Match", setting.seed)
        found.append({row: {_audio(name): s for name, s in named.items()} for row, named in own.items()})
        tables = {"audio judge": ["audio R@1", "audio R@2", "audio R@3", "audio FID", "Audio-Match"], **tables}
    if benchmark == BOTH:
        plans = [clip.plan for clip in clips]
        found.append({row: Judged.of(plans, motions).scores() for row, motions in rows.items()})
        tables["facts judge"] = FACTS
        if setting.judge is not None:
            queries = setting.judge.embed_texts([clip.prompt or " " for clip in clips])
            found.append(retrieval_scores(setting.judge, queries, rows, "Text-Match", setting.seed))
            tables = {"text judge": ["R@1", "R@2", "R@3", "FID", "Text-Match", "Diversity"], **tables}
    cases = [
        Case(clip.id, clip.prompt, clip.motion, shown, scores=compared["model"].clip(index))
        for index, (clip, shown) in enumerate(zip(clips, made, strict=True))
    ]
    breakdown = {}
    for what, members in groups(clips).items():
        errors = {group: compared["model"].scores(places) for group, places in members.items()}
        breakdown[what] = {group: {name: own[name] for name in TALK if name in own} for group, own in errors.items()}
    asked = [setting.listener, setting.judge] if benchmark == BOTH else [setting.listener]
    judges = [judge for judge in asked if judge is not None]
    found_rows = merged(*found)
    result = setting.result(
        benchmark, "LVE", tables, judges, rows=found_rows, breakdown=breakdown, cases=cases, higher_is_better=False
    )
    result.notes += predictions.notes
    return result


def _spoken(
    setting: Setting, rows: Mapping[str, Sequence[FaceMotion]], sounds: Sequence[np.ndarray]
) -> dict[str, dict[str, Score]]:
    """How lips keep time with the sounds, by row."""
    heard = [(sound, SOUND_RATE) for sound in sounds]
    try:
        lips = speech.Lips(setting.rig)
        return {row: speech.synchrony(motions, heard, lips) for row, motions in rows.items()}
    except FacelmError as error:
        lacking = {name: Score.missing(name, "1", "of lips and sound", str(error)) for name in SOUND}
        return {row: dict(lacking) for row in rows}


def _audio(name: str) -> str:
    return name if name == "Audio-Match" else f"audio {name}"


def _at(rate: int, samples: np.ndarray, own: int) -> np.ndarray:
    """Samples at another rate."""
    from scipy.signal import resample_poly

    if own == rate:
        return samples
    shared = gcd(rate, own)
    changed: Any = resample_poly(samples, rate // shared, own // shared).astype(np.float32)
    return np.asarray(changed)
