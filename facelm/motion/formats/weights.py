"""Tables of blendshape weights with names: CSV of any program (MediaPipe, py-feat, ...), Face Cap recordings, npz.

The header names the blendshapes in any spelling or with the names of a name table. Times come from a column (`time`,
`timestamp`, `approx_time`, ...; seconds, milli- or microseconds), from frame numbers, or from the caller.
"""

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.arrays import npz_names, read_npz
from facelm.motion.formats.pickles import MAX_BYTES
from facelm.motion.formats.rows import RADIANS, NamedRows, as_motion, decode, time_unit
from facelm.motion.names import NameTable, best_table, known_names, load_names
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion
from facelm.motion.timecode import STANDARD, TICKS, exact_rate, parse_timecode

TIMES = {
    *("time", "times", "timestamp", "timestamps", "timecode", "approxtime", "t", "sec", "secs", "seconds", "ms"),
    *("milliseconds", "timesec", "timeseconds", "timems", "timestampms", "timeus", "timestampus", "timestampsec"),
}
FRAMES = {"frame", "frames", "frameid", "frameindex", "frameno", "framenumber"}
PYFEAT = {"facescore", "au01", "au12", "pitch", "roll", "yaw"}
# Radians (cosanlab/py-feat issue 248; older versions: degrees) about the camera's axes: x right, y down, z away.
PYFEAT_ANGLES = {"headPitch": ("pitch", 1.0), "headYaw": ("yaw", -1.0), "headRoll": ("roll", -1.0)}
PYFEAT_NOTE = (
    "the head angles are py-feat's; that its yaw and roll count to the other side is concluded from eyes that turn "
    "against the head, not documented."
)
FACE_CAP_NOTE = (
    "the head angles are Face Cap's x, y, z in degrees, taken as pitch, yaw, roll; their signs are untested."
)
MIN_NAMES = 3  # so many known names make any text file with a header a table of weights

