import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import MMHEAD, TREES

from facelm.corpus.heldout import held_out
from facelm.corpus.protocols import PROTOCOLS, assign, split_of, split_of_clip
from facelm.corpus.readers import Take, iterate
from facelm.describe.plan import Plan
from facelm.errors import FacelmError

FEW = settings(max_examples=40, deadline=None)
clips_of_people = st.lists(st.integers(1, 40), min_size=3, max_size=30)


def takes_of(counts, genders=None):
    return [
        Take(f"p{person:03d}/{clip:03d}", "data", Path("x"), subject=f"p{person:03d}", extra=gender(genders, person))
        for person, count in enumerate(counts)
        for clip in range(count)
    ]


def gender(genders, person):
    return {} if genders is None else {"gender": genders[person]}


def people_of(takes, splits):
    found = {}
    for take in takes:
        found.setdefault(splits[take.id], set()).add(take.subject)
    return found


def shuffled(takes, seed=1):
    return random.Random(seed).sample(takes, len(takes))


# ---------------------------------------------------------------- by clip


def test_random_shares_and_seeds():
    takes = takes_of([4000])
    splits = assign(takes, "random", seed=3)
    counts = Counter(splits.values())
    assert abs(counts["train"] / 4000 - 0.8) < 0.02
    assert abs(counts["validation"] / 4000 - 0.05) < 0.012
    assert abs(counts["test"] / 4000 - 0.15) < 0.02
    other = assign(takes, "random", seed=4)
    assert 0.2 < sum(splits[take.id] != other[take.id] for take in takes) / 4000 < 0.45  # 1 - (.64 + .0025 + .0225)


@FEW
@given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=40), st.integers(0, 9))
def test_random_depends_on_the_id_and_the_seed_alone(ids, seed):
    takes = [Take(name, "data", Path("x")) for name in sorted(ids)]
    splits = assign(takes, "random", seed)
    assert assign(shuffled(takes), "random", seed) == splits
    assert assign(takes[::2], "random", seed) == {take.id: splits[take.id] for take in takes[::2]}
    assert all(split_of(take, "random", seed) == splits[take.id] for take in takes)


def test_released_lists(tmp_path):
    takes = list(iterate(TREES["mmhead"].make(tmp_path)))
    assert list(assign(takes, "released").values()) == ["train", "test", "train"]
    assert assign(takes, "benchmark-1") == {MMHEAD[0]: "train", MMHEAD[1]: "test"}
    assert assign(takes, "benchmark-2") == {MMHEAD[0]: "validation", MMHEAD[2]: "train"}
    assert assign(takes, "mmhead") == assign(takes, "released")
    alone = [Take("new", "mmhead", Path("x"))]
    assert set(assign(alone, "mmhead")) == {"new"}
    with pytest.raises(FacelmError, match="no take has a split of the protocol released"):
        assign(alone, "released")


def test_a_take_without_a_released_split_is_in_none(tmp_path):
    takes = list(iterate(TREES["beat2"].make(tmp_path)))
    assert assign(takes, "released") == {"2_scott_0_1_1": "test", "2_scott_0_73_73": "train"}


# ---------------------------------------------------------------- by person


@FEW
@given(clips_of_people, st.integers(0, 5))
def test_identity_puts_nobody_into_two_splits_and_comes_near_the_shares(counts, seed):
    takes = takes_of(counts)
    splits = assign(takes, "identity", seed)
    assert set(splits) == {take.id for take in takes}
    people = people_of(takes, splits)
    assert set(people) == {"train", "validation", "test"}
    assert sum(map(len, people.values())) == len(counts)  # no one twice
    clips = Counter(splits.values())
    for split, share in zip(("train", "validation", "test"), (0.6, 0.2, 0.2), strict=True):
        assert abs(clips[split] - share * len(takes)) <= max(counts)
    assert assign(shuffled(takes, seed), "identity", seed) == splits


