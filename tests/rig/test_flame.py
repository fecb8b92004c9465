import pickle

import numpy as np
import pytest
import smplx
import torch
from flame_files import COUNT, flame_arrays, write_flame_npz, write_flame_pkl, write_masks

from facelm import FaceMotion
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import load_motion
from facelm.motion.layout import FLAME, FLAME56, FLAME106
from facelm.rig import load_rig
from facelm.rig.flame import FlameRig, load_flame, rotation_matrices


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return write_flame_pkl(tmp_path_factory.mktemp("flame") / "generic_model.pkl")


@pytest.fixture(scope="module")
def rig(model_file):
    return load_flame(model_file)


@pytest.fixture(scope="module")
def yardstick(tmp_path_factory):
    """smplx.FLAME of the same arrays."""
    folder = tmp_path_factory.mktemp("smplx")
    (folder / "FLAME_NEUTRAL.pkl").write_bytes(pickle.dumps(flame_arrays()))
    marks = {"lmk_face_idx": np.zeros(1, int), "lmk_b_coords": np.full((1, 3), 1 / 3)}
    (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(marks))
    return smplx.FLAME(str(folder), num_betas=300, num_expression_coeffs=100)


def random_values(layout, frames, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.array([1.5 if name.startswith("expression") else 0.5 for name in layout.names])
    values = rng.normal(0, scale, (frames, layout.width)).astype(np.float32)
    if "eyelidLeft" in layout:
        values[:, layout.indices(("eyelidLeft", "eyelidRight"))] = 0
    return values


def by_smplx(yardstick, layout, values, identity, head):
    def vector(joint):
        found = torch.zeros(len(values), 3)
        if f"{joint}X" in layout and (head or joint not in ("global", "neck")):
            found = torch.from_numpy(values[:, layout.indices(joint + axis for axis in "XYZ")])
        return found

    expression = torch.zeros(len(values), 100)
    count = 50 if layout is FLAME56 else 100
    expression[:, :count] = torch.from_numpy(values[:, :count].copy())
    betas = torch.zeros(len(values), 300)
    betas[:, : len(identity)] = torch.from_numpy(identity)
    with torch.no_grad():
        return yardstick(
            betas=betas,
            expression=expression,
            global_orient=vector("global"),
            neck_pose=vector("neck"),
            jaw_pose=vector("jaw"),
            leye_pose=vector("leftEye"),
            reye_pose=vector("rightEye"),
            transl=torch.zeros(len(values), 3),
        ).vertices.numpy()


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("layout", [FLAME56, FLAME106, FLAME], ids=lambda layout: layout.name)
@pytest.mark.parametrize("count", [300, 100, 0])
def test_vertices_agree_with_smplx(rig, yardstick, layout, head, count):
    values = random_values(layout, 6)
    identity = np.random.default_rng(1).normal(0, 1, count).astype(np.float32)
    ours = rig.vertices(FaceMotion(values, 25, layout, identity=identity), head=head)
    assert ours.shape == (6, COUNT, 3) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_smplx(yardstick, layout, values, identity, head), atol=1e-5, rtol=0)


def test_a_real_take_agrees_with_smplx(rig, yardstick, shared):
    """Expression, jaw, neck and head of a BEAT2 talker, on the made-up bases."""
    take, _ = load_motion(shared / "data/flame_beat2/2_scott_0_1_1_face.npz")
    values = take.to("flame").values[::100]
    identity = np.random.default_rng(1).normal(0, 1, 100).astype(np.float32)
    expected = by_smplx(yardstick, FLAME, values, identity, head=True)
    np.testing.assert_allclose(rig.vertices(values, head=True, identity=identity), expected, atol=1e-5, rtol=0)


@pytest.mark.gpu
def test_the_gpu_gives_the_same_vertices(rig):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    values = torch.from_numpy(random_values(FLAME, 6))
    on_gpu = rig.vertices(values.cuda(), head=True)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), rig.vertices(values, head=True), atol=1e-5, rtol=0)


def test_pkl_npz_and_chumpy_give_the_same_rig(rig, tmp_path):
    values = random_values(FLAME, 2)
    for other in (
        write_flame_npz(tmp_path / "model.npz"),
        write_flame_pkl(tmp_path / "plain.pkl", chumpy=False, protocol=4),
        write_flame_pkl(tmp_path / "old.pkl", protocol=0),
        write_flame_npz(tmp_path / "more.npz", J=np.array([{}])),  # what is not needed is not read
    ):
        loaded = load_rig(other)
        assert isinstance(loaded, FlameRig)
        np.testing.assert_array_equal(loaded.vertices(values, head=True), rig.vertices(values, head=True))


