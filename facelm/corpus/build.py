"""Corpora on disk: Parquet with one row a clip, written by `synthesise`, read by `load_corpus`.

Columns: id, category, seconds, fps, layout, values (T, D) float32, plan (canonical words, see describe/plan.py), facts
(what, side, intensity, start, end of every item), prompts, captions, questions.
"""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.captions import Wording
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.files import atomic_folder
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from datasets import Dataset, Features

SPLITS = ("train", "validation", "test")
TEST_CATEGORIES = ("emotion", "unit", "two units", "two phases")
MEAN_SECONDS = 2.4  # of a clip; turns hours into a number of clips
SHARES = {"validation": 0.03, "test": 0.05}
WORDINGS = 4  # prompts and captions a clip
BATCH = 250  # clips a row group and a unit of work


def features() -> "Features":
    """The schema of a corpus file."""
    from datasets import Features, List, Value

    text = Value("string")
    return Features(
        {
            "id": text,
            "category": text,
            "seconds": Value("float32"),
            "fps": Value("float32"),
            "layout": text,
            "values": List(List(Value("float32"))),
            "plan": text,
            "facts": List(
                {
                    "kind": text,
                    "what": text,
                    "side": text,
                    "intensity": text,
                    "start": Value("float32"),
                    "end": Value("float32"),
                }
            ),
            "prompts": List(text),
            "captions": List(text),
            "questions": List({"question": text, "answer": text}),
        }
    )


def synthesise(hours: float, seed: int, out: str | Path, workers: int = 1) -> dict[str, int]:
    """Write a synthesised corpus: train, validation and test Parquet files and `corpus.json` in the folder `out`.

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
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise FacelmError(f"{out} is not empty; name a new folder for the corpus or remove this one")
    clips = max(3 * len(CATEGORIES), round(hours * 3600 / MEAN_SECONDS))
    counts = {split: max(len(CATEGORIES), round(clips * share)) for split, share in SHARES.items()}
    counts = {"train": clips - sum(counts.values()), **counts}
    seconds = 0.0
    with atomic_folder(out) as folder, ProcessPoolExecutor(workers) as pool, _progress(clips) as bar:
        for split, count in counts.items():
            jobs = [(split, seed, first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
            batches = (
                pool.map(_batch, *zip(*jobs, strict=True)) if workers > 1 else map(_batch, *zip(*jobs, strict=True))
            )
            for written, length in _write(folder / f"{split}.parquet", batches):
                seconds += length
                bar.update(written)
        note = {"generator": "facelm corpus synth", "hours": round(seconds / 3600, 3), "seed": seed, "clips": counts}
        (folder / "corpus.json").write_text(json.dumps(note, indent=2) + "\n")
    return counts


def _progress(clips: int) -> tqdm:
    return tqdm(total=clips, unit="clip", desc="synthesising", mininterval=0.5)


def _write(path: Path, batches: Iterator[list[dict[str, Any]]]) -> Iterator[tuple[int, float]]:
    """Write batches as row groups; yields how many clips and seconds each one held."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = features().arrow_schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in batches:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            yield len(rows), sum(row["seconds"] for row in rows)


def _batch(split: str, seed: int, first: int, end: int) -> list[dict[str, Any]]:
    return [_clip(split, seed, index) for index in range(first, end)]


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
    return {
        "id": f"{split}-{index:06d}",
        "category": category,
        "seconds": len(motion) / motion.fps,
        "fps": motion.fps,
        "layout": motion.layout.name,
        "values": motion.values.tolist(),
        "plan": plan.text(),
        "facts": _fact_rows(plan),
        "prompts": [wording.prompt(plan) for _ in range(WORDINGS)],
        "captions": [wording.caption(plan) for _ in range(WORDINGS)],
        "questions": wording.questions(plan),
    }


def _fact_rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "kind": item.kind,
            "what": item.name,
            "side": item.side,
            "intensity": item.intensity,
            "start": phase.start,
            "end": phase.end,
        }
        for phase in plan.phases
        for item in phase.items
    ]


def load_corpus(folder: str | Path, split: str) -> "Dataset":
    """One split of a corpus folder as a `datasets.Dataset`.

    Raises:
        FacelmError: the split's file is missing, or is not a corpus.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    path = Path(folder) / f"{split}.parquet"
    if split not in SPLITS:
        raise FacelmError(f"unknown split '{split}'; a corpus has {', '.join(SPLITS)}")
    if not path.is_file():
        raise FacelmError(
            f"{path} is missing; make a corpus with 'facelm corpus synth --hours 1 --seed 0 --out {folder}'"
        )
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise FacelmError(f"{path} is not a readable Parquet file ({error}); make the corpus anew") from error
    missing = set(features()) - set(table.column_names)
    if missing:
        raise FacelmError(f"{path} lacks the columns {', '.join(sorted(missing))}; see 'facelm corpus --help'")
    return Dataset(table)


def motion(row: dict[str, Any]) -> FaceMotion:
    """The motion of a corpus row.

    Raises:
        FacelmError: naming the row, when its values are not a valid motion.
    """
    try:
        return FaceMotion(np.asarray(row["values"], np.float32), row["fps"], row["layout"])
    except ValueError as error:
        raise FacelmError(f"corpus row {row['id']}: {error}") from error
