"""Readers of data sets: from a folder somebody has to takes with motion, sound, words and labels.

    for take in iterate("captures"):            # what is there, without loading it
        motion, report = load_take(take)        # the motion; report.notes says what is odd
        sound = load_sound_of(take, 1.0, 2.0)   # seconds 1 to 3, or None

One module for each data set; each docstring says where its folder layout was found. The last one, `takes`, reads
anybody's folder: `take.csv` with `take.wav` and `take.txt` beside it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from facelm.corpus.readers import (
    beat,
    beat2,
    cavfa,
    celebv_hq,
    celebv_text,
    facegood,
    m2f_d,
    mead,
    mmface4d,
    mmhead,
    multiface,
    open3dfacevid,
    ravdess,
    takes,
    tfhp,
    vocaset,
)
from facelm.corpus.readers.fields import enrich, table_rows
from facelm.corpus.readers.sides import PEOPLE, TABLE, sound_notes, sound_seconds
from facelm.corpus.readers.take import OnError, Reader, Remark, SkipReport, Sound, Take, write_remarks
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import FaceMotion, LoadReport

__all__ = [
    "READERS",
    "OnError",
    "Reader",
    "Remark",
    "SkipReport",
    "Sound",
    "Take",
    "find_reader",
    "iterate",
    "load_sound_of",
    "load_take",
    "reader_named",
    "write_remarks",
]

READERS: tuple[Reader, ...] = (
    mmhead,
    tfhp,
    vocaset,
    beat2,
    celebv_hq,
    celebv_text,
    multiface,
    open3dfacevid,
    mead,
    cavfa,
    mmface4d,
    m2f_d,
    facegood,
    ravdess,
    beat,
    takes,
)
"""In the order in which they are asked whether they recognise a folder; the folder of takes is the last resort."""


def reader_named(name: str) -> Reader:
    """The reader of that NAME. Raises FacelmError naming the nearest."""
    readers = {reader.NAME: reader for reader in READERS}
    if name in readers:
        return readers[name]
    near = get_close_matches(name.lower(), readers, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise FacelmError(f"unknown data set {name!r}; facelm reads {', '.join(readers)}{hint}")


def find_reader(root: str | os.PathLike[str], name: str | None = None) -> Reader:
    """The reader for a folder: the one of that NAME, or the first that recognises the folder's layout.

    Raises FacelmError when the folder is missing, or nothing in it looks like a take.
    """
    root = Path(root)
    if not root.exists():
        raise MissingFileError(f"there is no folder {root}")
    if not root.is_dir():
        raise FacelmError(f"{root} is a file; give the folder that holds it")
    if name is not None:
        return reader_named(name)
    for reader in READERS:
        if reader.recognises(root):
            return reader
    raise FacelmError(
        f"{root} is none of the data sets facelm knows ({', '.join(reader.NAME for reader in READERS)}); "
        "for a folder of takes, put take.csv with take.wav and take.txt into it"
    )


def iterate(
    root: str | os.PathLike[str],
    reader: str | None = None,
    on_error: OnError = "skip",
    report: SkipReport | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[Take]:
    """Every take of a folder, in a stable order, without loading motions.

    Two tables in the folder add to what any data set says: labels.csv (a row a take: the column `take` holds its id)
    and subjects.csv (a row a person: subject, gender, ...); see `facelm.corpus.readers.fields`.

    Args:
        root: the folder of the data set.
        reader: the NAME of its reader; found by the folder's layout when None.
        on_error: "stop" raises the first error; "skip" writes it into the report and goes on.
        report: where what was left out is written down; its own `on_error` counts when it is given.
        options: said of every take as if it stood in labels.csv: {"fps": "30"}, {"rig": "flame.pkl", "onto": "rig"}.

    Raises:
        FacelmError: no reader fits, nothing can be read, or (on_error "stop") a take cannot be read.
    """
    root, report = Path(root), SkipReport(on_error) if report is None else report
    found = find_reader(root, reader)
    people = table_rows(root / PEOPLE, key="subject") if (root / PEOPLE).is_file() else {}
    labels = table_rows(root / TABLE) if (root / TABLE).is_file() and found is not takes else {}
    seen: set[str] = set()
    for take in found.takes(root, report):
        if take.id in seen:
            report.skip(take.dataset, take.id, take.motion, f"{take.motion}: a second take named {take.id}")
            continue
        seen.add(take.id)
        try:
            if options:
                take = enrich(take, options, "options")
            for row in (labels.pop(take.id, None), people.get(take.subject)):
                take = take if row is None else enrich(take, row.fields, row.where)
        except FacelmError as error:
            report.skip(take.dataset, take.id, take.motion, error)
            continue
        for note in take.notes:
            report.note(take, note)
        yield take
    for identity, row in labels.items():
        report.skip(found.NAME, identity, row.table, f"{row.where} names the take {identity!r}, but there is none")
    if not seen:
        first = next((f"; the first reason: {r.reason}" for r in report.remarks if r.kind == "skipped"), "")
        raise FacelmError(f"{root} holds no take that can be read as {found.NAME}{first}")


def load_take(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The motion of a take, and what was done to make it; its notes also say when sound and motion do not fit.

    Raises FacelmError naming file and row, frame or field, also for sound that cannot be read.
    """
    motion, report = reader_named(take.dataset).load(take)
    notes = report.notes
    if take.audio is not None and take.part is None:
        notes += sound_notes(sound_seconds(take.audio), motion, take.audio.name)
    return motion, replace(report, notes=notes)


def load_sound_of(take: Take, begin: float = 0.0, seconds: float | None = None) -> Sound | None:
    """The sound of a take from `begin` on (s), `seconds` long (to the end when None), mono; None where it has none.

    Raises FacelmError naming the file.
    """
    return reader_named(take.dataset).sound(take, begin, seconds)
