from dataclasses import replace

import numpy as np
import pytest
from flame_like import EXPRESSIONS, flame_like
from hypothesis import given, settings
from hypothesis import strategies as st
from other_heads import finer_copy, moved_copy
from scipy.optimize import lsq_linear

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import load_motion
from facelm.motion.layout import ARKIT, FLAME, SHAPES
from facelm.rig import load_rig
from facelm.rig.blendshape import head_rotation
from facelm.rig.correspond import correspond
from facelm.rig.fit import bounded_least_squares, fit, fit_map, stabilise, still_vertices

pytestmark = pytest.mark.filterwarnings("ignore:.*has no shape tongueOut")


@pytest.fixture(scope="module")
def head():
    return load_rig()


@pytest.fixture(scope="module")
def flame():
    return flame_like()


def performance(frames=40, seed=0, active=0.2):
    """Few shapes at a time, and the head turns."""
    rng = np.random.default_rng(seed)
    values = np.zeros((frames, ARKIT.width), np.float32)
    values[:, :52] = rng.uniform(0, 1, (frames, 52)) * (rng.uniform(0, 1, (frames, 52)) < active)
    values[:, 52:] = rng.normal(0, 0.2, (frames, 3))
    return FaceMotion(values, 30)


def flame_performance(frames=24, seed=0):
    rng = np.random.default_rng(seed)
    values = np.zeros((frames, FLAME.width), np.float32)
    values[:, :EXPRESSIONS] = rng.normal(0, 1, (frames, EXPRESSIONS))
    values[:, FLAME.index("jawX")] = rng.uniform(0, 0.3, frames)
    values[:, FLAME.indices(["jawY", "leftEyeX", "leftEyeY", "rightEyeX", "rightEyeY"])] = rng.normal(
        0, 0.1, (frames, 5)
    )
    values[:, FLAME.indices(["neckX", "neckY", "neckZ"])] = rng.normal(0, 0.2, (frames, 3))
    return FaceMotion(values, 25, "flame", start=3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_bounded_least_squares_agree_with_scipys(seed, width):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(12, width)), rng.normal(size=(3, 12))
    low, high = -rng.uniform(0, 0.5, width), rng.uniform(0.01, 1, width)
    found = bounded_least_squares(a.T @ a, b @ a, low, high)
    assert ((found >= low - 1e-9) & (found <= high + 1e-9)).all()
    for row, wanted in zip(found, b, strict=True):
        np.testing.assert_allclose(row, lsq_linear(a, wanted, (low, high)).x, atol=2e-4)


def test_a_lasso_leaves_out_what_explains_little():
    gram, right = np.eye(3), np.array([[1.0, 0.1, -0.5]])
    found = bounded_least_squares(gram, right, np.full(3, -np.inf), np.full(3, np.inf), np.array([0, 0.2, 0.2]))
    np.testing.assert_allclose(found, [[1.0, 0.0, -0.3]], atol=1e-6)


def test_a_rig_gives_back_its_own_motion(head):
    motion = performance()
    found = fit(motion, head, head)
    np.testing.assert_allclose(found.values, motion.values, atol=0.005)
    assert (found.rate, found.start, found.layout) == (motion.rate, motion.start, motion.layout)


def test_a_rig_gives_back_vertices_that_turn_and_wander(head):
    motion = performance(seed=1)
    shift = np.random.default_rng(0).normal(0, 0.1, (len(motion), 1, 3))
    # head=True turns the head on a neck that stays; a tracked mesh turns as a whole.
    turned = head.vertices(motion) @ np.swapaxes(head_rotation(motion.values[:, 52:]), 1, 2) + shift
    found = fit(turned, head, head, fps=30)
    np.testing.assert_allclose(found.values[:, 52:], motion.values[:, 52:], atol=0.01)
    np.testing.assert_allclose(found.values[:, :52], motion.values[:, :52], atol=0.03)


def test_values_stay_in_the_layouts_range(head):
    motion = performance(seed=2)
    found = fit(head.rest + 3 * (head.vertices(motion) - head.rest), head, head, fps=30)
    assert found.values[:, :52].min() >= 0 and found.values[:, :52].max() <= 1
    assert found.values[:, :52].max() > 0.99


@pytest.fixture(scope="module")
def copies(head):
    """Other meshes of the head, and their matches with it."""
    rigs = {"moved": moved_copy(head, 1.2, 5)[0], "finer": finer_copy(head)}
    return {name: (rig, correspond(rig, head)) for name, rig in rigs.items()}


@pytest.mark.parametrize("which", ["moved", "finer"])
def test_other_meshes_of_the_same_face_give_the_same_motion(which, head, copies):
    motion = performance(seed=3)
    source, matches = copies[which]
    shown = [i for i, name in enumerate(SHAPES) if name != "tongueOut"]  # the tongue is no part of the face
    for found in (
        fit(motion, source, head, matches=matches),
        fit(source.vertices(motion), source, head, fps=30, matches=matches),
        fit_map(source, head, matches=matches).apply(motion),
    ):
        assert np.abs(found.values - motion.values)[:, shown].mean() < 0.01
    free = fit(motion, source, head, matches=matches, recognise=False)
    each = [np.corrcoef(free.values[:, i], motion.values[:, i])[0, 1] for i in shown]
    assert np.mean(each) > 0.85