_DEFAULTS = ReadOptions()
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is an npz of weights and names, a Face Cap recording or a text table that may name blendshapes."""
    if head.startswith(b"PK"):
        return {"weights", "names"} <= set(npz_names(path))
    if b"\0" in head or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return False
    if _is_face_cap(head):
        return True
    header = _fields(head.decode("utf-8", "replace").removeprefix("\ufeff").partition("\n")[0])
    if path.name.lower().endswith((".csv", ".csv.gz", ".tsv")):
        return len(header) > 1
    return known_names(header) >= MIN_NAMES


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion of named weights; layout arkit, or livelink where there are eye angles.

    Raises FacelmError naming row and column.
    """
    with open(path, "rb") as file:
        raw = file.read()
    if raw.startswith(b"PK"):
        return as_motion(_npz(path), options)
    if raw.startswith(b"\x1f\x8b"):
        raw = _unpacked(path, raw)
    text = decode(path, raw)
    table = None if options.names is None else load_names(options.names)
    try:
        rows = _face_cap(path, text) if _is_face_cap(raw[:65536]) else _csv(path, text, table, options)
    except csv.Error as error:
        raise FacelmError(f"{path} is no CSV text ({error}); export it again") from None
    return as_motion(rows, options)


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            content = packed.read(MAX_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise FacelmError(f"{path} is a damaged gzip file ({error}); get or export it again") from error
    if len(content) > MAX_BYTES:
        raise FacelmError(f"{path} holds over {MAX_BYTES:,} bytes of text; split it")
    return content


# ---------------------------------------------------------------- CSV


def _fields(header: str) -> list[str]:
    delimiter = _delimiter(header)
    return [name.strip().strip('"') for name in header.rstrip("\r\n").split(delimiter)]


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


@dataclass
class _Columns:
    """Where the parts of a header stand; shapes: name -> column."""

    shapes: dict[str, int] = field(default_factory=dict)
    angles: dict[str, tuple[int, float]] = field(default_factory=dict)
    time: int | None = None
    frame: int | None = None
    unknown: list[str] = field(default_factory=list)
    pyfeat: bool = False
    mediapipe: bool = False


def _columns(path: Path, header: list[str], table: NameTable) -> _Columns:
    lower = [name.lower() for name in header]
    found = _Columns(pyfeat=set(lower) >= PYFEAT, mediapipe="_neutral" in lower)
    for column, name in enumerate(header):
        key = re.sub(r"[^a-z0-9]", "", name.lower())
        if table.find(name) is not None:
            if name in found.shapes:
                raise FacelmError(f"{path} has two columns named {name}; remove one of them")
            found.shapes[name] = column
        elif key in TIMES and found.time is None:
            found.time = column
        elif key in FRAMES and found.frame is None:
            found.frame = column
        elif name and not found.pyfeat:
            found.unknown.append(name)
    if found.pyfeat:
        found.angles = {channel: (lower.index(name), sign) for channel, (name, sign) in PYFEAT_ANGLES.items()}
    return found


def _csv(path: Path, text: str, table: NameTable | None, options: ReadOptions) -> NamedRows:
    delimiter = _delimiter(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    table = table or best_table(header)
    columns = _columns(path, header, table)
    if not any(table.find(name) for name in columns.shapes):
        shown = ", ".join(header[:5]) + (", ..." if len(header) > 5 else "")
        raise FacelmError(
            f"{path} has no blendshape columns that facelm knows (it has {shown}); write a name table (a YAML file of "
            "`channels: {theirName: arkitName}`) and give it with --names"
        )
    names = [*columns.shapes, *columns.angles]
    wanted = [*columns.shapes.values(), *(column for column, _ in columns.angles.values())]
    values, lines, places, times, frames, short = [], [], [], [], [], []
    place = -1
    for row in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in row):
            continue
        place += 1
        cells = [row[i].strip() if i < len(row) else "" for i in wanted]
        if all(cell.lower() in ("", "nan") for cell in cells[: len(columns.shapes)]):
            short.append(line)
            continue
        if len(row) < len(header):
            raise FacelmError(f"{path} row {line} has {len(row)} fields, but the header has {len(header)}")
        values.append([_number(path, line, name, cell, delimiter) for name, cell in zip(names, cells, strict=True)])
        lines.append(line)
        places.append(place)
        if columns.time is not None:
            times.append(_time(path, line, row[columns.time].strip(), delimiter))
        if columns.frame is not None:
            frames.append(_number(path, line, header[columns.frame], row[columns.frame].strip(), delimiter))
    rows = NamedRows(
        path,
        names,
        np.array(values, dtype=np.float64).reshape(len(values), len(names)),
        np.array(lines, dtype=np.int64),
        np.array(places, dtype=np.int64),
        "py-feat CSV" if columns.pyfeat else "MediaPipe CSV" if columns.mediapipe else "CSV of blendshape weights",
        short=short,
    )
    if columns.unknown:
        shown = ", ".join(columns.unknown[:8]) + (", ..." if len(columns.unknown) > 8 else "")
        rows.notes.append(f"{len(columns.unknown)} columns without an ARKit channel were left out: {shown}.")
    if columns.pyfeat and values:
        _turn_head(rows, columns)
    time_name = "" if columns.time is None else header[columns.time]
    _tell_time(rows, times, frames, time_name, options)
    return rows


def _turn_head(rows: NamedRows, columns: _Columns) -> None:
    """py-feat's angles with facelm's signs, in radians."""
    angles = rows.values[:, len(columns.shapes) :]
    angles *= [sign for _, sign in columns.angles.values()]
    rows.notes.append("py-feat's action units, emotions and gaze are not part of the motion.")
    if np.nanmax(np.abs(angles)) > np.pi:
        angles *= RADIANS
        rows.notes.append("the head angles were taken as degrees, because some are over 3.14.")
    rows.notes.append(PYFEAT_NOTE)


def _number(path: Path, line: int, name: str, cell: str, delimiter: str) -> float:
    try:
        return float(cell.replace(",", ".") if delimiter == ";" else cell)
    except ValueError:
        raise FacelmError(f"{path} row {line}, column {name}: {cell!r} is no number") from None


@dataclass(frozen=True)
class _Moment:
    """A time as it stands: value in its own unit; clock: hours, minutes and seconds; whole: without parts of one."""

    value: float
    clock: bool = False
    whole: bool = False


def _time(path: Path, line: int, cell: str, delimiter: str) -> _Moment:
    match = _CLOCK.fullmatch(cell)
    if match:
        hours, minutes, seconds = match.groups()
        return _Moment((int(hours or 0) * 60 + int(minutes)) * 60 + float(seconds), True, "." not in seconds)
    try:
        return _Moment(parse_timecode(cell) / TICKS, True)
    except ValueError:
        pass
    try:
        return _Moment(float(cell.replace(",", ".") if delimiter == ";" else cell))
    except ValueError:
        raise FacelmError(f"{path} row {line}: {cell!r} is no time (a number, MM:SS or HH:MM:SS:FF)") from None


def _tell_time(rows: NamedRows, times: list[_Moment], frames: list[float], name: str, options: ReadOptions) -> None:
    """Set the seconds of the rows from their times or frame numbers; without either the caller has to tell the rate."""
    if not rows.values.size:
        return
    coarse = len(times) > 1 and all(time.whole for time in times)
    if times and not coarse:
        stamps = np.array([time.value for time in times])
        unit, word = (1.0, "seconds") if times[0].clock else time_unit(rows.path, stamps, name)
        rows.seconds = stamps / unit
        if unit != 1:
            rows.notes.append(f"the times of the column {name} were taken as {word}.")
        return
    if frames:
        numbers = np.array(frames)
        if not np.isfinite(numbers).all() or (np.abs(numbers) > 1e9).any() or (numbers != np.rint(numbers)).any():
            bad = int((~np.isfinite(numbers) | (np.abs(numbers) > 1e9) | (numbers != np.rint(numbers))).argmax())
            raise FacelmError(f"{rows.path} row {rows.lines[bad]}: {frames[bad]:g} is no frame number")
        step = int(np.gcd.reduce(np.diff(np.unique(numbers)).astype(np.int64))) or 1
        if options.fps is not None:
            rows.rate = exact_rate(options.fps)
        elif coarse:
            video = _video_rate(numbers, np.array([time.value for time in times]))
            if video is not None:
                rows.rate = video / step
                every = f", and its rows are every {step} frames" if step > 1 else ""
                told = f"{float(video):.6g} fps, the one standard rate that fits {name}"
                rows.notes.append(f"the video's rate was taken as {told}{every}.")
        if rows.rate is not None:
            rows.seconds = numbers / (step * float(rows.rate))


def _video_rate(frames: np.ndarray, seconds: np.ndarray) -> Fraction | None:
    """The one standard rate at which each frame falls into its whole second, or None."""
    frames, seconds = frames - frames.min(), seconds - seconds[frames.argmin()]
    fitting = [rate for rate in STANDARD if np.array_equal(np.floor(frames / float(rate)), seconds)]
    return fitting[0] if len(fitting) == 1 else None


# ---------------------------------------------------------------- Face Cap


def _is_face_cap(head: bytes) -> bool:
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()[:20]
    return any(line.startswith((b"bs,", b"k,")) for line in lines)


def _face_cap(path: Path, text: str) -> NamedRows:
    """Lines `bs,NAME,...` and `k,MILLISECONDS,position x y z,rotation x y z (degrees),eyes (4),WEIGHT,...`."""
    names: list[str] = []
    values, lines, times = [], [], []
    for line, row in enumerate(csv.reader(io.StringIO(text, newline="")), start=1):
        if row and row[0] == "bs":
            names = [name.strip() for name in row[1:] if name.strip()]
        elif row and row[0] == "k":
            if not names:
                raise FacelmError(f"{path} row {line} comes before a line `bs,` with the names of the blendshapes")
            if len(row) < 12 + len(names):
                raise FacelmError(f"{path} row {line} has {len(row)} fields; {12 + len(names)} belong to its names")
            numbers = [_number(path, line, "number", cell.strip(), ",") for cell in row[1 : 12 + len(names)]]
            times.append(numbers[0] / 1000)
            values.append([*numbers[11:], *(RADIANS * angle for angle in numbers[4:7])])
            lines.append(line)
    return NamedRows(
        path,
        [*names, "headPitch", "headYaw", "headRoll"],
        np.array(values, dtype=np.float64).reshape(len(values), len(names) + 3),
        np.array(lines, dtype=np.int64),
        np.arange(len(lines)),
        "Face Cap recording",
        seconds=np.array(times),
        notes=[FACE_CAP_NOTE],
    )


# ---------------------------------------------------------------- npz


def _npz(path: Path) -> NamedRows:
    arrays = read_npz(path, ("weights", "names", "fps"))
    weights, names = arrays["weights"], arrays["names"]
    if names.ndim != 1 or weights.ndim != 2 or weights.shape[1] != len(names) or weights.dtype.kind not in "fiu":
        raise FacelmError(
            f"{path}: weights have the shape {weights.shape} and names {names.shape}; they must be (T, N) and (N,)"
        )
    rate = None
    if "fps" in arrays:
        try:
            rate = exact_rate(float(arrays["fps"]))
        except (TypeError, ValueError) as error:
            raise FacelmError(f"{path}: fps is no positive number ({error})") from None
    count = np.arange(len(weights))
    words = [str(name) for name in names]
    dialect = "FACEGOOD npz" if best_table(words).name == "FACEGOOD" else "npz of named weights"
    return NamedRows(path, words, weights.astype(np.float64), count, count, dialect, rate=rate, unit="frame")
