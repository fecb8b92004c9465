"""Live Link Face CSV: `Timecode,BlendShapeCount` and 61 values a row, also gzipped.

Columns are found by name in any order and capitals. Rows where no face was seen have fewer columns ("short rows").
Frames are kept on the grid of their timecodes, so that a take stays in time with its sound.
"""

import csv
import gzip
import io
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.gaps import interpolate, missing_between
from facelm.motion.layout import EYES, HEAD, LIVELINK
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion
from facelm.motion.timecode import (
    DAY,
    DROP_DAY,
    TICKS,
    find_grid,
    format_timecode,
    forward,
    frame_ticks,
    label_ticks,
    split_timecode,
)

DIALECT = "Live Link Face CSV"
SHORT_ROWS = ("bridge", "drop", "refuse")
DROP = "drop-frame"  # the metadata `timecode_style` of motions with drop-frame timecodes
DROP_RATES = (Fraction(30000, 1001), Fraction(60000, 1001))
MAX_GAP_S = 60.0  # a longer hole is two takes in one file rather than a loss of tracking
MAX_BACKWARD_ROWS = 60  # on end: a second take in the same file rather than a stream that repeats frames

_DEFAULTS = ReadOptions()
_MAY_BE_ABSENT = {name.lower() for name in (*HEAD, *EYES, "tongueOut")}  # some exporters leave them out


