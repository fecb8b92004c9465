"""Observed plans: what was performed is told again, without being told how many phases to look for."""

import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planted_faces import Face

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.agreement import Agreement, agree
from facelm.describe.facts import plan_facts
from facelm.describe.observe import MOST_UNITS, observe, observed_plan
from facelm.describe.phases import split
from facelm.describe.plan import MAX_PHASES, Plan
from facelm.describe.timeline import timeline
from facelm.motion import FaceMotion, load_motion
from facelm.motion.layout import ARKIT


@pytest.mark.parametrize("category", CATEGORIES)
def test_performed_plans_are_observed(category: str) -> None:
    rng, generator = random.Random(category), np.random.default_rng(5)
    facts, phases, blinks = Agreement(), 0, 0
    for _ in range(40):
        plan = invent(rng, category, held_out(), test=False)
        observed = observed_plan(perform(plan, generator))
        facts += agree(plan_facts(plan), plan_facts(observed))
        phases += len(observed.phases) == len(plan.phases)
        blinks += observed.blinks == plan.blinks
    assert facts.f1 >= 0.95
    assert phases >= 36
    assert blinks >= 38


@pytest.mark.parametrize(
    "words",
    [
        "0.0-2.4 s strong happy",
        "0.0-2.0 s slight smile left; 2.0-4.0 s moderate angry",
        "0.0-2.0 s moderate sad, head down; 2.0-4.4 s strong surprised, look left, blink",
        "0.0-1.6 s strong contemptuous right, head turn left",
        "0.0-2.0 s moderate pucker; 2.0-4.0 s neutral",
    ],
)
def test_the_same_words_come_back(words: str) -> None:
    observed = observed_plan(perform(Plan.parse(words), np.random.default_rng(1)))
    assert [phase.items for phase in observed.phases] == [phase.items for phase in Plan.parse(words).phases]
    for seen, asked in zip(observed.phases, Plan.parse(words).phases, strict=True):
        assert seen.end == pytest.approx(asked.end, abs=0.3)


def test_a_face_at_rest_is_neutral() -> None:
    assert observed_plan(Face(6).motion()).text() == "0.0-6.0 s neutral"
    assert observed_plan(Face(30).noisy(0.01).motion()).text() == "0.0-30.0 s neutral"
    assert observed_plan(FaceMotion(np.zeros((1, ARKIT.width)), 30)).text() == "0.0-0.1 s neutral"


def test_speech_leaves_no_mouth_units_but_keeps_the_rest() -> None:
    face = Face(10).talking(0.5, 9.5).raised("browInnerUp", 0.6, 3, 6).raised("browOuterUp", 0.6, 3, 6)
    assert [len(phase.items) for phase in observed_plan(face.motion()).phases] == [0, 2, 0]
    held = Face(8).talking(0.5, 7.5).raised("mouthSmile", 0.6, 0, 8, 0.3, 0.3)
    assert observed_plan(held.motion()).text() == "0.0-8.0 s moderate smile both"


def test_many_changes_make_at_most_eight_phases_of_few_items() -> None:
    rng = np.random.default_rng(0)
    face = Face(40)
    for onset in np.arange(0, 38, 0.8):
        face.raised(ARKIT.names[rng.integers(52)], 0.8, onset, onset + 1.2)
    plan = observed_plan(face.motion())
    assert 2 <= len(plan.phases) <= MAX_PHASES
    assert all(sum(item.kind == "unit" for item in phase.items) <= MOST_UNITS for phase in plan.phases)


@settings(max_examples=40, deadline=None)
@example(684258, 0.0625, 25, 0.0)  # two frames in which the mouth shifts to one side, then to the other
@given(st.integers(0, 2**32 - 1), st.floats(0.04, 12), st.sampled_from([25, 29.97, 60]), st.floats(0, 1))
def test_any_motion_has_a_plan_that_reads_back(seed: int, seconds: float, fps: float, roughness: float) -> None:
    rng = np.random.default_rng(seed)
    frames = max(1, round(seconds * fps))
    knots = rng.uniform(0, 1, (max(2, int(seconds) + 1), ARKIT.width)) ** 3
    where = np.linspace(0, len(knots) - 1, frames)
    values = np.stack([np.interp(where, np.arange(len(knots)), column) for column in knots.T], axis=1)
    values = (values + roughness * rng.normal(0, 0.2, values.shape)).clip(0, 1)
    motion = FaceMotion(values, fps)
    shown, plan = observe(motion)
    assert Plan.parse(plan.text()) == plan
    assert plan.seconds == pytest.approx(motion.seconds, abs=0.1)
    assert shown == timeline(motion)
    for event in shown.events:
        assert 0 <= event.onset <= event.apex <= event.offset <= motion.seconds + 0.05
    for span in shown.emotions:
        assert 0.6 <= span.score <= 1.0
        assert span.begin < span.end


def test_split_finds_the_number_of_levels() -> None:
    levels = np.repeat([0.0, 1.0, 0.2, 0.8], 40)[:, None] + np.random.default_rng(0).normal(0, 0.02, (160, 3))
    assert [end for _, end in split(levels, 8, penalty=1.0)] == [40, 80, 120, 160]
    assert split(levels[:40], 8, penalty=1.0) == [(0, 40)]
    assert split(levels, 2) == [(0, 40), (40, 160)]
    coarse = split(levels, 8, penalty=1.0, grid=40)
    assert [end for _, end in coarse] == [40, 80, 120, 160]


def test_real_takes_are_told_sensibly(shared: Path) -> None:
    def observed(name: str) -> Plan:
        return observed_plan(load_motion(shared / "data" / "livelink" / f"{name}.csv.gz")[0])

    idle = observed("idle")
    neutral = sum(p.end - p.start for p in idle.phases if all(item.kind == "blink" for item in p.items))
    assert neutral > 0.75 * idle.seconds
    assert {item.name for p in idle.phases for item in p.items if item.kind == "emotion"} <= {"happy"}
    angry_or_disgusted = {item.name for p in observed("emotion_164").phases for item in p.items}
    assert "happily disgusted" in angry_or_disgusted
    brows = [p for p in observed("emotion_161").phases if {"AU2", "AU5"} <= {item.name for item in p.items}]
    assert brows
    for name in ("rom_3", "facial", "apfel_short_rows", "emotion_167"):
        plan = observed(name)
        assert Plan.parse(plan.text()) == plan
        assert 3 <= len(plan.phases) <= MAX_PHASES


@pytest.mark.slow
def test_observing_is_fast() -> None:
    generator, rng = np.random.default_rng(0), random.Random(0)
    clips = [perform(invent(rng, "three phases", held_out(), test=False), generator) for _ in range(30)]
    begin = time.process_time()
    for clip in clips:
        observe(clip)
    assert sum(clip.seconds for clip in clips) / (time.process_time() - begin) > 200
