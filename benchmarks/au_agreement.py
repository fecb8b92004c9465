"""Do facelm's units agree with another program's action units on the same frames?

    python benchmarks/au_agreement.py shared/data/news_clips

The clips are py-feat tables: for every second video frame the probabilities (0 to 1) of 20 action units and 7 emotions
by py-feat's own detectors, and the blendshapes of MediaPipe. Each unit's coefficient (mean of its channels) is compared
with py-feat's probability, frame by frame.

r, rho: Pearson and Spearman correlation. AUC: chance that a frame with the unit (probability >= 0.5) has a higher
coefficient than one without. F1 at ours: coefficient >= the threshold of describe/units.py against probability >= 0.5.
F1 at fitted: the same with the threshold that does best on the other clips (leave one clip out), counts pooled; fitted:
the median of those thresholds. F1 always: of claiming the unit in every frame, which is what there is to beat. A unit
that py-feat finds in under 5% or over 95% of the frames is marked with *: its F1, AUC and fitted threshold say nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, rankdata, spearmanr
from tabulate import tabulate

from facelm.describe.emotions import EmotionSpan
from facelm.describe.timeline import timeline
from facelm.describe.tracks import MEDIAPIPE_REST
from facelm.describe.units import UNITS
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT

FPS = 12.5  # every second frame of video at 25 fps
PRESENT = 0.5
LIPS_PART = ("AU25", "mouth open", ("jawOpen", "mouthClose"), 0.1)  # no unit of its own: Timeline.mouth_open
EMOTIONS = {
    "Happy": "happy",
    "Sad": "sad",
    "Surprise": "surprised",
    "Fear": "afraid",
    "Disgust": "disgusted",
    "Anger": "angry",
}


def compared() -> list[tuple[str, str, tuple[str, ...], float]]:
    """(py-feat's column, our name, channels, our threshold) of every unit that both have."""
    rows = []
    for unit in UNITS.values():
        if unit.code[:2] == "AU":
            name = f"{unit.code} {unit.name}"
            rows.append((f"AU{int(unit.code[2:]):02}", name, unit.side_channels(None), unit.threshold))
    return sorted([*rows, LIPS_PART])


def f1(claimed: np.ndarray, present: np.ndarray) -> float:
    total = claimed.sum() + present.sum()
    return float(2 * (claimed & present).sum() / total) if total else float("nan")


def area_under_curve(level: np.ndarray, present: np.ndarray) -> float:
    positives, negatives = int(present.sum()), int((~present).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(level)[present].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def leave_one_out(level: np.ndarray, present: np.ndarray, clip: np.ndarray) -> tuple[float, float]:
    """(pooled F1, median threshold): each clip judged at the threshold that does best on all others."""
    claimed, thresholds = np.zeros(len(level), bool), []
    for held_out in np.unique(clip):
        rest = clip != held_out
        candidates = np.unique(level[rest])
        thresholds.append(candidates[np.argmax([f1(level[rest] >= t, present[rest]) for t in candidates])])
        claimed[~rest] = level[~rest] >= thresholds[-1]
    return f1(claimed, present), float(np.median(thresholds))


def units_table(frames: pd.DataFrame) -> str:
    rows = []
    for column, name, channels, threshold in compared():
        if column not in frames or not set(channels) <= set(frames.columns):
            continue
        if column == "AU25":
            level = (frames.jawOpen - frames.mouthClose).clip(0).to_numpy()
        else:
            level = frames[list(channels)].mean(axis=1).to_numpy()
        probability = frames[column].to_numpy()
        present = probability >= PRESENT
        share = present.mean()
        fitted_f1, fitted = leave_one_out(level, present, frames.clip_id.to_numpy())
        rows.append(
            [
                name + ("" if 0.05 <= share <= 0.95 else " *"),
                " - ".join(channels) if column == "AU25" else ", ".join(channels),
                int(present.sum()),
                *(f"{v:.2f}" for v in (pearsonr(level, probability)[0], spearmanr(level, probability)[0])),
                *(f"{v:.2f}" for v in (area_under_curve(level, present), f1(level >= threshold, present))),
                *(f"{v:.2f}" for v in (fitted_f1, f1(np.ones(len(level), bool), present))),
                *(f"{v:.3f}" for v in (threshold, fitted)),
                f"{np.percentile(level, 5):.2f} to {np.percentile(level, 95):.2f}",
            ]
        )
    head = "unit|channels|frames with|r|rho|AUC|F1 at ours|F1 at fitted|F1 always|ours|fitted|range 5 to 95%".split("|")
    return tabulate(rows, head, tablefmt="pipe", disable_numparse=True)


def emotions_table(frames: pd.DataFrame) -> str:
    shown = {name: [] for name in EMOTIONS.values()}
    for _, clip in frames.groupby("clip_id"):
        values = np.zeros((len(clip), ARKIT.width), np.float32)
        for column, name in enumerate(ARKIT.names):
            if name in clip:
                values[:, column] = clip[name]
        spans = timeline(FaceMotion(values, FPS), rest=MEDIAPIPE_REST).emotions
        for name, found in shown.items():
            found.append(inside([span for span in spans if span.name == name], len(clip)))
    rows = []
    for column, name in EMOTIONS.items():
        present, claimed = frames[column].to_numpy() >= PRESENT, np.concatenate(shown[name])
        agreed = f"{f1(claimed, present):.2f}" if present.any() else "-"
        rows.append([column, name, int(present.sum()), int(claimed.sum()), int((claimed & present).sum()), agreed])
    return tabulate(rows, ["py-feat", "ours", "frames theirs", "ours", "both", "F1"], tablefmt="pipe")


def inside(spans: list[EmotionSpan], count: int) -> np.ndarray:
    times = np.arange(count) / FPS
    return np.array([any(span.begin <= time < span.end for span in spans) for time in times], bool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds py-feat tables 001.csv, 002.csv …")
    args = parser.parse_args()
    files = sorted(args.folder.glob("[0-9]*.csv"))
    if not files:
        parser.error(f"there are no tables 001.csv … in {args.folder}")
    frames = pd.concat([pd.read_csv(file).assign(clip_id=file.stem) for file in files], ignore_index=True)
    print(f"{len(frames)} frames of {len(files)} clips; a unit is there when py-feat's probability is >= {PRESENT}\n")
    print(units_table(frames))
    print(f"\nEmotions, frames of {len(frames)} with probability >= {PRESENT} beside ours inside an EmotionSpan\n")
    print(emotions_table(frames))


if __name__ == "__main__":
    main()
