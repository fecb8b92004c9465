import base64
import json
import struct

import numpy as np
import pygltflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import load_motion
from facelm.rig import write_glb

NAMES = ["jawOpen", "eyeBlink_L", "mouthSmileRight"]


class Scene:
    """A small glTF document: one mesh node with morph targets, and what a test adds."""

    def __init__(self, names=NAMES):
        self.data = bytearray()
        self.views, self.accessors = [], []
        point = self.add(np.zeros((1, 3)), "VEC3")
        self.document = {
            "asset": {"version": "2.0", "generator": "a test"},
            "nodes": [{"name": "face", "mesh": 0}, {"name": "Head"}],
            "meshes": [
                {
                    "primitives": [{"attributes": {"POSITION": point}, "targets": [{"POSITION": point}] * len(names)}],
                    "extras": {"targetNames": list(names)},
                }
            ],
            "animations": [{"samplers": [], "channels": []}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }

    def view(self, raw, **more):
        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw), **more})
        self.data += raw
        return len(self.views) - 1

    def add(self, values, kind="SCALAR", dtype="<f4", component=5126, **more):
        values = np.asarray(values, dtype)
        entry = {"bufferView": self.view(values.tobytes()), "componentType": component, "count": len(values)}
        self.accessors.append(entry | {"type": kind, **more})
        return len(self.accessors) - 1

    def animate(self, times, values, path="weights", node=0, interpolation=None, output=None):
        animation = self.document["animations"][0]
        sampler = {"input": self.add(times), "output": self.add(np.ravel(values)) if output is None else output}
        animation["samplers"].append(sampler | ({"interpolation": interpolation} if interpolation else {}))
        target = {"node": node, "path": path}
        animation["channels"].append({"sampler": len(animation["samplers"]) - 1, "target": target})
        return self

    def glb(self, path):
        text = json.dumps(self.document | {"buffers": [{"byteLength": len(self.data)}]}).encode()
        text += b" " * (-len(text) % 4)
        data = bytes(self.data) + b"\0" * (-len(self.data) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
        path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks)
        return path

    def gltf(self, path, uri):
        buffers = [{"byteLength": len(self.data), "uri": uri}]
        path.write_text(json.dumps(self.document | {"buffers": buffers}))
        return path


def refused(path, words):
    with pytest.raises(FacelmError, match=words) as error:
        load_motion(path)
    assert str(path) in str(error.value)


def seconds(count, rate=30):
    return np.arange(count) / rate


RAMP = np.linspace(0, 1, 12).reshape(4, 3)


# ---------------------------------------------------------------- our own files


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([23.976, 24, 25, 29.97, 30, 59.94, 60, 12.5, 37.123]),
    count=st.integers(1, 80),
)
def test_what_write_glb_writes_comes_back(tmp_path_factory, seed, rate, count):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-0.1, 1.1, (count, 55)).astype(np.float32)
    values[:, 52:] = rng.uniform(-1.2, 1.2, (count, 3))
    motion = FaceMotion(values, rate, metadata={"prompt": "smile “ä”", "seed": "3"})
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    write_glb(motion, path)
    again, report = load_motion(path)
    np.testing.assert_allclose(again.values, motion.values, atol=1e-5)
    assert np.array_equal(again.values[:, :52], motion.values[:, :52])
    assert again.rate == motion.rate and again.metadata == motion.metadata and again.layout.name == "arkit"
    assert report.dialect == "animated glTF" and not report.mended and report.notes == ()


def test_a_long_take_is_not_blurred_by_its_float_times(shared, tmp_path):
    take = load_motion(shared / "data/livelink/rom_3.csv.gz")[0].to("arkit")
    write_glb(take, tmp_path / "a.glb")
    again, _ = load_motion(tmp_path / "a.glb")
    assert again.rate == take.rate and np.array_equal(again.values[:, :52], take.values[:, :52])


def test_another_programs_copy_of_our_file(tmp_path):
    """pygltflib writes the document anew, and without what facelm said of the rate."""
    motion = FaceMotion(np.random.default_rng(0).uniform(0, 0.9, (40, 55)), 29.97)
    write_glb(motion, tmp_path / "a.glb")
    copy = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    copy.asset.extras, copy.animations[0].extras = {}, {}
    copy.save(str(tmp_path / "b.glb"))
    again, _ = load_motion(tmp_path / "b.glb")
    assert again.rate == motion.rate and np.abs(again.values - motion.values).max() < 1e-5


