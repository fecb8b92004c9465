"""Animated glTF 2.0: GLB and .gltf, with morph weights named after ARKit's shapes and the turns of a head node.

The inverse of `facelm.rig.gltf.write_glb`; other programs' files are read by the same rules. The container and the
accessors are decoded here, because libraries that map the JSON to classes neither decode sparse accessors nor refuse
what lies outside the file.
"""

import base64
import binascii
import json
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from facelm.errors import FacelmError

DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
SCALES = {5120: 127.0, 5121: 255.0, 5122: 32767.0, 5123: 65535.0}  # of normalized integers
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MAX_VALUES = 8_000_000  # of an accessor that the file does not have to hold itself
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942


class Document:
    """The JSON of a glTF file and its buffers.

    Every lookup raises FacelmError naming the file and what is wrong instead of a KeyError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            raw = file.read()
        text, self._binary = _chunks(path, raw) if raw.startswith(b"glTF") else (raw, None)
        try:
            self.json: Any = json.loads(text.decode("utf-8-sig"))
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise FacelmError(f"{path} has damaged JSON ({error}); export it again") from None
        if not isinstance(self.json, dict):
            raise FacelmError(f"{path} is no glTF file; its JSON is no object")
        self._buffers: dict[int, bytes] = {}

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """Entry `index` of a list such as "nodes"."""
        entries = self.json.get(kind, [])
        valid = isinstance(index, int) and not isinstance(index, bool) and isinstance(entries, list)
        if not valid or not 0 <= index < len(entries) or not isinstance(entries[index], dict):
            raise FacelmError(f"{self.path} refers to {kind} {index!r}, which does not exist; export it again")
        return entries[index]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """All entries of a list, empty where there is none."""
        entries = self.json.get(kind, [])
        return [self.item(kind, i) for i in range(len(entries))] if isinstance(entries, list) else []

    def accessor(self, index: Any) -> np.ndarray:
        """The values of an accessor, float64 (count, width); normalized integers are scaled, sparse ones laid over."""
        accessor = self.item("accessors", index)
        where = f"accessor {index}"
        count, width = self._size(accessor, "count", where), WIDTHS.get(str(accessor.get("type")), 0)
        kind = accessor.get("componentType")
        if kind not in DTYPES or not width:
            raise FacelmError(f"{self.path} {where} has no known type; export it again")
        if "bufferView" in accessor:
            offset = self._size(accessor, "byteOffset", where, 0)
            values = self._array(accessor["bufferView"], offset, count, width, DTYPES[kind], where)
        elif count * width > MAX_VALUES:
            raise FacelmError(f"{self.path} {where} has {count} entries; that is too many")
        else:
            values = np.zeros((count, width))
        if accessor.get("normalized") is True and kind in SCALES:
            values = np.maximum(values / SCALES[kind], -1.0)
        if isinstance(sparse := accessor.get("sparse"), dict):
            values = self._sparse(sparse, values.copy(), DTYPES[kind], where)
        return values

    def _sparse(self, sparse: dict[str, Any], values: np.ndarray, dtype: str, where: str) -> np.ndarray:
        where = f"{where} (sparse)"
        places, changed = sparse.get("indices"), sparse.get("values")
        if not isinstance(places, dict) or not isinstance(changed, dict) or places.get("componentType") not in DTYPES:
            raise FacelmError(f"{self.path} {where} has no indices and values; export it again")
        count, kind = self._size(sparse, "count", where), DTYPES[places["componentType"]]
        at = self._array(
            places.get("bufferView"), self._size(places, "byteOffset", where, 0), count, 1, kind, where
        ).astype(np.int64)[:, 0]
        if len(at) and (at.min() < 0 or at.max() >= len(values)):
            raise FacelmError(f"{self.path} {where} points outside its {len(values)} entries; export it again")
        offset = self._size(changed, "byteOffset", where, 0)
        values[at] = self._array(changed.get("bufferView"), offset, count, values.shape[1], dtype, where)
        return values

    def _array(self, view: Any, offset: int, count: int, width: int, dtype: str, where: str) -> np.ndarray:
        """`count` rows of `width` numbers from a bufferView, as float64."""
        entry = self.item("bufferViews", view)
        for name in entry.get("extensions") or ():
            if "compression" in str(name):
                raise FacelmError(f"{self.path} is compressed with {name}; export it without compression")
        buffer = self._buffer(entry.get("buffer"))
        start = self._size(entry, "byteOffset", where, 0)
        end = start + self._size(entry, "byteLength", where)
        size = np.dtype(dtype).itemsize * width
        stride = self._size(entry, "byteStride", where, size) or size
        last = start + offset + max(0, count - 1) * stride + (size if count else 0)
        if end > len(buffer) or last > end or stride < size:
            raise FacelmError(f"{self.path} {where} reaches beyond its buffer; the file is cut off or damaged")
        rows = np.ndarray((count, width), dtype, buffer, start + offset, (stride, np.dtype(dtype).itemsize))
        with np.errstate(invalid="ignore"):  # odd NaNs; what may not be one is checked where it is used
            return rows.astype(np.float64)

    def _size(self, entry: dict[str, Any], key: str, where: str, default: int | None = None) -> int:
        value = entry.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
            raise FacelmError(f"{self.path} {where}: {key} is {value!r}; export the file again")
        return value

    def _buffer(self, index: Any) -> bytes:
        if index not in self._buffers if isinstance(index, int) else True:
            entry = self.item("buffers", index)
            uri = entry.get("uri")
            if uri is None:
                if self._binary is None or index != 0:
                    raise FacelmError(f"{self.path} has no data for buffer {index}; the file is cut off")
                self._buffers[index] = self._binary
            else:
                self._buffers[index] = self._fetch(str(uri))
        return self._buffers[index]

    def _fetch(self, uri: str) -> bytes:
        """The bytes of a data URI or of a file beside the document; nothing else is ever opened."""
        if uri.startswith("data:"):
            head, comma, data = uri.partition(",")
            try:
                return base64.b64decode(data, validate=True) if head.endswith(";base64") and comma else b""
            except (binascii.Error, ValueError) as error:
                raise FacelmError(f"{self.path} has a damaged data URI ({error}); export it again") from None
        name = unquote(uri)
        folder = self.path.resolve().parent
        refused = FacelmError(f"{self.path} refers to {uri[:80]}; only files beside it, in its own folder, are opened")
        if ":" in name or "\\" in name or "\0" in name or name.startswith("/"):
            raise refused
        try:
            place = (folder / name).resolve()
            if not place.is_relative_to(folder):
                raise refused
            if place.exists() and not place.is_file():
                raise refused
            return place.read_bytes()
        except OSError as error:
            raise FacelmError(f"{self.path} needs {name} beside it ({error.strerror}); copy both together") from None


def _chunks(path: Path, raw: bytes) -> tuple[bytes, bytes | None]:
    """The JSON and the binary chunk of a GLB."""
    if len(raw) < 20:
        raise FacelmError(f"{path} is cut off; export it again")
    version, length = struct.unpack_from("<II", raw, 4)
    if version != 2:
        raise FacelmError(f"{path} is glTF version {version}; export it as glTF 2.0")
    if length > len(raw):
        raise FacelmError(f"{path} is cut off: {len(raw)} of {length} bytes; get or export it again")
    found: dict[int, bytes] = {}
    place = 12
    while place + 8 <= length:
        size, kind = struct.unpack_from("<II", raw, place)
        found.setdefault(kind, raw[place + 8 : place + 8 + size])
        place += 8 + size + -size % 4
    if JSON_CHUNK not in found:
        raise FacelmError(f"{path} has no JSON chunk; export it again")
    return found[JSON_CHUNK], found.get(BINARY_CHUNK)


# ---------------------------------------------------------------- animation


@dataclass(frozen=True)
class Track:
    """One animated property: keys at `times` float64 (K,), seconds; values float64 (K, D), for CUBICSPLINE (K, 3, D)
    of in-tangent, value, out-tangent. turns: the values are quaternions, which LINEAR turns along the shorter arc.
    """

    times: np.ndarray
    values: np.ndarray
    interpolation: str
    turns: bool = False

    def at(self, positions: np.ndarray, rate: Fraction, start: float) -> np.ndarray:
        """Values (T, D) at frames `positions` (T,) from `start` seconds.

        Keys within a hundredth of a frame count as on it, so that float32 times do not blur what was written.
        """
        keys = (self.times - start) * float(rate)
        tolerance = max(0.01, 2 * float(np.spacing(np.float32(self.times[-1]))) * float(rate))
        whole = np.rint(keys)
        keys = np.where(np.abs(keys - whole) < tolerance, whole, keys)
        index = np.clip(np.searchsorted(keys, positions, side="right") - 1, 0, len(keys) - 1)
        after = np.minimum(index + 1, len(keys) - 1)
        span = np.where(after > index, keys[after] - keys[index], 1.0)
        t = np.clip((positions - keys[index]) / np.where(span > 0, span, 1.0), 0, 1)[:, None]
        if self.interpolation == "CUBICSPLINE":
            seconds = (span / float(rate))[:, None]
            _, value, leave = self.values[index].swapaxes(0, 1)
            arrive, following, _ = self.values[after].swapaxes(0, 1)
            t2, t3 = t * t, t * t * t
            curve = (2 * t3 - 3 * t2 + 1) * value + (3 * t2 - 2 * t3) * following
            return curve + seconds * ((t3 - 2 * t2 + t) * leave + (t3 - t2) * arrive)
        if self.interpolation == "STEP":
            return self.values[index]
        first, last = self.values[index], self.values[after]
        if self.turns:
            return _slerp(first, last, t)
        return first + t * (last - first)


def _slerp(first: np.ndarray, last: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Quaternions (T, 4) between two rows of them at t (T, 1), along the shorter arc."""
    cosine = (first * last).sum(axis=1, keepdims=True)
    last = np.where(cosine < 0, -last, last)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    near = angle < 1e-3
    sine = np.where(near, 1.0, np.sin(angle))
    one = np.where(near, 1 - t, np.sin((1 - t) * angle) / sine)
    other = np.where(near, t, np.sin(t * angle) / sine)
    return one * first + other * last


