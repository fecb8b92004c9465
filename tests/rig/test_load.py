import json
import struct
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from flame_files import COUNT, flame_arrays, write_flame_pkl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from facelm import FaceMotion
from facelm.cli import main
from facelm.errors import FacelmError, MissingFileError
from facelm.motion.layout import ARKIT, SHAPES
from facelm.rig import BlendshapeRig, load_rig, write_glb
from facelm.rig.load import rig_for
from facelm.rig.parts import guess_groups


@pytest.fixture(scope="module")
def head():
    return load_rig()


@pytest.fixture(scope="module")
def ict(request):
    shared = request.getfixturevalue("shared")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rig = load_rig(shared / "data/rigs/ict_facekit_exp53.npz")
    return rig, [str(warning.message) for warning in told]


def save(path, rig, names=None, deltas=None, scale=1.0, **more):
    names = rig.names if names is None else names
    deltas = rig.deltas if deltas is None else deltas
    np.savez(path, names=names, vertices=rig.rest * scale, deltas=deltas * scale, quads=rig.faces, **more)
    return path


def test_another_rig_loads_as_it_is(ict):
    rig, told = ict
    assert rig.absent == ("tongueOut",)
    assert len(told) == 1 and "has no shape tongueOut: these channels do nothing on it" in told[0]
    height = np.ptp(rig.rest[:, 1])
    assert 0.3 < height < 0.4  # metres, from a file in centimetres
    assert rig.faces.shape[1] == 3 and rig.faces.min() == 0


def test_both_halves_of_a_split_shape_follow_it(ict, shared):
    rig, _ = ict
    file = np.load(shared / "data/rigs/ict_facekit_exp53.npz")
    names = list(file["names"])
    halves = [file["deltas"][names.index(f"browInnerUp_{side}")].astype(np.float32) for side in "LR"]
    np.testing.assert_allclose(rig.deltas[SHAPES.index("browInnerUp")], sum(halves) * 0.01, atol=1e-6)
    left = file["deltas"][names.index("mouthSmile_L")].astype(np.float32) * 0.01
    np.testing.assert_allclose(rig.deltas[SHAPES.index("mouthSmileLeft")], left, atol=1e-6)


def test_regions_of_a_rig_without_groups(ict):
    rig, _ = ict
    lips, face, upper, eyes = (rig.regions[name] for name in ("lips", "face", "upper_face", "eyes"))
    assert eyes[21451:24591].all() and eyes.sum() == 3140  # where ICT-FaceKit documents its eyeballs
    assert (lips <= face).all() and (upper <= face).all() and not (upper & lips).any()
    assert np.abs(rig.rest[lips][:, 0]).max() < 0.03 and np.ptp(rig.rest[lips][:, 1]) < 0.03
    pose = np.zeros(55, np.float32)
    pose[ARKIT.index("mouthPucker")] = 1
    moved = np.linalg.norm(rig.vertices(pose) - rig.rest, axis=1)
    assert moved[lips].mean() > 5 * moved[~lips].mean()
    assert not face[14062:].any()  # teeth, gums, eyes, lashes


def test_parts_are_guessed_as_they_are(head):
    guessed = guess_groups(head.rest, head.deltas, head.faces)
    lashes = np.char.find(head.groups, "lash") >= 0
    np.testing.assert_array_equal(guessed, np.where(lashes, "around-eyes", head.groups))


def test_the_neck_is_estimated_near_its_place(head, ict, tmp_path):
    own = load_rig(save(tmp_path / "own.npz", head))
    assert np.linalg.norm(own.neck_pivot - head.neck_pivot) < 0.015
    rig, _ = ict
    turned = rig.vertices(np.eye(55, dtype=np.float32)[52] * 0.5, head=True)
    lowest = rig.rest[:, 1] < rig.rest[:, 1].min() + 0.02
    np.testing.assert_allclose(turned[lowest], rig.rest[lowest], atol=0.004)
    assert np.linalg.norm(turned - rig.rest, axis=1)[rig.regions["face"]].mean() > 0.02


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0, 1000.0])
def test_the_unit_is_told_from_the_size_of_the_face(head, tmp_path, scale):
    own = load_rig(save(tmp_path / "own.npz", head, scale=scale))
    np.testing.assert_allclose(own.rest, head.rest, atol=1e-6)
    np.testing.assert_allclose(own.deltas, head.deltas, atol=1e-6)


def test_a_unit_that_is_given_is_taken(head, tmp_path):
    giant = save(tmp_path / "giant.npz", head, scale=20.0)
    assert np.ptp(load_rig(giant, unit="m").rest[:, 1]) == pytest.approx(20 * np.ptp(head.rest[:, 1]), rel=1e-5)
    noted = save(tmp_path / "noted.npz", head, scale=100.0, unit="cm", neck_pivot=head.neck_pivot * 100)
    np.testing.assert_allclose(load_rig(noted).neck_pivot, head.neck_pivot, atol=1e-6)
    with pytest.raises(FacelmError, match="unknown unit 'inch'; it is one of m, dm, cm, mm"):
        load_rig(giant, unit="inch")


