"""Animated GLB files: what Blender, three.js, Babylon and Unreal open. Plain float32, no extensions.

Format: glTF 2.0 (Khronos). Written by hand, because one file of a JSON and a binary chunk needs no library.
"""

import json
import os
import struct
from typing import Any

import numpy as np

import facelm
from facelm.files import atomic_path
from facelm.motion import FaceMotion
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.load import default_rig
from facelm.rig.surface import ASSETS, Surface, surfaces

FLOAT, UBYTE, USHORT, UINT = 5126, 5121, 5123, 5125
ARRAYS, ELEMENTS = 34962, 34963
WIDTHS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class _Binary:
    """The binary chunk of a GLB and its bufferViews and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, raw: bytes, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw)}
        self.views.append(view | ({"target": target} if target else {}))
        self.data += raw
        return len(self.views) - 1

    def add(self, array: np.ndarray, kind: int = FLOAT, target: int | None = None, **more: Any) -> int:
        """The accessor of a (N,) or (N, width) array; lowest and highest values are told where there are floats."""
        dtype = {FLOAT: "<f4", UBYTE: "u1", USHORT: "<u2", UINT: "<u4"}[kind]
        array = np.ascontiguousarray(array, dtype)
        rows = array.reshape(len(array), -1)
        accessor = {
            "bufferView": self.view(array.tobytes(), target),
            "componentType": kind,
            "count": len(array),
            "type": WIDTHS[rows.shape[1]],
            **more,
        }
        if kind == FLOAT and rows.shape[1] <= 3:
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def write_glb(motion: FaceMotion, path: str | os.PathLike[str], rig: BlendshapeRig | None = None) -> None:
    """Write the motion on a head as an animated GLB.

    One mesh with 52 morph targets named in `mesh.extras.targetNames` and one `weights` channel (T x 52 values, frame
    by frame, LINEAR); the three head angles are the rotation channel (quaternions xyzw, LINEAR) of the joint "head",
    to which the skin of the head is bound, while the neck stays with the root. Times are those of the motion, in
    seconds. `asset.generator` names facelm, and `asset.extras` carries the motion's metadata and exact rate.
    Raises FacelmError when the file cannot be written.
    """
    motion, rig = motion.to("arkit"), rig or default_rig()
    binary = _Binary()
    materials: list[dict[str, Any]] = []
    textures: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    primitives: list[dict[str, Any]] = []
    for surface in surfaces(rig, smooth=False):
        primitives.append(_primitive(surface, rig, binary) | {"material": len(materials)})
        material: dict[str, Any] = {
            "name": surface.name,
            "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.25 if surface.gloss > 0.5 else 0.65},
            "doubleSided": True,
        }
        if surface.texture:
            material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": len(textures)}
            textures.append({"source": len(images), "sampler": 0})
            images.append(_image(surface.texture, binary) | {"name": surface.name})
        elif surface.shade is None:
            material["pbrMetallicRoughness"]["baseColorFactor"] = [*_linear(np.array(surface.color) / 255), 1.0]
        if surface.name == "lashes":
            material["alphaMode"] = "BLEND"
        materials.append(material)

    pivot = rig.neck_pivot.astype(float).tolist()
    to_joint = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    to_joint[1, :3, 3] = -rig.neck_pivot
    times = binary.add(motion.times())
    weights = binary.add(motion.values[:, :52].ravel())
    turns = binary.add(quaternions(motion.values[:, 52:]))
    facts = {"fps": str(motion.rate), "layout": motion.layout.name, **motion.metadata}
    document = {
        "asset": {"version": "2.0", "generator": f"facelm {facelm.__version__}", "extras": facts},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"name": "root", "children": [2]},
            {"name": "face", "mesh": 0, "skin": 0},
            {"name": "head", "translation": pivot},
        ],
        "meshes": [
            {
                "name": "face",
                "primitives": primitives,
                "weights": [0.0] * len(rig.names),
                "extras": {"targetNames": list(rig.names)},
            }
        ],
        "skins": [{"joints": [0, 2], "inverseBindMatrices": binary.add(to_joint.swapaxes(1, 2).reshape(2, 16))}],
        "animations": [
            {
                "name": "motion",
                "samplers": [
                    {"input": times, "output": weights, "interpolation": "LINEAR"},
                    {"input": times, "output": turns, "interpolation": "LINEAR"},
                ],
                "channels": [
                    {"sampler": 0, "target": {"node": 1, "path": "weights"}},
                    {"sampler": 1, "target": {"node": 2, "path": "rotation"}},
                ],
                "extras": facts,
            }
        ],
        "materials": materials,
        "bufferViews": binary.views,
        "accessors": binary.accessors,
        "buffers": [{"byteLength": len(binary.data)}],
    }
    if textures:
        document |= {"textures": textures, "images": images, "samplers": [{"wrapS": 33071, "wrapT": 33071}]}
    with atomic_path(path) as temporary:
        temporary.write_bytes(_pack(document, bytes(binary.data)))


def quaternions(angles: np.ndarray) -> np.ndarray:
    """Unit quaternions xyzw float32 (T, 4) of head angles yaw, pitch, roll (T, 3) in radians, without sign jumps."""
    yaw, pitch, roll = np.asarray(angles, np.float64).T / 2
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    q = np.stack(
        [
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * cp * cr + sy * sp * sr,
        ],
        axis=1,
    )
    flips = np.cumprod(np.where((q[1:] * q[:-1]).sum(1) < 0, -1.0, 1.0))
    q[1:] *= flips[:, None]
    return q.astype(np.float32)


def _primitive(surface: Surface, rig: BlendshapeRig, binary: _Binary) -> dict[str, Any]:
    """Attributes, indices and the 52 targets of one surface; targets that do nothing here share one row of zeros."""
    places = surface.place(rig.rest)
    normals = surface.normals(places)
    head = surface.points @ rig.head_weight
    count = len(places)
    attributes = {
        "POSITION": binary.add(places, target=ARRAYS),
        "NORMAL": binary.add(normals, target=ARRAYS),
        "JOINTS_0": binary.add(np.tile([0, 1, 0, 0], (count, 1)), UBYTE, ARRAYS),
        "WEIGHTS_0": binary.add(np.stack([1 - head, head, 0 * head, 0 * head], 1), target=ARRAYS),
    }
    if surface.uv is not None:
        attributes["TEXCOORD_0"] = binary.add(surface.uv, target=ARRAYS)
    if surface.shade is not None:
        rgba = surface.shade / 255
        attributes["COLOR_0"] = binary.add(np.concatenate([_linear(rgba[:, :3]), rgba[:, 3:]], 1), target=ARRAYS)
    still: dict[str, int] | None = None
    targets = []
    for delta in rig.deltas:
        offset = surface.points @ delta
        if np.abs(offset).max() > 0:
            turned = surface.normals(places + offset) - normals
            target = {"POSITION": binary.add(offset, target=ARRAYS), "NORMAL": binary.add(turned, target=ARRAYS)}
        else:
            if still is None:
                zeros = binary.add(np.zeros((count, 3)), target=ARRAYS)
                still = {"POSITION": zeros, "NORMAL": zeros}
            target = still
        targets.append(target)
    kind = USHORT if count < 65535 else UINT
    indices = binary.add(surface.triangles.ravel(), kind, ELEMENTS)
    return {"attributes": attributes, "indices": indices, "targets": targets, "mode": 4}


def _image(name: str, binary: _Binary) -> dict[str, Any]:
    kind = "image/jpeg" if name.endswith(".jpg") else "image/png"
    return {"bufferView": binary.view((ASSETS / name).read_bytes()), "mimeType": kind}


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Linear colour of sRGB colour, both 0..1."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _pack(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
