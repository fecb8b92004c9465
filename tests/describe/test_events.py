"""Measured facts: what is performed is found, nothing is found where nothing is."""

import random

import numpy as np
import pytest

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.agreement import Agreement, agree, performed
from facelm.describe.events import blink_times, measure
from facelm.describe.facts import Fact, plan_facts
from facelm.describe.plan import ITEMS, Phase, Plan
from facelm.motion import FaceMotion


def test_the_rest_pose_shows_nothing() -> None:
    rest = FaceMotion(np.zeros((100, 55), np.float32), 25)
    assert [phase.facts for phase in measure(rest, 2)] == [set(), set()]
    assert blink_times(rest) == []


@pytest.mark.parametrize("words", [w for w, item in ITEMS.items() if item.kind != "blink"])
def test_every_item_alone_is_found_and_nothing_else(words: str) -> None:
    plan = Plan((Phase(0.0, 2.4, (ITEMS[words],)),))
    motion = perform(plan, np.random.default_rng(3))
    assert [phase.facts for phase in measure(motion)] == plan_facts(plan)


@pytest.mark.parametrize("category", CATEGORIES)
def test_references_measure_as_they_were_performed(category: str) -> None:
    rng, generator = random.Random(category), np.random.default_rng(5)
    total = Agreement()
    for _ in range(60):
        plan = invent(rng, category, held_out(), test=False)
        found = [phase.facts for phase in measure(perform(plan, generator), len(plan.phases))]
        total += agree(plan_facts(plan), found)
    assert total.f1 >= 0.97


def test_mirroring_swaps_the_sides() -> None:
    plan = Plan.parse("0.0-2.4 s moderate smile left, head turn left")
    found = measure(perform(plan, np.random.default_rng(0)).mirror())[0].facts
    assert found == {Fact("AU12", "right"), Fact("head turn", "right")}


def test_facts_survive_another_rate() -> None:
    plan = Plan.parse("0.0-2.4 s moderate happy, nod, blink twice")
    motion = perform(plan, np.random.default_rng(0)).resample(60)
    assert performed(plan, motion) == 1.0
    assert len(blink_times(motion)) == 2


def test_one_frame_is_measured_too() -> None:
    values = np.zeros((1, 55), np.float32)
    motion = FaceMotion(values, 25)
    values[0, motion.layout.index("jawOpen")] = 0.8
    assert measure(FaceMotion(values, 25))[0].facts == {Fact("AU26")}


def test_phases_are_found_where_the_face_changes() -> None:
    plan = Plan.parse("0.0-1.3 s strong happy; 1.3-4.0 s strong angry")
    first, second = measure(perform(plan, np.random.default_rng(1)), 2)
    assert first.end == pytest.approx(1.3, abs=0.25)
    assert second.end == pytest.approx(4.0)
    assert performed(plan, perform(plan, np.random.default_rng(1))) == 1.0
    swapped = Plan.parse("0.0-1.3 s strong angry; 1.3-4.0 s strong happy")
    assert performed(swapped, perform(plan, np.random.default_rng(1))) < 0.3


def test_unasked_facts_count_against() -> None:
    asked, extra = {Fact("AU12", "both")}, Fact("AU26")
    assert agree([asked], [asked]).f1 == 1
    assert agree([asked], [asked | {extra}]).f1 == pytest.approx(2 / 3)
    assert agree([asked, set()], [set(), asked]).f1 == 0
    assert agree([asked, set()], [set(), asked], strict=False).f1 == 1
