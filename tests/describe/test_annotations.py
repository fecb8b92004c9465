"""Annotations: their limits hold for any timeline, their words are many, and what they say can be read again."""

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.annotations import LIMITS, Annotations, Question, annotate, check
from facelm.describe.captions import facts_in_words
from facelm.describe.emotions import EmotionSpan
from facelm.describe.facts import Fact
from facelm.describe.labels import Labels, emotion_name
from facelm.describe.moments import moments
from facelm.describe.plan import Plan
from facelm.describe.requests import captions, prompts
from facelm.describe.timeline import BLINK, Event, Timeline, timeline
from facelm.describe.units import EMOTIONS, GAZE_DIRECTIONS, HEAD_GESTURES, UNITS

FACTS = (
    *(Fact(unit.code, side) for unit in UNITS.values() for side in unit.sides or (None,)),
    *(Fact(f"head {name}", side) for name, side in HEAD_GESTURES),
    *(Fact("gaze", direction) for direction in GAZE_DIRECTIONS),
    BLINK,
)
GOOD = Annotations(
    action="She smiles and talks.",
    emotion="She looks happy.",
    expression="The lip corners rise.",
    head_pose="The head nods.",
    scenarios=("A nurse gets a letter.", "A clerk wins a prize.", "A baker meets a friend."),
    summary="A happy talker.",
)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    seconds = draw(st.floats(0.1, 60))
    moment = st.floats(0, 1)
    events = []
    for _ in range(draw(st.integers(0, 40))):
        onset, apex, offset = sorted(seconds * draw(moment) for _ in range(3))
        fact, intensity = draw(st.sampled_from(FACTS)), draw(st.floats(0, 1.5))
        events.append(Event(fact, intensity, onset, apex, offset, draw(st.booleans()) and draw(st.booleans())))
    events.sort(key=lambda event: event.onset)
    ends = sorted(seconds * draw(moment) for _ in range(2 * draw(st.integers(0, 6))))
    spans = tuple(
        EmotionSpan(draw(st.sampled_from(list(EMOTIONS))), draw(st.floats(0.6, 1)), a, b, draw(st.floats(0, 1)))
        for a, b in zip(ends[::2], ends[1::2], strict=True)
    )
    talking = tuple((a, b) for a, b in zip(ends[::2], ends[1::2], strict=True)) if draw(st.booleans()) else ()
    return Timeline(seconds, tuple(events), spans, talking=talking)


LABELS = st.builds(
    Labels,
    actions=st.lists(st.sampled_from(["talk", "head_wagging", "smile", "listen_to_music", "juggle", "nod"])).map(tuple),
    emotions=st.lists(st.sampled_from(["Happiness", "neutral", "fear", "confused", "sadly angry", "calm"])).map(tuple),
    intensity=st.sampled_from([None, "level_1", "strong", "odd"]),
)


def performed(seed: int, category: str = "two phases") -> Timeline:
    plan = invent(random.Random(seed), category, held_out(), test=False)
    return timeline(perform(plan, np.random.default_rng(seed)))


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("field", "text", "at_fault"),
    [
        ("action", "She smiles " + "and smiles " * 20, "at most 30"),
        ("action", "She nods 3 times.", "'3'"),
        ("action", "She nods three times.", "'three'"),
        ("action", "She shows AU12.", "'AU12'"),
        ("action", "She uses the lip corner puller.", "'lip corner puller'"),
        ("action", "She turns her head to the left.", "'turns her head to the left'"),
        ("action", "She is slowly smiling.", "'is slowly smiling'"),
        ("emotion", "He was happy.", "'was'"),
        ("emotion", "He looks happy " * 6, "at most 15"),
        ("expression", "The lips part at frame 12.", "'12'"),
        ("expression", "", "empty"),
        ("head_pose", "The head turns by ninety degrees.", "'ninety'"),
        ("head_pose", "Overall, the head stays still.", "'Overall'"),
        ("summary", "One line\nand another.", "more than one line"),
    ],
)
def test_a_broken_limit_is_named(field: str, text: str, at_fault: str) -> None:
    texts = {name: getattr(GOOD, name) for name in LIMITS}
    with pytest.raises(ValueError, match=f"{field}.*{re.escape(at_fault)}"):
        Annotations(**{**texts, field: text})


