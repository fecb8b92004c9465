"""Words made of facts are read back as the same facts."""

import random

import pytest

from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent
from facelm.describe.captions import Wording, facts_in_words, items_in_words
from facelm.describe.facts import Fact, plan_facts
from facelm.describe.phrases import (
    GAZE_PARTS,
    HEAD_PARTS,
    HELD,
    LATE,
    MEANWHILE,
    QUICK,
    RELEASE,
    SHORT,
    SLOW,
    TALK,
    THROUGHOUT,
    UNIT_PARTS,
)
from facelm.describe.plan import Plan
from facelm.describe.units import UNITS


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("seed", range(60))
def test_prompts_and_captions_say_what_the_plan_says(category: str, seed: int) -> None:
    rng = random.Random(seed)
    plan = invent(rng, category, held_out(), test=False)
    expected = [sorted(item.text() for item in phase.items) for phase in plan.phases]
    for words in (Wording(rng).prompt(plan), Wording(rng).caption(plan)):
        assert [sorted(item.text() for item in items) for items in items_in_words(words)] == expected, words
        assert facts_in_words(words) == plan_facts(plan)


def test_a_caption_reads_as_a_person_would() -> None:
    facts = facts_in_words("She smiles slightly on the left and looks up, then shakes the head.")
    assert facts == [{Fact("AU12", "left"), Fact("gaze", "up")}, {Fact("head shake")}]


def test_words_outside_the_lexicon_claim_nothing() -> None:
    assert facts_in_words("The quick brown fox jumps.") == [set()]


def test_an_emotion_claims_its_units() -> None:
    assert facts_in_words("He looks very happy.") == [{Fact("AU6", "both"), Fact("AU12", "both")}]


def test_captions_have_many_wordings() -> None:
    plan = Plan.parse("0.0-2.0 s slight smile left, nod")
    said = {Wording(random.Random(seed)).prompt(plan) for seed in range(100)}
    assert len(said) > 60


def test_answers_answer() -> None:
    plan = Plan.parse("0.0-1.4 s strong sad, nod; 1.4-3.0 s slight smile left, blink twice")
    asked = {q["question"]: q["answer"] for q in Wording(random.Random(0)).questions(plan)}
    answers = " ".join(asked.values())
    assert Fact("head nod") in set().union(*facts_in_words(answers))
    assert "Twice." in asked.values()
    assert "The left side." in asked.values()


def test_parts_of_the_face_are_read_with_their_owner_and_manner() -> None:
    text = "Her inner brows slowly rise a bit, then settle, while a faint smile appears on the left; his head dips."
    items = items_in_words(text)
    assert [[item.text() for item in phase] for phase in items] == [
        ["slight inner brow raise", "slight smile left"],
        ["head down"],
    ]


def test_no_phrase_means_two_things_and_words_of_time_mean_nothing() -> None:
    for table, key in ((UNIT_PARTS, "unit"), (HEAD_PARTS, "head"), (GAZE_PARTS, "gaze")):
        for name, parts in table.items():
            for part in parts:
                for side in ("left", "right") if key == "unit" and part.one else ():
                    assert facts_in_words(" ".join(part.said(side))) == [{Fact(str(name), side)}]
                if key == "unit" and part.both:
                    both = "both" if UNITS[str(name)].sides else None
                    assert facts_in_words(" ".join(part.said(None))) == [{Fact(str(name), both)}]
                if key == "head":
                    assert facts_in_words(" ".join(part.said(None))) == [{Fact(f"head {name[0]}", name[1])}]
                if key == "gaze":
                    assert facts_in_words(" ".join(part.said(None))) == [{Fact("gaze", str(name))}]
    timing = (*sum(RELEASE.values(), ()), *sum(HELD, ()), *QUICK, *SLOW, *SHORT, *THROUGHOUT, *MEANWHILE, *TALK, *LATE)
    for words in timing:
        assert not set().union(*facts_in_words(words)), words