# ---------------------------------------------------------------- files of others


def test_names_in_any_spelling_and_an_absent_shape(tmp_path):
    motion, report = load_motion(Scene().animate(seconds(4), RAMP).glb(tmp_path / "a.glb"))
    assert motion.fps == 30 and len(report.absent) == 49
    for column, name in enumerate(("jawOpen", "eyeBlinkLeft", "mouthSmileRight")):
        np.testing.assert_allclose(motion.channel(name), RAMP[:, column], atol=1e-6)


@pytest.mark.parametrize("place", ["primitive", "accessors"])
def test_names_in_other_places(tmp_path, place):
    scene = Scene().animate(seconds(4), RAMP)
    mesh = scene.document["meshes"][0]
    names = mesh.pop("extras")["targetNames"]
    if place == "primitive":
        mesh["primitives"][0]["extras"] = {"targetNames": names}
    else:
        mesh["primitives"][0]["targets"] = [{"POSITION": scene.add(np.zeros((1, 3)), "VEC3", name=n)} for n in names]
    assert load_motion(scene.glb(tmp_path / "a.glb"))[0].channel("jawOpen")[3] == pytest.approx(RAMP[3, 0])


def test_step_and_cubic_splines(tmp_path):
    times = [0.0, 0.5, 1.0]
    keys = np.array([[0, 0, 1], [1, 0.5, 0], [0.25, 1, 0]])
    step = Scene().animate(times, keys, interpolation="STEP")
    motion, report = load_motion(step.glb(tmp_path / "a.glb"), fps=20)
    assert motion.fps == 20 and motion.channel("jawOpen").tolist() == [0] * 10 + [1] * 10 + [0.25]
    slopes = np.gradient(keys, times, axis=0)
    spline = Scene().animate(times, np.stack([slopes, keys, slopes], axis=1), interpolation="CUBICSPLINE")
    motion, report = load_motion(spline.glb(tmp_path / "b.glb"))
    assert motion.fps == 24 and "3 keys were sampled at 24 fps." in report.notes
    from scipy.interpolate import CubicHermiteSpline

    expected = CubicHermiteSpline(times, keys[:, 0], slopes[:, 0])(motion.times())
    np.testing.assert_allclose(motion.channel("jawOpen"), expected, atol=1e-5)


def test_normalized_sparse_and_strided_accessors(tmp_path):
    scene = Scene()
    normal = scene.add(np.rint(RAMP.ravel() * 255), dtype="u1", component=5121, normalized=True)
    scene.animate(seconds(4), None, output=normal)
    motion, _ = load_motion(scene.glb(tmp_path / "normalized.glb"))
    np.testing.assert_allclose(motion.channel("eyeBlinkLeft"), RAMP[:, 1], atol=1 / 500)

    scene = Scene()
    at, what = scene.view(np.array([4, 9], "<u2").tobytes()), scene.view(np.array([0.5, 0.25], "<f4").tobytes())
    sparse = {
        "count": 2,
        "indices": {"bufferView": at, "componentType": 5123},
        "values": {"bufferView": what},
    }
    scene.accessors.append({"componentType": 5126, "count": 12, "type": "SCALAR", "sparse": sparse})
    motion, _ = load_motion(scene.animate(seconds(4), None, output=len(scene.accessors) - 1).glb(tmp_path / "s.glb"))
    assert motion.channel("eyeBlinkLeft").tolist() == [0, 0.5, 0, 0]
    assert motion.channel("jawOpen").tolist() == [0, 0, 0, 0.25]

    scene = Scene()
    padded = np.zeros((12, 3), "<f4")
    padded[:, 1] = RAMP.ravel()
    view = scene.view(padded.tobytes(), byteStride=12)
    entry = {"bufferView": view, "byteOffset": 4, "componentType": 5126, "count": 12, "type": "SCALAR"}
    scene.accessors.append(entry)
    motion, _ = load_motion(scene.animate(seconds(4), None, output=len(scene.accessors) - 1).glb(tmp_path / "t.glb"))
    np.testing.assert_allclose(motion.channel("jawOpen"), RAMP[:, 0], atol=1e-6)


