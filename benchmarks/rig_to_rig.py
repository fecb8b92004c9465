"""How well coefficients come back from another rig: the default head and ICT-FaceKit, where the true names are known.

    python benchmarks/rig_to_rig.py

The motion of a take is shown on one rig, fitted on the other by its vertices alone (no names of shapes are used), and
compared with the take by name: Pearson r of each channel that moves (standard deviation over .02 in the take) and that
both rigs have, their mean, and r of all these values pooled, which different amplitudes of the two artists lower.

Rows: "least squares" fits every frame on its own; "held to recognised shapes" is what `facelm rig fit` does;
"map" is `facelm rig map` without motion; "map, other takes" is fitted on the pairs of three other takes. Nothing is
fitted on the take that is measured. The constants of facelm.rig.fit were chosen while looking at rom_3 and these two
rigs, so the table has four takes that were not looked at, too; how other pairs of rigs fare has not been measured.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from tabulate import tabulate

from facelm import FaceMotion
from facelm.evaluate.result import machine
from facelm.motion import load_motion
from facelm.motion.layout import SHAPES
from facelm.rig import BlendshapeRig, load_rig
from facelm.rig.correspond import Correspondence, correspond
from facelm.rig.fit import fit, fit_map

MOVES = 0.02  # standard deviation in the take
FITTED = ("facial", "apfel_short_rows", "myslate_3_60fps")
UNSEEN = ("emotion_161", "emotion_164", "emotion_167", "idle")


def channel_r(true: FaceMotion, found: FaceMotion, absent: tuple[str, ...]) -> tuple[dict[str, float], float]:
    """Pearson r by channel, and of all of them pooled."""
    names = [name for name in SHAPES if name not in absent and true.channel(name).std() > MOVES]
    pairs = {name: (true.channel(name), found.channel(name)) for name in names}
    each = {name: float(np.corrcoef(a, b)[0, 1]) if b.std() > 1e-6 else 0.0 for name, (a, b) in pairs.items()}
    pooled = np.corrcoef(*(np.concatenate(side) for side in zip(*pairs.values(), strict=True)))[0, 1]
    return each, float(pooled)


def by_method(
    source: BlendshapeRig, target: BlendshapeRig, takes: dict[str, FaceMotion], measured: str, matches: Correspondence
) -> dict[str, tuple[FaceMotion, float]]:
    """The found motion and the seconds it took, for each method."""
    motion = takes[measured]
    others = [takes[name] for name in FITTED if name != measured]
    methods = {
        "least squares": lambda: fit(motion, source, target, matches=matches, recognise=False),
        "held to recognised shapes": lambda: fit(motion, source, target, matches=matches),
        "map": lambda: fit_map(source, target, matches=matches).apply(motion),
        "map, other takes": lambda: fit_map(source, target, others, matches).apply(motion),
    }
    found = {}
    for name, run in methods.items():
        begin = time.perf_counter()
        found[name] = run(), time.perf_counter() - begin
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", default="../shared", help="the folder with data/rigs and data/livelink")
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)

    data = Path(args.shared) / "data"
    rigs = {"default": load_rig(), "ICT": load_rig(data / "rigs/ict_facekit_exp53.npz")}
    takes = {name: load_motion(data / f"livelink/{name}.csv.gz")[0].to("arkit") for name in ("rom_3", *FITTED, *UNSEEN)}
    rows, weakest = [], []
    for one, other in (("default", "default"), ("default", "ICT"), ("ICT", "default")):
        source, target = rigs[one], rigs[other]
        begin = time.perf_counter()
        matches = correspond(source, target)
        matching = time.perf_counter() - begin
        for take in ("rom_3", *UNSEEN):
            for method, (found, seconds) in by_method(source, target, takes, take, matches).items():
                each, pooled = channel_r(takes[take], found, source.absent + target.absent)
                values = list(each.values())
                row = [f"{one} to {other}", take, method, len(found), len(each)]
                rows.append([*row, f"{np.mean(values):.3f}", f"{min(values):.2f}", f"{pooled:.3f}", f"{seconds:.1f}"])
                if take == "rom_3":
                    worst = sorted(each, key=each.__getitem__)[:6]
                    weakest.append([f"{one} to {other}", method, ", ".join(f"{n} {each[n]:.2f}" for n in worst)])
        print(f"{one} to {other}: {len(matches.vertices):,} vertices matched in {matching:.1f} s")
    print(f"\nPearson r with the true channels, on {machine()}\n")
    head = ["rigs", "take", "method", "frames", "channels", "mean r", "least r", "pooled r", "s"]
    print(tabulate(rows, head, disable_numparse=True))
    print("\nWeakest channels on rom_3\n")
    print(tabulate(weakest, ["rigs", "method", "r"], disable_numparse=True))


if __name__ == "__main__":
    main()
