"""From rows of named values, with or without times, to a motion at a constant rate.

Shared by the readers of tables, JSON and Face Cap recordings: streamed captures repeat, swap and drop frames, and some
files say nothing of their rate.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.gaps import interpolate, missing_between
from facelm.motion.names import load_names, match
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion
from facelm.motion.timecode import TICKS, exact_rate, find_grid

SHORT_ROWS = ("bridge", "drop", "refuse")
MAX_GAP_S = 60.0  # a longer hole is two takes in one file rather than a loss of tracking
MAX_BACKWARDS_S = 1.0  # swapped frames are put in order; a clock that starts again is another take
MAX_FPS = 1000.0
MAX_FRAMES = 100_000  # or twenty a row: damaged times shall not fill the memory
RADIANS = np.pi / 180
UNITS = (("s", 1.0, "seconds"), ("ms", 1e3, "milliseconds"), ("us", 1e6, "microseconds"), ("ns", 1e9, "nanoseconds"))


@dataclass
class NamedRows:
    """What a reader found.

    names: N names. values: float64 (R, N). lines: where each row stands in the file, as in messages (`unit` is the
    word for it). places: int64 (R,), the number of each row among all rows, those without a face included.
    seconds: float64 (R,) or None where the file has no times. rate: frames/s the file states, or None.
    short: lines without a face.
    """

    path: Path
    names: Sequence[str]
    values: np.ndarray
    lines: np.ndarray
    places: np.ndarray
    dialect: str
    seconds: np.ndarray | None = None
    rate: Fraction | None = None
    short: Sequence[int] = ()
    unit: str = "row"
    notes: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def as_motion(rows: NamedRows, options: ReadOptions) -> tuple[FaceMotion, LoadReport]:
    """The motion (arkit, or livelink where there are eye angles) and report of rows.

    Raises FacelmError naming file and row: values that are not finite, negative times, clocks that start again, holes
    of more than a minute, no rate.
    """
    path = rows.path
    if options.short_rows not in SHORT_ROWS:
        raise FacelmError(f"short_rows is {options.short_rows!r}; choose one of {', '.join(SHORT_ROWS)}")
    if options.short_rows == "refuse" and rows.short:
        raise FacelmError(
            f"{path} has {len(rows.short)} rows where no face was seen (the first is {rows.unit} {rows.short[0]}); "
            "load it with short_rows='bridge' or 'drop'"
        )
    if not len(rows.values):
        raise FacelmError(f"{path} has no {rows.unit} with values; nothing was tracked in it")
    _refuse_wrong_values(rows)
    table = None if options.names is None else load_names(options.names)
    try:
        matched = match(rows.values, rows.names, table)
    except FacelmError as error:
        raise FacelmError(f"{path}: {error}") from None

    fps = options.fps or rows.rate or matched.table.fps
    values, lines, repeated = matched.values, rows.lines, 0
    if rows.seconds is None:
        if fps is None:
            raise FacelmError(f"{path} says nothing of its rate (times or fps); give it as fps (--input-fps)")
        rate, positions, on_grid = exact_rate(fps), rows.places.astype(np.float64), True
    else:
        order, seconds = _in_order(rows)
        repeated = len(rows.values) - len(order)
        values, lines = values[order], lines[order]
        _refuse_long_gaps(rows, seconds, lines)
        rate, positions, on_grid = _grid(rows, seconds)

    holes: tuple[tuple[int, int], ...] = ()
    if options.short_rows != "drop":
        if positions[-1] - positions[0] > max(MAX_FRAMES, 20 * len(values)):
            raise FacelmError(f"{path} would have {positions[-1]:.0f} frames for {len(values)} rows; check its times")
        positions = positions - positions[0]
        if on_grid:
            holes = missing_between(positions.astype(np.int64))
        if holes or not on_grid:
            values = interpolate(positions, values)
    report = LoadReport(
        path=str(path),
        rows=len(rows.values),
        fps=float(rate),
        short_rows=len(rows.short),
        bridged=sum(end - first for first, end in holes),
        repeated=repeated,
        jitter=not on_grid and options.short_rows != "drop",
        absent=matched.absent,
        dialect=rows.dialect,
        holes=holes,
        notes=(*matched.notes(), *rows.notes),
    )
    return FaceMotion(values, rate, matched.layout, metadata=rows.metadata), report


def decode(path: Path, raw: bytes) -> str:
    """UTF-8 text (with or without its mark). Raises FacelmError naming the row where it is none."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise FacelmError(f"{path} row {row} is not UTF-8 text ({error.reason}); save the file as UTF-8") from None


