import re
from collections.abc import Iterator

import pytest
from annotating import GOOD, kind_of
from loopback import Loopback, loopback

from facelm.describe.annotations import Annotations
from facelm.describe.annotator import KINDS, Annotator, Clip, Failure, notes, parse
from facelm.describe.facts import Fact
from facelm.describe.labels import Labels
from facelm.describe.timeline import Event, Timeline
from facelm.errors import FacelmError


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback(monkeypatch, kind_of, GOOD) as made:
        yield made


def clip(name: str, offset: float = 1.5) -> Clip:
    smile = Event(Fact("AU12", "both"), 0.6, 0.2, 0.8, offset)
    nod = Event(Fact("head nod"), 0.2, 0.5, 0.9, 1.2)
    return Clip(name, Timeline(2.0, (smile, nod)), Labels(actions=("talk", "smile"), emotions=("happy",)))


def annotator(folder, **options) -> Annotator:
    return Annotator("m", folder / "answers.sqlite", **{"timeout": 0.5, "concurrency": 4} | options)


def test_a_clip_becomes_annotations_and_nothing_is_asked_twice(endpoint, tmp_path):
    results = dict(annotator(tmp_path).annotate([clip("a"), clip("b", 1.8)]))
    assert set(results) == {"a", "b"}
    for result in results.values():
        assert isinstance(result, Annotations)
        assert result.action == GOOD["action"]["text"]
        assert list(result.scenarios) == GOOD["scenarios"]["scenarios"]
        assert len(result.questions) == 3
    asked = {kind for kind, _ in endpoint.requests}
    assert asked == set(KINDS)
    before = len(endpoint.requests)
    assert dict(annotator(tmp_path).annotate([clip("a"), clip("b", 1.8)])) == results
    assert len(endpoint.requests) == before


def test_what_is_asked_holds_facts_labels_and_earlier_answers(endpoint, tmp_path):
    list(annotator(tmp_path).annotate([clip("a")]))
    asked = {kind: messages[1]["content"] for kind, messages in endpoint.requests}
    assert "Deeds: talk, smile." in asked["action"]
    assert "smile on both sides 0.60" in asked["expression"]
    assert "head nod 0.20 rad" in asked["head_pose"]
    assert "smile" not in asked["head_pose"]
    assert GOOD["emotion"]["text"] in asked["scenarios"]
    assert GOOD["expression"]["text"] in asked["summary"]


@pytest.mark.parametrize("trick", ["429", "500", "503", "slow", "broken", "long", "other", "fenced"])
def test_a_misbehaving_endpoint_is_asked_again(endpoint, tmp_path, trick):
    endpoint.tricks = [trick, trick]
    ((_, result),) = annotator(tmp_path).annotate([clip("a")])
    assert isinstance(result, Annotations)
    assert len(endpoint.requests) == len(KINDS) + (0 if trick == "fenced" else 2)


def test_a_wrong_answer_is_shown_to_the_model_with_what_is_wrong(endpoint, tmp_path):
    endpoint.tricks = ["long"]
    list(annotator(tmp_path, concurrency=1).annotate([clip("a")]))
    again = next(messages for _, messages in endpoint.requests if len(messages) == 4)
    assert re.search(r"has \d+ words, at most \d+ are allowed", again[3]["content"])


def test_a_clip_that_stays_wrong_fails_alone_and_the_run_goes_on(endpoint, tmp_path):
    endpoint.always = {"expression": "broken"}
    list(annotator(tmp_path).annotate([clip("a")]))
    assert len([kind for kind, _ in endpoint.requests if kind == "expression"]) == 4
    results = annotator(tmp_path, concurrency=1).annotate([clip("a"), clip("b", 1.8)])
    name, failure = next(results)
    assert failure == Failure("a: expression was still wrong after 4 tries (it is not one JSON object)")
    endpoint.always = {}
    assert isinstance(dict(results)["b"], Annotations)
    assert isinstance(dict(annotator(tmp_path).annotate([clip("a")]))["a"], Annotations)