def test_arrays_tensors_and_motions_of_one_layout_give_the_same_vertices(rig):
    values = random_values(FLAME106, 4)
    of_array = rig.vertices(values, head=True)
    np.testing.assert_array_equal(rig.vertices(FaceMotion(values, 25, FLAME106), head=True), of_array)
    of_tensor = rig.vertices(torch.from_numpy(values).reshape(2, 2, -1), head=True)
    np.testing.assert_allclose(of_tensor.reshape(4, -1, 3), of_array, atol=1e-6)
    np.testing.assert_allclose(rig.vertices(values[0], head=True), of_array[0], atol=1e-6)


def test_a_zero_motion_is_the_rest_pose_of_the_identity(model_file):
    identity = np.linspace(-1, 1, 20, dtype=np.float32)
    rig = load_flame(model_file, identity=identity)
    np.testing.assert_allclose(rig.vertices(np.zeros(117), head=True), rig.rest, atol=1e-6)
    assert np.abs(rig.rest - rig.model.template).max() > 1e-3
    other = rig.vertices(FaceMotion(np.zeros((1, 117)), 25, FLAME, identity=-identity))
    np.testing.assert_allclose(other[0] + rig.rest, 2 * rig.model.template, atol=1e-6)


def test_an_upright_head_ignores_turns_but_not_jaw_and_eyes(rig):
    turned, jaw = np.zeros((2, 117), np.float32)
    turned[FLAME.indices(("globalY", "neckX"))] = 0.4
    jaw[FLAME.index("jawX")] = 0.3
    np.testing.assert_allclose(rig.vertices(turned), rig.rest, atol=1e-6)
    assert np.abs(rig.vertices(turned, head=True) - rig.rest).max() > 0.02
    assert np.abs(rig.vertices(jaw) - rig.rest).max() > 0.005


def test_positive_angles_turn_down_left_and_tilt_right(rig):
    """The sign table of the layouts: x to the person's left, y up, z out of the face."""
    x, y, z = np.eye(3)
    down, left, right = rotation_matrices(torch.eye(3, dtype=torch.float64) * 0.3).numpy()
    assert (down @ z)[1] < 0 and (left @ z)[0] > 0 and (right @ y)[0] < 0


def test_gradients_flow_to_values_and_identity(model_file):
    rig = load_flame(model_file)
    values = torch.from_numpy(random_values(FLAME56, 1, 3)).double()[:, -8:].requires_grad_()
    identity = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def some(values, identity):
        padded = torch.nn.functional.pad(values, (48, 0))
        return rig.vertices(padded, head=True, identity=identity)[:, ::9]

    assert torch.autograd.gradcheck(some, (values, identity))
    assert torch.autograd.gradcheck(rotation_matrices, torch.zeros(2, 3, dtype=torch.float64, requires_grad=True))
    still = torch.zeros(117, requires_grad=True)
    (rig.vertices(still, head=True) * torch.randn(COUNT, 3)).sum().backward()
    assert torch.isfinite(still.grad).all() and (still.grad != 0).sum() == 115  # all but the eyelids


def test_long_motions_are_placed_in_blocks(rig, monkeypatch):
    values = random_values(FLAME56, 11)
    whole = rig.vertices(values)
    monkeypatch.setattr("facelm.rig.flame.BLOCK", 3 * COUNT)
    np.testing.assert_allclose(rig.vertices(values), whole, atol=1e-6)
    identity = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (11, 5)).astype(np.float32))
    each = rig.vertices(values, identity=identity)
    np.testing.assert_allclose(each[7], rig.vertices(values[7], identity=identity[7]), atol=1e-6)


def test_smaller_models(tmp_path):
    small = load_flame(write_flame_npz(tmp_path / "a.npz", shapedirs=flame_arrays()["shapedirs"][..., :350]))
    assert small.model.expression.shape[2] == 50
    assert small.vertices(np.zeros((1, 106))).shape == (1, COUNT, 3)
    beyond = np.zeros((1, 106))
    beyond[0, 60] = 1
    with pytest.raises(FacelmError, match="expressions beyond the 50"):
        small.vertices(beyond)
    tiny = load_flame(write_flame_npz(tmp_path / "b.npz", shapedirs=flame_arrays()["shapedirs"][..., :20]))
    assert tiny.model.shape.shape[2] == tiny.model.expression.shape[2] == 10
    with pytest.raises(FacelmError, match="10 shape coefficients"):
        tiny.vertices(np.zeros((1, 56)), identity=np.zeros(100))
    with pytest.raises(FacelmError, match="150 components"):
        load_flame(write_flame_npz(tmp_path / "c.npz", shapedirs=flame_arrays()["shapedirs"][..., :150]))


