"""What a corpus holds, counted shard by shard, so that its size does not matter."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facelm.corpus.schema import SPLITS, frames
from facelm.corpus.shards import check_columns, shard_files
from facelm.describe.units import HEAD_WORDS, UNITS
from facelm.errors import MissingFileError
from facelm.motion.layout import head_angles

BATCH = 500  # rows read at a time
ANGLES = np.arange(-45, 45.1, 3)  # degrees, borders of the histograms
COLUMNS = ("seconds", "fps", "layout", "category", "facts", "dataset", "subject", "take", "transcript", "audio.path")


@dataclass
class Statistics:
    """Counts over all splits of a corpus.

    clips, hours, takes: by split. seconds: float32, of every clip. datasets: hours by data set. layouts: clips by
    layout and rate. categories, emotions, actions, head: clips by name, of those that show it. people: how many are
    named. heard: hours with sound. spoken: clips with a transcript. angles: (3, 30) frames by head yaw, pitch and roll
    (`ANGLES`, degrees; beyond the ends counts to the last). moving_heads: clips whose head moves at all.
    """

    clips: Counter[str] = field(default_factory=Counter)
    hours: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    takes: Counter[str] = field(default_factory=Counter)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    datasets: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    layouts: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    emotions: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    head: Counter[str] = field(default_factory=Counter)
    people: int = 0
    heard: float = 0.0
    spoken: int = 0
    angles: np.ndarray = field(default_factory=lambda: np.zeros((3, len(ANGLES) - 1), np.int64))
    moving_heads: int = 0


def statistics(folder: str | Path) -> Statistics:
    """Count a corpus. Raises FacelmError when the folder holds none, or a file of it is damaged."""
    found = Statistics()
    people: set[tuple[str, str]] = set()
    seconds: list[np.ndarray] = []
    for split in SPLITS:
        takes: set[tuple[str | None, str]] = set()
        for path in shard_files(folder, split):
            for batch in _batches(path):
                rows = batch.drop_columns(["values"]).to_pydict()
                lengths = np.array(rows["seconds"], np.float32)
                seconds.append(lengths)
                found.clips[split] += len(lengths)
                found.hours[split] += float(lengths.sum()) / 3600
                _count(found, rows, lengths)
                _count_heads(found, rows["layout"], frames(batch["values"]))
                names = zip(rows.get("dataset", rows["id"]), rows.get("take", rows["id"]), strict=True)
                takes |= set(names)
                people |= set(zip(rows.get("dataset", ()), rows.get("subject", ()), strict=True))
        found.takes[split] = len(takes)
    if not seconds:
        raise MissingFileError(f"{folder} holds no corpus; make one with 'facelm corpus build'")
    found.seconds = np.concatenate(seconds)
    found.people = len({person for person in people if person[1]})
    return found


def _batches(path: Path) -> Iterator[Any]:
    """The rows of a shard, the bytes of their sound left out."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    check_columns(path, file.schema_arrow)
    names = [n for n in ("id", *COLUMNS, "values") if n.split(".")[0] in file.schema_arrow.names]
    yield from file.iter_batches(BATCH, columns=names)


def _count(found: Statistics, rows: dict[str, list[Any]], lengths: np.ndarray) -> None:
    """Add a batch of rows."""
    found.categories.update(rows["category"])
    found.layouts.update(
        f"{layout} at {fps:g} frames/s" for layout, fps in zip(rows["layout"], rows["fps"], strict=True)
    )
    for index, length in enumerate(lengths.tolist()):
        found.datasets[(rows["dataset"][index] if "dataset" in rows else None) or "unknown"] += length / 3600
        found.heard += length / 3600 if rows.get("audio") and rows["audio"][index] else 0.0
        found.spoken += bool(rows.get("transcript") and rows["transcript"][index])
        shown = {(fact["kind"], fact["what"], fact["side"]) for fact in rows["facts"][index] or ()}
        found.emotions.update({what for kind, what, _ in shown if kind == "emotion"} or {"none"})
        found.actions.update({UNITS[what].name for kind, what, _ in shown if kind == "unit" and what in UNITS})
        found.head.update(
            {" ".join(filter(None, (HEAD_WORDS[w], s))) for k, w, s in shown if k == "head" and w in HEAD_WORDS}
        )


def _count_heads(found: Statistics, layouts: list[str], motions: Iterator[np.ndarray]) -> None:
    for layout, values in zip(layouts, motions, strict=True):
        angles = np.degrees(head_angles(values, layout))
        found.moving_heads += bool(np.ptp(angles, axis=0).max() > 1)
        for axis, column in enumerate(angles.T):
            found.angles[axis] += np.histogram(column.clip(ANGLES[0], ANGLES[-1]), ANGLES)[0]