def test_spellings_and_name_tables(head, tmp_path):
    spelled = [name.replace("Left", "_L").replace("Right", "_R") for name in SHAPES]
    spelled = ["jawLeft" if name == "jaw_L" else name for name in spelled]
    np.testing.assert_array_equal(load_rig(save(tmp_path / "a.npz", head, spelled)).deltas, head.deltas)
    foreign = ["Open" if name == "jawOpen" else name for name in SHAPES]
    table = tmp_path / "mine.yaml"
    table.write_text("name: mine\nchannels:\n  Open: jawOpen\n")
    path = save(tmp_path / "b.npz", head, foreign)
    np.testing.assert_array_equal(load_rig(path, names=table).deltas, head.deltas)
    with pytest.warns(UserWarning, match="has no shape jawOpen"):
        assert load_rig(path).absent == ("jawOpen",)
    with pytest.raises(FacelmError, match="no shape with an ARKit name .*it has x0, x1"):
        load_rig(save(tmp_path / "c.npz", head, [f"x{i}" for i in range(52)]))
    twice = ["jaw_open" if name == "tongueOut" else name for name in SHAPES]
    with pytest.raises(FacelmError, match="two shapes for jawOpen: jawOpen and jaw_open"):
        load_rig(save(tmp_path / "d.npz", head, twice))


def test_masks_of_the_user_are_taken(head, tmp_path):
    mine = np.arange(len(head.rest)) < 10
    own = load_rig(save(tmp_path / "own.npz", head, region_lips=mine, region_chin=~mine))
    np.testing.assert_array_equal(own.regions["lips"], mine)
    np.testing.assert_array_equal(own.regions["chin"], ~mine)
    with pytest.raises(FacelmError, match=r"own.npz: the region lips has the shape \(3,\)"):
        load_rig(save(tmp_path / "own.npz", head, region_lips=mine[:3]))


def test_wrong_arrays_are_named(head, tmp_path):
    with pytest.raises(FacelmError, match=r"deltas \(52, 5261, 3\) for 51 names"):
        load_rig(save(tmp_path / "a.npz", head, SHAPES[1:]))
    with pytest.raises(FacelmError, match="no finite lengths"):
        load_rig(save(tmp_path / "b.npz", head, deltas=head.deltas * np.nan))
    with pytest.raises(FacelmError, match="move nothing"):
        load_rig(save(tmp_path / "c.npz", head, deltas=head.deltas * 0))
    with pytest.raises(FacelmError, match="faces of vertices that do not exist"):
        np.savez(tmp_path / "d.npz", names=SHAPES, vertices=head.rest, deltas=head.deltas, quads=head.faces + 1)
        load_rig(tmp_path / "d.npz")
    with pytest.raises(FacelmError, match="3 entries in face_group"):
        load_rig(save(tmp_path / "e.npz", head, face_group=np.array(["a", "b", "c"])))


def test_layouts_have_a_rig(monkeypatch):
    assert rig_for("arkit") is rig_for("livelink")
    monkeypatch.delenv("FACELM_FLAME", raising=False)
    with pytest.raises(FacelmError, match="register at flame.is.tue.mpg.de"):
        rig_for("flame56")


def test_the_command_line_shows_a_motion_on_an_own_rig(head, tmp_path):
    FaceMotion(np.full((2, 55), 0.2), 25).save(tmp_path / "take.csv")
    names = [name for name in SHAPES if name != "tongueOut"]
    deltas = head.deltas[[SHAPES.index(name) for name in names]]
    rig = save(tmp_path / "own.npz", head, names, deltas)
    for verb in (["render", "--out"], ["convert"]):
        target = tmp_path / f"{verb[0]}.png"
        done = CliRunner().invoke(
            main, [verb[0], str(tmp_path / "take.csv"), *verb[1:], str(target), "--rig", str(rig)]
        )
        assert done.exit_code == 0 and target.stat().st_size > 1000
        assert f"facelm: {rig} has no shape tongueOut" in done.stderr
    lacking = CliRunner().invoke(
        main, ["render", str(tmp_path / "take.csv"), "--out", str(tmp_path / "a.png"), "--rig", "generic_model.pkl"]
    )
    assert lacking.exit_code == 2 and "register at flame.is.tue.mpg.de" in lacking.stderr


# ---------------------------------------------------------------- glTF


@pytest.fixture(scope="module")
def glb(tmp_path_factory):
    path = tmp_path_factory.mktemp("glb") / "head.glb"
    write_glb(FaceMotion(np.zeros((2, 55)), 25), path)
    return path