def test_identity_is_exact_where_it_can_be():
    takes = takes_of([10] * 20)
    for seed in range(3):
        assert Counter(assign(takes, "identity", seed).values()) == {"train": 120, "validation": 40, "test": 40}
    assert people_of(takes, assign(takes, "identity", 0)) != people_of(takes, assign(takes, "identity", 1))


@FEW
@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=4, max_size=25), st.integers(0, 3))
def test_cross_gender_trains_on_men_and_halves_the_women(people, seed):
    genders = ["female", "f"] + [("female" if woman else "male") for _, woman in people[2:]]
    takes = takes_of([count for count, _ in people], genders)
    splits = assign(takes, "cross-gender", seed)
    found = people_of(takes, splits)
    women = {f"p{i:03d}" for i, name in enumerate(genders) if name != "male"}
    assert found.get("train", set()) == {f"p{i:03d}" for i in range(len(people))} - women
    assert found["validation"] | found["test"] == women and not found["validation"] & found["test"]
    clips = Counter(splits.values())
    most = max(count for (count, _), name in zip(people, genders, strict=True) if name != "male")
    assert abs(clips["validation"] - clips["test"]) <= most
    assert assign(shuffled(takes, seed), "cross-gender", seed) == splits


def test_mmface4d_leaves_thirty_one_of_431_people_out():
    takes = takes_of([2] * 431)
    splits = assign(takes, "mmface4d", 0)
    people = people_of(takes, splits)
    assert (len(people["train"]), len(people["test"])) == (400, 31) and not people["train"] & people["test"]
    assert assign(shuffled(takes), "mmface4d", 0) == splits
    assert people_of(takes, assign(takes, "mmface4d", 1))["test"] != people["test"]
    assert len(people_of(takes_of([3] * 5), assign(takes_of([3] * 5), "mmface4d"))["test"]) == 1


@pytest.mark.parametrize(
    ("takes", "protocol", "said"),
    [
        ([Take("a", "d", Path("x"))], "identity", "the take a does not say; name them in the column 'subject'"),
        (takes_of([3, 2]), "identity", "2 people cannot be put into 3 splits"),
        (takes_of([3, 2]), "cross-gender", "needs the gender of p000"),
        (takes_of([3, 2, 1], ["male", "male", "female"]), "cross-gender", "two women at least"),
        (takes_of([3]), "mmface4d", "two people at least"),
        (takes_of([3]), "kfold", "unknown protocol 'kfold'; choose one of released, mmhead"),
        (takes_of([3]), "compositional", "use split_of_clip"),
        (takes_of([1]) * 2, "random", "two takes have the id p000/000"),
    ],
)
def test_what_a_protocol_needs(takes, protocol, said):
    with pytest.raises(FacelmError) as caught:
        assign(takes, protocol)
    assert said in str(caught.value)


def test_a_take_alone_has_no_split_by_person():
    for protocol in ("identity", "cross-gender", "mmface4d"):
        with pytest.raises(FacelmError, match="needs all takes at once"):
            split_of(takes_of([1])[0], protocol)


# ---------------------------------------------------------------- by what is shown


def test_compositional_keeps_held_out_pairs_for_the_test():
    emotion, head = sorted(held_out().emotion_head)[0]
    held = Plan.parse(f"0.0-2.0 s moderate {emotion}, head {head}")
    assert held_out().pairs_in(held)
    assert {split_of_clip(str(number), held) for number in range(20)} == {"test"}
    alone = Plan.parse(f"0.0-2.0 s moderate {emotion}")
    counts = Counter(split_of_clip(str(number), alone) for number in range(2000))
    assert set(counts) == {"train", "validation"} and 30 < counts["validation"] < 95


def test_every_protocol_is_told_of_in_the_docs():
    import facelm.corpus.protocols as module

    for name in PROTOCOLS:
        assert name in module.__doc__