def sniff(path: Path, head: bytes) -> bool:
    """Whether the first line names a Timecode and blendshapes as Live Link Face does."""
    header = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].lower().replace(b" ", b"").split(b",")
    return b"timecode" in header and b"eyeblinkleft" in header


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion (layout livelink) and report of a CSV file; see `facelm.motion.load_motion`."""
    short_rows = options.short_rows
    if short_rows not in SHORT_ROWS:
        raise FacelmError(f"short_rows is {short_rows!r}; choose one of {', '.join(SHORT_ROWS)}")
    table = _read_table(path)
    if short_rows == "refuse" and table.short:
        raise FacelmError(
            f"{path} has {len(table.short)} short rows where no face was seen (the first is row {table.short[0]}); "
            "load it with short_rows='bridge' or 'drop'"
        )
    if not len(table.values):
        raise FacelmError(f"{path} has no row with blendshape values; nothing was tracked in this take")
    ticks, values, lines = table.ticks, table.values, table.lines
    day = DROP_DAY if table.drop else DAY
    steps = (np.diff(ticks) + day // 2) % day - day // 2  # across midnight too
    ticks = ticks[0] + np.concatenate([[0], np.cumsum(steps)])
    kept = forward(ticks)
    _refuse_two_takes(path, kept, ticks, lines)
    ticks, values, lines = ticks[kept], values[kept], lines[kept]

    grid = find_grid(ticks)
    holes: tuple[tuple[int, int], ...] = ()
    if short_rows != "drop":
        _refuse_long_gaps(path, ticks, lines)
        if grid.frames is None:
            values = interpolate((ticks - ticks[0]) * float(grid.rate) / TICKS, values)
        else:
            holes = missing_between(grid.frames)
            if holes:
                values = interpolate(grid.frames, values)
    report = LoadReport(
        path=str(path),
        rows=len(table.values),
        fps=float(grid.rate),
        short_rows=len(table.short),
        bridged=sum(end - first for first, end in holes),
        repeated=int((~kept).sum()),
        jitter=grid.frames is None and short_rows != "drop",
        absent=table.absent,
        dialect=DIALECT,
        holes=holes,
        notes=table.notes,
    )
    start = Fraction(int(ticks[0] % day), TICKS)
    metadata = {"timecode_style": DROP} if table.drop else {}
    return FaceMotion(values, grid.rate, LIVELINK, start=start, metadata=metadata), report


def write(motion: FaceMotion, path: Path) -> None:
    """Write the motion as Live Link Face CSV, gzipped when the name ends in .gz; values and rate survive exactly.

    A motion at 29.97 or 59.94 fps whose timecode was read as drop-frame gets drop-frame timecodes again.
    """
    motion = motion.to(LIVELINK)
    times = frame_ticks(len(motion), motion.rate, motion.start or Fraction(0))
    with atomic_path(path) as temporary, open(temporary, "wb") as raw:
        if path.suffix.lower() == ".gz":  # no name and no time inside, so that the same motion gives the same bytes
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                _write_rows(motion, times, packed)
        else:
            _write_rows(motion, times, raw)


def _write_rows(motion: FaceMotion, times: np.ndarray, out: io.IOBase) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")  # type: ignore[type-var]
    text.write(",".join(("Timecode", "BlendShapeCount", *motion.layout.names)) + "\n")
    drop = motion.metadata.get("timecode_style") == DROP and motion.rate in DROP_RATES
    for tick, row in zip(times, motion.values, strict=True):
        text.write(f"{format_timecode(int(tick), drop)},{motion.layout.width},{','.join(map(_decimal, row))}\n")
    text.flush()
    text.detach()


def _decimal(value: np.float32) -> str:
    """Ten decimals as the app writes them, or as many as it takes to give the same float32 back."""
    text = f"{value:.10f}"
    if np.float32(text) == value:
        return text
    return np.format_float_positional(value, unique=True, trim="0")


@dataclass(frozen=True)
class _Table:
    """Full rows: ticks int64 (N,), values float32 (N, 61), lines int64 (N,). short: line numbers of short rows."""

    ticks: np.ndarray
    values: np.ndarray
    lines: np.ndarray
    short: list[int]
    absent: tuple[str, ...]
    drop: bool
    notes: tuple[str, ...]


def _read_table(path: Path) -> _Table:
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
                return _parse(path, csv.reader(text))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FacelmError(f"{path} is a damaged gzip file ({error}); get or export it again") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise FacelmError(f"{path} is no CSV text ({error}); export it from Live Link Face again") from error


def _parse(path: Path, rows: Iterator[list[str]]) -> _Table:
    header = [name.strip() for name in next(rows, [])]
    clock, columns, absent = _columns(path, header)
    seconds, thousandths, values, lines, short = array("q"), array("q"), array("f"), array("q"), []
    drop = None
    for line, row in enumerate(rows, start=2):
        if not any(field.strip() for field in row):
            continue
        if len(row) < len(header) or not any(row[i].strip() for i in columns.values()):
            short.append(line)
            continue
        if any(field.strip() for field in row[len(header) :]):
            raise FacelmError(f"{path} row {line} has {len(row)} fields, but the header has {len(header)}")
        try:
            second, thousandth, dropping = split_timecode(row[clock])
        except ValueError as error:
            raise FacelmError(f"{path} row {line}: {error}") from None
        drop = dropping if drop is None else drop
        if dropping != drop:
            raise FacelmError(
                f"{path} row {line}: timecodes with and without drop-frame (;) in one file; split it there"
            )
        seconds.append(second)
        thousandths.append(thousandth)
        lines.append(line)
        values.extend(_numbers(path, line, row, columns))
    shape = (len(lines), len(columns))
    full = np.zeros((len(lines), LIVELINK.width), dtype=np.float32)
    full[:, LIVELINK.indices(columns)] = np.frombuffer(values, dtype=np.float32).reshape(shape)
    ticks, count = label_ticks(np.array(seconds, dtype=np.int64), np.array(thousandths, dtype=np.int64), bool(drop))
    notes = () if count == 60 else (f"the timecodes number {count} frames a second, not 60 as Live Link Face does.",)
    return _Table(ticks, full, np.array(lines, dtype=np.int64), short, absent, bool(drop), notes)


def _columns(path: Path, header: list[str]) -> tuple[int, dict[str, int], tuple[str, ...]]:
    """The column of the timecode, the column of each channel present, and the channels that are absent."""
    lower = [name.lower() for name in header]
    present = {name: lower.index(name.lower()) for name in LIVELINK.names if name.lower() in lower}
    if not present:
        raise FacelmError(f"{path} has no blendshape columns (EyeBlinkLeft, JawOpen, ...); is it a Live Link Face CSV?")
    absent = tuple(name for name in LIVELINK.names if name not in present)
    needed = [name for name in absent if name.lower() not in _MAY_BE_ABSENT]
    if needed:
        raise FacelmError(f"{path} has no column for {', '.join(needed)}; export it with all blendshapes")
    twice = sorted({name for name in lower if lower.count(name) > 1 and name in LIVELINK})
    if twice:
        raise FacelmError(f"{path} has two columns named {', '.join(twice)}; remove one of them")
    if "timecode" not in lower:
        raise FacelmError(f"{path} has no Timecode column; export it from Live Link Face with its timecodes")
    return lower.index("timecode"), present, absent


def _numbers(path: Path, line: int, row: list[str], columns: dict[str, int]) -> list[float]:
    try:
        numbers = list(map(float, map(row.__getitem__, columns.values())))
    except ValueError:
        name = next(name for name, i in columns.items() if not _is_number(row[i]))
        raise FacelmError(f"{path} row {line}, column {name}: {row[columns[name]]!r} is no number") from None
    if isfinite(sum(numbers)):  # the common case, in a tenth of the time
        return numbers
    for name, number in zip(columns, numbers, strict=True):
        if not isfinite(number):
            raise FacelmError(f"{path} row {line}, column {name} is {number}; mend or remove the row")
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_two_takes(path: Path, kept: np.ndarray, ticks: np.ndarray, lines: np.ndarray) -> None:
    ends = np.flatnonzero(np.diff(np.concatenate([[True], kept, [True]]).astype(np.int8)))
    for first, last in ends.reshape(-1, 2):
        if last - first >= MAX_BACKWARD_ROWS:
            raise FacelmError(
                f"{path}: the timecodes of rows {lines[first]} to {lines[last - 1]} do not go on from those around "
                "them; these are two takes in one file, split it there"
            )


def _refuse_long_gaps(path: Path, ticks: np.ndarray, lines: np.ndarray) -> None:
    gaps = np.diff(ticks) / TICKS
    if len(gaps) and gaps.max() > MAX_GAP_S:
        i = int(gaps.argmax())
        raise FacelmError(
            f"{path}: the timecode jumps by {gaps[i]:.0f} s between rows {lines[i]} and {lines[i + 1]}; "
            "split the file there, or load it with short_rows='drop'"
        )