def rewrite(path, target, change):
    """The GLB with its JSON changed."""
    raw = path.read_bytes()
    size = struct.unpack_from("<I", raw, 12)[0]
    document = json.loads(raw[20 : 20 + size])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = raw[20 + size :]
    begin = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
    target.write_bytes(begin + struct.pack("<II", len(text), 0x4E4F534A) + text + rest)
    return target


def test_a_glb_head_moves_as_the_head_it_was_written_from(head, glb):
    rig = load_rig(glb)
    pose = np.random.default_rng(0).uniform(0, 0.6, 55).astype(np.float32)
    ours, theirs = head.vertices(pose), rig.vertices(pose)
    kept = head.rest[:, 1] > 0.65  # above the cut through the neck
    apart, _ = cKDTree(theirs).query(ours[kept])
    assert apart.max() < 1e-5
    assert rig.absent == () and {"helper-l-eye", "helper-r-eye", "helper-tongue"} < set(rig.groups)
    assert rig.regions["eyes"].sum() > 100 and 200 < rig.regions["lips"].sum() < 800
    assert np.linalg.norm(rig.neck_pivot - head.neck_pivot) < 0.015


def test_nodes_place_a_glb_head(glb, tmp_path):
    def change(document):  # centimetres, lying on its back, as some programs export
        document["nodes"][0] |= {"scale": [100, 100, 100], "rotation": [2**-0.5, 0, 0, 2**-0.5]}
        document["nodes"].append({"children": [0, 1], "rotation": [-(2**-0.5), 0, 0, 2**-0.5]})
        document["scenes"][0]["nodes"] = [3]

    turned = load_rig(rewrite(glb, tmp_path / "turned.glb", change))
    np.testing.assert_allclose(turned.rest, load_rig(glb).rest, atol=1e-5)


def test_a_gltf_with_its_buffer_beside_it(glb, tmp_path):
    raw = glb.read_bytes()
    size = struct.unpack_from("<I", raw, 12)[0]
    document = json.loads(raw[20 : 20 + size])
    document["buffers"][0]["uri"] = "head.bin"
    (tmp_path / "head.bin").write_bytes(raw[20 + size + 8 :])
    (tmp_path / "head.gltf").write_text(json.dumps(document))
    np.testing.assert_array_equal(load_rig(tmp_path / "head.gltf").rest, load_rig(glb).rest)


def test_bad_glb_files_are_one_sentence(glb, tmp_path):
    def unnamed(document):
        del document["meshes"][0]["extras"]

    with pytest.raises(FacelmError, match="no named morph targets"):
        load_rig(rewrite(glb, tmp_path / "unnamed.glb", unnamed))

    def packed(document):
        document["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {}}

    with pytest.raises(FacelmError, match="compressed with KHR_draco_mesh_compression"):
        load_rig(rewrite(glb, tmp_path / "packed.glb", packed))

    def looped(document):
        document["nodes"][2]["children"] = [0]

    with pytest.raises(FacelmError, match="stands below two nodes"):
        load_rig(rewrite(glb, tmp_path / "looped.glb", looped))
    (tmp_path / "cut.glb").write_bytes(glb.read_bytes()[:3000])
    with pytest.raises(FacelmError, match="cut.glb is cut off"):
        load_rig(tmp_path / "cut.glb")
    (tmp_path / "words.gltf").write_text("{}")
    with pytest.raises(FacelmError, match="words.gltf"):
        load_rig(tmp_path / "words.gltf")
    with pytest.raises(MissingFileError, match="no rig file"):
        load_rig(tmp_path / "absent.glb")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Small rig files of every kind, by their ending."""
    folder = tmp_path_factory.mktemp("whole")
    arrays = flame_arrays()
    deltas = np.random.default_rng(0).normal(0, 0.01, (52, COUNT, 3)).astype(np.float32)
    small = BlendshapeRig(arrays["v_template"], deltas, arrays["f"])
    write_glb(FaceMotion(np.zeros((1, 55)), 25), folder / "rig.glb", small)
    np.savez(folder / "rig.npz", names=SHAPES, vertices=small.rest, deltas=deltas, triangles=small.faces)
    write_flame_pkl(folder / "rig.pkl")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from([".glb", ".npz", ".pkl"]),
    length=st.none() | st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_a_rig_or_a_sentence(whole, tmp_path, ending, length, changes):
    data = bytearray(whole[ending])
    for place, byte in changes:
        data[int(place**4 * (len(data) - 1))] = byte  # mostly near the start, where the structure is
    if length is not None:
        del data[int(length * len(data)) :]
    path = tmp_path / f"rig{ending}"
    path.write_bytes(data)
    try:
        load_rig(path)
    except FacelmError as error:
        assert str(path) in str(error) and "\n" not in str(error)
