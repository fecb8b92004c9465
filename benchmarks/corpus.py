"""How fast corpora are made, and in how much memory.

    python benchmarks/corpus.py                     # both tables, minutes
    python benchmarks/corpus.py --hours 1 2 4 80    # the first up to 80 hours, the second too

First table: `facelm corpus synth`, for growing hours: hours of motion a minute on the clock, and the peak of the memory
of all processes together. Second: `facelm corpus build` of a folder of takes as the Live Link Face app writes them
(60 fps, about 10 s each, 48 kHz sound), performed and written for the purpose; "x real time" is seconds of motion over
seconds on the clock. Everything that the commands do is measured, from their start as a process of its own to the last
byte. Other work on the machine lengthens the clock; "processor s" is what all processes used. Memory is the sum of the
processes' proportional set sizes (pages that two share count once), read every 0.1 s.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from tabulate import tabulate

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.corpus.shards import read_note
from facelm.motion import FaceMotion

EVERY = 0.1  # s between readings of memory


def measure(command: list[str]) -> tuple[float, float, float]:
    """(seconds on the clock, processor seconds, peak megabytes), of all processes, of `facelm` with these words."""
    start, before = time.perf_counter(), processor()
    running = subprocess.Popen([sys.executable, "-m", "facelm", *command], stdout=subprocess.DEVNULL)
    peak = 0

    def watch() -> None:
        nonlocal peak
        while running.poll() is None:
            peak = max(peak, sum(map(memory, family(running.pid))))
            time.sleep(EVERY)

    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()
    if running.returncode:
        raise SystemExit(f"facelm {' '.join(command)} ended with code {running.returncode}")
    return time.perf_counter() - start, processor() - before, peak / 1e6


def processor() -> float:
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def family(parent: int) -> list[int]:
    """A process and all below it."""
    below: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            above = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        below.setdefault(above, []).append(int(entry))
    found = [parent]
    for process in found:
        found += below.get(process, [])
    return found


def memory(process: int) -> int:
    """Proportional set size of a process, bytes; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1000 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def synthesis(hours: list[float], workers: int) -> str:
    rows = []
    for amount in hours:
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/corpus"
            seconds, cpu, peak = measure(
                ["corpus", "synth", "--hours", f"{amount:g}", "--out", out, "--workers", str(workers)]
            )
            note = read_note(out)
            size = sum(shard["bytes"] for shard in note["shards"]) / 1e6
        rate = note["hours"] / (seconds / 60)
        clips = sum(note["clips"].values())
        rows.append(
            [f"{note['hours']:.1f}", clips, f"{seconds:.0f}", f"{cpu:.0f}", f"{rate:.1f}", f"{peak:.0f}", f"{size:.0f}"]
        )
        print(f"synth {amount:g} h: {rate:.1f} hours a minute, {peak:.0f} MB", file=sys.stderr)
    return tabulate(
        rows, ["hours", "clips", "seconds", "processor s", "hours/minute", "peak MB", "size MB"], disable_numparse=True
    )


def write_take(job: tuple[Path, int, float]) -> None:
    """A performed take as CSV at 60 fps with pink-ish noise for sound."""
    folder, index, seconds = job
    rng, parts = random.Random(index), []
    while sum(part.seconds for part in parts) < seconds:
        plan = invent(rng, rng.choice(list(CATEGORIES)), held_out(), test=False)
        parts.append(perform(plan, np.random.default_rng([index, len(parts)])))
    take = FaceMotion.concatenate(parts).crop(0, seconds).resample(60)
    take.save(folder / f"take_{index:04d}.csv")
    noise = np.cumsum(np.random.default_rng(index).normal(0, 0.01, round(seconds * 48_000)))
    soundfile.write(folder / f"take_{index:04d}.wav", np.tanh(noise - noise.mean()) * 0.5, 48_000)


def takes(count: int, seconds: float, jobs: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        captures = Path(folder) / "captures"
        captures.mkdir()
        with ProcessPoolExecutor(jobs) as pool:
            list(pool.map(write_take, ((captures, index, seconds) for index in range(count)), chunksize=20))
        rows = []
        for workers in sorted({1, jobs}):
            out = f"{folder}/corpus-{workers}"
            clock, cpu, peak = measure(["corpus", "build", str(captures), "--out", out, "--jobs", str(workers)])
            motion = read_note(out)["hours"] * 3600
            rows.append(
                [workers, count, f"{motion:.0f}", f"{clock:.1f}", f"{cpu:.1f}", f"{motion / clock:.0f}", f"{peak:.0f}"]
            )
    header = ["jobs", "takes", "seconds of motion", "seconds", "processor s", "x real time", "peak MB"]
    return tabulate(rows, header, disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, nargs="*", default=[1, 2, 4], help="of motion, of each synthesis")
    parser.add_argument("--takes", type=int, default=1000, help="of the folder; 0: no second table")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a take")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parser.parse_args()

    print(f"facelm corpus synth --workers {args.jobs}\n{synthesis(args.hours, args.jobs)}")
    if args.takes:
        print(f"\nfacelm corpus build\n{takes(args.takes, args.seconds, args.jobs)}")


if __name__ == "__main__":
    main()
