import json

import numpy as np
import pytest
from other_heads import finer_copy, moved_copy

from facelm.errors import FacelmError, MissingFileError
from facelm.motion.layout import SHAPES
from facelm.rig import load_rig
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.correspond import Correspondence, correspond, landmarks, read_pairs
from facelm.rig.landmarks import anatomy

pytestmark = pytest.mark.filterwarnings("ignore:.*has no shape tongueOut")


@pytest.fixture(scope="module")
def head():
    return load_rig()


@pytest.fixture(scope="module")
def copy(head):
    return moved_copy(head, scale=1.3, degrees=6)


@pytest.fixture(scope="module")
def matches(head, copy):
    return correspond(copy[0], head)


@pytest.fixture(scope="module")
def ict(shared):
    return load_rig(shared / "data/rigs/ict_facekit_exp53.npz")


def mirrored(name):
    if name.startswith("mouth"):
        return f"mouth{8 - int(name[5:])}"
    return name.replace("left", "?").replace("right", "left").replace("?", "right")


@pytest.mark.parametrize("which", ["head", "ict"])
def test_landmarks_are_where_anatomy_has_them(which, request):
    found = landmarks(request.getfixturevalue(which))
    for name, place in found.items():
        other = found[mirrored(name)]
        np.testing.assert_allclose(place * [-1, 1, 1], other, atol=0.0015, err_msg=name)
    heights = [
        found[n][1] for n in ("sellion", "nose_tip", "subnasale", "upper_lip", "mouth4", "lower_lip", "chin_fold")
    ]
    assert heights == sorted(heights, reverse=True)
    assert found["chin_fold"][1] > found["chin"][1] > found["menton"][1]
    assert found["nose_tip"][2] == max(place[2] for place in found.values())
    for side in ("left", "right"):
        for i in range(5):
            assert 0.004 < found[f"eye_{side}_upper{i}"][1] - found[f"eye_{side}_lower{i}"][1] < 0.015
    assert 0.04 < found["mouth8"][0] - found["mouth0"][0] < 0.06


def test_the_cavities_of_mouth_and_eyes_are_not_outside(head):
    face = anatomy(head)
    behind = (head.rest[:, 2] < 0.12) & (np.abs(head.rest[:, 0]) < 0.02)
    assert not (face.face & behind & (np.abs(head.rest[:, 1] - 0.66) < 0.02)).any()
    assert face.face.sum() > 2000


def test_a_scaled_turned_and_reordered_copy_is_matched_exactly(head, copy, matches):
    rig, _ = copy
    skin = ~matches.eyes
    found = matches.points(rig.rest.astype(np.float64))[skin]
    apart = np.linalg.norm(found - rig.rest[copy[1][matches.vertices[skin]]], axis=1)
    assert np.quantile(apart, 0.95) < 0.0003  # of a head 1.3 times as large; the rest lies inside the lids
    assert matches.quality[skin].mean() > 0.98
    assert skin.sum() > 2000


def test_displacements_are_carried_in_the_targets_size_and_direction(head, copy, matches):
    for name in ("mouthSmileLeft", "jawOpen", "eyeBlinkRight", "browInnerUp"):
        shape = SHAPES.index(name)
        carried = matches.displacements(copy[0].deltas[shape])
        true = head.deltas[shape, matches.vertices]
        assert np.linalg.norm(carried - true) < 0.08 * np.linalg.norm(true), name
    operator = matches.operator(len(head.rest))
    np.testing.assert_allclose(
        operator @ copy[0].deltas[3].ravel(), matches.displacements(copy[0].deltas[3]).ravel(), atol=1e-6
    )


def test_a_finer_mesh_of_the_same_face_is_matched_on_the_surface(head):
    finer = finer_copy(head)
    found = correspond(finer, head)
    skin = ~found.eyes
    apart = np.linalg.norm(found.points(finer.rest)[skin] - head.rest[found.vertices[skin]], axis=1)
    assert np.quantile(apart, 0.98) < 0.0002
    assert skin.sum() > 2000