def test_a_head_below_turned_parents_and_away_from_its_rest(tmp_path):
    """Blender, Mixamo and others turn the armature and give bones a rest of their own."""
    angles = np.array([[0, 0, 0], [0.4, -0.2, 0.1], [-0.3, 0.5, 0.2], [0.1, 0.1, -0.4]])
    above, rest = Rotation.from_euler("xyz", [-1.2, 0.3, 0.2]), Rotation.from_euler("xyz", [0.3, 0.1, 1.0])
    turned = [above.inv() * Rotation.from_euler("YXZ", row) * above * rest for row in angles]
    quaternions = np.stack([turn.as_quat() * (-1) ** i for i, turn in enumerate(turned)])
    scene = Scene().animate(seconds(4), RAMP).animate(seconds(4), quaternions, "rotation", 1)
    scene.accessors[-1] |= {"type": "VEC4", "count": 4}
    scene.document["nodes"][1]["rotation"] = rest.as_quat().tolist()
    scene.document["nodes"].append({"name": "armature", "rotation": above.as_quat().tolist(), "children": [1]})
    motion, _ = load_motion(scene.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(motion.values[:, 52:], angles, atol=1e-5)


def test_turns_between_keys_take_the_shorter_arc(tmp_path):
    ends = Rotation.from_euler("y", [[0], [1.5]]).as_quat() * [[1], [-1]]
    scene = Scene().animate([0, 1], RAMP[:2]).animate([0, 1], ends, "rotation", 1)
    scene.accessors[-1] |= {"type": "VEC4", "count": 2}
    motion, _ = load_motion(scene.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(motion.channel("headYaw"), 1.5 * motion.times(), atol=1e-6)


def test_several_meshes_that_share_names(tmp_path):
    scene = Scene().animate(seconds(4), RAMP)
    primitive = scene.document["meshes"][0]["primitives"][0]
    teeth = [{"POSITION": primitive["attributes"]["POSITION"]}] * 2
    names = ["jawOpen", "tongueOut"]
    scene.document["meshes"].append({"primitives": [{"targets": teeth}], "extras": {"targetNames": names}})
    scene.document["nodes"].append({"name": "teeth", "mesh": 1})
    scene.animate(seconds(4), np.full((4, 2), 0.5), node=2)
    motion, report = load_motion(scene.glb(tmp_path / "a.glb"))
    np.testing.assert_allclose(motion.channel("jawOpen"), RAMP[:, 0], atol=1e-6)
    assert motion.channel("tongueOut").tolist() == [0.5] * 4 and "2 meshes share names" in " ".join(report.notes)


def test_a_name_table_and_further_animations(tmp_path):
    scene = Scene(["Gape", "Wink", "Horns"]).animate(seconds(4), RAMP)
    scene.document["animations"].append(scene.document["animations"][0])
    path = scene.glb(tmp_path / "a.glb")
    refused(path, "Gape, Wink, Horns.*name table")
    (tmp_path / "rig.yaml").write_text("channels: {Gape: jawOpen, Wink: eyeBlinkLeft}")
    motion, report = load_motion(path, names=tmp_path / "rig.yaml")
    assert motion.channel("eyeBlinkLeft")[3] == pytest.approx(RAMP[3, 1])
    assert any("Horns" in note for note in report.notes) and any("1 further" in note for note in report.notes)


def test_keys_of_an_animator_are_sampled(tmp_path):
    motion, report = load_motion(Scene().animate([0, 0.7, 2.1, 5], RAMP).glb(tmp_path / "a.glb"))
    assert motion.fps == 30 and len(motion) == 151 and "4 keys were sampled at 30 fps." in report.notes
    assert motion.channel("jawOpen")[[0, 21, 63, 150]] == pytest.approx(RAMP[:, 0])


# ---------------------------------------------------------------- .gltf and its buffers


def test_gltf_with_a_data_uri_and_with_a_file_beside_it(tmp_path):
    scene = Scene().animate(seconds(4), RAMP)
    expected, _ = load_motion(scene.glb(tmp_path / "a.glb"))
    inline = "data:application/octet-stream;base64," + base64.b64encode(scene.data).decode()
    assert load_motion(scene.gltf(tmp_path / "inline.gltf", inline))[0] == expected
    (tmp_path / "data of a.bin").write_bytes(scene.data)
    assert load_motion(scene.gltf(tmp_path / "beside.gltf", "data%20of%20a.bin"))[0] == expected


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin",
        "%2e%2e/secret.bin",
        "/etc/hostname",
        "file:///etc/hostname",
        "https://example.org/a.bin",
        "sub/../../secret.bin",
        "link.bin",
        "..\\secret.bin",
        "sub",
        "a\0b",
    ],
)
def test_buffers_outside_the_folder_are_not_opened(tmp_path, uri):
    scene = Scene().animate(seconds(4), RAMP)
    folder = tmp_path / "inside"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(scene.data)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    refused(scene.gltf(folder / "a.gltf", uri), "only files beside it")


