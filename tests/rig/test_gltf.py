import json
import struct

import numpy as np
import pygltflib
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.rig import load_rig, write_glb
from facelm.rig.skeleton import quaternions
from facelm.rig.surface import surfaces

FLOATS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def motion(frames=30, fps=29.97, **metadata):
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (frames, 55)).astype(np.float32)
    values[:, 52:] -= 0.5
    return FaceMotion(values, fps, metadata=metadata)


class Read:
    """A GLB read by pygltflib, which the writer does not use."""

    def __init__(self, path):
        self.file = pygltflib.GLTF2().load(str(path))
        self.binary = self.file.binary_blob()

    def array(self, index):
        accessor = self.file.accessors[index]
        view = self.file.bufferViews[accessor.bufferView]
        dtype = {5126: "<f4", 5121: "u1", 5123: "<u2"}[accessor.componentType]
        assert accessor.sparse is None and not accessor.normalized
        count = accessor.count * FLOATS[accessor.type]
        raw = np.frombuffer(self.binary, dtype, count, view.byteOffset + (accessor.byteOffset or 0))
        return raw.reshape(accessor.count, -1)

    def channel(self, path):
        animation = self.file.animations[0]
        (channel,) = (c for c in animation.channels if c.target.path == path)
        sampler = animation.samplers[channel.sampler]
        assert sampler.interpolation == "LINEAR"
        return self.array(sampler.input)[:, 0], self.array(sampler.output), self.file.nodes[channel.target.node]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("glb") / "face.glb"
    take = motion(generator="facelm 0.1.0", prompt='smile "ä"')
    write_glb(take, path)
    return take, path, Read(path)


def test_times_names_and_values_come_back(written):
    take, _, read = written
    times, weights, node = read.channel("weights")
    mesh = read.file.meshes[node.mesh]
    assert mesh.extras["targetNames"] == list(take.layout.names[:52])
    np.testing.assert_array_equal(times, take.times().astype(np.float32))
    np.testing.assert_array_equal(weights.reshape(len(take), 52), take.values[:, :52])
    times, turns, node = read.channel("rotation")
    np.testing.assert_array_equal(times, take.times().astype(np.float32))
    assert node.name == "head"
    back = Rotation.from_quat(turns).as_euler("YXZ")  # the scalar stands last in both
    np.testing.assert_allclose(back, take.values[:, 52:], atol=1e-6)


def test_the_skinned_morphed_mesh_is_the_rig(written):
    """What a viewer computes (morph, then skin) equals the rig's own vertices of the frame."""
    take, _, read = written
    rig, frame = load_rig(), 7
    _, weights, node = read.channel("weights")
    _, turns, head = read.channel("rotation")
    weights = weights.reshape(len(take), 52)[frame]
    skin = read.file.skins[node.skin]
    inverse = read.array(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    joints = np.tile(np.eye(4), (2, 1, 1))
    joints[1, :3, :3] = Rotation.from_quat(turns[frame]).as_matrix()
    joints[1, :3, 3] = head.translation
    matrices = joints @ inverse
    expected = rig.vertices(take.values[frame], head=True)
    for surface, primitive in zip(surfaces(rig, smooth=False), read.file.meshes[0].primitives, strict=True):
        assert len(primitive.targets) == 52
        points = read.array(primitive.attributes.POSITION).astype(float)
        for weight, target in zip(weights, primitive.targets, strict=True):
            points = points + weight * read.array(target["POSITION"])
        share = read.array(primitive.attributes.WEIGHTS_0)[:, :2]
        homogeneous = np.column_stack([points, np.ones(len(points))])
        seen = np.einsum("nj,jab,nb->na", share, matrices, homogeneous)[:, :3]
        # Points on the cut lie between two vertices, whose weights are mixed before the turn: not quite the same.
        direct = (surface.points.getnnz(1) == 1) if surface.name == "skin" else np.ones(len(points), bool)
        np.testing.assert_allclose(seen[direct], surface.place(expected)[direct], atol=2e-6)


def test_another_library_loads_the_meshes(written):
    _, path, read = written
    scene = trimesh.load(path)
    triangles = sum(read.file.accessors[p.indices].count // 3 for p in read.file.meshes[0].primitives)
    assert sum(len(g.faces) for g in scene.geometry.values()) == triangles
    low, high = scene.bounds
    assert 0.2 < high[1] - low[1] < 0.3  # a head in metres, cut at the neck


def test_the_file_says_that_it_is_generated(written):
    take, path, _ = written
    raw = path.read_bytes()
    magic, version, length, size, kind = struct.unpack("<IIIII", raw[:20])
    document = json.loads(raw[20 : 20 + size])
    assert (magic, version, length, kind) == (0x46546C67, 2, len(raw), 0x4E4F534A)
    assert document["asset"]["generator"].startswith("facelm")
    assert take.metadata.items() <= document["asset"]["extras"].items()
    assert document["asset"]["extras"]["fps"] == "30000/1001"
    assert "extensionsRequired" not in document


def test_one_frame_and_other_layouts(tmp_path):
    write_glb(motion(1), tmp_path / "one.glb")
    times, weights, _ = Read(tmp_path / "one.glb").channel("weights")
    assert times.tolist() == [0] and weights.shape == (52, 1)
    write_glb(motion(3).to("livelink"), tmp_path / "live.glb")
    assert Read(tmp_path / "live.glb").channel("weights")[1].shape == (3 * 52, 1)


def test_quaternions_never_jump():
    angles = np.column_stack([np.linspace(-9, 9, 200), np.zeros(200), np.linspace(0, 5, 200)])
    q = quaternions(angles)
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-6)
    assert ((q[1:] * q[:-1]).sum(1) > 0.9).all()


def test_nothing_is_left_when_the_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FacelmError):
        write_glb(motion(2), tmp_path / "file" / "x.glb")
