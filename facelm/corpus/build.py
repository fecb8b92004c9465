"""Somebody's takes and corpora become one corpus: `facelm corpus build`.

    build(["captures", "outputs/corpus"], "outputs/mixed", BuildConfig(weights={"captures": 3.0}), jobs=2)

In this order: the sources are listed, their takes get splits, and the list is cut into chunks (sources.py); workers
turn chunks into rows (clips.py), each a pair of files in a work folder, so that a killed build goes on where it was
(unfinished.py); near-duplicates are left out (duplicates.py); the rows are written as shards (shards.py). The same
sources, arguments and versions give the same bytes, whatever the number of jobs and however often it was stopped.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from facelm.corpus.clips import pieces, rows
from facelm.corpus.duplicates import Signature, near_duplicates, signature
from facelm.corpus.filters import PAPER, Filter, SyncConfidence, refuse
from facelm.corpus.protocols import assign, split_of, split_of_clip
from facelm.corpus.readers import OnError, Remark, SkipReport, Take, iterate, write_remarks
from facelm.corpus.schema import SPLITS, frames, table
from facelm.corpus.shards import CorpusWriter, refuse_full, save_note, versions
from facelm.corpus.sources import CORPUS, Rows, Source, Takes, digests, find_sources, read_rows, row_chunks, take_chunks
from facelm.corpus.unfinished import Unfinished, finished, write_chunk
from facelm.corpus.workers import ordered
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.motion.retarget import LinearMap

if TYPE_CHECKING:
    from pyarrow import Table

REPORT = "skipped.csv"
SHORTEST = 0.5  # s of a take
SMALL = 20  # takes; smaller sources are for training alone unless a protocol is asked for
UNREADABLE = (OSError, ValueError, LookupError, ArithmeticError)  # what a file may cause; a FacelmError is a ValueError


@dataclass(frozen=True)
class BuildConfig:
    """How to build. Raises FacelmError for a value that makes no sense.

    reader: NAME of the reader of all sources that are no corpora; None: by their layout. protocol: how takes are split
    (corpus/protocols.py); None: as the data set released them, else at random where there are 20 takes or more, else
    all for training. paper_filters: leave out what MMHead left out of each data set (corpus/filters.py). syncnet: least
    SyncNet confidence of takes that have one. weights: source -> how often training visits its clips. map: file of a
    LinearMap (`facelm rig map`) for takes in FLAME layouts. clip_seconds: of the longest clip. clean: clean motions.
    on_error: "skip" leaves out what cannot be read and says so in skipped.csv; "stop". keep_duplicates: leave
    near-duplicates in. seed: of splits and words.
    """

    reader: str | None = None
    protocol: str | None = None
    paper_filters: bool = False
    syncnet: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    map: str | None = None
    clip_seconds: float = 8.0
    clean: bool = True
    on_error: OnError = "skip"
    keep_duplicates: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.clip_seconds <= 600:
            raise FacelmError(f"--clip-seconds {self.clip_seconds:g}: clips last from 2 to 600 s; 8 suits most models")

    def filters(self, dataset: str) -> tuple[Filter, ...]:
        """The filters of a data set's takes."""
        paper = PAPER.get(dataset, ()) if self.paper_filters else ()
        return paper if self.syncnet is None else (*paper, SyncConfidence(self.syncnet))


@dataclass(frozen=True)
class Built:
    """What was built: clips by split, hours, and how many takes were used, and how many remarks there are by kind."""

    out: str
    clips: dict[str, int]
    hours: float
    takes: int
    remarks: dict[str, int]

    def __str__(self) -> str:
        clips = ", ".join(f"{count} {split} clips" for split, count in self.clips.items() if count)
        words = {
            "skipped": "could not be read",
            "filtered": "filtered",
            "duplicate": "near-duplicates",
            "note": "notes",
        }
        left = [f"{self.remarks[kind]} {word}" for kind, word in words.items() if self.remarks.get(kind)]
        told = f"; {', '.join(left)}: see {Path(self.out) / REPORT}" if left else ""
        return f"{self.out}: {self.takes} takes, {self.hours:.2f} h as {clips}{told}"