def test_eyelids_move_with_smirks_files_and_are_told_without(rig, model_file, tmp_path):
    values = np.zeros(117, np.float32)
    values[FLAME.index("eyelidLeft")] = 0.5
    with pytest.warns(UserWarning, match="l_eyelid.npy"):
        np.testing.assert_allclose(rig.vertices(values), rig.rest, atol=1e-6)
    lids = np.random.default_rng(0).normal(0, 0.01, (2, COUNT, 3)).astype(np.float32)
    for lid, name in zip(lids, ("l_eyelid.npy", "r_eyelid.npy"), strict=True):
        np.save(tmp_path / name, lid)
    with_lids = load_flame(model_file, eyelids=(tmp_path / "l_eyelid.npy", tmp_path / "r_eyelid.npy"))
    np.testing.assert_allclose(with_lids.vertices(values), rig.rest + 0.5 * lids[0], atol=1e-6)
    write_flame_npz(tmp_path / "model.npz")
    assert load_flame(tmp_path / "model.npz").eyelids is not None


def test_regions_come_from_the_mask_file(model_file, tmp_path):
    path = write_masks(tmp_path / "FLAME_masks.pkl")
    rig = load_flame(model_file, masks=path)
    regions = rig.regions
    assert regions["lips"].sum() == 4 and regions["eyes"].sum() == 4
    assert not (regions["face"] & regions["eyes"]).any() and not (regions["upper_face"] & regions["eyes"]).any()
    assert regions["upper_face"].sum() == 16 + 16 + 2 - 4
    assert regions["left_eye_region"].sum() == 8 and regions["neck"].dtype == bool
    write_flame_npz(tmp_path / "model.npz")  # the masks lie beside it
    np.testing.assert_array_equal(load_rig(tmp_path / "model.npz").regions["lips"], regions["lips"])


def test_without_masks_only_regions_fail(rig, tmp_path, model_file):
    with pytest.raises(FacelmError, match="FLAME_masks.pkl, which flame.is.tue.mpg.de offers"):
        _ = rig.regions
    assert rig.vertices(np.zeros(56)).shape == (COUNT, 3)
    partial = tmp_path / "masks.pkl"
    partial.write_bytes(pickle.dumps({"lips": np.arange(4)}))
    with pytest.raises(FacelmError, match="lack face, forehead"):
        _ = load_flame(model_file, masks=partial).regions
    foreign = write_masks(tmp_path / "other.pkl", lips=np.array([COUNT + 3]))
    with pytest.raises(FacelmError, match="lips holds no vertices of a mesh of 64"):
        load_flame(model_file, masks=foreign)


def test_another_layout_needs_a_map(rig):
    with pytest.raises(FacelmError, match="facelm rig map"):
        rig.vertices(FaceMotion(np.zeros((1, 55)), 25))
    with pytest.raises(FacelmError, match=r"55 values a frame; a FLAME rig takes 56 \(flame56\)"):
        rig.vertices(np.zeros((1, 55)))


def test_a_missing_model_is_explained(tmp_path, monkeypatch, model_file):
    with pytest.raises(MissingFileError, match="generic_model.pkl; FLAME is a head model .*register at flame.is.tue"):
        load_rig(tmp_path / "generic_model.pkl")
    monkeypatch.delenv("FACELM_FLAME", raising=False)
    with pytest.raises(FacelmError, match="FACELM_FLAME"):
        load_rig("flame")
    monkeypatch.setenv("FACELM_FLAME", str(model_file))
    assert isinstance(load_rig("flame"), FlameRig)


def test_wrong_files_are_named(tmp_path, model_file):
    cut = tmp_path / "cut.pkl"
    cut.write_bytes(model_file.read_bytes()[:5000])
    with pytest.raises(FacelmError, match="cut.pkl is a damaged pickle .*FLAME is a head model"):
        load_rig(cut)
    other = tmp_path / "other.pkl"
    other.write_bytes(pickle.dumps({"v_template": np.zeros((3, 3)), "f": np.zeros((1, 3), int)}))
    with pytest.raises(FacelmError, match="other.pkl is no FLAME model, it lacks shapedirs, posedirs, J_regressor"):
        load_rig(other)
    body = write_flame_npz(tmp_path / "body.npz", weights=np.zeros((COUNT, 55)))
    with pytest.raises(FacelmError, match=r"weights \(64, 55\) instead of \(64, 5\)"):
        load_rig(body)
    code = tmp_path / "code.pkl"
    code.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(FacelmError, match="os.system"):
        load_rig(code)
    assert not (tmp_path / "ran").exists()
    np.savez(tmp_path / "objects.npz", **flame_arrays() | {"J_regressor": np.array([{}])})
    with pytest.raises(FacelmError, match="objects.npz: J_regressor holds no finite numbers"):
        load_rig(tmp_path / "objects.npz")
    nan = write_flame_npz(tmp_path / "nan.npz", v_template=np.full((COUNT, 3), np.nan))
    with pytest.raises(FacelmError, match="v_template holds no finite numbers"):
        load_rig(nan)
