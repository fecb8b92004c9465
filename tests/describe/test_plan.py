"""Plans: their words, their grammar, their cues."""

import random

import pytest

from facelm.describe.plan import ITEMS, MAX_PHASES, POSITIONS, Item, Phase, Plan
from facelm.errors import FacelmError


def random_plan(rng: random.Random) -> Plan:
    ends, end = [], 0.0
    for _ in range(rng.randint(1, MAX_PHASES)):
        end = round(end + rng.uniform(0.2, 3), 1)
        ends.append(end)
    items = list(ITEMS.values())
    phases = [
        Phase(start, end, tuple(rng.sample(items, rng.randint(0, 4))))
        for start, end in zip([0.0, *ends], ends, strict=False)
    ]
    return Plan(tuple(phases))


@pytest.mark.parametrize("seed", range(200))
def test_words_and_plan_are_the_same_thing(seed: int) -> None:
    plan = random_plan(random.Random(seed))
    assert Plan.parse(plan.text()) == plan


def test_an_example_reads_as_it_looks() -> None:
    plan = Plan.parse("0.0-1.4 s slight sad, nod; 1.4-3.0 s strong dimple left, blink twice")
    assert plan.seconds == 3.0
    assert plan.phases[0].items == (Item("emotion", "sad", None, "slight"), Item("head", "nod"))
    assert plan.phases[1].items == (Item("unit", "AU14", "left", "strong"), Item("blink", "twice"))


def test_a_plan_may_be_typed_loosely() -> None:
    for words, side in (("left smile", "left"), ("moderate smile left", "left"), ("smile", "both")):
        assert Plan.parse(f"0-1 s {words}").phases[0].items == (Item("unit", "AU12", side, "moderate"),)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0.0-2.0 s grumpy", "grumpy"),
        ("0.0-2.0 s slight smirky", "nearest known"),
        ("smile", "times first"),
        ("", "times first"),
        ("0.0-2.0 s nod; 2.5-3.0 s nod", "should start at 2.0 s"),
        ("2.0-1.0 s nod", "ends before it starts"),
        ("; ".join(f"{i}.0-{i + 1}.0 s nod" for i in range(9)), "at most 8 phases"),
    ],
)
def test_a_wrong_plan_is_named(text: str, names: str) -> None:
    with pytest.raises(FacelmError, match=names):
        Plan.parse(text)


@pytest.mark.parametrize("seed", range(50))
def test_cues_walk_through_the_plan(seed: int) -> None:
    rng = random.Random(seed)
    plan = random_plan(rng)
    rate = 6.25
    steps = max(1, round(plan.seconds * rate * rng.uniform(0.5, 2)))
    cues = plan.cues(steps, rate)
    assert len(cues) == steps
    assert cues == sorted(cues)
    assert all(0 <= phase < len(plan.phases) and 0 <= position < POSITIONS for phase, position in cues)


def test_every_phase_of_two_steps_or_more_gets_a_cue() -> None:
    plan = Plan.parse("0.0-1.0 s nod; 1.0-3.0 s moderate happy; 3.0-4.0 s neutral")
    assert {phase for phase, _ in plan.cues(25, 6.25)} == {0, 1, 2}


def test_scaling_keeps_phases_and_takes_the_length_asked() -> None:
    plan = Plan.parse("0.0-1.0 s nod; 1.0-3.0 s moderate happy").scaled(4.5)
    assert plan.text() == "0.0-1.5 s nod; 1.5-4.5 s moderate happy"
    with pytest.raises(FacelmError):
        plan.scaled(0.05)