def build(
    sources: Sequence[str | Path],
    out: str | Path,
    config: BuildConfig | None = None,
    jobs: int = 1,
    fresh: bool = False,
) -> Built:
    """Build a corpus folder of sources.

    Args:
        sources: folders of takes, of data sets that a reader knows, or of corpora, whose clips and splits stay.
        out: a folder that does not exist yet, or is empty; or holds what a build with the same arguments made.
        config: how.
        jobs: processes.
        fresh: throw away what an unfinished build with other arguments left.

    Raises:
        FacelmError: for a source, argument or output that makes no sense, or (on_error "stop") a take that cannot be
            read. KeyboardInterrupt and a kill leave a work folder beside `out`, with which the next call goes on.
    """
    config = config or BuildConfig()
    report = SkipReport(config.on_error)
    _map(config.map)
    found = find_sources(sources, config.reader, config.weights)
    chunks = _chunks(found, config, report)
    arguments = {"sources": [source.name for source in found], **asdict(config)}
    arguments["weights"] = {source.name: source.weight for source in found if source.weight != 1}
    arguments["map"] = config.map and Path(config.map).name  # names, no paths: the folder may be published
    inputs = digests(chunks, [config.map] if config.map else [])
    if (note := finished(out, arguments, inputs["inputs"])) is None:
        refuse_full(out)
        request = {"arguments": arguments, "sources": inputs, "versions": versions()}
        with Unfinished(out, request, fresh) as work:
            _work_through(chunks, config, work, jobs)
            note = _assemble(found, chunks, config, report, work, {"arguments": arguments, "inputs": inputs["inputs"]})
            work.finish()
    return Built(str(out), note["clips"], note["hours"], note["takes"], note["remarks"])


def _chunks(found: list[Source], config: BuildConfig, report: SkipReport) -> list[Takes | Rows]:
    """The work, in the order in which it will stand in the corpus."""
    chunks: list[Takes | Rows] = []
    for source in found:
        prefix = f"{source.name}/" if len(found) > 1 else ""
        if source.kind == CORPUS:
            chunks += row_chunks(source, prefix)
            continue
        takes = []
        for take in iterate(source.path, config.reader, report=report):
            if reason := refuse(take, config.filters(take.dataset)):
                report.filtered(take, reason)
            else:
                takes.append(take)
        splits = _splits(takes, config)
        for take in takes:
            if take.id not in splits:
                report.filtered(take, f"it is in no split of the protocol {config.protocol}")
        chunks += take_chunks(source, [take for take in takes if take.id in splits], splits, prefix)
    return chunks


def _splits(takes: list[Take], config: BuildConfig) -> Mapping[str, str | None]:
    """The split of each take, None where its clips get theirs one by one."""
    if config.protocol == "compositional":
        return {take.id: None for take in takes}
    if config.protocol is not None:
        return dict(assign(takes, config.protocol, config.seed))
    small = len(takes) < SMALL
    return {take.id: take.split or ("train" if small else split_of(take, "random", config.seed)) for take in takes}


# ---------------------------------------------------------------- chunks into rows


def _work_through(chunks: list[Takes | Rows], config: BuildConfig, work: Unfinished, jobs: int) -> None:
    waiting = [(work.folder, index, chunk, config) for index, chunk in enumerate(chunks) if not work.done(index)]
    total, left = sum(map(len, chunks)), sum(len(chunk) for _, _, chunk, _ in waiting)
    with tqdm(total=total, initial=total - left, unit="take", desc="reading takes") as bar:
        hours = 0.0
        for (_, _, chunk, _), seconds in zip(waiting, ordered(_work, waiting, jobs), strict=True):
            hours += seconds / 3600
            bar.set_postfix_str(f"{hours:.2f} h", refresh=False)
            bar.update(len(chunk))


def _work(job: tuple[Path, int, Takes | Rows, BuildConfig]) -> float:
    """Do a chunk; returns its seconds of motion."""
    folder, index, chunk, config = job
    said: dict[str, list[Any]] = {"takes": [], "remarks": []}
    done = _rows_of_corpus(chunk, said) if isinstance(chunk, Rows) else _rows_of_takes(chunk, config, said)
    write_chunk(folder, index, done, said)
    return sum(take["seconds"] for take in said["takes"])


def _rows_of_takes(chunk: Takes, config: BuildConfig, said: dict[str, list[Any]]) -> Iterator["Table"]:
    mapping = _map(config.map)
    for take, split in zip(chunk.takes, chunk.splits, strict=True):

        def remark(kind: str, reason: str, take: Take = take) -> None:
            said["remarks"].append(asdict(Remark(take.dataset, take.id, str(take.motion), kind, reason)))

        try:
            found, notes = pieces(take, config.clean, mapping)
            if sum(piece.motion.seconds for piece in found) < SHORTEST:
                raise FacelmError(f"{take.motion} holds less than {SHORTEST} s of motion")
            whole = FaceMotion.concatenate([piece.motion for piece in found])
            if reason := refuse(take, config.filters(take.dataset), whole):
                remark("filtered", reason)
                continue
            name, source = f"{chunk.prefix}{take.id}", chunk.source
            made = list(rows(take, found, name, source.dataset, source.weight, config.clip_seconds, config.seed))
        except UNREADABLE as error:
            if config.on_error == "stop":
                raise
            plain = str(error) if isinstance(error, FacelmError) else f"{take.motion}: {type(error).__name__}: {error}"
            remark("skipped", plain)
            continue
        for note in notes:
            remark("note", note)
        splits = [split or split_of_clip(row["id"], Plan.parse(row["plan"]), config.seed) for row in made]
        yield _said(take.id, splits, table(made), whole.values, whole.layout.name, said)


@cache
def _map(path: str | None) -> LinearMap | None:
    return None if path is None else LinearMap.load(path)


