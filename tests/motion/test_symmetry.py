import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.motion import load_motion
from facelm.motion.layout import SHAPES
from facelm.motion.symmetry import PAIRS, suspicious_order


@pytest.fixture(scope="module")
def takes(shared):
    files = sorted((shared / "data/livelink").glob("*.csv.gz"))
    return {path.name: load_motion(path)[0].to("arkit") for path in files}


def renamed(motion, order):
    """The values with the 52 shapes under each other's names."""
    return FaceMotion(np.concatenate([motion.values[:, :52][:, order], motion.values[:, 52:]], axis=1), motion.rate)


def test_no_real_capture_is_suspected(takes, shared):
    files = [*(shared / "data/speech_zh").glob("*.npz"), *(shared / "data/news_clips").glob("0*.csv")]
    others = {path.name: load_motion(path)[0] for path in files}
    assert {name: suspicious_order(motion) for name, motion in (takes | others).items()} == dict.fromkeys(
        takes | others
    )
    assert all(suspicious_order(motion.to("livelink")) is None for motion in takes.values())


@pytest.mark.parametrize("wrong", ["alphabetical", "as if alphabetical", "one further", "reversed"])
def test_names_in_a_wrong_order_are_found_in_every_take(takes, wrong):
    alphabetical = np.array([SHAPES.index(name) for name in sorted(SHAPES)])
    order = {
        "alphabetical": alphabetical,
        "as if alphabetical": np.argsort(alphabetical),
        "one further": np.roll(np.arange(52), 1),
        "reversed": np.arange(52)[::-1],
    }[wrong]
    for name, take in takes.items():
        assert "look shuffled" in (suspicious_order(renamed(take, order)) or ""), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_shuffled_names_are_found(shared, seed):
    take = load_motion(shared / "data/livelink/facial.csv.gz")[0].to("arkit")
    assert suspicious_order(renamed(take, np.random.default_rng(seed).permutation(52)))


def test_no_synthesised_clip_is_suspected():
    """They are short, and two shapes of one expression follow each other as closely as its two sides."""
    long = []
    for seed in range(150):
        plan = invent(random.Random(seed), random.Random(seed).choice(list(CATEGORIES)), held_out(), False)
        motion = perform(plan, np.random.default_rng(seed))
        assert suspicious_order(motion) is None, plan.text()
        long += [motion] if len(motion) >= 100 else []
    assert len(long) > 20


def test_nothing_is_said_of_what_says_nothing():
    still = np.zeros((300, 55), np.float32)
    assert suspicious_order(FaceMotion(still, 30)) is None
    noise = np.random.default_rng(0).uniform(0, 1, (99, 55))
    assert suspicious_order(FaceMotion(noise, 30)) is None  # too short
    assert suspicious_order(FaceMotion(np.zeros((300, 56)), 25, "flame56")) is None


def test_a_gaze_to_one_side_is_in_for_one_eye_and_out_for_the_other():
    assert ("eyeLookInLeft", "eyeLookOutRight") in PAIRS and ("eyeLookOutLeft", "eyeLookInRight") in PAIRS
    assert ("eyeBlinkLeft", "eyeBlinkRight") in PAIRS and len(PAIRS) == 18
    assert {name for pair in PAIRS for name in pair} <= set(SHAPES)
