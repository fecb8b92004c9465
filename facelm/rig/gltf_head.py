"""Heads with morph targets in glTF 2.0 files (.glb, .gltf): all meshes of the scene as one, as it stands at rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from facelm.errors import FacelmError
from facelm.motion.formats.gltf_document import Document

PACKED = "KHR_draco_mesh_compression"
TRIANGLES = 4  # the mode of a primitive
DAMAGE = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)


@dataclass(frozen=True, eq=False)
class Head:
    """names: of the n morph targets. vertices: (V, 3), deltas: (n, V, 3), triangles: (F, 3), in the file's unit."""

    names: tuple[str, ...]
    vertices: np.ndarray
    deltas: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True, eq=False)
class _Piece:
    """One primitive: points (N, 3), offsets (N, 3) by the name of the target, triangles (M, 3)."""

    points: np.ndarray
    offsets: dict[str, np.ndarray]
    triangles: np.ndarray


def read_head(path: Path) -> Head:
    """All triangles of the scene, placed by their nodes and skins, with the morph targets of all meshes.

    Targets of one name in several meshes (head, teeth, tongue) are one; a mesh without targets does not move. Names
    come from `mesh.extras.targetNames`. Raises FacelmError for damaged and compressed files, and files without named
    morph targets.
    """
    document = Document(path)
    try:
        pieces = list(_pieces(document))
    except FacelmError:
        raise
    except DAMAGE as error:
        raise FacelmError(f"{path} is no complete glTF 2.0 file ({error}); export it again") from error
    names = tuple(dict.fromkeys(name for piece in pieces for name in piece.offsets))
    if not names:
        raise FacelmError(
            f"{path} has no named morph targets; export it with its shape keys (names in mesh.extras.targetNames)"
        )
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    deltas = np.zeros((len(names), starts[-1], 3), np.float32)
    for start, piece in zip(starts, pieces, strict=False):
        for name, offset in piece.offsets.items():
            deltas[names.index(name), start : start + len(offset)] = offset
    triangles = [piece.triangles + start for start, piece in zip(starts, pieces, strict=False)]
    points = np.concatenate([piece.points for piece in pieces])
    return Head(names, points.astype(np.float32), deltas, np.concatenate(triangles).astype(np.int32))


def _pieces(document: Document) -> Iterator[_Piece]:
    places = _places(document)
    for index, place in places.items():
        node = document.item("nodes", index)
        if "mesh" not in node:
            continue
        mesh = document.item("meshes", node["mesh"])
        names = (mesh.get("extras") or {}).get("targetNames", [])
        for primitive in mesh["primitives"]:
            if primitive.get("mode", TRIANGLES) != TRIANGLES:
                continue
            if PACKED in (primitive.get("extensions") or {}):
                raise FacelmError(f"{document.path} is compressed with {PACKED}; export it without compression")
            points = document.accessor(primitive["attributes"]["POSITION"])
            matrices = _bound(document, node["skin"], primitive, places) if "skin" in node else place[None]
            turn, shift = matrices[:, :3, :3], matrices[:, :3, 3]
            offsets = {
                str(name): (turn @ document.accessor(target["POSITION"])[..., None])[..., 0]
                for name, target in zip(names, primitive.get("targets", []), strict=False)
                if "POSITION" in target
            }
            if "indices" in primitive:
                corners = document.accessor(primitive["indices"]).astype(np.int64)
            else:
                corners = np.arange(len(points))
            yield _Piece((turn @ points[..., None])[..., 0] + shift, offsets, corners.reshape(-1, 3))


def _places(document: Document) -> dict[int, np.ndarray]:
    """The matrix (4, 4) from each node of the scene to the world."""
    nodes = document.items("nodes")
    if document.items("scenes"):
        roots = document.item("scenes", document.json.get("scene", 0)).get("nodes", [])
    else:
        roots = sorted(set(range(len(nodes))) - {child for node in nodes for child in node.get("children", [])})
    places: dict[int, np.ndarray] = {}
    waiting = [(root, np.eye(4)) for root in roots]
    while waiting:
        index, above = waiting.pop()
        if index in places:
            raise ValueError(f"node {index} stands below two nodes")
        places[index] = above @ _matrix(document.item("nodes", index))
        waiting += [(child, places[index]) for child in nodes[index].get("children", [])]
    return dict(sorted(places.items()))


def _matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    out = np.eye(4)
    turn = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix()
    out[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), float)
    out[:3, 3] = node.get("translation", (0, 0, 0))
    return out


def _bound(document: Document, skin: int, primitive: dict[str, Any], places: dict[int, np.ndarray]) -> np.ndarray:
    """The matrix (N, 4, 4) of each point, mixed from those of the joints of a skin as they stand."""
    entry = document.item("skins", skin)
    joints = np.stack([places[joint] for joint in entry["joints"]])
    if "inverseBindMatrices" in entry:
        joints = joints @ document.accessor(entry["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    which = document.accessor(primitive["attributes"]["JOINTS_0"]).astype(np.int64)
    weights = document.accessor(primitive["attributes"]["WEIGHTS_0"])
    weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return np.einsum("nk,nkab->nab", weights, joints[which])
