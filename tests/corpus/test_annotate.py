from pathlib import Path

import pytest
from annotating import GOOD, kind_of
from click.testing import CliRunner
from loopback import loopback

from facelm.cli import main
from facelm.corpus import load_corpus, write_corpus
from facelm.corpus.annotate import annotate_corpus, estimate
from facelm.corpus.shards import read_note
from facelm.corpus.synth import synthesise
from facelm.describe.annotator import KINDS, Annotator
from facelm.errors import FacelmError


@pytest.fixture
def endpoint(monkeypatch):
    with loopback(monkeypatch, kind_of, GOOD) as made:
        yield made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("annotate")
    synthesise(0.005, 0, folder / "all")
    few = {split: [dict(row) for row in load_corpus(folder / "all", split)][:3] for split in ("train", "test")}
    few["train"][0]["labels"] = {"actions": ["talk"], "emotions": ["happy"], "intensity": None}
    write_corpus(few, folder / "few")
    return folder / "few"


def test_a_corpus_gets_the_words_of_a_model_behind_its_own(endpoint, corpus, tmp_path):
    annotator = Annotator("m", tmp_path / "answers.sqlite", timeout=2)
    done = annotate_corpus(corpus, tmp_path / "out", annotator)
    assert (done.clips, done.failed) == (6, ())
    for split in ("train", "test"):
        before, after = load_corpus(corpus, split), load_corpus(tmp_path / "out", split)
        assert before["id"] == after["id"]
        assert before["values"] == after["values"]
        for old, new in zip(before, after, strict=True):
            assert new["annotations"]["action"] == GOOD["action"]["text"]
            assert new["annotations"]["scenarios"] == GOOD["scenarios"]["scenarios"]
            for name in ("prompts", "captions", "questions"):
                assert new[name][: len(old[name])] == old[name]
                assert len(new[name]) > len(old[name])
    note = read_note(tmp_path / "out")
    assert note["annotator"] == "m"
    assert note["annotated_from"] == read_note(corpus)["fingerprint"] != note["fingerprint"]


def test_labels_of_a_row_are_told_to_the_model(endpoint, corpus, tmp_path):
    annotate_corpus(corpus, tmp_path / "out", Annotator("m", tmp_path / "a.sqlite", timeout=2))
    told = [messages[1]["content"] for kind, messages in endpoint.requests if kind == "action"]
    assert sum("Deeds: talk." in question for question in told) == 1
    assert sum("Nothing is listed" in question for question in told) == 5


def test_a_run_that_failed_goes_on_and_clips_that_fail_keep_their_words(endpoint, corpus, tmp_path):
    annotator = Annotator("m", tmp_path / "answers.sqlite", timeout=2)
    assert estimate(corpus, annotator).requests == 6 * len(KINDS)
    endpoint.always = {"summary": "401"}
    with pytest.raises(FacelmError, match="refuses the key"):
        annotate_corpus(corpus, tmp_path / "out", annotator)
    assert not (tmp_path / "out").exists()
    assert estimate(corpus, annotator).requests < 6 * len(KINDS)
    endpoint.always = {"summary": "broken"}
    done = annotate_corpus(corpus, tmp_path / "out", annotator)
    assert done.clips + len(done.failed) == 6
    assert done.failed
    kept = {row["id"]: row["annotations"] for row in load_corpus(corpus, "train")}
    for row in load_corpus(tmp_path / "out", "train"):
        if any(row["id"] in reason for reason in done.failed):
            assert row["annotations"] == kept[row["id"]]
    with pytest.raises(FacelmError, match="is not empty"):
        annotate_corpus(corpus, tmp_path / "out", annotator)


def test_the_verb_says_what_it_will_ask_and_asks_first(endpoint, corpus, tmp_path):
    arguments = ["corpus", "annotate", str(corpus), "--model", "m", "--out", str(tmp_path / "out"), "--price-in", "1"]
    refused = CliRunner().invoke(main, arguments, input="n\n")
    assert refused.exit_code == 1
    assert f"6 clips, {6 * len(KINDS)} requests to make" in refused.output
    assert "at these prices" in refused.output
    assert not endpoint.requests
    done = CliRunner().invoke(main, [*arguments, "--yes"])
    assert done.exit_code == 0, done.output
    assert "6 clips annotated" in done.output
    assert (tmp_path / "out.answers.sqlite").is_file()
