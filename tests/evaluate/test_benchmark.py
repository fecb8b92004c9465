"""The facts benchmark: perfect and useless models score as they must, both ways, and figures add up."""

import json

import numpy as np
import pytest

from facelm.corpus import load_corpus, motion, synthesise
from facelm.corpus.performer import perform
from facelm.describe import Plan
from facelm.errors import FacelmError
from facelm.evaluate.benchmark import DEFINITIONS, run, save, spread


class Keeps:
    """A motion tokenizer that loses nothing."""

    def encode_batch(self, motions):
        return list(motions)

    def decode_batch(self, motions):
        return list(motions)


class Puppet:
    """A stand-in for FaceLM that knows the answers (or none): what the scores of a perfect model are."""

    def __init__(self, rows, knows=True):
        self.plans = {prompt: row["plan"] for row in rows for prompt in row["prompts"]}
        self.captions = {motion(row).values.tobytes(): row["captions"][0] for row in rows}
        self.knows = knows
        self.processor = type("Processor", (), {"motion_tokenizer": Keeps()})()

    def animate_batch(self, texts, seed=None, candidates=1):
        plans = [Plan.parse(self.plans[text]) if self.knows else Plan.parse("0.0-2.0 s neutral") for text in texts]
        return [perform(plan, np.random.default_rng(0)).with_metadata(plan=plan.text()) for plan in plans]

    def describe_batch(self, motions):
        return [self.captions[m.values.tobytes()] if self.knows else "Nothing." for m in motions]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "c"
    synthesise(0.6, 3, out)
    return out


def test_a_perfect_model_scores_one_and_its_shuffle_little(corpus, tmp_path):
    report = run(Puppet(load_corpus(corpus, "test")), corpus, prompts=40)
    for row in ("model", "its plan", "reconstruction", "reference"):
        scores = report.text_to_motion[row]["all"]
        assert scores["strict"].value >= 0.95 and scores["facts"].value >= 0.95, row
        assert scores["head"].value >= 0.95 and scores["side"].value >= 0.95 and scores["order"].value >= 0.9
    assert report.text_to_motion["model"]["all"]["intensity"].value > 0.8
    assert report.text_to_motion["shuffled"]["all"]["strict"].value < 0.35
    assert report.motion_to_text["model"]["all"].value == 1
    assert report.motion_to_text["shuffled"]["all"].value < 0.4
    table = report.tables()
    assert all(f"{name}: {text}" in table for name, text in DEFINITIONS.items())
    save(report, tmp_path / "scores.json")
    saved = json.loads((tmp_path / "scores.json").read_text())
    assert saved["text_to_motion"]["model"]["all"]["strict"]["n"] == report.prompts == 40


def test_a_model_that_does_nothing_scores_nothing(corpus):
    report = run(Puppet(load_corpus(corpus, "test"), knows=False), corpus, prompts=20)
    scores = report.text_to_motion["model"]["all"]
    assert scores["strict"].value == 0 and scores["head"].value == 0 and scores["order"].value == 0
    told = report.motion_to_text["model"]["all"]
    assert not told.known and "nothing can be read" in told.note


def test_the_interval_holds_the_value(corpus):
    report = run(Puppet(load_corpus(corpus, "test")), corpus, prompts=20)
    for table in report.text_to_motion.values():
        for values in table.values():
            for name, value in values.items():
                assert value.low - 1e-9 <= value.value <= value.high + 1e-9 or value.n == 1, name


def test_prompts_are_spread_over_categories(corpus):
    rows = spread(load_corpus(corpus, "test"), 20)
    assert len(rows) == 20
    counts = {row["category"]: 0 for row in rows}
    for row in rows:
        counts[row["category"]] += 1
    assert set(counts.values()) == {5}


def test_too_few_prompts_are_refused(corpus):
    with pytest.raises(FacelmError, match="--prompts"):
        run(Puppet([]), corpus, prompts=1)
