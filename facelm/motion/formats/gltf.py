"""Animated GLB and .gltf: morph weights with ARKit's names (in any spelling, or by a name table) and a head's turns.

The inverse of `facelm.rig.gltf.write_glb`: what it wrote comes back with the same values and rate.
"""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from facelm.errors import FacelmError
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.gltf_document import Document, Track, read_track
from facelm.motion.layout import HEAD
from facelm.motion.names import load_names, match
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion
from facelm.motion.timecode import TICKS, exact_rate, find_grid

DIALECT = "animated glTF"
MAX_FRAMES = 100_000  # or four a key: a damaged time shall not fill the memory
MAX_SECONDS = 24 * 3600.0
SPARSE_KEYS_FPS = 15.0  # fewer keys a second than this are an animator's, not a recording's
SAMPLED_FPS = (24, 25, 30, 60)

_DEFAULTS = ReadOptions()
_RATE = re.compile(r"[1-9]\d{0,8}(/[1-9]\d{0,8}|\.\d{1,20})?")


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is a GLB, or JSON with the asset field of glTF."""
    if head.startswith(b"glTF"):
        return True
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"{") and (b'"asset"' in head or path.suffix.lower() == ".gltf")


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion, layout arkit: every frame of the first animation that moves morph weights.

    The head angles are the turn of the node called head (without regard to capitals, away from its rest, about the
    file's axes). The rate is that which facelm wrote, or that of the keys; keys an animator set are sampled.
    Raises FacelmError: no animation, morph targets without names or with names nobody knows, damaged or compressed
    data, buffers outside the file's folder.
    """
    document = Document(path)
    animation, others = _animation(document)
    named, notes = _named_tracks(document, animation)
    head = _head_track(document, animation)
    tracks = [track for _, track in named] + ([head[1]] if head else [])
    start = min(float(track.times[0]) for track in tracks)
    seconds = max(float(track.times[-1]) for track in tracks) - start
    if seconds > MAX_SECONDS:
        raise FacelmError(f"{path} would be {seconds:.0f} s long; check its times")
    rate, sampled = _rate(document, animation, tracks, options)
    length = seconds * float(rate)
    if length > max(MAX_FRAMES, 4 * max(len(track.times) for track in tracks)):
        raise FacelmError(f"{path} would have {length:.0f} frames for few keys; check its times")
    positions = np.arange(int(np.floor(length + 0.01)) + 1, dtype=np.float64)

    names: list[str] = []
    columns: list[np.ndarray] = []
    for targets, track in named:
        values = track.at(positions, rate, start)
        for name, column in zip(targets, values.T, strict=True):
            if name not in names:
                names.append(name)
                columns.append(column)
    try:
        matched = match(np.stack(columns, axis=1), names, None if options.names is None else load_names(options.names))
    except FacelmError as error:
        raise FacelmError(f"{path}: {error}") from None
    full = matched.values.copy()
    if head:
        full[:, matched.layout.indices(HEAD)] = _angles(document, *head, positions, rate, start)
    if others:
        notes.append(f"the file has {others} further animations; the first that moves the face was read.")
    if sampled:
        keys = len(np.unique(np.concatenate([track.times for track in tracks])))
        notes.append(f"{keys} keys were sampled at {float(rate):g} fps.")
    extras = _extras(document.json.get("asset"))
    words = {key: value for key, value in extras.items() if key not in ("fps", "layout") and isinstance(value, str)}
    report = LoadReport(
        path=str(path),
        rows=len(full),
        fps=float(rate),
        absent=matched.absent,
        dialect=DIALECT,
        notes=(*matched.notes(), *notes),
    )
    return FaceMotion(full, rate, matched.layout, metadata=words), report


def _animation(document: Document) -> tuple[dict[str, Any], int]:
    """The first animation with morph weights, and how many more there are."""
    animations = document.items("animations")
    moving = [animation for animation in animations if any(True for _ in _channels(animation, "weights"))]
    if not moving:
        raise FacelmError(
            f"{document.path} has no animation of morph weights; export it with the animation of its shape keys"
        )
    return moving[0], len(moving) - 1


def _channels(animation: dict[str, Any], path: str) -> list[tuple[Any, Any]]:
    """(node, sampler) of the channels of an animation that move weights, or rotation."""
    channels = animation.get("channels")
    found = []
    for channel in channels if isinstance(channels, list) else []:
        target = channel.get("target") if isinstance(channel, dict) else None
        if isinstance(target, dict) and target.get("path") == path and "node" in target:
            found.append((target["node"], channel.get("sampler")))
    return found


def _named_tracks(document: Document, animation: dict[str, Any]) -> tuple[list[tuple[list[str], Track]], list[str]]:
    """(target names, track) of each animated mesh, the one with the most names first, and notes."""
    found: list[tuple[list[str], Track]] = []
    notes: list[str] = []
    bare = 0
    for node, sampler in _channels(animation, "weights"):
        mesh = document.item("meshes", document.item("nodes", node).get("mesh"))
        count = _target_count(mesh)
        names = _target_names(document, mesh)
        if names is None or len(names) != count:
            bare = max(bare, count)
            continue
        found.append((names, read_track(document, animation, sampler, count, f"the weights of node {node}")))
    if not found:
        raise FacelmError(
            f"{document.path} has {bare} animated morph targets without names; export it with mesh.extras.targetNames "
            "(Blender does so for its shape keys)"
        )
    found.sort(key=lambda pair: -len(pair[0]))
    if len(found) > 1 and set.intersection(*(set(names) for names, _ in found)):
        notes.append(f"{len(found)} meshes share names; each shape was read from the mesh with the most shapes.")
    return found, notes