@pytest.mark.parametrize("scenarios", [("A nurse waits.",) * 2, ("I wait.",) * 3, ("A nurse waits " * 6,) * 3])
def test_scenarios_are_three_short_and_in_the_third_person(scenarios: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="scenarios"):
        Annotations("She nods.", "She looks calm.", "Nothing moves.", "The head nods.", scenarios, "A nod.")


def test_ordinary_words_are_not_mistaken_for_other_tenses_or_numbers() -> None:
    for text in ("There is nothing in her face.", "He looks charming.", "The person stays willing throughout."):
        assert check("emotion", text) == []
    assert check("head_pose", "The head moves from one side to the other twice.") == []


def test_released_texts_may_be_taken_as_they_are() -> None:
    released = Annotations("She was smiling 3 times.", "", "", "", ("I wait.",), "", strict=False)
    assert released.joined() == "She was smiling 3 times. I wait."


def test_the_joined_text_has_the_papers_order() -> None:
    assert GOOD.joined() == (
        "She smiles and talks. She looks happy. A nurse gets a letter. A clerk wins a prize. A baker meets a friend. "
        "The head nods. The lip corners rise."
    )
    assert set(GOOD.row()) == {"action", "emotion", "expression", "head_pose", "scenarios", "summary"}


def test_a_question_needs_an_answer() -> None:
    with pytest.raises(ValueError, match="questions"):
        Annotations(**GOOD.row() | {"scenarios": GOOD.scenarios}, questions=(Question("What moves?", " "),))


# ---------------------------------------------------------------- what is written


@settings(max_examples=150, deadline=None)
@given(timelines(), st.integers(), LABELS)
def test_every_timeline_is_annotated_within_the_limits(shown: Timeline, seed: int, labels: Labels) -> None:
    written = annotate(shown, random.Random(seed), labels)  # raises where a limit is broken
    assert written == annotate(shown, random.Random(seed), labels)
    assert len(set(written.scenarios)) == 3
    assert len(written.questions) >= 4
    said = set().union(*facts_in_words(f"{written.expression} {written.head_pose}"))
    assert said <= {moment.fact for head in (False, True) for moment in moments(shown, head)}


@settings(max_examples=40, deadline=None)
@given(timelines(), st.integers())
def test_beginning_and_end_of_a_long_timeline_are_told(shown: Timeline, seed: int) -> None:
    face = [moment for moment in moments(shown, head=False) if moment.fact != BLINK]
    if len({moment.onset for moment in face}) < 3:
        return
    said = set().union(*facts_in_words(annotate(shown, random.Random(seed)).expression))
    first, last = face[0].onset, max(moment.onset for moment in face)
    told_first = [moment for moment in face if moment.onset <= first + 0.3]
    told_last = [moment for moment in face if moment.onset >= last - 0.3]
    blinks = [moment.onset for moment in moments(shown, head=False) if moment.fact == BLINK]
    if not any(onset < first or onset > last - 0.6 for onset in blinks):
        assert said & {moment.fact for moment in told_first} and said & {moment.fact for moment in told_last}


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_is_written_can_be_read(category: str) -> None:
    hits = stated = read = 0
    for seed in range(40):
        shown = performed(seed, category)
        written = annotate(shown, random.Random(seed))
        said = set().union(*facts_in_words(f"{written.expression} {written.head_pose}"))
        true = {event.fact for event in shown.expressive if event.fact != BLINK}
        hits, stated, read = hits + len(said & true), stated + len(true), read + len(said)
    assert 2 * hits / (stated + read) >= 0.95


def test_words_are_many() -> None:
    shown = [performed(seed, list(CATEGORIES)[seed % len(CATEGORIES)]) for seed in range(10)]
    written = [annotate(t, random.Random(seed)) for t in shown for seed in range(200)]
    for field, least in (("action", 700), ("emotion", 600), ("expression", 1500), ("head_pose", 400), ("summary", 900)):
        texts = {getattr(one, field) for one in written}
        assert len(texts) >= least, f"{field}: {len(texts)}"
    assert len({scenario for one in written for scenario in one.scenarios}) >= 3000


def test_events_are_told_in_order_with_side_and_intensity() -> None:
    shown = Timeline(
        5.0,
        (
            Event(Fact("AU4", "left"), 0.3, 0.5, 0.8, 1.5),
            Event(Fact("AU12", "both"), 0.95, 2.5, 3.0, 4.0),
            Event(Fact("head turn", "right"), 0.5, 1.0, 1.4, 2.0),
        ),
    )
    for seed in range(50):
        written = annotate(shown, random.Random(seed))
        stated = [facts for facts in facts_in_words(written.expression) if facts]
        assert stated == [{Fact("AU4", "left")}, {Fact("AU12", "both")}], written.expression
        assert set().union(*facts_in_words(written.head_pose)) == {Fact("head turn", "right")}


