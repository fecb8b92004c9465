"""Near-duplicates: the same performance again is found, another performance is not, whatever the order."""

import random

import numpy as np
import pytest

from facelm.corpus.duplicates import Signature, near_duplicates, signature
from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.motion import FaceMotion, load_motion


def performance(seed, take=0):
    rng = random.Random(seed)
    plan = invent(rng, rng.choice(list(CATEGORIES)), held_out(), test=False)
    return perform(plan, np.random.default_rng([seed, take]))


def of(motion):
    return signature(motion.resample(25).values, motion.layout.name)


def dropped(motions):
    ranks = [(-len(motion), index) for index, motion in enumerate(motions)]
    return near_duplicates([of(motion) for motion in motions], ranks)


CHANGES = {
    "rounded": lambda m, rng: FaceMotion(m.values.round(2), m.fps, m.layout),
    "at 30 fps and back": lambda m, rng: m.resample(30).resample(25),
    "at 60 fps": lambda m, rng: m.resample(60),
    "with noise": lambda m, rng: FaceMotion(m.values + rng.normal(0, 0.004, m.values.shape), m.fps, m.layout),
    "a frame shorter": lambda m, rng: m[: len(m) - 1],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda name: name.replace(" ", "-"))
def test_the_same_performance_again_is_found(change):
    rng = np.random.default_rng(0)
    motions = [performance(seed) for seed in range(30)]
    again = [CHANGES[change](motion, rng) for motion in motions]
    found = dropped([*motions, *again])
    pairs = sum(found.get(index + 30) == index or found.get(index) == index + 30 for index in range(30))
    assert pairs >= 29 and len(found) == pairs


def test_other_performances_stay():
    assert len(dropped([performance(seed) for seed in range(300)])) <= 2
    left = FaceMotion(performance(0).values[:, ::-1], 25)
    assert dropped([performance(0), left]) == {}


def test_takes_of_one_group_are_not_compared():
    one, again = of(performance(2)), of(performance(2))
    ranks = [(0,), (1,)]
    assert near_duplicates([one, again], ranks) == near_duplicates([one, again], ranks, [None, None]) == {1: 0}
    assert near_duplicates([one, again], ranks, ["a", "a"]) == {}
    assert near_duplicates([one, again], ranks, ["a", "b"]) == {1: 0}


def test_real_takes_and_their_copies(shared):
    motions = [load_motion(path)[0].to("arkit") for path in sorted((shared / "data/livelink").glob("*.csv.gz"))]
    assert dropped(motions) == {}
    copies = [FaceMotion(m.values.round(3), m.rate, "arkit").resample(30) for m in motions]
    assert len(dropped([*motions, *copies])) == len(motions)


def test_the_order_of_the_takes_changes_nothing():
    rng = np.random.default_rng(1)
    motions = [performance(seed) for seed in range(12)] * 3
    signatures = [of(FaceMotion(m.values + rng.normal(0, 0.003, m.values.shape), m.fps, m.layout)) for m in motions]
    names = [f"take {index:02d}" for index in range(len(motions))]
    expected = None
    for seed in range(5):
        order = random.Random(seed).sample(range(len(names)), len(names))
        found = near_duplicates([signatures[i] for i in order], [(names[i],) for i in order])
        kept = {(names[order[a]], names[order[b]]) for a, b in found.items()}
        expected = kept if expected is None else expected
        assert kept == expected and len(kept) >= 20


def test_still_takes_and_other_layouts_are_never_duplicates():
    still = FaceMotion(np.zeros((50, 55)), 25)
    moving = performance(3)
    other = signature(moving.values, "livelink")
    assert near_duplicates([of(still), of(still), of(moving), other], [(0,), (1,), (2,), (3,)]) == {}


def test_signatures_survive_packing():
    found = of(performance(1))
    again = Signature.unpacked(found.packed())
    assert again.size == found.size and (again.shape == found.shape).all() and again.layout == "arkit"
