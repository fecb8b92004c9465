"""facelm rig map, facelm rig fit."""

import numpy as np
import pytest
from click.testing import CliRunner

from facelm.cli import main
from facelm.motion import load_motion
from facelm.motion.layout import ARKIT, SHAPES
from facelm.motion.retarget import LinearMap
from facelm.rig import load_rig


@pytest.fixture(scope="module")
def head():
    return load_rig()


@pytest.fixture
def rig_file(head, tmp_path):
    """The default head as a file of a user's."""
    shown = {"names": SHAPES, "vertices": head.rest, "deltas": head.deltas, "quads": head.faces}
    np.savez(tmp_path / "mine.npz", **shown, face_group=head.groups, neck_pivot=head.neck_pivot)
    return tmp_path / "mine.npz"


def run(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def test_vertices_become_a_take(head, tmp_path):
    values = np.zeros((6, ARKIT.width), np.float32)
    values[:, ARKIT.index("mouthSmileLeft")] = np.linspace(0, 1, 6)
    np.save(tmp_path / "take.npy", head.vertices(values))
    said = run("rig", "fit", tmp_path / "take.npy", "--fps", "25", "--out", tmp_path / "take.csv")
    assert "6 frames at 25 fps" in said
    found, _ = load_motion(tmp_path / "take.csv")
    np.testing.assert_allclose(found.to("arkit").values, values, atol=0.01)


def test_a_map_is_written_and_used(rig_file, fixtures, tmp_path):
    said = run("rig", "map", "default", rig_file, "--out", tmp_path / "map.npz", "--matches", tmp_path / "m.npz")
    assert "arkit to arkit" in said and "median quality 1.00" in said
    assert (tmp_path / "m.npz").is_file()
    linear = LinearMap.load(tmp_path / "map.npz")
    np.testing.assert_allclose(linear.matrix[:52, :52], np.eye(52), atol=0.02)
    take = fixtures / "motion_25fps.npz"
    run("convert", take, tmp_path / "out.npz", "--map", tmp_path / "map.npz")
    before, after = load_motion(take)[0].to("arkit"), load_motion(tmp_path / "out.npz")[0]
    np.testing.assert_allclose(after.values, np.clip(before.values, -2, 1), atol=0.05)


def test_wrong_requests_are_one_sentence(head, tmp_path):
    np.save(tmp_path / "take.npy", head.rest[None])
    for words, said in (
        (("rig", "fit", tmp_path / "take.npy", "--out", tmp_path / "a.csv"), "give fps"),
        (("rig", "fit", tmp_path / "absent.npy", "--out", tmp_path / "a.csv"), "there is no file"),
        (("rig", "map", "default", tmp_path / "no.npz", "--out", tmp_path / "a.npz"), "no rig file"),
        (("rig", "map", "default", "default", "--out", tmp_path / "a.csv"), ".npz"),
    ):
        output = run(*words, code=2)
        assert said in output and output.count("\n") == 1
    assert not (tmp_path / "a.csv").exists() and not (tmp_path / "a.npz").exists()