def test_an_endpoint_that_fails_for_long_fails_the_clip_only(endpoint, tmp_path):
    endpoint.tricks = ["500"] * 3
    ((_, result),) = annotator(tmp_path, concurrency=1, retries=2).annotate([clip("a")])
    assert isinstance(result, Failure)
    assert "status 500" in result.reason
    endpoint.tricks = ["empty"]
    ((_, result),) = annotator(tmp_path, concurrency=1).annotate([clip("a")])
    assert "no chat completion" in result.reason


@pytest.mark.parametrize(
    ("trick", "sentence"), [("401", "refuses the key in OPENAI_API_KEY"), ("404", "does not know the model 'm'")]
)
def test_what_can_never_work_stops_the_run(endpoint, tmp_path, trick, sentence):
    endpoint.tricks = [trick] * 50
    with pytest.raises(FacelmError, match=sentence):
        list(annotator(tmp_path).annotate([clip(str(n), 1 + n / 20) for n in range(20)]))
    assert len(endpoint.requests) < 30


def test_an_endpoint_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(FacelmError, match="http://127.0.0.1:9/v1/ cannot be reached"):
        list(annotator(tmp_path, retries=0).annotate([clip("a")]))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(FacelmError, match="OPENAI_API_KEY is not set"):
        annotator(tmp_path)


def test_a_stopped_run_goes_on_where_it_was(endpoint, tmp_path):
    clips = [clip(str(n), 1 + n / 20) for n in range(12)]
    run = annotator(tmp_path, concurrency=2).annotate(clips)
    for _ in range(4):
        next(run)
    run.close()
    answered = len(endpoint.requests)
    estimate = annotator(tmp_path).estimate(clips)
    assert estimate.clips == 12
    assert 0 < estimate.requests <= 8 * len(KINDS)
    assert len(dict(annotator(tmp_path).annotate(clips))) == 12
    # Only what was under way when the run was stopped is asked again.
    assert len(endpoint.requests) <= 12 * len(KINDS) + 4
    assert len(endpoint.requests) > answered


def test_requests_at_the_same_time_are_bounded_and_clips_are_read_as_needed(endpoint, tmp_path):
    read = []

    def clips() -> Iterator[Clip]:
        for n in range(30):
            read.append(n)
            yield clip(str(n), 1 + n / 50)

    run = annotator(tmp_path, concurrency=3, timeout=5).annotate(clips())
    next(run)
    assert len(read) < 15
    assert len(dict(run)) == 29
    assert endpoint.most_at_once <= 3


def test_the_estimate_counts_what_is_left_and_prices_it(endpoint, tmp_path):
    estimate = annotator(tmp_path).estimate([clip("a"), clip("b", 1.8)])
    assert (estimate.clips, estimate.requests) == (2, 2 * len(KINDS))
    assert not endpoint.requests
    assert estimate.cost(1.0, 0.0) == pytest.approx(estimate.tokens_in / 1e6)
    list(annotator(tmp_path).annotate([clip("a")]))
    # Both heads do the same, so that question is answered for both.
    assert annotator(tmp_path).estimate([clip("a"), clip("b", 1.8)]).requests == len(KINDS) - 1


@pytest.mark.parametrize(
    ("kind", "reply", "wrong"),
    [
        ("action", "The person smiles.", "not one JSON object"),
        ("action", '{"answer": "The person smiles."}', 'has no "text"'),
        ("action", '{"text": ["The person smiles."]}', '"text" must be a text'),
        ("action", '{"text": "The person smiles 2 times."}', "numbers are not allowed"),
        ("scenarios", '{"scenarios": ["She wins."]}', "has 1 texts; 3 are needed"),
        ("scenarios", '{"scenarios": "She wins."}', "must be a list of texts"),
        ("questions", '{"questions": [{"question": "Why?"}]}', "must be a list of 3 objects"),
    ],
)
def test_wrong_replies_are_named(kind, reply, wrong):
    with pytest.raises(FacelmError, match=wrong):
        parse(kind, reply)


def test_notes_of_a_still_face():
    assert notes(Timeline(2.0, ())) == "Length 2.0 s. Nothing moves."


def test_a_file_that_is_no_cache_is_refused(endpoint, tmp_path):
    (tmp_path / "answers.sqlite").write_text("nothing of the kind, but long enough to be looked at " * 30)
    with pytest.raises(FacelmError, match="is no file of answers"):
        annotator(tmp_path)
