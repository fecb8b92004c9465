"""The synthesised corpus: performances of invented plans, with exact facts and words."""

import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, HEAD_AXES, LEVELS, invent, perform
from facelm.corpus.schema import SPLITS, fact_rows, table
from facelm.corpus.shards import CorpusWriter, refuse_full, save_note
from facelm.corpus.workers import ordered
from facelm.describe.annotations import annotate
from facelm.describe.captions import Wording
from facelm.describe.emotions import EmotionSpan
from facelm.describe.facts import Fact, item_facts
from facelm.describe.plan import Item, Phase, Plan
from facelm.describe.timeline import BLINK, Event, Timeline
from facelm.describe.units import EMOTIONS, UNITS
from facelm.errors import FacelmError
from facelm.files import atomic_folder

if TYPE_CHECKING:
    from pyarrow import Table

NAME = "synthesised"
TEST_CATEGORIES = ("emotion", "unit", "two units", "two phases")
MEAN_SECONDS = 2.4  # of a clip; turns hours into a number of clips
SHARES = {"validation": 0.03, "test": 0.05}
WORDINGS = 4  # prompts and captions a clip
BATCH = 250  # clips a unit of work


def synthesise(hours: float, seed: int, out: str | Path, workers: int = 1) -> dict[str, int]:
    """Write a synthesised corpus: train, validation and test shards and `corpus.json` in the folder `out`.

    The test split is compositional: each of its clips shows at least one pair of things (corpus/heldout.json) that no
    clip of the other splits shows. The same hours and seed give the same bytes, whatever the number of workers.

    Args:
        hours: of motion, all splits together (about; clips are whole).
        seed: of everything drawn.
        out: a folder that does not exist yet, or is empty.
        workers: processes.

    Returns:
        Clips written, by split.

    Raises:
        FacelmError: hours not positive, or `out` holds something.
    """
    if not 0 < hours < 10_000:
        raise FacelmError(f"--hours {hours}: give the hours of motion to synthesise, more than 0, for example 2")
    refuse_full(out)
    clips = max(3 * len(CATEGORIES), round(hours * 3600 / MEAN_SECONDS))
    counts = {split: max(len(CATEGORIES), round(clips * share)) for split, share in SHARES.items()}
    counts = {"train": clips - sum(counts.values()), **counts}
    jobs = [
        (split, seed, first, min(first + BATCH, count))
        for split, count in counts.items()
        for first in range(0, count, BATCH)
    ]
    with atomic_folder(out) as folder:
        with CorpusWriter(folder) as writer, tqdm(total=clips, unit="clip", desc="synthesising") as bar:
            for (split, *_), rows in zip(jobs, ordered(_batch, jobs, workers), strict=True):
                writer.write(split, rows)
                bar.update(len(rows))
        save_note(folder, writer.note(generator="facelm corpus synth", seed=seed, arguments={"hours": hours}))
    return counts


def _batch(job: tuple[str, int, int, int]) -> "Table":
    split, seed, first, end = job
    return table([_clip(split, seed, index) for index in range(first, end)])


def _clip(split: str, seed: int, index: int) -> dict[str, Any]:
    """One clip; its draws depend on split, seed and index alone."""
    rng = random.Random(f"{seed} {split} {index}")
    if split == "test":
        category = TEST_CATEGORIES[index % len(TEST_CATEGORIES)]
    else:
        category = rng.choices(list(CATEGORIES), list(CATEGORIES.values()))[0]
    plan = invent(rng, category, held_out(), test=split == "test")
    motion = perform(plan, np.random.default_rng([seed, SPLITS.index(split), index]))
    wording = Wording(rng)
    name = f"{split}-{index:06d}"
    return {
        "id": name,
        "category": category,
        "seconds": motion.seconds,
        "fps": motion.fps,
        "layout": motion.layout.name,
        "values": motion.values,
        "plan": plan.text(),
        "facts": fact_rows(plan),
        "prompts": [wording.prompt(plan) for _ in range(WORDINGS)],
        "captions": [wording.caption(plan) for _ in range(WORDINGS)],
        "questions": wording.questions(plan),
        "dataset": NAME,
        "subject": "",
        "take": name,
        "begin": 0.0,
        "transcript": "",
        "annotations": annotate(planned(plan), random.Random(f"{seed} {name} annotations")).row(),
        "weight": 1.0,
    }


def planned(plan: Plan) -> Timeline:
    """What a performance of a plan shows, by the plan alone: no measurement, so no error of one.

    What two phases that follow each other show alike is one event.
    """
    events: list[Event] = []
    for phase in plan.phases:
        for event in (event for item in phase.items for event in _events(item, phase)):
            before = next((e for e in events if e.fact == event.fact and e.offset == phase.start), None)
            if before is not None and before.intensity == event.intensity and event.fact != BLINK:
                events[events.index(before)] = replace(before, offset=event.offset)
            else:
                events.append(event)
    events.sort(key=lambda event: (event.onset, event.offset, event.fact.name, event.fact.side or ""))
    emotions = [
        EmotionSpan(item.name, 1.0, phase.start, phase.end, LEVELS[item.intensity or "moderate"], item.side)
        for phase in plan.phases
        for item in phase.items
        if item.kind == "emotion"
    ]
    opened = max((event.intensity * UNITS["AU26"].peak for event in events if event.fact.name == "AU26"), default=0.0)
    return Timeline(plan.seconds, tuple(events), tuple(emotions), mouth_open=opened)


def _events(item: Item, phase: Phase) -> list[Event]:
    """The events of an item of a plan, as the performer times them on average."""
    length = phase.end - phase.start
    if item.kind == "blink":
        middles = [phase.start + length * (index + 0.5) / item.blinks for index in range(item.blinks)]
        return [Event(BLINK, 1.0, middle - 0.1, middle, middle + 0.16) for middle in middles]

    def event(fact: Fact, intensity: float) -> Event:
        return Event(fact, intensity, phase.start, phase.start + min(0.4, length / 2), phase.end)

    if item.kind == "head":
        return [event(fact, sum(HEAD_AXES[item.name, item.side][2]) / 2) for fact in item_facts(item)]
    if item.kind == "gaze":
        return [event(fact, 0.65) for fact in item_facts(item)]
    level = LEVELS[item.intensity or "moderate"]
    shares = EMOTIONS[item.name].units if item.kind == "emotion" else {item.name: 1.0}
    return [event(fact, level * shares[fact.name]) for fact in sorted(item_facts(item), key=lambda fact: fact.name)]
