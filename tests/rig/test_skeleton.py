import numpy as np
import pytest
from flame_files import COUNT, write_flame_npz, write_masks

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion.formats.gltf_document import Document
from facelm.motion.layout import FLAME, FLAME56
from facelm.rig import load_rig, still, write_glb
from facelm.rig.export import export
from facelm.rig.skeleton import perform
from facelm.rig.surface import surfaces


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flame")
    write_masks(folder / "FLAME_masks.pkl")
    for name in ("l_eyelid.npy", "r_eyelid.npy"):
        np.save(folder / name, np.random.default_rng(1).normal(0, 0.002, (COUNT, 3)))
    return load_rig(write_flame_npz(folder / "model.npz"))


def motion(expression=0.0, frames=5):
    values = np.random.default_rng(2).normal(0, 0.4, (frames, FLAME.width))
    values[:, :100] *= expression
    return FaceMotion(values, 25, FLAME, identity=np.linspace(-1, 1, 30))


def as_a_viewer_shows(path, frame):
    """Points (V, 3) morphed and skinned by the rules of glTF, of all primitives."""
    document = Document(path)
    animation = document.item("animations", 0)
    nodes = [dict(node) for node in document.items("nodes")]
    weights = np.zeros(0)
    for channel in animation["channels"]:
        rows = document.accessor(animation["samplers"][channel["sampler"]]["output"])
        if channel["target"]["path"] == "weights":
            count = len(document.item("meshes", 0)["weights"])
            weights = rows.reshape(-1, count)[frame]
        else:
            nodes[channel["target"]["node"]]["rotation"] = rows[frame]
    places = {}

    def visit(index, above):
        place = np.eye(4)
        place[:3, 3] = nodes[index].get("translation", (0, 0, 0))
        x, y, z, w = nodes[index].get("rotation", (0, 0, 0, 1))
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        place[:3, :3] = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        places[index] = above @ place
        for child in nodes[index].get("children", []):
            visit(child, places[index])

    visit(0, np.eye(4))
    skin = document.item("skins", 0)
    inverse = document.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    joints = np.stack([places[joint] for joint in skin["joints"]]) @ inverse
    found = []
    for primitive in document.item("meshes", 0)["primitives"]:
        points = document.accessor(primitive["attributes"]["POSITION"])
        for weight, target in zip(weights, primitive.get("targets", []), strict=True):
            points = points + weight * document.accessor(target["POSITION"])
        which = document.accessor(primitive["attributes"]["JOINTS_0"]).astype(int)
        share = document.accessor(primitive["attributes"]["WEIGHTS_0"])
        np.testing.assert_allclose(share.sum(1), 1, atol=1e-5)
        matrices = np.einsum("nk,nkab->nab", share, joints[which])
        found.append((matrices[:, :3, :3] @ points[..., None])[..., 0] + matrices[:, :3, 3])
    return found


def test_a_flame_glb_shows_what_the_rig_does(rig, tmp_path):
    take = motion()
    write_glb(take, tmp_path / "take.glb", rig)
    expected = rig.vertices(take, head=True)
    for surface, shown in zip(surfaces(rig, smooth=False), as_a_viewer_shows(tmp_path / "take.glb", 3), strict=True):
        kept = np.sort(surface.points @ rig.model.weights, 1)[:, 0]  # a fifth joint is left out by the format
        np.testing.assert_allclose(shown[kept < 1e-3], surface.place(expected[3])[kept < 1e-3], atol=1e-4)
        assert (kept < 1e-3).sum() > 3


def test_targets_that_a_motion_does_not_use_are_left_out(rig):
    values = np.zeros((3, 56), np.float32)
    values[:, FLAME56.index("expression7")] = (0, 1, 0.5)
    values[1, FLAME56.index("jawX")] = 0.2
    shown = perform(FaceMotion(values, 25, FLAME56), rig)
    assert "expression7" in shown.names and "expression8" not in shown.names and "eyelidLeft" not in shown.names
    assert all("Corrective" not in name or name.startswith("jaw") for name in shown.names)
    assert [joint.name for joint in shown.joints] == ["global", "neck", "jaw", "leftEye", "rightEye"]
    assert shown.curves.shape == (3, len(shown.names)) and len(shown.deltas) == len(shown.names)
    nothing = perform(FaceMotion(np.zeros((1, 56)), 25, FLAME56), rig)
    assert nothing.names == ()


def test_a_still_flame_motion_is_a_file_too(rig, tmp_path):
    write_glb(FaceMotion(np.zeros((2, 56)), 25, FLAME56), tmp_path / "still.glb", rig)
    shown = np.concatenate(as_a_viewer_shows(tmp_path / "still.glb", 1))
    assert np.abs(shown.max(0) - rig.rest[np.unique(rig.faces)].max(0)).max() < 1e-5


def test_flame_motions_are_pictures(rig, tmp_path, monkeypatch):
    take = motion(0.5)
    rest, moved = still(take[:1], 64, rig), still(take[3:4], 64, rig)
    assert rest.shape == (64, 64, 3) and (rest != moved).any()
    export(take, tmp_path / "take.png", rig)
    monkeypatch.delenv("FACELM_FLAME", raising=False)
    with pytest.raises(FacelmError, match="FACELM_FLAME"):
        export(take, tmp_path / "other.png")


def test_another_layout_is_refused(rig, tmp_path):
    with pytest.raises(FacelmError):
        write_glb(FaceMotion(np.zeros((1, 55)), 25), tmp_path / "x.glb", rig)
    with pytest.raises(FacelmError):
        still(motion(), 32, load_rig())
