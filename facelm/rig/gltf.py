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
from facelm.rig.flame import FlameRig
from facelm.rig.load import rig_for
from facelm.rig.skeleton import Performance, perform
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


def write_glb(motion: FaceMotion, path: str | os.PathLike[str], rig: BlendshapeRig | FlameRig | None = None) -> None:
    """Write the motion on a head as an animated GLB.

    One mesh with morph targets named in `mesh.extras.targetNames` (the 52 of ARKit; of FLAME see
    `facelm.rig.skeleton.perform`) and one `weights` channel (T x targets, frame by frame, LINEAR). Turns are rotation
    channels (quaternions xyzw, LINEAR) of joints, to which the mesh is bound by its skin: "head", about which the neck
    stays with the root, or the five joints of FLAME. Times are those of the motion, in seconds. `asset.generator` names
    facelm, and `asset.extras` carries the motion's metadata and exact rate.
    Without a rig, `facelm.rig.load.rig_for` says which is shown. Raises FacelmError when the motion does not suit the
    rig or the file cannot be written.
    """
    rig = rig or rig_for(motion.layout.name)
    shown = perform(motion, rig)
    motion = shown.motion
    binary = _Binary()
    materials: list[dict[str, Any]] = []
    textures: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    primitives: list[dict[str, Any]] = []
    for surface in surfaces(rig, smooth=False):
        primitives.append(_primitive(surface, shown, binary) | {"material": len(materials)})
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

    times = binary.add(motion.times())
    outputs = [binary.add(shown.curves.ravel())] if shown.names else []
    targets = [{"node": 1, "path": "weights"}] if shown.names else []
    outputs += [binary.add(joint.turns) for joint in shown.joints]
    targets += [{"node": 2 + i, "path": "rotation"} for i in range(len(shown.joints))]
    facts = {"fps": str(motion.rate), "layout": motion.layout.name, **motion.metadata}
    mesh: dict[str, Any] = {"name": "face", "primitives": primitives}
    if shown.names:
        mesh |= {"weights": [0.0] * len(shown.names), "extras": {"targetNames": list(shown.names)}}
    document = {
        "asset": {"version": "2.0", "generator": f"facelm {facelm.__version__}", "extras": facts},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"name": "root", "children": _below(shown, -1)},
            {"name": "face", "mesh": 0, "skin": 0},
            *(_node(shown, i) for i in range(len(shown.joints))),
        ],
        "meshes": [mesh],
        "skins": [_skin(shown, binary)],
        "animations": [
            {
                "name": "motion",
                "samplers": [{"input": times, "output": output, "interpolation": "LINEAR"} for output in outputs],
                "channels": [{"sampler": i, "target": target} for i, target in enumerate(targets)],
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


def _below(shown: Performance, parent: int) -> list[int]:
    """The nodes of the joints below a joint; that of joint i is 2 + i."""
    return [2 + i for i, joint in enumerate(shown.joints) if joint.parent == parent]


def _node(shown: Performance, index: int) -> dict[str, Any]:
    joint = shown.joints[index]
    above = shown.joints[joint.parent].place if joint.parent >= 0 else np.zeros(3)
    children = _below(shown, index)
    place = (joint.place - above).astype(float).tolist()
    return {"name": joint.name, "translation": place} | ({"children": children} if children else {})


def _skin(shown: Performance, binary: _Binary) -> dict[str, Any]:
    """The root (node 0) and all joints, and the matrices from the mesh to each of them."""
    to_joint = np.tile(np.eye(4, dtype=np.float32), (1 + len(shown.joints), 1, 1))
    for matrix, joint in zip(to_joint[1:], shown.joints, strict=True):
        matrix[:3, 3] = -joint.place
    inverse = binary.add(to_joint.swapaxes(1, 2).reshape(-1, 16))
    return {"joints": [0, *(2 + i for i in range(len(shown.joints)))], "inverseBindMatrices": inverse}


def _influences(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four joints (N, 4) that each point follows most, and how far (N, 4), of the weights (N, joints)."""
    if weights.shape[1] < 4:
        weights = np.pad(weights, ((0, 0), (0, 4 - weights.shape[1])))
    which = np.sort(np.argsort(-weights, axis=1, kind="stable")[:, :4], axis=1)
    kept = np.take_along_axis(weights, which, axis=1)
    kept = kept / np.maximum(kept.sum(1, keepdims=True), 1e-9)
    return np.where(kept > 0, which, 0), kept  # joints without weight are 0, as the format asks


def _primitive(surface: Surface, shown: Performance, binary: _Binary) -> dict[str, Any]:
    """Attributes, indices and the targets of one surface; targets that do nothing here share one row of zeros."""
    places = surface.place(shown.rest)
    normals = surface.normals(places)
    joints, weights = _influences(surface.points @ shown.weights)
    count = len(places)
    attributes = {
        "POSITION": binary.add(places, target=ARRAYS),
        "NORMAL": binary.add(normals, target=ARRAYS),
        "JOINTS_0": binary.add(joints, UBYTE, ARRAYS),
        "WEIGHTS_0": binary.add(weights, target=ARRAYS),
    }
    if surface.uv is not None:
        attributes["TEXCOORD_0"] = binary.add(surface.uv, target=ARRAYS)
    if surface.shade is not None:
        rgba = surface.shade / 255
        attributes["COLOR_0"] = binary.add(np.concatenate([_linear(rgba[:, :3]), rgba[:, 3:]], 1), target=ARRAYS)
    still: dict[str, int] | None = None
    targets = []
    for delta in shown.deltas:
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
    primitive = {"attributes": attributes, "indices": indices, "mode": 4}
    return primitive | ({"targets": targets} if targets else {})


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
