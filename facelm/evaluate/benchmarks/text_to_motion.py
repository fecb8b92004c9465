"""text-to-motion: does a motion do what the prompt says? (benchmark II of MMHead)

The retrieval judge gives R-Precision, FID, Text-Match and Diversity, the facts judge what was asked and shown. What is
measured against the reference (LVE, FVE) is for information: a prompt leaves a face free to do it otherwise.
"""

from collections.abc import Sequence

import numpy as np

from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.evaluate.baselines import motion_rows
from facelm.evaluate.clips import Clip, contents, groups
from facelm.evaluate.compare import aligned, compare
from facelm.evaluate.embeddings import multimodality
from facelm.evaluate.facts import Trial, trials
from facelm.evaluate.judged import Judged
from facelm.evaluate.motion import fve, jerk_ratio, lve
from facelm.evaluate.pairs import Pair
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import Case, Result
from facelm.evaluate.score import Score, Tally
from facelm.evaluate.setting import Setting, merged, retrieval_scores
from facelm.motion import FaceMotion

NAME = "text-to-motion"
FACTS = ["facts F1 strict", "facts F1", "facts precision", "facts recall"]
SEEN = ("reference", "reconstruction", "model")  # rows the second, slower detector looks at
RATED = ("reference", "model", "shuffled")  # rows a language model is asked to rate
DETAILS = ["head", "side", "order", "blinks", "intensity"]


def score(setting: Setting, predictions: Predictions) -> Result:
    """The result of motions for the clips' prompts; clips without a prompt or a motion are left out.

    Raises FacelmError when none is left.
    """
    asked = [m if c.prompt else None for c, m in zip(setting.clips, predictions.motions, strict=True)]
    places = [place for place, shown in enumerate(asked) if shown is not None]
    setting, made = setting.of(asked, "motions")
    clips = setting.clips
    rows = motion_rows(setting, made)
    samples = {places.index(place): drawn for place, drawn in predictions.samples.items() if place in places}

    plans = [clip.plan for clip in clips]
    judged = {row: Judged.of(plans, motions) for row, motions in rows.items()}
    if any("plan" in shown.metadata for shown in made):
        judged["its plan"] = Judged([_planned(plan, shown) for plan, shown in zip(plans, made, strict=True)])
    facts = {row: found.scores() for row, found in judged.items()}
    seen = {row: setting.seen.scores(plans, rows[row]) for row in SEEN if row in rows}

    metrics = [lve(), fve(), jerk_ratio()]
    compared = compare(metrics, rows, setting.rig, [clip.id for clip in clips])
    tables = {
        "facts judge": FACTS,
        "in detail": DETAILS,
        "seen on vertices": [f"seen {name}" for name in (*FACTS[:2], "head", "side", "order")],
        "against the reference": [m.name for m in metrics],
    }
    found = [facts, seen, {row: own.scores() for row, own in compared.items()}]

    if setting.judge is not None:
        queries = setting.judge.embed_texts([clip.prompt for clip in clips])
        found.append(retrieval_scores(setting.judge, queries, rows, "Text-Match", setting.seed, contents(clips)))
        names = ["R@1", "R@2", "R@3", "alike R@1", "FID", "Text-Match", "Diversity"]
        if samples:
            found.append({"model": _multimodality(setting, list(samples.values()))})
            names.append("MultiModality")
        tables = {"retrieval judge": names, **tables}
    if samples:
        found.append({"model": _samples(setting, clips, samples)})
        tables["against the reference"] = [*tables["against the reference"], "MEE", "CE"]

    if setting.rater is not None:
        prompts = [clip.prompt for clip in clips]
        ratings = {row: setting.rater.judge(prompts, rows[row]) for row in RATED if row in rows}
        found.append(ratings)
        tables["language model"] = list(ratings["reference"])

    cases = [
        Case(clip.id, clip.prompt, clip.motion, shown, scores=judged["model"].clip(i) | compared["model"].clip(i))
        for i, (clip, shown) in enumerate(zip(clips, made, strict=True))
    ]
    breakdown = {
        what: {group: _shown(judged["model"].scores(places)) for group, places in members.items()}
        for what, members in groups(clips).items()
    }
    judges = [setting.judge] if setting.judge is not None else []
    result = setting.result(NAME, FACTS[0], tables, judges, rows=merged(*found), breakdown=breakdown, cases=cases)
    result.notes += predictions.notes
    return result


def _planned(plan: Plan, shown: FaceMotion) -> Trial:
    """The plan a motion followed, scored as if it had been performed to the letter."""
    try:
        return trials([plan], [Plan.parse(shown.metadata.get("plan", ""))])[0]
    except FacelmError:
        return Trial(tuple(phase.items for phase in plan.phases), ())


def _shown(found: dict[str, Score]) -> dict[str, Score]:
    return {name: found[name] for name in (*FACTS[:2], *DETAILS)}


def _multimodality(setting: Setting, samples: Sequence[Sequence[FaceMotion]]) -> dict[str, Score]:
    flat = [shown.to(setting.judge.layout) for drawn in samples for shown in drawn]
    embedded = setting.judge.embed_motions(flat).reshape(len(samples), len(samples[0]), -1)
    found = multimodality(embedded, seed=setting.seed)
    return {found.name: found}


def _samples(setting: Setting, clips: Sequence[Clip], samples: dict[int, list[FaceMotion]]) -> dict[str, Score]:
    """ProbTalk3D's figures of several draws a prompt: LVE of their mean, and of the one nearest to the reference."""
    metric, mean, best = lve(), Tally(), Tally()
    rig = setting.rig
    count = min(map(len, samples.values()))
    formulas = {
        "MEE": f"LVE of the mean of {count} motions for one prompt, mean over clips",
        "CE": f"least LVE of {count} motions for one prompt, mean over clips",
    }
    for place, drawn in samples.items():
        pairs = [aligned(shown, clips[place].motion) for shown in drawn]
        frames = min(len(own) for own, _ in pairs)
        try:
            true = rig.vertices(pairs[0][1][:frames].to(rig.layout))
            vertices = [rig.vertices(own[:frames].to(rig.layout)) for own, _ in pairs]
        except FacelmError as error:
            return {name: Score.missing(name, "mm", formula, str(error)) for name, formula in formulas.items()}
        errors = [metric(Pair(own, true, rig.regions)).value for own in vertices]
        mean.add(metric(Pair(np.mean(vertices, axis=0), true, rig.regions)).value)
        best.add(min(errors))
    return {name: t.score(name, "mm", formulas[name]) for name, t in (("MEE", mean), ("CE", best))}
