"""Clips of a benchmark and its floors from training."""

import random

import numpy as np
import pytest

from facelm.corpus import load_corpus, motion, synthesise, write_corpus
from facelm.errors import FacelmError
from facelm.evaluate.baselines import Training, resting
from facelm.evaluate.clips import Clip, choose, deal, groups, spread
from facelm.motion import FaceMotion


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "c"
    synthesise(0.1, 3, out)
    return out


def test_clips_are_spread_over_categories(corpus):
    rows = spread(load_corpus(corpus, "test"), 12)
    counts = {row["category"]: 0 for row in rows}
    for row in rows:
        counts[row["category"]] += 1
    assert len(rows) == 8 or (len(rows), set(counts.values())) == (12, {3})


def test_the_clips_do_not_depend_on_the_seed_but_their_wording_does(corpus):
    one, again, other = (
        choose(corpus, count=6, seed=0),
        choose(corpus, count=6, seed=0),
        choose(corpus, count=6, seed=9),
    )
    assert [c.id for c in one] == [c.id for c in other] and [c.prompt for c in one] == [c.prompt for c in again]
    assert [c.prompt for c in one] != [c.prompt for c in other]
    with pytest.raises(FacelmError, match="at least 2"):
        choose(corpus, count=1)
    with pytest.raises(FacelmError):
        choose(corpus / "absent")


def test_groups_by_emotion_and_length(corpus):
    clips = choose(corpus)
    found = groups(clips)
    assert set(found) <= {"category", "emotion", "length"}
    for members in found.values():
        assert sorted(i for places in members.values() for i in places) == list(range(len(clips)))
    assert set(found["length"]) <= {"under 2 s", "2 to 4 s", "4 to 8 s", "8 s and more"}


@pytest.mark.parametrize("count", [2, 3, 40])
def test_dealing_leaves_nothing_in_its_place(count):
    dealt = deal(count, random.Random(0))
    assert sorted(dealt) == list(range(count)) and all(i != d for i, d in enumerate(dealt))


def test_the_nearest_training_clip_is_the_same_clip_where_it_is_there(corpus):
    rows = load_corpus(corpus, "train")
    training = Training(rows)
    places = [3, 17, 40]
    motions = [motion(rows[i]) for i in places]
    assert training.nearest_by_motion(motions) == places
    slower = [m.resample(50) for m in motions]
    assert training.nearest_by_motion(slower) == places
    near = training.nearest_by_text([rows[i]["prompts"][0] for i in places])
    assert [rows[i]["prompts"][0] in rows[j]["prompts"] for i, j in zip(places, near, strict=True)] == [True] * 3
    assert training.nearest_by_text(["zzz qqq"]) == [0]  # nothing is near, and that is no error


def test_a_resting_face_is_as_long_as_the_other(corpus):
    other = FaceMotion(np.ones((30, 55), np.float32), 30)
    still = resting(other)
    assert len(still) == 30 and still.rate == other.rate and not still.values.any()


def test_sounds_come_with_their_clips():
    clip = Clip("a", "x", FaceMotion(np.zeros((5, 55)), 25), None, "")
    with pytest.raises(FacelmError, match="clip a has no audio"):
        clip.sound()
    broken = Clip("b", "x", clip.motion, None, "", audio=b"no sound")
    with pytest.raises(FacelmError, match="audio of clip b cannot be read"):
        broken.sound()


def test_a_damaged_plan_names_its_row(corpus, tmp_path):
    row = load_corpus(corpus, "test")[0]
    write_corpus({"test": [{**row, "plan": "nonsense"}] * 2}, tmp_path / "c")
    with pytest.raises(FacelmError, match=f"corpus row {row['id']}"):
        choose(tmp_path / "c")
