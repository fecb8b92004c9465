"""What a corpus is built from: folders of takes, and corpora that are there already, cut into chunks of work."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelm.corpus.readers import Take, find_reader
from facelm.corpus.schema import SPLITS, schema
from facelm.corpus.shards import NOTE, check_columns, shard_files
from facelm.errors import FacelmError, MissingFileError

if TYPE_CHECKING:
    from pyarrow import Table

CORPUS = "corpus"  # the kind of a source that is a corpus already
TAKES = 8  # of a chunk at most: what a killed build may have to do again for each job
CHUNKS = 32  # of a source of few takes, so that all jobs have work
ROWS = 250


@dataclass(frozen=True)
class Source:
    """A folder. name: its last part, made unique; kind: the NAME of its reader, or "corpus"; weight: of its clips."""

    name: str
    path: Path
    kind: str
    weight: float

    @property
    def dataset(self) -> str:
        """What the rows of its takes say they come from: the data set, or the folder where it is somebody's own."""
        return self.name if self.kind == "takes" else self.kind


@dataclass(frozen=True)
class Takes:
    """A chunk of takes with their splits, None where each clip gets its own. prefix: of the clips' ids."""

    source: Source
    takes: tuple[Take, ...]
    splits: tuple[str | None, ...]
    prefix: str

    def __len__(self) -> int:
        return len(self.takes)


@dataclass(frozen=True)
class Rows:
    """A chunk of the rows `first` to `end` of a split of a corpus; no take goes on in another chunk."""

    source: Source
    files: tuple[Path, ...]
    split: str
    first: int
    end: int
    prefix: str

    def __len__(self) -> int:
        return self.end - self.first


def find_sources(paths: Sequence[str | Path], reader: str | None, weights: Mapping[str, float]) -> list[Source]:
    """The sources of a build.

    Raises FacelmError for a folder that is missing or twice there or holds nothing known, a weight that is not above 0,
    or one for a source that there is not.
    """
    if not paths:
        raise FacelmError("name at least one source: a folder of takes, a data set or a corpus")
    names = _names([Path(path) for path in paths])
    unknown = [name for name in weights if name not in names and name not in map(str, paths)]
    if unknown:
        raise FacelmError(f"--weight {unknown[0]}: there is no such source; the sources are {', '.join(names)}")
    found = []
    for name, path in zip(names, map(Path, paths), strict=True):
        weight = weights.get(name, weights.get(str(path), 1.0))
        if not 0 < weight < 1000:
            raise FacelmError(f"--weight {name}={weight:g}: a weight is above 0, for example 2")
        if not path.is_dir():
            raise MissingFileError(f"there is no folder {path}")
        kind = CORPUS if is_corpus(path) else find_reader(path, reader).NAME
        found.append(Source(name, path, kind, weight))
    return found


def is_corpus(folder: Path) -> bool:
    """Whether the folder is a corpus of facelm."""
    return (folder / NOTE).is_file() or any(shard_files(folder, split) for split in SPLITS)


def _names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        twice = next(path for i, path in enumerate(paths) if resolved[i] in resolved[:i])
        raise FacelmError(f"the source {twice} is named twice; give it once, with --weight to count it more")
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            break
    return names


