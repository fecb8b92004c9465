"""facelm's own npz: values, rate, layout, timecode, identity and metadata, without pickles.

Any npz with `values` (T, D), `fps` and `layout` is read the same way.
"""

import json
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion.formats import ReadOptions
from facelm.motion.layout import layout
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion

DIALECT = "facelm npz"
_DEFAULTS = ReadOptions()


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is a zip file with the arrays values, fps and layout."""
    if not head.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {"values.npy", "layout.npy"} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion of an npz; `options` say nothing about it. Raises FacelmError naming what is wrong."""
    arrays = read_npz(path)
    missing = [name for name in ("values", "fps", "layout") if name not in arrays]
    if missing:
        raise FacelmError(f"{path} has no array {', '.join(missing)}; it needs values (T, D), fps and layout")
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


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file by name. Raises FacelmError when it is damaged or holds pickled objects."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FacelmError(f"{path} is a single array; facelm needs an npz file with values, fps and layout")
            return {name: archive[name] for name in archive.files}
    except FacelmError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FacelmError(f"{path} is no npz file of plain arrays ({error}); save it from numpy again") from error
