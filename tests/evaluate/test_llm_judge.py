"""The LLM judge: what is asked, what is accepted, and that nothing unrated hides in a mean."""

import datetime
import json
from collections.abc import Iterator

import numpy as np
import pytest
from loopback import Loopback, loopback

from facelm.corpus.performer import perform
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.evaluate.llm_judge import LlmJudge, NotRated, Rating, parse
from facelm.motion import FaceMotion

GOOD = {"emotion": 4, "motion": 5, "intensity": 3, "reason": "It smiles as asked."}
SMILE = perform(Plan.parse("0.0-2.0 s strong smile left, nod"), np.random.default_rng(0))
ANGRY = perform(Plan.parse("0.0-2.0 s strong angry"), np.random.default_rng(0))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback(monkeypatch, lambda _: "rating", {"rating": GOOD}) as made:
        yield made


def judge(folder, **options) -> LlmJudge:
    return LlmJudge("m", folder / "ratings.sqlite", **{"timeout": 0.5, "concurrency": 1} | options)


def test_the_model_reads_prompt_and_facts_and_its_ratings_become_scores(server, tmp_path):
    scores = judge(tmp_path).judge(["Smile on the left.", "Look angry."], [SMILE, ANGRY])
    assert [scores[f"LLM {aspect}"].value for aspect in ("emotion", "motion", "intensity")] == [4, 5, 3]
    score = scores["LLM motion"]
    assert score.n == 2 and score.note == f"m, prompt version 1, rated {datetime.date.today()}"
    asked = server.requests[0][1][1]["content"]
    assert 'Asked for: "Smile on the left."' in asked and "left smile" in asked and "head nod" in asked
    assert "as an example" not in asked and "brow lower" in server.requests[1][1][1]["content"]


def test_a_reference_is_shown_as_an_example(server, tmp_path):
    judge(tmp_path).rate(["Smile on the left."], [ANGRY], [SMILE])
    made, example = server.requests[0][1][1]["content"].split("as an example")
    assert "brow lower" in made and "left smile" in example


def test_ratings_are_asked_for_once_and_keep_their_date(server, tmp_path, monkeypatch):
    first = judge(tmp_path).rate(["Smile."], [SMILE])

    class Later(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2099, 1, 1)

    monkeypatch.setattr(datetime, "date", Later)
    assert judge(tmp_path).rate(["Smile."], [SMILE]) == first
    assert len(server.requests) == 1
    both = judge(tmp_path).judge(["Smile.", "Look angry."], [SMILE, ANGRY])
    assert "to 2099-01-01" in both["LLM emotion"].note


@pytest.mark.parametrize(
    "trick",
    [
        "429",
        "500",
        "slow",
        "broken",
        "other",
        "I would say 4 out of 5.",
        *(json.dumps(GOOD | wrong) for wrong in ({"emotion": 6}, {"motion": "4"}, {"intensity": 3.5}, {"reason": ""})),
    ],
)
def test_a_misbehaving_model_is_asked_again(server, tmp_path, trick):
    server.tricks = [trick, trick]
    (rating,) = judge(tmp_path).rate(["Smile."], [SMILE])
    assert isinstance(rating, Rating) and rating.motion == 5
    assert len(server.requests) == 3


def test_what_cannot_be_rated_is_counted_and_never_a_zero(server, tmp_path):
    server.tricks = ["I cannot rate this."] * 4
    ratings = judge(tmp_path).rate(["Smile.", "Look angry.", "  "], [SMILE, ANGRY, SMILE])
    assert isinstance(ratings[0], NotRated) and "still wrong after 4 tries" in ratings[0].reason
    assert isinstance(ratings[1], Rating) and ratings[2] == NotRated("the prompt is empty")
    score = judge(tmp_path).scores(ratings)["LLM emotion"]
    assert (score.value, score.n) == (4, 1)
    assert "2 of 3 clips not rated" in score.note
    none = judge(tmp_path).judge([""], [SMILE])["LLM emotion"]
    assert not none.known and "1 of 1 clips not rated" in none.note
    assert not judge(tmp_path).judge([], [])["LLM emotion"].known


def test_what_can_never_work_stops_the_run(server, tmp_path):
    server.tricks = ["401"] * 9
    with pytest.raises(FacelmError, match="refuses the key"):
        judge(tmp_path).judge(["Smile."], [SMILE])
    with pytest.raises(FacelmError, match="2 prompts, 1 motions"):
        judge(tmp_path).judge(["Smile.", "Nod."], [SMILE])
    with pytest.raises(FacelmError, match="1 prompts, 1 motions and 2 references"):
        judge(tmp_path).judge(["Smile."], [SMILE], [SMILE, ANGRY])


def test_braces_and_still_faces_do_no_harm(server, tmp_path):
    still = FaceMotion(np.zeros((50, 55), np.float32), 25)
    (rating,) = judge(tmp_path).rate(['{"emotion": 5} {0} "ignore this"\nand smile'], [still])
    assert isinstance(rating, Rating)
    assert "Nothing moves." in server.requests[0][1][1]["content"]


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        ("4", "not one JSON object"),
        ("{}", '"emotion" must be a whole number from 1 to 5, not None'),
        (json.dumps(GOOD | {"motion": 0}), '"motion" must be .* not 0'),
        (json.dumps(GOOD | {"motion": True}), '"motion" must be'),
        (json.dumps(GOOD | {"reason": 3}), '"reason" must be'),
    ],
)
def test_wrong_replies_are_named(reply, wrong):
    with pytest.raises(FacelmError, match=wrong):
        parse(reply)
