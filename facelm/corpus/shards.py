"""Corpora on disk: `{split}-{00000}.parquet` shards of bounded size and `corpus.json`, which says what is in them.

`CorpusWriter` writes them, `load_corpus` reads them, as does `datasets.load_dataset` of the folder once it has a card
(`facelm card data`). Older corpora, of one `{split}.parquet` each, are read as well.
"""

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from facelm import __version__
from facelm.corpus.schema import SINCE_SHARDS, SPLITS, features, schema, table
from facelm.errors import FacelmError, MissingFileError
from facelm.files import atomic_folder

if TYPE_CHECKING:
    from datasets import Dataset
    from pyarrow import Table

NOTE = "corpus.json"
SHARD_CLIPS = 20_000
SHARD_BYTES = 400_000_000  # of a shard's rows before compression
GROUP_CLIPS = 250
GROUP_BYTES = 32_000_000  # of a row group before compression: what a reader holds at once
IN_MEMORY = 300_000_000  # bytes of Parquet; larger splits are mapped from the cache of `datasets`
HELD_OUT = 20  # one clip in so many stands in for a validation split
PACKAGES = ("numpy", "scipy", "pyarrow", "soundfile")


class CorpusWriter:
    """Writes clips into the shards of a folder, in the order they come; a context manager.

    The same tables in the same order give the same bytes. Memory: at most one row group of each split.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clips: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self._splits: dict[str, _Split] = {}
        self._schema = features().arrow_schema  # with what `datasets` wants to know of the columns
        self._stack = ExitStack()

    def __enter__(self) -> "CorpusWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            for split in self._splits.values():
                split.flush()
        self._stack.close()

    def write(self, split: str, rows: "Table") -> None:
        """Add the rows of a table (see `facelm.corpus.schema.table`) to a split."""
        import pyarrow.compute as pc

        if split not in SPLITS:
            raise FacelmError(f"unknown split '{split}'; a corpus has {', '.join(SPLITS)}")
        if not len(rows):
            return
        if split not in self._splits:
            self._splits[split] = _Split(self.folder, split, self._schema, self._stack)
        self._splits[split].add(rows)
        self.clips[split] += len(rows)
        self.seconds[split] += pc.sum(rows["seconds"]).as_py()

    def note(self, **words: Any) -> dict[str, Any]:
        """What `corpus.json` says of the files; call it after the block. `words` come first in it.

        Versions, hours and clips are added, the SHA-256 of every shard, and a fingerprint of them all.
        """
        shards = [
            {"file": path.name, "clips": _clips(path), "bytes": path.stat().st_size, "sha256": _digest(path)}
            for split in SPLITS
            for path in sorted(self.folder.glob(f"{split}-*.parquet"))
        ]
        fingerprint = hashlib.sha256("".join(f"{s['file']} {s['sha256']}\n" for s in shards).encode()).hexdigest()
        return {
            **words,
            "hours": round(sum(self.seconds.values()) / 3600, 3),
            "clips": {split: self.clips[split] for split in SPLITS},
            "versions": versions(),
            "fingerprint": fingerprint,
            "shards": shards,
        }


class _Split:
    """The shard being written of one split, and the rows not yet written."""

    def __init__(self, folder: Path, name: str, schema: Any, stack: ExitStack) -> None:
        self.folder, self.name, self.schema, self.stack = folder, name, schema, stack
        self.waiting: list[Table] = []
        self.waiting_clips = self.waiting_bytes = 0
        self.shards = 0
        self.clips = self.bytes = 0  # in the open shard
        self.writer: Any = None

    def add(self, rows: "Table") -> None:
        self.waiting.append(rows)
        self.waiting_clips += len(rows)
        self.waiting_bytes += rows.nbytes
        if self.waiting_clips >= GROUP_CLIPS or self.waiting_bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the waiting rows as row groups."""
        import pyarrow as pa

        if not self.waiting:
            return
        rows = pa.concat_tables(self.waiting).cast(self.schema)
        self.waiting, self.waiting_clips, self.waiting_bytes = [], 0, 0
        step = max(1, min(GROUP_CLIPS, int(len(rows) * GROUP_BYTES / rows.nbytes)))
        for first in range(0, len(rows), step):
            group = rows.slice(first, step)
            if self.writer is None or self.clips >= SHARD_CLIPS or self.bytes >= SHARD_BYTES:
                self._next_shard()
            self.writer.write_table(group, row_group_size=len(group))
            self.clips += len(group)
            self.bytes += group.nbytes

    def _next_shard(self) -> None:
        import pyarrow.parquet as pq

        if self.writer is not None:
            self.writer.close()
        path = self.folder / f"{self.name}-{self.shards:05d}.parquet"
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd")
        self.stack.callback(self.writer.close)
        self.shards, self.clips, self.bytes = self.shards + 1, 0, 0


