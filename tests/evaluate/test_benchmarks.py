"""Benchmarks: perfect and useless models score as they must, between floors and ceilings, and figures add up."""

import dataclasses

import numpy as np
import pytest
from loopback import loopback
from puppets import Puppet, Sage

from facelm.corpus import load_corpus, synthesise
from facelm.errors import FacelmError
from facelm.evaluate import benchmarks
from facelm.evaluate.benchmarks import question_answering
from facelm.evaluate.llm_judge import LlmJudge
from facelm.evaluate.predict import Share, animate, answer, describe
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import load_results, save_results
from facelm.evaluate.setting import Setting
from facelm.motion import FaceMotion


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "c"
    synthesise(0.6, 3, out)
    return out


@pytest.fixture(scope="module")
def rows(corpus):
    return load_corpus(corpus, "test")


@pytest.fixture(scope="module")
def setting(corpus):
    plain = Setting.load(corpus, prompts=40, model="puppet")
    return dataclasses.replace(plain, judge=Sage(plain.clips))


@pytest.fixture(scope="module")
def perfect(setting, rows):
    names = ["text-to-motion", "captioning", "question-answering", "speed"]
    return {r.benchmark: r for r in benchmarks.evaluate(Puppet(rows), setting, names, samples=2)}


def few(setting, count=8):
    return dataclasses.replace(setting, clips=setting.clips[:count], judge=None)


def test_a_perfect_model_moves_like_the_reference_and_floors_lie_below(perfect):
    found = perfect["text-to-motion"].rows
    for row in ("model", "its plan", "reconstruction", "reference"):
        for name in ("facts F1 strict", "facts F1", "head", "side", "order"):
            assert found[row][name].value >= 0.9, (row, name)
    assert found["reference"]["seen facts F1"].value >= 0.9 and found["model"]["seen facts F1"].value >= 0.9
    for row in ("nearest training", "random training", "shuffled", "rest pose"):
        assert found[row]["facts F1"].value < 0.7, row
    assert found["random training"]["facts F1"].value < found["nearest training"]["facts F1"].value
    assert found["rest pose"]["facts recall"].value == 0 and not found["rest pose"]["facts precision"].known
    assert found["model"]["LVE"].value < found["rest pose"]["LVE"].value < found["random training"]["LVE"].value
    assert found["model"]["jerk ratio"].value == pytest.approx(1, abs=0.2)
    assert found["model"]["CE"].value <= found["model"]["MEE"].value + 1e-9


def test_the_retrieval_judge_scores_every_row(perfect):
    found = perfect["text-to-motion"].rows
    assert found["reference"]["R@1"].value == 1 and found["reference"]["FID"].value < 1e-3
    assert found["model"]["R@1"].value > 0.8 > found["shuffled"]["R@1"].value
    assert found["model"]["FID"].value < found["rest pose"]["FID"].value
    assert found["model"]["MultiModality"].value < found["model"]["Diversity"].value
    text = perfect["text-to-motion"].text()
    assert text.index("on real pairs R@1 1.000") < text.index("| model")
    own = perfect["captioning"].rows
    assert own["model"]["R@1"].value > 0.9 and own["shuffled"]["R@1"].value < 0.2


def test_perfect_captions_and_answers_score_one(perfect):
    found = perfect["captioning"].rows
    assert found["model"]["facts F1"].value >= 0.95 and found["model"]["BLEU-4"].value == pytest.approx(100)
    assert found["reference"]["facts F1"].value >= 0.95 and found["reference"]["BLEU-4"].value < 90
    for row in ("random training", "shuffled", "rest pose"):
        assert found[row]["facts F1"].value < 0.4 and found[row]["BLEU-4"].value < 30
    answers = perfect["question-answering"].rows
    assert answers["model"]["token F1"].value == 1
    assert answers["shuffled"]["token F1"].value < 1 and answers["majority answer"]["normalised"].value < 1
    assert {"emotion", "head"} <= set(perfect["question-answering"].breakdown["question"])


def test_groups_share_the_clips_out(perfect, setting):
    breakdown = perfect["text-to-motion"].breakdown
    assert set(breakdown) == {"category", "emotion", "length"}
    assert list(breakdown["category"]) == ["emotion", "unit", "two units", "two phases"]
    for groups in breakdown.values():
        assert sum(scores["facts F1"].n for scores in groups.values()) == len(setting.clips)


