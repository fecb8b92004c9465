"""What Blender makes of our files, in a Blender of its own process.

Needs a Python that can `import bpy` (pip install bpy): this one, or the one $FACELM_BPY_PYTHON names.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facelm import FaceMotion
from facelm.motion import load_motion
from facelm.rig import write_glb

pytestmark = pytest.mark.slow
RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "blender_shape_keys.py"

SCENE = """
import bpy, json, runpy, sys
from mathutils import Matrix
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene

def head(names):
    mesh = bpy.data.meshes.new("face")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    face = bpy.data.objects.new("Face", mesh)
    scene.collection.objects.link(face)
    for name in ["Basis", *names]:
        face.shape_key_add(name=name).value = 0
    armature = bpy.data.armatures.new("armature")
    rig = bpy.data.objects.new("Rig", armature)
    scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = armature.edit_bones.new("Head")
    bone.head, bone.tail, bone.roll = (0, 0, 0), (0, 0.3, 1), 0.4
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.rotation_euler = (0.2, 0.1, 0.5)
    block = bpy.data.objects.new("Block", None)
    scene.collection.objects.link(block)
    block.rotation_euler = (0.3, 0.2, 0.1)
    bpy.context.view_layer.update()
    return face

def script(*arguments):
    sys.argv = ["blender", "head.blend", "--python", "x.py", "--", *arguments]
    runpy.run_path(RECIPE, run_name="__main__")

def world(name):
    rigs = [o for o in scene.objects if o.type == "ARMATURE" and name in o.pose.bones]
    if not rigs:
        return bpy.data.objects[name].matrix_world.to_3x3()
    return (rigs[0].matrix_world @ rigs[0].pose.bones[name].matrix).to_3x3()

def sample(frames, keys, turned):
    rest = None
    out = {"values": [], "turns": [], "rate": scene.render.fps / scene.render.fps_base,
           "range": [scene.frame_start, scene.frame_end]}
    for frame in frames:
        scene.frame_set(frame)
        out["values"].append([keys[name].value for name in keys.keys()])
        out["turns"].append([list(row) for row in world(turned)])
    out["names"] = list(keys.keys())
    return out