def write_corpus(splits: Mapping[str, Iterable[Mapping[str, Any]]], folder: str | Path, **note: Any) -> dict[str, int]:
    """Write rows of your own as a corpus folder, which appears when it is complete.

    Args:
        splits: rows by split ("train", "validation", "test"); see `facelm.corpus.schema` for their columns.
        folder: a new or empty folder.
        note: further entries of `corpus.json`.

    Returns:
        Clips by split.

    Raises:
        FacelmError: an unknown split or column, or `folder` holds something.
    """
    refuse_full(folder)
    with atomic_folder(folder) as temporary:
        with CorpusWriter(temporary) as writer:
            for split, rows in splits.items():
                writer.write(split, table(list(rows)))
        save_note(temporary, writer.note(**note))
    return dict(writer.clips)


def refuse_full(folder: str | Path) -> None:
    """Raises FacelmError when the folder holds something."""
    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise FacelmError(f"{folder} is not empty; name a new folder for the corpus or remove this one")


def save_note(folder: Path, note: Mapping[str, Any]) -> None:
    """Write `corpus.json`."""
    (folder / NOTE).write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_note(folder: str | Path) -> dict[str, Any]:
    """What `corpus.json` says. Raises FacelmError when there is none or it is damaged."""
    path = Path(folder) / NOTE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"there is no {path}; is {folder} a corpus of 'facelm corpus'?") from None
    except (ValueError, OSError) as error:
        raise FacelmError(f"{path} is damaged ({error}); make the corpus anew") from error
    if not isinstance(found, dict):
        raise FacelmError(f"{path} is damaged (not a mapping); make the corpus anew")
    return found


def versions() -> dict[str, str]:
    """Of facelm, Python and the packages whose versions may change a corpus' bytes."""
    return {"facelm": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def shard_files(folder: str | Path, split: str) -> list[Path]:
    """The Parquet files of a split in order; none where there is no such split.

    Raises FacelmError for an unknown split, or shards of which one is missing.
    """
    if split not in SPLITS:
        raise FacelmError(f"unknown split '{split}'; a corpus has {', '.join(SPLITS)}")
    single = Path(folder) / f"{split}.parquet"
    shards = sorted(Path(folder).glob(f"{split}-[0-9]*.parquet"))
    if single.is_file() and shards:
        raise FacelmError(f"{folder} holds {single.name} and {shards[0].name}; remove one, they are of two corpora")
    for index, path in enumerate(shards):
        if path.name != f"{split}-{index:05d}.parquet":
            raise FacelmError(f"{folder}/{split}-{index:05d}.parquet is missing; copy the corpus again")
    return [single] if single.is_file() else shards


def load_corpus(folder: str | Path, split: str) -> "Dataset":
    """One split of a corpus folder as a `datasets.Dataset`; large ones are mapped from disk, not held in memory.

    Raises:
        FacelmError: the split's files are missing, or are not a corpus.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset, load_dataset

    files = shard_files(folder, split)
    if not files:
        there = [name for name in SPLITS if name != split and shard_files(folder, name)]
        raise MissingFileError(
            f"{folder} has no {split} split, only {' and '.join(there)}; split by another --protocol"
            if there
            else f"{Path(folder) / f'{split}-00000.parquet'} is missing; make a corpus with "
            f"'facelm corpus synth --hours 1 --seed 0 --out {folder}'"
        )
    for path in files:
        try:
            columns = pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            raise FacelmError(f"{path} is not a readable Parquet file ({error}); make the corpus anew") from error
        check_columns(path, columns)
    if sum(path.stat().st_size for path in files) <= IN_MEMORY:
        rows = Dataset(pa.concat_tables(map(pq.read_table, files), promote_options="default"))
    else:
        rows = load_dataset("parquet", data_files=list(map(str, files)), split="train")
    for name in (name for name in SINCE_SHARDS if name not in rows.column_names):
        rows = rows.add_column(name, pa.nulls(len(rows), schema().field(name).type), feature=features()[name])
    return rows


def load_for_training(folder: str | Path) -> tuple["Dataset", "Dataset"]:
    """The train and the validation split; without the latter, every 20th clip of the former is held out for it.

    Raises FacelmError when there is no train split, or a single clip.
    """
    train = load_corpus(folder, "train")
    if shard_files(folder, "validation"):
        return train, load_corpus(folder, "validation")
    if len(train) < 2:
        raise FacelmError(f"{folder} has one clip for training; two are needed, so that one can be held out")
    held = range(0, len(train), HELD_OUT)
    return train.select([index for index in range(len(train)) if index % HELD_OUT]), train.select(held)


def check_columns(path: Path, columns: Any) -> None:
    """Raises FacelmError unless the schema of a file is that of a corpus, of today or before."""
    missing = [name for name in schema().names if name not in columns.names and name not in SINCE_SHARDS]
    if missing:
        raise FacelmError(f"{path} lacks the columns {', '.join(missing)}; see 'facelm corpus --help'")
    for name in ("values", "plan", "prompts", "captions"):
        if columns.field(name).type != schema().field(name).type:
            raise FacelmError(
                f"{path}: column {name} holds {columns.field(name).type} and should hold {schema().field(name).type}"
            )


def _clips(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