def test_intervals_hold_the_values(perfect):
    for result in perfect.values():
        for scores in result.rows.values():
            for score in scores.values():
                if score.known and not np.isnan(score.low):
                    assert score.low - 1e-9 <= score.value <= score.high + 1e-9, score


def test_speed_is_measured_beside_playback(perfect):
    found = perfect["speed"].rows
    assert set(found["model"]) == set(benchmarks.speed.TABLE) and all(s.known for s in found["model"].values())
    assert found["reference"]["real-time factor"].value == 1
    assert 0 < found["model"]["peak memory"].value < 100


def test_a_model_that_does_nothing_scores_nothing(setting, rows):
    some = few(setting)
    motions, captions = benchmarks.evaluate(Puppet(rows, knows=False), some, ["text-to-motion", "captioning"])
    own = motions.rows["model"]
    assert own["facts F1 strict"].value == 0 and own["head"].value == 0 and own["order"].value == 0
    told = captions.rows["model"]["facts F1"]
    assert not told.known and "nothing can be read" in told.note
    assert "nothing can be read" in captions.text()


def test_a_language_model_rates_the_rows_it_is_asked_about(setting, rows, monkeypatch, tmp_path):
    good = {"emotion": 4, "motion": 5, "intensity": 3, "reason": "It does as asked."}
    with loopback(monkeypatch, lambda _: "rating", {"rating": good}):
        rated = dataclasses.replace(few(setting), rater=LlmJudge("m", tmp_path / "ratings.sqlite", timeout=2))
        (result,) = benchmarks.evaluate(Puppet(rows), rated, ["text-to-motion"])
    assert result.tables["language model"] == ["LLM emotion", "LLM motion", "LLM intensity"]
    assert [result.rows[row]["LLM motion"].value for row in ("reference", "model", "shuffled")] == [5, 5, 5]
    assert "LLM motion" not in result.rows["rest pose"]


def test_what_loses_nothing_is_reconstructed(setting, rows):
    (found,) = benchmarks.evaluate(Puppet(rows), few(setting), ["reconstruction"])
    own = found.rows["model"]
    for name in ("LVE", "FVE", "ALE", "coefficient LVE", "FDD"):
        assert own[name].value == 0, name
    for name in ("jerk ratio", "speed ratio", "lip closure recall"):
        assert own[name].value == pytest.approx(1), name
    assert found.rows["rest pose"]["LVE"].value > 1 and not found.higher_is_better
    assert found.rows["rest pose"]["jerk ratio"].value == 0


def test_two_runs_of_one_seed_are_the_same_and_another_seed_lies_in_the_interval(corpus, rows):
    def run(seed):
        some = Setting.load(corpus, prompts=16, seed=seed)
        made = animate(Puppet(rows), some.clips, seed)
        return benchmarks.score("text-to-motion", some, made)

    one, again, other = run(0), run(0), run(5)
    assert one.text() == again.text() != other.text()
    for name in ("facts F1 strict", "facts F1", "LVE", "FVE", "jerk ratio"):
        score = one.rows["model"][name]
        assert score.low - 1e-9 <= other.rows["model"][name].value <= score.high + 1e-9, name


def test_shares_of_the_work_add_up(setting, rows):
    """Two processes, one after the other: what each makes of its batches is together what one makes of all."""
    puppet, parts = Puppet(rows), []
    for rank in range(2):
        share = Share(rank, 2, gather=lambda own: parts.append(own) or own)
        share.spread(setting.clips, lambda batch, first: [first + i for i in range(len(batch))])
    assert sorted(answer for own in parts for _, answers in own for answer in answers) == list(range(40))
    whole = animate(puppet, setting.clips, seed=3, samples=1)
    assert whole.motions[30] == puppet.animate_batch([setting.clips[30].prompt], seed=33)[0]
    assert whole.samples[30] != [whole.motions[30]]


