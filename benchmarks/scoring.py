"""How long scoring takes, and in how much memory.

    python benchmarks/scoring.py --clips 1000
    python benchmarks/scoring.py --clips 1000 --judge outputs/judge      # with a retrieval judge

Clips of a synthesised corpus are performed anew by the plans behind them, as a model would, described in the words of
another caption, and scored with every metric, floors and ceilings included: the time is that of all rows together.
Nothing is generated, so what is measured is scoring alone. Other work on the machine lengthens the clock; "processor s"
is what all threads used. Memory is the most this process ever held, torch and the corpus included.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from facelm.corpus import synthesise
from facelm.corpus.performer import perform
from facelm.evaluate import benchmarks
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.setting import Setting


class Kept:
    """A motion tokenizer that loses nothing: the row "reconstruction" is scored like any other."""

    def encode_batch(self, motions: list) -> list:
        return list(motions)

    def decode_batch(self, motions: list) -> list:
        return list(motions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--judge", action="append", default=[], help="folder of a retrieval judge")
    parser.add_argument("--data", help="a corpus; without it one is synthesised")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or Path(folder) / "corpus"
        if arguments.data is None:
            synthesise(arguments.clips * 20 * 2.45 / 3600, 0, data, workers=2)  # a twentieth of it is for the test
        setting = Setting.load(data, prompts=arguments.clips, judges=arguments.judge, model="performed anew")
    setting.__dict__["tokenizer"] = Kept()
    made = [perform(clip.plan, np.random.default_rng([1, i])) for i, clip in enumerate(setting.clips)]
    predictions = Predictions(
        motions=list(made),
        captions=[clip.captions[0] for clip in setting.clips],
        answers=[tuple(answer for _, answer in clip.questions) for clip in setting.clips],
    )
    lines = []
    for name in ("text-to-motion", "captioning", "reconstruction", "question-answering"):
        clock, processor = time.perf_counter(), time.process_time()
        result = benchmarks.score(name, setting, predictions)
        figures = sum(len(scores) for scores in result.rows.values())
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        spent = time.perf_counter() - clock, time.process_time() - processor
        lines.append([name, result.n, len(result.rows), figures, *(f"{s:.0f}" for s in spent), f"{most:.2f}"])
        print(tabulate(lines[-1:], tablefmt="plain"), flush=True)
    total = [f"{sum(float(line[column]) for line in lines):.0f}" for column in (4, 5)]
    lines.append(["all", lines[0][1], "", sum(line[3] for line in lines), *total, lines[-1][-1]])
    print(tabulate(lines, ["", "clips", "rows", "figures", "s", "processor s", "memory, GB"], "pipe"))


if __name__ == "__main__":
    main()
