"""facelm's own npz: values, rate, layout, timecode, identity and metadata; and reading any npy and npz safely.

Any npz with `values` (T, D), `fps` and `layout` is read as facelm's own.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Collection
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.pickles import MAX_BYTES, unpickle
from facelm.motion.layout import layout
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion

DIALECT = "facelm npz"
BROKEN_ZIP = (ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
FIELDS = ("values", "fps", "layout", "channels", "metadata", "start", "identity")
_DEFAULTS = ReadOptions()


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is a zip file with the arrays values, fps and layout."""
    return head.startswith(b"PK") and {"values", "layout"} <= set(npz_names(path))


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion of an npz; `options` say nothing about it. Raises FacelmError naming what is wrong."""
    arrays = read_npz(path, FIELDS)
    missing = [name for name in ("values", "fps", "layout") if name not in arrays]
    if missing:
        held = ", ".join(" ".join(name.split()) for name in npz_names(path)) or "nothing"
        raise FacelmError(
            f"{path} has no array {', '.join(missing)} but {held}; facelm's own npz has values (T, D), fps and layout, "
            "and what it knows of other programs is listed in its documentation"
        )
    try:
        named = layout(str(arrays["layout"]))
        values = arrays["values"]
        channels = [str(name) for name in np.atleast_1d(arrays.get("channels", named.names))]
        if channels != list(named.names):  # saved by a version with another order
            values = values[:, [channels.index(name) for name in named.names]]
        start = arrays.get("start")
        metadata = json.loads(str(arrays.get("metadata", "{}")))
        motion = FaceMotion(
            values,
            float(arrays["fps"]),
            named,
            arrays.get("identity"),
            None if start is None else Fraction(int(start[0]), int(start[1])),
            metadata,
        )
    except FacelmError as error:
        raise FacelmError(f"{path}: {error}") from error
    except (TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise FacelmError(f"{path} holds no motion as facelm saves it ({error})") from error
    return motion, LoadReport(path=str(path), rows=len(motion), fps=motion.fps, dialect=DIALECT)


def write(motion: FaceMotion, path: Path) -> None:
    """Write everything the motion holds; the same motion gives the same bytes."""
    arrays: dict[str, Any] = {
        "values": motion.values,
        "fps": np.float64(motion.fps),  # exact_rate gives the same fraction again
        "layout": motion.layout.name,
        "channels": np.array(motion.layout.names),
        "metadata": json.dumps(motion.metadata, sort_keys=True),
    }
    if motion.start is not None:
        arrays["start"] = np.array([motion.start.numerator, motion.start.denominator], dtype=np.int64)
    if motion.identity is not None:
        arrays["identity"] = motion.identity
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def npz_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays in an npz file; none when it is no zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
    except BROKEN_ZIP:
        return ()


def npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each array in an npz file, from its first bytes. Raises FacelmError when it is damaged."""
    shapes = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        shapes[name[:-4]] = _header(member, f"{path}, array {name[:-4]},")[0]
    except FacelmError:
        raise
    except BROKEN_ZIP as error:
        said = " ".join(str(error).split())[:200]
        raise FacelmError(f"{path} is no npz file of plain arrays ({said}); save it from numpy again") from error
    return shapes


def read_npz(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an npz file by name, or those of `names` that it has; arrays of objects as `load_pickle` does.

    Raises FacelmError when it is damaged, too large, or its pickles are more than arrays and plain containers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy") and (names is None or info.filename[:-4] in names)
            }
            if any(info.compress_size > path.stat().st_size for info in members.values()):
                raise FacelmError(f"{path} is damaged: its arrays reach beyond its end; get or save it again")
            if (size := sum(info.file_size for info in members.values())) > MAX_BYTES:
                raise FacelmError(f"{path} holds arrays of {size:,} bytes; facelm reads at most {MAX_BYTES:,}")
            return {name: parse_npy(archive.read(info), path, name) for name, info in members.items()}
    except FacelmError:
        raise
    except BROKEN_ZIP as error:
        said = " ".join(str(error).split())[:200]
        raise FacelmError(f"{path} is no npz file of plain arrays ({said}); save it from numpy again") from error


def parse_npy(data: bytes, path: Path, name: str = "") -> np.ndarray:
    """The array that the bytes of an npy file hold; one of objects is unpickled as `load_pickle` does.

    path, name: the file, and the array's name in it, for the errors. Raises FacelmError when it is damaged.
    """
    where = f"{path}, array {name}," if name else f"{path}"
    stream = io.BytesIO(data)
    shape, fortran, dtype = _header(stream, where)
    rest = data[stream.tell() :]
    if dtype.hasobject and dtype.kind == "O":
        held = unpickle(rest, path)
        if not isinstance(held, np.ndarray):
            raise FacelmError(f"{where} holds something else than an array; save it again")
        return held
    if dtype.kind not in "biufcSU":
        raise FacelmError(f"{where} holds records rather than numbers; save its fields as arrays of their own")
    if len(rest) != prod(shape) * dtype.itemsize:
        raise FacelmError(
            f"{where} is damaged: {len(rest):,} bytes for the shape {shape} of {dtype}; get or save it again"
        )
    flat = np.frombuffer(rest, dtype=dtype) if dtype.itemsize else np.zeros(prod(shape), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an npy file, whose content comes next."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version < (2, 0) else np.lib.format.read_array_header_2_0
        return read_header(stream)
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        said = " ".join(str(error).split())[:200]
        raise FacelmError(f"{where} is no array of numpy ({said}); save it again") from error