def test_lips_and_lids_of_two_heads_are_not_mixed(head, ict):
    """What the jaw takes along on the target comes from skin that the jaw takes along on the source."""
    found = correspond(head, ict)
    jaw = SHAPES.index("jawOpen")
    ours, theirs = (np.linalg.norm(d, axis=1) for d in (ict.deltas[jaw, found.vertices], head.deltas[jaw]))
    theirs = (theirs[found.corners] * found.weights).sum(1)
    lips = ict.regions["lips"][found.vertices] & ~found.eyes
    upper, lower = lips & (ours < 0.1 * ours.max()), lips & (ours > 0.7 * ours.max())
    assert upper.sum() > 100 and lower.sum() > 100
    assert (theirs[upper] < 0.5 * theirs.max()).mean() > 0.98
    assert (theirs[lower] > 0.5 * theirs.max()).mean() > 0.98


def test_the_same_rigs_give_the_same_matches_and_files_keep_them(copy, head, matches, tmp_path):
    matches.save(tmp_path / "matches.npz")
    again = correspond(moved_copy(head, scale=1.3, degrees=6)[0], head)
    for other in (again, Correspondence.load(tmp_path / "matches.npz")):
        for name in ("vertices", "corners", "weights", "carry", "quality", "gaps", "eyes"):
            np.testing.assert_array_equal(getattr(matches, name), getattr(other, name))


def test_rigs_that_share_their_mesh_are_matched_vertex_by_vertex(head):
    found = correspond(head, head)
    np.testing.assert_array_equal(found.corners[:, 0], found.vertices)
    np.testing.assert_allclose(found.carry, np.broadcast_to(np.eye(3), found.carry.shape), atol=1e-5)
    assert head.regions["face"][found.vertices].sum() == head.regions["face"].sum()


def test_given_pairs_override(head, copy, matches, tmp_path):
    nose = int(np.argmax(head.rest[:, 2]))
    wrong = head.rest[nose] + [0.02, 0.01, 0]
    (tmp_path / "pairs.yaml").write_text(f"nose_tip: [{int(copy[1][nose])}, {[float(x) for x in wrong]}]\n")
    found = correspond(copy[0], head, read_pairs(tmp_path / "pairs.yaml"))
    at = np.linalg.norm(head.rest[found.vertices] - wrong, axis=1).argmin()
    before = np.linalg.norm(head.rest[matches.vertices] - wrong, axis=1).argmin()
    tip = copy[0].rest[copy[1][nose]]
    assert np.linalg.norm(found.points(copy[0].rest)[at] - tip) < np.linalg.norm(
        matches.points(copy[0].rest)[before] - tip
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nose_tip: [99999, 3]", "vertex 99999"),
        ("nose_tip: [a, 3]", "three numbers"),
        ("nose_tip: 4", "must be a pair"),
        ("- 1", "no landmarks"),
        ("{", "no YAML"),
    ],
)
def test_wrong_pairs_are_explained(text, words, tmp_path, head, copy):
    (tmp_path / "pairs.yaml").write_text(text)
    with pytest.raises(FacelmError, match=words):
        correspond(copy[0], head, read_pairs(tmp_path / "pairs.yaml"))


def test_pairs_may_be_json(tmp_path):
    (tmp_path / "pairs.json").write_text(json.dumps({"chin": [1, [0, 1, 2]]}))
    assert read_pairs(tmp_path / "pairs.json") == {"chin": (1, [0, 1, 2])}
    with pytest.raises(MissingFileError):
        read_pairs(tmp_path / "absent.json")


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(FacelmError, match=name):
            Correspondence.load(tmp_path / name)


def test_a_head_without_eyeballs_needs_landmarks(head, copy):
    blind = BlendshapeRig(copy[0].rest, copy[0].deltas, copy[0].faces)
    with pytest.raises(FacelmError, match="landmark pairs"):
        correspond(blind, head)
