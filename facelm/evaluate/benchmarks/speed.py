"""speed: how long one waits for a face, how much a machine makes, and what it needs."""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from facelm.errors import FacelmError
from facelm.evaluate.clips import Clip
from facelm.evaluate.predict import BATCH
from facelm.evaluate.result import Result
from facelm.evaluate.score import Score, Tally
from facelm.evaluate.setting import Setting
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from facelm.agent import FaceLM

NAME = "speed"
REQUESTS = 10  # asked one at a time
TABLE = ["time to first frame", "real-time factor", "batch throughput", "captions a second", "peak memory"]
FORMULAS = {
    "time to first frame": "s from a request to the first frame, alone on the machine; a motion comes when it is whole",
    "real-time factor": "s of motion made in a second, one request at a time",
    "batch throughput": f"s of motion made in a second, {BATCH} requests at once",
    "captions a second": f"motions described in a second, {BATCH} at once",
    "peak memory": "most memory of the process so far (of the accelerator, where there is one)",
}


def score(setting: Setting, lm: "FaceLM") -> Result:
    """How fast a model answers the first prompts of a setting. Raises FacelmError when no clip has a prompt.

    The row "reference" is playback: what a viewer needs.
    """
    asked = [clip for clip in setting.clips if clip.prompt]
    if not asked:
        raise FacelmError("no clip has a prompt to measure the speed with")
    lm.animate_batch([asked[0].prompt], seed=setting.seed)  # what is done once is not counted
    waits, factors = Tally(), Tally()
    for index, clip in enumerate(asked[:REQUESTS]):
        seconds, motions = _timed(partial(lm.animate_batch, [clip.prompt], seed=setting.seed + index))
        waits.add(seconds)
        factors.add(motions[0].seconds, seconds)
    batch = (asked * BATCH)[:BATCH]
    seconds, motions = _timed(partial(lm.animate_batch, [clip.prompt for clip in batch], seed=setting.seed))
    made = sum(motion.seconds for motion in motions)
    described = _described(lm, batch)
    model = {
        "time to first frame": waits.score("time to first frame", "s", FORMULAS["time to first frame"]),
        "real-time factor": factors.score("real-time factor", "1", FORMULAS["real-time factor"]),
        "batch throughput": _one("batch throughput", made / seconds, "1", BATCH),
        "captions a second": described,
        "peak memory": _memory(),
    }
    playback = asked[0].motion.fps
    reference = {
        "time to first frame": _one("time to first frame", 1 / playback, "s", 1),
        "real-time factor": _one("real-time factor", 1.0, "1", 1),
        "batch throughput": _one("batch throughput", 1.0, "1", 1),
    }
    result = setting.result(NAME, "real-time factor", {"speed": TABLE}, rows={"reference": reference, "model": model})
    result.n = min(REQUESTS, len(asked))
    result.notes.append("The row reference is playback: a face that is shown as fast as it is made.")
    return result


def _described(lm: "FaceLM", clips: Sequence[Clip]) -> Score:
    name = "captions a second"
    motions: list[FaceMotion] = [clip.motion for clip in clips]
    try:
        seconds, _ = _timed(partial(lm.describe_batch, motions))
    except FacelmError as error:
        return Score.missing(name, "1/s", FORMULAS[name], str(error))
    return _one(name, len(motions) / seconds, "1/s", len(motions))


def _timed(work: Callable[[], list]) -> tuple[float, list]:
    begin = time.perf_counter()
    done = work()
    return max(1e-9, time.perf_counter() - begin), done


def _one(name: str, value: float, unit: str, count: int) -> Score:
    return Score(name, value, np.nan, np.nan, count, unit, FORMULAS[name], "requests")


def _memory() -> Score:
    import torch

    if torch.cuda.is_available():
        most = float(torch.cuda.max_memory_allocated())
    else:
        # Linux counts in KiB, macOS in bytes.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024.0)
    return _one("peak memory", most / 1e9, "GB", 1)