def _target_count(mesh: dict[str, Any]) -> int:
    primitives = mesh.get("primitives")
    first = primitives[0] if isinstance(primitives, list) and primitives else {}
    targets = first.get("targets") if isinstance(first, dict) else None
    return len(targets) if isinstance(targets, list) else 0


def _target_names(document: Document, mesh: dict[str, Any]) -> list[str] | None:
    """The names of a mesh's morph targets: of the mesh, of its first primitive, or of the accessors of the targets."""
    primitives = mesh.get("primitives")
    first = primitives[0] if isinstance(primitives, list) and primitives and isinstance(primitives[0], dict) else {}
    for holder in (mesh, first):
        names = _extras(holder).get("targetNames")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    targets = first.get("targets")
    if not isinstance(targets, list) or not all(isinstance(t, dict) and "POSITION" in t for t in targets):
        return None
    names = [document.item("accessors", target["POSITION"]).get("name") for target in targets]
    return names if all(isinstance(name, str) for name in names) else None


def _extras(entry: Any) -> dict[str, Any]:
    extras = entry.get("extras") if isinstance(entry, dict) else None
    return extras if isinstance(extras, dict) else {}


def _rate(
    document: Document, animation: dict[str, Any], tracks: list[Track], options: ReadOptions
) -> tuple[Fraction, bool]:
    """The rate, and whether keys had to be sampled at it."""
    times = np.unique(np.concatenate([track.times for track in tracks]))
    told = _extras(animation).get("fps", _extras(document.json.get("asset")).get("fps"))
    if told is not None:
        if not _RATE.fullmatch(str(told)) or not 0 < (rate := exact_rate(Fraction(str(told)))) <= 1000:
            raise FacelmError(f"{document.path}: fps is {str(told)[:40]!r}, which is no rate")
        return rate, False
    if options.fps is not None:
        return exact_rate(options.fps), False
    ticks = np.unique(np.rint((times - times[0]) * TICKS).astype(np.int64))
    grid = find_grid(ticks)
    if len(ticks) == 1:
        return grid.rate, False
    if grid.frames is not None and SPARSE_KEYS_FPS <= grid.rate <= 1000:
        return grid.rate, False
    tolerance = max(1e-3, 4 * float(np.spacing(np.float32(times[-1]))))
    for fps in SAMPLED_FPS:
        positions = times * fps
        if (np.abs(positions - np.rint(positions)) < tolerance * fps).all():
            return Fraction(fps), True
    return Fraction(SAMPLED_FPS[-1]), True


# ---------------------------------------------------------------- head


def _head_track(document: Document, animation: dict[str, Any]) -> tuple[int, Track] | None:
    """The node called head that turns, and its track of quaternions xyzw; None when there is none."""
    best: tuple[int, Any] | None = None
    for node, sampler in _channels(animation, "rotation"):
        name = str(document.item("nodes", node).get("name", ""))
        if re.fullmatch(r"head", re.split(r"[:|.]", name)[-1].strip(), re.IGNORECASE):
            best = (node, sampler)
            break
        if best is None and re.search(r"(^|[^a-z])head(_?0?1|bone|$)", name, re.IGNORECASE):
            best = (node, sampler)
    if best is None:
        return None
    return best[0], read_track(document, animation, best[1], 4, "the turns of the head", turns=True)


def _angles(
    document: Document, node: int, track: Track, positions: np.ndarray, rate: Fraction, start: float
) -> np.ndarray:
    """Yaw, pitch, roll (T, 3) of the head away from its rest, about the axes of the file (x left, y up, z forward)."""
    quaternions = track.at(positions, rate, start)
    length = np.linalg.norm(quaternions, axis=1)
    if not (length > 1e-6).all():
        raise FacelmError(
            f"{document.path}: the head's turn at frame {int((length <= 1e-6).argmax())} is no quaternion"
        )
    parents = {child: i for i, parent in enumerate(document.items("nodes")) for child in _children(parent)}
    above, seen = Rotation.identity(), {node}
    place = parents.get(node)
    while place is not None and place not in seen:
        above = _rest(document, place) * above
        seen.add(place)
        place = parents.get(place)
    turned = above * Rotation.from_quat(quaternions) * _rest(document, node).inv() * above.inv()
    return np.unwrap(turned.as_euler("YXZ"), axis=0)


def _children(node: dict[str, Any]) -> list[int]:
    children = node.get("children")
    return [child for child in children if isinstance(child, int)] if isinstance(children, list) else []


def _rest(document: Document, node: int) -> Rotation:
    quaternion = document.item("nodes", node).get("rotation", [0, 0, 0, 1])
    try:
        return Rotation.from_quat(np.array(quaternion, dtype=np.float64).reshape(4))
    except (TypeError, ValueError, OverflowError):
        raise FacelmError(f"{document.path}: node {node} has no valid rotation; export it again") from None
