import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from facelm.errors import FacelmError
from facelm.motion import ARKIT, FLAME, FLAME56, FLAME106, LIVELINK, convert, head_angles, layout, load_motion
from facelm.motion.rotations import compose, head_angles_of, rotation_vectors_of, unwrap
from facelm.rig.blendshape import head_rotation

ANGLES = st.tuples(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
VECTORS = st.tuples(*[st.floats(-1.7, 1.7)] * 3)


def test_widths_and_the_order_of_the_file():
    assert (ARKIT.width, LIVELINK.width) == (55, 61)
    assert [name.lower() for name in ARKIT.names] == [name.lower() for name in LIVELINK.names[:55]]
    assert ARKIT.names[14:18] == ("jawForward", "jawRight", "jawLeft", "jawOpen")
    assert ARKIT.names[-3:] == ("headYaw", "headPitch", "headRoll")
    assert len(set(ARKIT.names)) == 55
    assert {c.unit for c in ARKIT.channels[:52]} == {"weight"} and {c.unit for c in ARKIT.channels[52:]} == {"rad"}


def test_names_of_the_real_header_in_its_order(shared):
    import csv
    import gzip

    with gzip.open(shared / "data/livelink/idle.csv.gz", "rt") as file:
        assert tuple(next(csv.reader(file))[2:]) == LIVELINK.names


def test_a_wrong_channel_or_layout_names_the_near_ones():
    with pytest.raises(FacelmError, match="jawOpen"):
        ARKIT.index("jawOpn")
    with pytest.raises(FacelmError, match="arkit, livelink"):
        layout("flame57")
    assert LIVELINK.index("jawOpen") == LIVELINK.index("JawOpen") == 17


@pytest.mark.parametrize("which", [ARKIT, LIVELINK])
def test_mirror_twice_is_nothing_and_swaps_sides(which):
    permutation, sign = which.mirror()
    values = np.random.default_rng(0).normal(size=(5, which.width)).astype(np.float32)
    mirrored = values[:, permutation] * sign
    assert np.array_equal(mirrored[:, permutation] * sign, values)
    for one, other in (("jawLeft", "jawRight"), ("mouthSmileLeft", "mouthSmileRight"), ("eyeLookInLeft",) * 2):
        other = other if one != other else "eyeLookInRight"
        assert np.array_equal(mirrored[:, which.index(one)], values[:, which.index(other)])
    assert np.array_equal(mirrored[:, which.index("headYaw")], -values[:, which.index("headYaw")])
    assert np.array_equal(mirrored[:, which.index("headRoll")], -values[:, which.index("headRoll")])
    assert np.array_equal(mirrored[:, which.index("headPitch")], values[:, which.index("headPitch")])
    assert np.array_equal(mirrored[:, which.index("jawOpen")], values[:, which.index("jawOpen")])
    if which is LIVELINK:
        assert np.array_equal(mirrored[:, which.index("LeftEyeYaw")], -values[:, which.index("RightEyeYaw")])
        assert np.array_equal(mirrored[:, which.index("LeftEyePitch")], values[:, which.index("RightEyePitch")])


def test_conversion_keeps_what_both_have_and_names_what_is_lost():
    values = np.random.default_rng(1).random((4, 61), dtype=np.float32)
    arkit, lost = convert(values, "livelink", "arkit")
    assert np.array_equal(arkit, values[:, :55])
    assert lost == LIVELINK.names[55:]
    back, nothing = convert(arkit, "arkit", "livelink")
    assert nothing == () and np.array_equal(back[:, :55], arkit)
    with pytest.raises(FacelmError, match="61"):
        convert(arkit, "livelink", "arkit")


def test_gaze_to_the_right_and_down_turns_both_eye_angles_that_way():
    values = np.zeros((1, 55), dtype=np.float32)
    values[0, ARKIT.indices(["eyeLookInLeft", "eyeLookOutRight", "eyeLookDownLeft", "eyeLookDownRight"])] = 0.5
    out, _ = convert(values, ARKIT, LIVELINK)
    angles = dict(zip(LIVELINK.names[55:], out[0, 55:], strict=True))
    assert angles["LeftEyeYaw"] == angles["RightEyeYaw"] > 0.2
    assert angles["LeftEyePitch"] == angles["RightEyePitch"] > 0.2
    assert angles["LeftEyeRoll"] == angles["RightEyeRoll"] == 0


@pytest.mark.filterwarnings("ignore")
def test_estimated_eye_angles_fit_real_ones(shared):
    for take in ("emotion_161", "rom_3", "facial"):
        real = load_motion(shared / f"data/livelink/{take}.csv.gz")[0]
        estimated = real.to("arkit").to("livelink")
        for name in ("LeftEyeYaw", "RightEyeYaw", "LeftEyePitch", "RightEyePitch"):
            assert np.corrcoef(real.channel(name), estimated.channel(name))[0, 1] > 0.97
            assert np.sqrt(np.mean((real.channel(name) - estimated.channel(name)) ** 2)) < 0.08


# ---------------------------------------------------------------- FLAME


def test_flame_layouts_are_those_of_the_tools():
    assert (FLAME56.width, FLAME106.width, FLAME.width) == (56, 106, 117)
    assert FLAME56.names[49:] == ("expression49", "neckX", "neckY", "neckZ", "jawX", "jawY", "jawZ")
    assert FLAME106.names[99:] == ("expression99", "globalX", "globalY", "globalZ", "jawX", "jawY", "jawZ")
    assert FLAME.names[100:103] == ("eyelidLeft", "eyelidRight", "globalX")
    assert FLAME.names[-6:] == ("leftEyeX", "leftEyeY", "leftEyeZ", "rightEyeX", "rightEyeY", "rightEyeZ")
    assert FLAME.is_flame and not ARKIT.is_flame and layout("flame56") is FLAME56
    assert {c.unit for c in FLAME.channels[:102]} == {"weight"} and {c.unit for c in FLAME.channels[102:]} == {"rad"}


@pytest.mark.parametrize(("source", "target"), [("flame", "arkit"), ("flame56", "livelink"), ("arkit", "flame106")])
def test_flame_and_arkit_need_a_map(source, target):
    with pytest.raises(FacelmError, match=f"{source} cannot be turned into {target} .*facelm rig map"):
        convert(np.zeros((2, layout(source).width)), source, target)


def test_flame_has_no_mirror():
    with pytest.raises(FacelmError, match="mirrored"):
        FLAME56.mirror()


def flame_values(name: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, (5, layout(name).width)).astype(np.float32)


def test_larger_flame_layouts_lose_nothing():
    for small in (FLAME56, FLAME106):
        values = flame_values(small.name)
        wide, lost = convert(values, small, FLAME)
        assert lost == () and np.array_equal(convert(wide, FLAME, small)[0], values)


def test_neck_becomes_global_and_back_bit_for_bit():
    values = flame_values("flame56")
    wide, lost = convert(values, FLAME56, FLAME106)
    assert lost == ()
    assert np.array_equal(wide[:, FLAME106.indices(["globalX", "globalY", "globalZ"])], values[:, 50:53])
    assert np.array_equal(convert(wide, FLAME106, FLAME56)[0], values)


def test_global_and_neck_turn_the_one_joint_there_is():
    values = flame_values("flame")
    for target in (FLAME56, FLAME106):
        out, lost = convert(values, FLAME, target)
        assert np.allclose(head_angles(out, target), head_angles(values, FLAME), atol=1e-6)
        assert "leftEyeX" in lost and "eyelidLeft" in lost and not {"neckX", "globalX"} & set(lost)
        assert ("expression50" in lost) == (target is FLAME56)


# ---------------------------------------------------------------- head angles


def test_signs_of_head_angles_are_those_of_the_table():
    for axis, angle in ((0, 1), (1, 0), (2, 2)):  # rx > 0 down = pitch, ry > 0 left = yaw, rz > 0 right = roll
        vector = np.zeros(3)
        vector[axis] = 0.3
        expected = np.zeros(3)
        expected[angle] = 0.3
        assert np.allclose(head_angles_of(vector), expected, atol=1e-7)
        for joint, which in (("neck", FLAME56), ("global", FLAME106)):
            values = np.zeros((1, which.width))
            values[0, which.index(joint + "XYZ"[axis])] = 0.3
            assert np.allclose(head_angles(values, which), expected, atol=1e-7)


def test_head_angles_of_arkit_are_its_channels():
    values = np.random.default_rng(0).random((4, 61), dtype=np.float32)
    assert np.array_equal(head_angles(values, LIVELINK), values[:, 52:55])
    assert np.array_equal(head_angles(values[:, :55], ARKIT), values[:, 52:55])


@settings(max_examples=100, deadline=None)
@given(ANGLES)
def test_head_angles_and_rotation_vectors_are_the_same_turn(angles):
    vector = rotation_vectors_of(np.array([angles]))
    rig = np.asarray(head_rotation(np.array([angles])))[0]
    assert np.allclose(Rotation.from_rotvec(vector[0]).as_matrix(), rig, atol=1e-5)  # as the rig turns its head
    again = np.asarray(head_rotation(head_angles_of(vector).astype(float)))[0]
    assert np.allclose(again, rig, atol=1e-5)
    if max(abs(angles[0]), abs(angles[2])) < 3 and abs(angles[1]) < 1.4:
        assert np.allclose(head_angles_of(vector)[0], angles, atol=1e-3)


@settings(max_examples=100, deadline=None)
@given(VECTORS, VECTORS)
def test_compose_is_the_chain_of_the_joints(outer, inner):
    both = Rotation.from_rotvec(compose(np.float32([outer]), np.float32([inner]))[0]).as_matrix()
    chain = Rotation.from_rotvec(np.float32(outer)).as_matrix() @ Rotation.from_rotvec(np.float32(inner)).as_matrix()
    assert np.allclose(both, chain, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_unwrapped_rotations_are_the_same_and_do_not_jump(seed):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    angle = np.cumsum(rng.uniform(-0.5, 1.0, 40))
    vectors = Rotation.from_rotvec(angle[:, None] * axis / np.linalg.norm(axis)).as_rotvec()  # at most pi long
    smooth = unwrap(vectors)
    assert np.linalg.norm(np.diff(smooth, axis=0), axis=1).max() < 1.1
    same = Rotation.from_rotvec(smooth).inv() * Rotation.from_rotvec(vectors)
    assert same.magnitude().max() < 1e-6
