"""reconstruction: what a motion tokenizer keeps of a motion, the ceiling of every model that writes its codes.

Scored against the reference in millimetres and coefficients, with lips and lids that close, and the facts that are
still there.
"""

from facelm.evaluate.baselines import motion_rows
from facelm.evaluate.benchmarks.text_to_motion import DETAILS, FACTS
from facelm.evaluate.clips import groups
from facelm.evaluate.compare import closure_metrics, coefficient_metrics, compare, vertex_metrics
from facelm.evaluate.judged import Judged
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import Case, Result
from facelm.evaluate.setting import Setting, merged

NAME = "reconstruction"
ERRORS = ["LVE", "FVE", "L_max upper_face", "FDD", "ALE", "coefficient LVE"]
DYNAMICS = ["jerk ratio", "speed ratio", "jaw_r", "amplitude ratio", "ba_ref"]
CLOSURES = ["lip closure recall", "lip closure precision", "eyelid closure recall", "eyelid closure precision"]


def score(setting: Setting, predictions: Predictions) -> Result:
    """The result of motions that should equal the clips'. Raises FacelmError when there is none."""
    setting, made = setting.of(predictions.motions, "motions")
    clips = setting.clips
    rows = motion_rows(setting, made, by="motion")
    metrics = [*vertex_metrics(), *coefficient_metrics(), *closure_metrics(setting.rig)]
    plans = [clip.plan for clip in clips]
    compared = compare(metrics, rows, setting.rig, [clip.id for clip in clips])
    facts = {row: Judged.of(plans, motions).scores() for row, motions in rows.items()}
    cases = [
        Case(clip.id, clip.prompt, clip.motion, shown, scores=compared["model"].clip(index))
        for index, (clip, shown) in enumerate(zip(clips, made, strict=True))
    ]
    breakdown = {}
    for what, members in groups(clips).items():
        errors = {group: compared["model"].scores(places) for group, places in members.items()}
        breakdown[what] = {group: {name: own[name] for name in ERRORS} for group, own in errors.items()}
    result = setting.result(
        NAME,
        "LVE",
        {
            "error": ERRORS,
            "dynamics": DYNAMICS,
            "closures": CLOSURES,
            "facts kept": [FACTS[1], FACTS[0], *DETAILS],
        },
        rows=merged({row: own.scores() for row, own in compared.items()}, facts),
        breakdown=breakdown,
        cases=cases,
        higher_is_better=False,
    )
    result.notes += predictions.notes
    return result