"""


@pytest.fixture(scope="module")
def blender():
    python = os.environ.get("FACELM_BPY_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import bpy"], capture_output=True).returncode:
        pytest.skip("no Blender: neither this Python nor $FACELM_BPY_PYTHON can import bpy")

    def run(code, code_of_exit=0):
        program = f"RECIPE = {str(RECIPE)!r}\n{SCENE}\n{code}"
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=300)
        assert done.returncode == code_of_exit, done.stderr
        last = done.stdout.strip().splitlines()[-1:] or [""]
        return json.loads(last[0]) if code_of_exit == 0 else done.stderr.strip()

    return run


@pytest.fixture(scope="module")
def take():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1.2, (40, 61)).astype(np.float32)
    values[:, 52:] = rng.uniform(-0.8, 0.8, (40, 9))
    return FaceMotion(values, 59.94, "livelink", start=3600)


def turns_of(take):
    """The head's turns in Blender's axes: x to the left, y into the face, z up."""
    change = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    return change @ Rotation.from_euler("YXZ", take.values[:, 52:55]).as_matrix() @ change.T


def check_turns(take, seen, frames, rest):
    relative = np.array(seen["turns"]) @ np.linalg.inv(np.array(rest))
    np.testing.assert_allclose(relative, turns_of(take)[np.array(frames) - 1], atol=1e-5)


@pytest.mark.parametrize("head", ["Head", "Block"])
def test_the_recipe_animates_shape_keys_and_a_bone_or_object(blender, take, tmp_path, head):
    take.save(tmp_path / "take.csv")
    frames = [1, 2, 17, 40]
    seen = blender(
        f"face = head(['jawOpen', 'eyeBlink_L', 'EyeBlinkRight', 'mouthSmile.R', 'Horns'])\n"
        f"rest = [list(row) for row in world({head!r})]\n"
        f"script({str(tmp_path / 'take.csv')!r}, '--head', {head!r}, '--save', {str(tmp_path / 'out.blend')!r})\n"
        f"print(json.dumps(sample({frames}, face.data.shape_keys.key_blocks, {head!r}) | {{'rest': rest}}))"
    )
    assert seen["rate"] == pytest.approx(59.94, abs=1e-2) and seen["range"] == [1, 40]
    channels = ["JawOpen", "EyeBlinkLeft", "EyeBlinkRight", "MouthSmileRight"]
    expected = np.stack([take.channel(name) for name in channels], axis=1)[np.array(frames) - 1]
    values = np.array(seen["values"])
    np.testing.assert_allclose(values[:, 1:5], expected, atol=1e-6)  # over 1 too, where a slider would clip
    assert not values[:, 5].any()
    check_turns(take, seen, frames, seen["rest"])
    assert (tmp_path / "out.blend").stat().st_size > 0


def test_rows_without_a_face_are_bridged_by_blender(blender, fixtures):
    seen = blender(
        f"face = head(['jawOpen'])\nscript({str(fixtures / 'take_30fps_short_rows.csv')!r}, '--first-frame', '0')\n"
        "print(json.dumps(sample(range(30), face.data.shape_keys.key_blocks, 'Head')))"
    )
    motion = FaceMotion.load(fixtures / "take_30fps_short_rows.csv")
    assert seen["rate"] == 30 and seen["range"] == [0, 29]
    np.testing.assert_allclose([row[1] for row in seen["values"]], motion.channel("JawOpen"), atol=1e-6)


def test_blender_imports_our_glb_with_every_shape_and_the_head(blender, take, tmp_path):
    take = FaceMotion(take.values, 60, take.layout)
    write_glb(take, tmp_path / "take.glb")
    frames = [0, 1, 16, 39]
    seen = blender(
        "scene.render.fps = 60\n"
        f"bpy.ops.import_scene.gltf(filepath={str(tmp_path / 'take.glb')!r})\n"
        "(face,) = [o for o in scene.objects if o.type == 'MESH' and o.data.shape_keys]\n"
        "(rig,) = [o for o in scene.objects if o.type == 'ARMATURE']\n"
        "rest = [list(row) for row in (rig.matrix_world @ rig.data.bones['head'].matrix_local).to_3x3()]\n"
        f"print(json.dumps(sample({frames}, face.data.shape_keys.key_blocks, 'head') | {{'rest': rest}}))"
    )
    assert [name.lower() for name in seen["names"][1:]] == [name.lower() for name in take.layout.names[:52]]
    sliders = np.maximum(take.values[0, :52], 1)  # where the importer leaves the upper end of a slider
    expected = np.minimum(take.values[frames, :52], sliders)
    np.testing.assert_allclose(np.array(seen["values"])[:, 1:], expected, atol=1e-5)
    check_turns(take, seen, [frame + 1 for frame in frames], seen["rest"])


def test_what_blender_exports_is_read(blender, take, tmp_path):
    take = FaceMotion(np.clip(take.to("arkit").values, -1, 1), 30)  # within Blender's sliders
    write_glb(take, tmp_path / "take.glb")
    blender(
        "scene.render.fps, scene.frame_end = 30, 100\n"
        f"bpy.ops.import_scene.gltf(filepath={str(tmp_path / 'take.glb')!r})\n"
        f"bpy.ops.export_scene.gltf(filepath={str(tmp_path / 'again.glb')!r}, export_morph_normal=False)\n"
        "print('{}')"
    )
    again, report = load_motion(tmp_path / "again.glb")
    assert again.rate == take.rate and len(again) == len(take) and not report.notes
    np.testing.assert_allclose(again.values, take.values, atol=1e-5)


@pytest.mark.parametrize(
    ("scene", "arguments", "words"),
    [
        ("head(['Smirk'])", "TAKE", "no mesh has shape keys with ARKit's names"),
        ("head(['jawOpen'])", "TAKE --object Nobody", "there is no object Nobody"),
        ("head(['jawOpen'])", "TAKE --head Nobody", "there is no bone and no object Nobody"),
        ("head(['jawOpen'])", "TABLE", "is no Live Link Face CSV"),
    ],
)
def test_wrong_requests_are_one_sentence(blender, fixtures, tmp_path, scene, arguments, words):
    (tmp_path / "table.csv").write_text("name,age\nAda,36\n")
    places = {"TAKE": str(fixtures / "take_30fps_short_rows.csv"), "TABLE": str(tmp_path / "table.csv")}
    given = [places.get(word, word) for word in arguments.split()]
    assert words in blender(f"{scene}\nscript(*{given!r})", code_of_exit=1)