def test_flame_gives_back_expression_jaw_eyes_and_neck(flame):
    motion = flame_performance()
    found = fit(motion, flame, flame)
    np.testing.assert_allclose(found.values, motion.values, atol=0.01)
    assert found.start == motion.start
    from_vertices = fit(flame.vertices(motion, head=True), flame, flame, fps=25)
    used = [*range(EXPRESSIONS), *FLAME.indices(["jawX", "neckX", "neckY", "neckZ"])]
    for column in used:
        assert np.corrcoef(from_vertices.values[:, column], motion.values[:, column])[0, 1] > 0.98, FLAME.names[column]


def test_a_head_moves_flame_and_flame_a_head(head, flame):
    def error(one, other):
        return np.linalg.norm(one - other, axis=-1)[:, head.regions["face"]].mean()

    motion = performance(24, seed=4, active=0.1)
    on_flame = fit(motion, head, flame)
    assert on_flame.layout == FLAME
    shown, wanted = flame.vertices(on_flame), head.vertices(motion)
    assert error(shown, wanted) < 0.6 * error(head.rest[None], wanted)
    assert np.corrcoef(on_flame.channel("jawX"), motion.channel("jawOpen"))[0, 1] > 0.9

    matches, source = correspond(flame, head), flame_performance(seed=5)
    np.testing.assert_allclose(
        fit(on_flame, flame, head, matches=matches).values[:, 52:], motion.values[:, 52:], atol=1e-3
    )
    on_head = fit(source, flame, head, matches=matches)
    mapped = fit_map(flame, head, [source], matches).apply(source)
    wanted = flame.vertices(source)
    assert error(head.vertices(on_head), wanted) < 0.45 * error(head.rest[None], wanted)
    assert error(head.vertices(mapped), wanted) < 0.5 * error(head.rest[None], wanted)
    assert np.corrcoef(on_head.channel("jawOpen"), source.channel("jawX"))[0, 1] > 0.95


def test_a_map_fitted_on_pairs_agrees_with_the_fits(head, copies):
    source, matches = copies["moved"]
    motion, unseen = performance(300, seed=6), performance(60, seed=7)
    linear = fit_map(source, head, [motion], matches, note="a test")
    expected = fit(unseen, source, head, matches=matches).values
    assert np.abs(linear.apply(unseen).values - expected).mean() < 0.01
    assert linear.matrix.min() >= 0 and linear.note == "a test"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_stabilise_undoes_turns(seed):
    rng = np.random.default_rng(seed)
    template = rng.normal(0, 0.1, (40, 3)).astype(np.float32)
    angles = rng.uniform(-0.7, 0.7, (5, 3)).astype(np.float32)
    turned = template @ np.swapaxes(head_rotation(angles), 1, 2) + rng.normal(0, 1, (5, 1, 3))
    upright, found = stabilise(turned.astype(np.float32), template, np.ones(40, bool))
    np.testing.assert_allclose(found, angles, atol=1e-4)
    np.testing.assert_allclose(upright, np.broadcast_to(template, upright.shape), atol=1e-5)


def test_still_vertices_are_on_the_skull(head):
    still = still_vertices(head)
    assert still.sum() > 100
    assert head.rest[still, 1].min() > head.rest[head.regions["lips"], 1].max()
    assert np.abs(head.deltas[:, still]).max() < 0.002


def test_what_cannot_be_fitted_is_explained(head, copies):
    vertices, matches = head.vertices(performance(2)), copies["moved"][1]
    with pytest.raises(FacelmError, match="give fps"):
        fit(vertices, head, head)
    with pytest.raises(FacelmError, match="5261 vertices"):
        fit(vertices[:, :100], head, head, fps=30)
    with pytest.raises(FacelmError, match="finite"):
        fit(np.full_like(vertices, np.nan), head, head, fps=30)
    with pytest.raises(FacelmError, match="match again"):
        fit(vertices, head, head, fps=30, matches=replace(matches, corners=matches.corners + len(head.rest)))


def test_true_names_come_back_from_another_rig(head, shared):
    """The default head and ICT-FaceKit, by their shapes' geometry alone: mean r over the channels that move."""
    ict = load_rig(shared / "data/rigs/ict_facekit_exp53.npz")
    rom = load_motion(shared / "data/livelink/rom_3.csv.gz")[0].to("arkit")
    names = [name for name in SHAPES if name != "tongueOut" and rom.channel(name).std() > 0.02]
    assert len(names) == 49

    def mean_r(found):
        return np.mean([np.corrcoef(rom.channel(name), found.channel(name))[0, 1] for name in names])

    for source, target in ((head, ict), (ict, head)):
        matches = correspond(source, target)
        assert mean_r(fit(rom, source, target, matches=matches)) >= 0.95
        assert mean_r(fit_map(source, target, matches=matches).apply(rom)) >= 0.98