def take_chunks(
    source: Source, takes: Sequence[Take], splits: Mapping[str, str | None], prefix: str
) -> Iterator[Takes]:
    """Chunks of a source's takes, in order."""
    size = min(TAKES, max(1, len(takes) // CHUNKS))
    for first in range(0, len(takes), size):
        some = tuple(takes[first : first + size])
        yield Takes(source, some, tuple(splits[take.id] for take in some), prefix)


def row_chunks(source: Source, prefix: str) -> Iterator[Rows]:
    """Chunks of a corpus, in order; the clips of a take stay together.

    Raises FacelmError when a file is no corpus file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split in SPLITS:
        files = shard_files(source.path, split)
        takes: list[tuple[str | None, str | None]] = []
        for path in files:
            try:
                columns = pq.read_schema(path)
                check_columns(path, columns)
                named = [name for name in ("dataset", "take", "id") if name in columns.names]
                for part in pq.ParquetFile(path).iter_batches(columns=named):
                    known = part.to_pydict()
                    takes += zip(known.get("dataset", [None] * len(part)), known.get("take", known["id"]), strict=True)
            except (pa.ArrowException, OSError) as error:
                raise FacelmError(f"{path} is not a readable Parquet file ({error}); make that corpus anew") from error
        first = 0
        for end in range(1, len(takes) + 1):
            if end == len(takes) or (end - first >= ROWS and takes[end] != takes[end - 1]):
                yield Rows(source, tuple(files), split, first, end, prefix)
                first = end


def read_rows(chunk: Rows) -> "Table":
    """The rows of a chunk in the columns of today, its source's weight on them and its prefix before their ids.

    Raises FacelmError for a file that is damaged, or whose columns hold something else.
    """
    import pyarrow as pa

    try:
        return _columns_of_today(chunk, _rows_of(chunk))
    except (pa.ArrowException, OSError) as error:
        where = f"{chunk.source.path}, {chunk.split} rows {chunk.first} to {chunk.end}"
        raise FacelmError(f"{where}: {error}; make that corpus anew") from error


def _rows_of(chunk: Rows) -> "Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts, begin = [], 0
    for path in chunk.files:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            first, end = max(chunk.first - begin, 0), min(chunk.end - begin, count)
            if first < end:
                parts.append(file.read_row_group(group).slice(first, end - first))
            begin += count
    return pa.concat_tables(parts, promote_options="default")


def _columns_of_today(chunk: Rows, rows: "Table") -> "Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    def column(name: str, default: Any = None) -> Any:
        kind = schema().field(name).type
        known = rows[name].cast(kind) if name in rows.column_names else pa.nulls(len(rows), kind)
        return known if default is None else pc.coalesce(known, default)

    columns = {name: column(name) for name in schema().names}
    columns["take"] = column("take", columns["id"])
    columns["dataset"] = column("dataset", pa.scalar(chunk.source.name))
    columns["begin"] = column("begin", pa.scalar(0, pa.float32()))
    columns["weight"] = pc.multiply(
        column("weight", pa.scalar(1, pa.float32())), pa.scalar(chunk.source.weight, pa.float32())
    )
    columns["id"] = pc.binary_join_element_wise(chunk.prefix, columns["id"], "")
    return pa.table(columns, schema=schema())


def digests(chunks: Sequence[Takes | Rows], files: Sequence[str]) -> dict[str, str]:
    """What was found, and when it was changed last, each as a SHA-256; `files` are read and belong to it too.

    `inputs` knows names, words and sizes of files and stays the same where the sources are copied; `modified` also
    knows the times of their last changes.
    """
    sizes: dict[Path, tuple[int, int]] = {}

    def stat(path: Path | None) -> tuple[int, int]:
        if path is None or not path.exists():
            return 0, 0
        if path not in sizes:
            found = path.stat()
            sizes[path] = found.st_size, found.st_mtime_ns
        return sizes[path]

    inputs, modified = hashlib.sha256(), hashlib.sha256()
    for name in files:
        inputs.update(Path(name).read_bytes())
    for chunk in chunks:
        words: list[Any]
        found: list[Path | None]
        if isinstance(chunk, Takes):
            found = [path for take in chunk.takes for path in (take.motion, take.audio)]
            words = [
                [t.id, t.part, t.transcript, t.texts, t.subject, repr(t.labels), repr(t.annotations)]
                for t in chunk.takes
            ]
            words.append(chunk.splits)
        else:
            found, words = list(chunk.files), [chunk.split, chunk.first, chunk.end]
        inputs.update(json.dumps([chunk.prefix, words, [stat(path)[0] for path in found]]).encode())
        modified.update(json.dumps([str(path) for path in found] + [stat(path) for path in found]).encode())
    return {"inputs": inputs.hexdigest(), "modified": modified.hexdigest()}