def time_unit(path: Path, stamps: np.ndarray, name: str = "") -> tuple[float, str]:
    """What divides times (R,) into seconds, and its word: from the column's name, else what makes 4 to 1000 fps.

    Raises FacelmError when no unit does.
    """
    key = re.sub(r"[^a-z]", "", name.lower())
    for ending, unit, word in UNITS[1:]:
        if key.endswith((ending, word)):
            return unit, word
    steps = np.diff(np.unique(stamps[np.isfinite(stamps)]))
    typical = float(np.percentile(steps, 50, method="lower")) if len(steps) else 0.0
    if key.endswith("sec") or "second" in key or not typical:
        return 1.0, "seconds"
    for _, unit, word in UNITS:
        if 4 <= unit / typical <= MAX_FPS:
            return unit, word
    raise FacelmError(f"{path}: its times step by {typical:g}, which is no frame rate in s, ms, us or ns")


def _refuse_wrong_values(rows: NamedRows) -> None:
    wrong = ~np.isfinite(rows.values) | (np.abs(rows.values) > np.finfo(np.float32).max)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise FacelmError(
            f"{rows.path} {rows.unit} {rows.lines[row]}, {rows.names[column]} is {rows.values[row, column]}; "
            "mend or remove it"
        )
    if rows.seconds is None:
        return
    for bad, what in ((~np.isfinite(rows.seconds), "is no number"), (rows.seconds < 0, "is negative")):
        if bad.any():
            row = int(bad.argmax())
            raise FacelmError(
                f"{rows.path} {rows.unit} {rows.lines[row]}: its time ({rows.seconds[row]:g} s) {what}; correct it"
            )


def _in_order(rows: NamedRows) -> tuple[np.ndarray, np.ndarray]:
    """The rows to keep, in the order of their times, and their times from 0: swapped rows sorted, repeats left out."""
    assert rows.seconds is not None
    seconds = rows.seconds - rows.seconds.min()
    back = np.maximum.accumulate(seconds) - seconds
    if back.max() > MAX_BACKWARDS_S:
        row = int(back.argmax())
        raise FacelmError(
            f"{rows.path} {rows.unit} {rows.lines[row]}: time goes back by {back[row]:.1f} s; "
            "split the file where another take begins"
        )
    order = np.argsort(seconds, kind="stable")
    ordered = seconds[order]
    new = np.diff(np.floor(ordered * TICKS + 0.5), prepend=-1) > 0  # ticks are what the grid is found on
    return order[new], ordered[new]


def _refuse_long_gaps(rows: NamedRows, seconds: np.ndarray, lines: np.ndarray) -> None:
    gaps = np.diff(seconds)
    if len(gaps) and gaps.max() > MAX_GAP_S:
        i = int(gaps.argmax())
        raise FacelmError(
            f"{rows.path}: time jumps by {gaps[i]:.0f} s between {rows.unit}s {lines[i]} and {lines[i + 1]}; "
            "split the file there, or check the unit of its times"
        )


def _grid(rows: NamedRows, seconds: np.ndarray) -> tuple[Fraction, np.ndarray, bool]:
    """The rate, the position of each row in frames, and whether these are whole."""
    if len(seconds) == 1:
        return rows.rate or Fraction(60), np.zeros(1), True
    if rows.rate is not None:
        positions = np.rint(seconds * float(rows.rate))
        if np.abs(seconds * float(rows.rate) - positions).max() < 0.35 and (np.diff(positions) > 0).all():
            return rows.rate, positions, True
    grid = find_grid(np.rint(seconds * TICKS).astype(np.int64))
    if not 0 < grid.rate <= MAX_FPS:
        raise FacelmError(f"{rows.path}: its times make {float(grid.rate):g} frames a second; check their unit")
    if grid.frames is not None:
        return grid.rate, grid.frames.astype(np.float64), True
    return grid.rate, seconds * float(grid.rate), False