def _rows_of_corpus(chunk: Rows, said: dict[str, list[Any]]) -> Iterator["Table"]:
    all_rows = read_rows(chunk)
    names = list(zip(all_rows["dataset"].to_pylist(), all_rows["take"].to_pylist(), strict=True))
    borders = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1]), len(names)]
    for first, end in zip(borders, borders[1:], strict=False):
        made = all_rows.slice(first, end - first)
        layout = made["layout"][0].as_py()
        values = np.concatenate(list(frames(made["values"])))
        splits = [chunk.split] * len(made)
        yield _said(names[first][1], splits, made, values, layout, said)


def _said(
    take: str, splits: list[str], made: "Table", values: np.ndarray, layout: str, said: dict[str, list[Any]]
) -> "Table":
    """Write down what is to be known of a take beside its rows, which are passed on."""
    import pyarrow.compute as pc

    known = {
        "take": take,
        "splits": splits,
        "seconds": pc.sum(made["seconds"]).as_py(),
        "sound": made["audio"].null_count < len(made),
        "signature": signature(values, layout).packed(),
    }
    said["takes"].append(known)
    return made


# ---------------------------------------------------------------- rows into shards


def _assemble(
    found: list[Source],
    chunks: list[Takes | Rows],
    config: BuildConfig,
    report: SkipReport,
    work: Unfinished,
    words: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the corpus into the work folder; returns what `corpus.json` says."""
    said = [_known(work.takes(index)) for index in range(len(chunks))]
    remarks = [*report.remarks, *(Remark(**remark) for each in said for remark in each["remarks"])]
    dropped = {} if config.keep_duplicates else _duplicates(chunks, said, remarks)
    if not any(each["takes"] for each in said):
        reasons = [remark.reason for remark in remarks if remark.kind == "skipped"]
        raise FacelmError(
            f"no take could be read; the first of {len(reasons)} reasons: {reasons[0] if reasons else '?'}"
        )
    folder = work.corpus()
    counts: dict[str, Counter[str]] = {source.name: Counter() for source in found}
    with CorpusWriter(folder) as writer:
        for index, chunk in enumerate(tqdm(chunks, desc="writing shards", unit="chunk")):
            made, first = work.rows(index), 0
            for place, take in enumerate(said[index]["takes"]):
                clips = len(take["splits"])
                if (index, place) not in dropped:
                    for split, begin, count in _runs(take["splits"]):
                        writer.write(split, made.slice(first + begin, count))
                    counts[chunk.source.name] += Counter(takes=1, clips=clips, seconds=take["seconds"])
                first += clips
    note = {
        "generator": "facelm corpus build",
        **words,
        "takes": sum(count["takes"] for count in counts.values()),
        "sources": [
            {
                "name": source.name,
                "reader": source.kind,
                "weight": source.weight,
                "takes": counts[source.name]["takes"],
                "clips": counts[source.name]["clips"],
                "hours": round(counts[source.name]["seconds"] / 3600, 3),
            }
            for source in found
        ],
        "remarks": dict(Counter(remark.kind for remark in remarks)),
    }
    write_remarks(remarks, folder / REPORT)
    note = writer.note(**note)
    save_note(folder, note)
    return note


def _runs(splits: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(split, first clip, clips) of the stretches of a take that go to one split."""
    first = 0
    for split, run in groupby(splits):
        count = len(list(run))
        yield split, first, count
        first += count


def _known(said: dict[str, Any]) -> dict[str, Any]:
    for take in said["takes"]:
        take["signature"] = Signature.unpacked(take["signature"])
    return said


def _duplicates(chunks: list[Takes | Rows], said: list[dict[str, Any]], remarks: list[Remark]) -> set[tuple[int, int]]:
    """(chunk, place) of the takes to leave out; remarks say in favour of which.

    Of two, the one for testing stays, then the one with sound, then the longer. Takes of one corpus are not compared:
    that was done when it was built, or its clips are variations on purpose.
    """
    takes = [(i, j, take) for i, each in enumerate(said) for j, take in enumerate(each["takes"])]
    signatures = [take["signature"] for _, _, take in takes]
    ranks = [
        (
            -max(map(SPLITS.index, take["splits"])),
            not take["sound"],
            -found.frames,
            chunks[i].source.name,
            take["take"],
            i,
            j,
        )
        for (i, j, take), found in zip(takes, signatures, strict=True)
    ]
    names = [f"{chunks[i].source.name}/{take['take']}" for i, _, take in takes]
    groups = [chunks[i].source.name if chunks[i].source.kind == CORPUS else None for i, _, _ in takes]
    dropped = near_duplicates(signatures, ranks, groups)
    for index, kept in sorted(dropped.items()):
        i, _, take = takes[index]
        source = chunks[i].source
        reason = f"{names[index]} is a near-duplicate of {names[kept]}, which stays"
        remarks.append(Remark(source.dataset, take["take"], str(source.path), "duplicate", reason))
    return {takes[index][:2] for index in dropped}
