"""How fast the performer makes a corpus: seconds of motion, with plan and words, a second of one core.

    python benchmarks/corpus_speed.py --hours 0.2 --rounds 3

Runs what `facelm corpus synth --workers 1` runs, Parquet writing included, into a temporary folder, once unmeasured and
then `rounds` times. "x real time" is seconds of motion over seconds of processor time of this process ("per core"),
and over seconds on the clock ("wall"), which other work on the machine lengthens. Medians over the rounds.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from facelm.corpus import synthesise
from facelm.evaluate.benchmark import machine


def measure(hours: float, seed: int) -> tuple[float, float, float, int]:
    """(seconds of motion, processor seconds, wall seconds, clips) of one corpus."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        counts = synthesise(hours, seed, Path(folder) / "corpus")
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        note = json.loads((Path(folder) / "corpus" / "corpus.json").read_text())
    return note["hours"] * 3600, cpu, wall, sum(counts.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.2, help="of motion, each round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    measure(0.01, 0)  # imports and first calls
    rows = [measure(args.hours, seed) for seed in range(args.rounds)]
    per_core = [motion / cpu for motion, cpu, _, _ in rows]
    on_clock = [motion / wall for motion, _, wall, _ in rows]
    print(f"corpus synth on {machine()}: {args.rounds} rounds of {rows[0][3]} clips, {rows[0][0]:.0f} s of motion each")
    table = [
        ["per core", f"{statistics.median(per_core):.0f}", f"{min(per_core):.0f} to {max(per_core):.0f}"],
        ["wall, one worker", f"{statistics.median(on_clock):.0f}", f"{min(on_clock):.0f} to {max(on_clock):.0f}"],
    ]
    print(tabulate(table, ["", "x real time", "range"], disable_numparse=True))


if __name__ == "__main__":
    main()