def test_clips_the_model_cannot_hear_are_left_out_and_told(setting, rows):
    some = few(setting, 12)
    longest = sorted(clip.motion.seconds for clip in some.clips)[-3]
    deaf = Puppet(rows, deaf_over=longest - 0.01)
    captions, answers = describe(deaf, some.clips), answer(deaf, some.clips)
    missing = captions.captions.count(None)
    assert missing >= 3 and answers.answers.count(None) == missing
    found = benchmarks.score("captioning", some, captions)
    assert found.n == 12 - missing and f"{missing} of 12 captions are missing" in found.text()


def test_a_motion_of_another_layout_says_what_could_not_be_computed(setting):
    """A judge of another layout, and a head that cannot show the motions."""
    some = few(setting)
    stranger = Sage(some.clips)
    stranger.layout = "flame"
    made = Predictions(motions=[clip.motion for clip in some.clips])
    found = benchmarks.score("text-to-motion", dataclasses.replace(some, judge=stranger), made)
    score = found.rows["model"]["R@1"]
    assert not score.known and "map" in score.note and found.rows["model"]["facts F1"].known
    assert "R@1 of model" in found.text()


def test_motion_of_another_rig_is_scored_as_far_as_it_can_be(setting):
    """FLAME coefficients without a FLAME head: no facts, no vertices, no floors from ARKit clips, and no exception."""
    rng = np.random.default_rng(0)
    clips = [
        dataclasses.replace(clip, motion=FaceMotion(rng.normal(0, 0.1, (40, 56)), 25, "flame56"))
        for clip in setting.clips[:4]
    ]
    some = dataclasses.replace(few(setting, 4), clips=clips)
    made = Predictions(motions=[c.motion for c in clips], captions=["She smiles."] * 4)
    for name in ("text-to-motion", "captioning", "reconstruction"):
        found = benchmarks.score(name, some, made)
        assert not found.rows["model"]["facts F1"].known and "flame56" in found.rows["model"]["facts F1"].note
        assert "training clip" in " ".join(found.notes)
    assert not found.rows["model"]["LVE"].known and "map" in found.text()


def test_too_few_clips_for_galleries_and_pairs_are_told(setting):
    some = dataclasses.replace(few(setting, 2), judge=Sage(setting.clips))
    made = Predictions(motions=[clip.motion for clip in some.clips])
    found = benchmarks.score("text-to-motion", some, made).rows["model"]
    assert not found["R@1"].known and "2 clips do not fill a gallery of 32" in found["R@1"].note
    assert "pair" in found["Diversity"].note


def test_benchmarks_of_sound_and_unknown_ones_are_refused(setting, rows):
    with pytest.raises(FacelmError, match="facelm score"):
        benchmarks.evaluate(Puppet(rows), setting, ["speech"])
    with pytest.raises(FacelmError, match="text-to-motoin.*there are text-to-motion"):
        benchmarks.names_of("text-to-motoin", benchmarks.NAMES)
    with pytest.raises(FacelmError, match="no prediction for any of the 8 clips"):
        benchmarks.score("text-to-motion", few(setting), Predictions(motions=[None] * 8))


def test_results_survive_their_files(perfect, tmp_path):
    results = list(perfect.values())
    save_results(results, tmp_path / "scores.json")
    again = load_results(tmp_path / "scores.json")
    assert [r.text() for r in again] == [r.text() for r in results]
    for one, other in zip(results, again, strict=True):
        assert [c.reference for c in one.cases] == [c.reference for c in other.cases]
        assert [c.made for c in one.cases] == [c.made for c in other.cases]
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(FacelmError, match="damaged"):
        load_results(tmp_path / "scores.json")
    (tmp_path / "scores.npz").unlink()
    with pytest.raises(FacelmError, match="scores.npz"):
        load_results(tmp_path / "scores.json")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What emotion does the face show?", "emotion"),
        ("How often do the eyes blink?", "blinks"),
        ("Which side moves?", "side"),
        ("Does the head move?", "head"),
        ("What happens last?", "order"),
        ("Does the person smile?", "yes or no"),
        ("Why?", "other"),
    ],
)
def test_questions_are_of_a_kind(question, kind):
    assert question_answering.kind(question) == kind


def test_answers_are_compared_as_squad_does():
    assert question_answering.normalised("The left side!") == "left side"
    assert question_answering.token_f1("the left side", "Left.") == pytest.approx(2 / 3)
    assert question_answering.token_f1("", "Left.") == 0 and question_answering.token_f1("the", "a") == 1