def test_left_and_right_that_come_together_are_both() -> None:
    events = (Event(Fact("AU2", "left"), 0.6, 1.0, 1.3, 2.0), Event(Fact("AU2", "right"), 0.7, 1.1, 1.4, 2.1))
    assert [moment.fact for moment in moments(Timeline(3.0, events), head=False)] == [Fact("AU2", "both")]


def test_repeats_are_counted() -> None:
    blinks = tuple(Event(BLINK, 0.9, start, start + 0.1, start + 0.2) for start in (1.0, 1.8))
    assert [moment.count for moment in moments(Timeline(3.0, blinks), head=False)] == [2]
    for seed in range(30):
        assert re.search(r"blinks? (twice|two times)", annotate(Timeline(3.0, blinks), random.Random(seed)).expression)


def test_a_still_face_shows_no_clear_emotion() -> None:
    for seed in range(30):
        written = annotate(Timeline(3.0, ()), random.Random(seed))
        for text in (written.action, written.expression, written.head_pose, written.summary):
            assert not set().union(*facts_in_words(text)), text
        assert not set().union(*facts_in_words(written.emotion))


def test_labels_win_over_what_is_measured() -> None:
    shown = Timeline(3.0, (), (EmotionSpan("angry", 0.9, 0.0, 3.0, 0.9),))
    for seed in range(30):
        written = annotate(shown, random.Random(seed), Labels(actions=("yawn",), emotions=("Happiness",)))
        assert re.search("happy|joy|cheerful|delighted|happiness", written.emotion, re.IGNORECASE)
        assert "yawn" in written.action


def test_labels_are_put_in_the_order_of_what_is_seen() -> None:
    shown = Timeline(
        5.0, (Event(Fact("head nod"), 0.3, 0.5, 1.0, 1.5), Event(Fact("AU12", "both"), 0.9, 3.0, 3.5, 4.5))
    )
    for seed in range(20):
        action = annotate(shown, random.Random(seed), Labels(actions=("smile", "nod"))).action
        assert action.index("nod") < re.search("smile|beam", action).start()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("label", "name"),
    [("Happiness", "happy"), ("FEAR", "afraid"), ("happily_surprised", "happily surprised"), ("calm", "neutral")],
)
def test_emotions_may_be_spelt_as_data_sets_do(label: str, name: str) -> None:
    assert emotion_name(label) == name


# ---------------------------------------------------------------- prompts and captions of a row


@settings(max_examples=30, deadline=None)
@given(timelines(), st.integers())
def test_rows_get_as_many_prompts_and_captions_as_asked(shown: Timeline, seed: int) -> None:
    rng = random.Random(seed)
    written, plan = annotate(shown, rng), Plan.parse("0.0-2.0 s slight smile left, nod")
    for write in (prompts, captions):
        for annotations, known in ((written, plan), (written, None), (None, plan)):
            texts = write(annotations, known, rng, 4)
            assert len(set(texts)) == 4 and all(texts)
    assert not any(scenario in caption for scenario in written.scenarios for caption in captions(written, plan, rng))


def test_words_of_the_user_come_first() -> None:
    rng, plan = random.Random(0), Plan.parse("0.0-2.0 s nod")
    assert prompts(None, plan, rng, texts=("Nod for me.",))[0] == "Nod for me."
    assert captions(GOOD, plan, rng, texts=("A nod.", "One nod."))[:2] == ["A nod.", "One nod."]
    assert captions(None, None, rng, texts=("A nod.",)) == ["A nod."] * 4
    assert prompts(None, None, rng) == []


def test_talking_is_told_where_it_begins() -> None:
    events = (Event(Fact("AU4", "both"), 0.9, 0.5, 0.8, 1.5), Event(Fact("AU12", "both"), 0.9, 5.0, 5.4, 6.0))
    shown = Timeline(8.0, events, talking=((2.0, 4.0),))
    for seed in range(40):
        text = annotate(shown, random.Random(seed)).expression
        talk = re.search("talk|speak|say something", text)
        smile = re.search("smile|smirk|corner", text)
        brows = re.search("brow", text)
        assert brows and talk and smile and brows.start() < talk.start() < smile.start(), text