def read_track(
    document: Document, animation: dict[str, Any], sampler: Any, width: int, what: str, turns: bool = False
) -> Track:
    """A sampler's keys for a property of `width` numbers. Raises FacelmError when times and values do not fit."""
    samplers = animation.get("samplers")
    if not isinstance(samplers, list) or not isinstance(sampler, int) or not 0 <= sampler < len(samplers):
        raise FacelmError(f"{document.path} has an animation without its sampler; export it again")
    entry = samplers[sampler] if isinstance(samplers[sampler], dict) else {}
    times = document.accessor(entry.get("input"))[:, 0]
    flat = document.accessor(entry.get("output")).ravel()
    interpolation = entry.get("interpolation", "LINEAR")
    if interpolation not in ("LINEAR", "STEP", "CUBICSPLINE"):
        raise FacelmError(f"{document.path}: {what} is interpolated by {interpolation!r}, which glTF does not know")
    parts = 3 if interpolation == "CUBICSPLINE" else 1
    if not len(times) or len(flat) != len(times) * width * parts:
        raise FacelmError(
            f"{document.path}: {what} has {len(flat)} values for {len(times)} times; "
            f"it needs {width * parts} at each time"
        )
    bad = ~np.isfinite(times) | (times < 0) | (np.diff(times, prepend=-1.0) <= 0)
    if bad.any():
        key = int(bad.argmax())
        raise FacelmError(f"{document.path}: {what}: time {key} ({times[key]:g} s) is negative or does not increase")
    if not np.isfinite(flat).all():
        key = int((~np.isfinite(flat)).argmax()) // (width * parts)
        raise FacelmError(f"{document.path}: {what}: the values at time {key} ({times[key]:g} s) are not finite")
    shape = (len(times), 3, width) if parts == 3 else (len(times), width)
    return Track(times, flat.reshape(shape), interpolation, turns)