def test_a_buffer_that_is_absent_or_damaged(tmp_path):
    scene = Scene().animate(seconds(4), RAMP)
    refused(scene.gltf(tmp_path / "a.gltf", "gone.bin"), "needs gone.bin beside it")
    refused(scene.gltf(tmp_path / "b.gltf", "data:;base64,@@@"), "damaged data URI")
    (tmp_path / "short.bin").write_bytes(scene.data[:-5])
    refused(scene.gltf(tmp_path / "c.gltf", "short.bin"), "cut off or damaged")


# ---------------------------------------------------------------- wrong files


def test_a_scene_without_animation_names_or_data(tmp_path):
    refused(Scene().glb(tmp_path / "a.glb"), "no animation of morph weights")
    bare = Scene().animate(seconds(4), RAMP)
    del bare.document["meshes"][0]["extras"]
    refused(bare.glb(tmp_path / "b.glb"), "3 animated morph targets without names.*targetNames")
    packed = Scene().animate(seconds(4), RAMP)
    packed.views[-1]["extensions"] = {"EXT_meshopt_compression": {}}
    refused(packed.glb(tmp_path / "c.glb"), "compressed with EXT_meshopt_compression")
    whole = Scene().animate(seconds(4), RAMP).glb(tmp_path / "d.glb").read_bytes()
    (tmp_path / "e.glb").write_bytes(whole[:-20])
    refused(tmp_path / "e.glb", "cut off")
    (tmp_path / "f.glb").write_bytes(whole[:4] + struct.pack("<I", 1) + whole[8:])
    refused(tmp_path / "f.glb", "version 1")


@pytest.mark.parametrize(
    ("times", "values", "words"),
    [
        ([0, 0.1, 0.1, 0.2], RAMP, "time 2 .* does not increase"),
        ([-1, 0, 1, 2], RAMP, "time 0 .* is negative"),
        ([0, np.nan, 1, 2], RAMP, "time 1 .* does not increase"),
        ([0, 0.1, 0.2], RAMP, "12 values for 3 times"),
        ([0, 1, 2, 3], np.where(RAMP == RAMP[2, 1], np.nan, RAMP), "values at time 2 .* are not finite"),
        ([0, 0.1, 0.2, 1e30], RAMP, "s long; check its times"),
        ([0, 0.001, 0.002, 1000], RAMP, "frames for few keys"),
    ],
)
def test_wrong_keys_are_named(tmp_path, times, values, words):
    refused(Scene().animate(times, values).glb(tmp_path / "a.glb"), words)


@pytest.mark.parametrize("fps", ["1e999999999", "fast", -3, [30], "30/0", 10**9])
def test_a_rate_that_is_none(tmp_path, fps):
    scene = Scene().animate(seconds(4), RAMP)
    scene.document["asset"]["extras"] = {"fps": fps}
    refused(scene.glb(tmp_path / "a.glb"), "which is no rate")


def test_nodes_in_a_circle_end(tmp_path):
    scene = Scene().animate(seconds(2), RAMP[:2]).animate(seconds(2), [[0, 0, 0, 1]] * 2, "rotation", 1)
    scene.accessors[-1] |= {"type": "VEC4", "count": 2}
    scene.document["nodes"][0]["children"], scene.document["nodes"][1]["children"] = [1], [0]
    assert not load_motion(scene.glb(tmp_path / "a.glb"))[0].values[:, 52:].any()
