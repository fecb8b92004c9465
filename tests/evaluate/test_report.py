"""The report: what it shows is what was scored, links lead somewhere, and foreign words stay words."""

import math

import numpy as np
import pytest
from pages import browse, check

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.evaluate import report
from facelm.evaluate.charts import histogram, ladder
from facelm.evaluate.result import Case, Result
from facelm.evaluate.score import Score
from facelm.rig import still

HOSTILE = "<script>document.title = 'owned'</script> & \"smile\" <img src=x onerror=alert(1)>"


def smile(amount=0.5, frames=4):
    values = np.zeros((frames, 55), np.float32)
    values[:, 23:25] = np.linspace(0, amount, frames)[:, None]
    return FaceMotion(values, 25)


def score(name, value, unit="1", n=9, note=""):
    return Score(name, value, value * 0.9, value * 1.1, n, unit, f"how {name} is defined", note=note)


def result(prompt="Smile.", model="outputs/demo/model", **changes):
    lacking = Score.missing("FID", "1", "how FID is defined", "500 clips are needed and there are 9")
    rows = {
        "reference": {"facts F1": score("facts F1", 0.96), "R@1": score("R@1", 0.84), "LVE": score("LVE", 0.0, "mm")},
        "model": {"facts F1": score("facts F1", 0.6214), "R@1": score("R@1", 0.417), "LVE": score("LVE", 1234.5, "mm")},
        "shuffled": {"facts F1": score("facts F1", 0.2), "R@1": score("R@1", 0.031)},
    }
    for scores in rows.values():
        scores["FID"] = lacking
    cases = [
        Case(f"clip-{i}", f"{prompt} {i}", smile(), smile(i / 10), f"says {i}", f"said {i}", {"facts F1": i / 10})
        for i in range(9)
    ]
    cases[4].scores["facts F1"] = math.nan
    given = {
        "benchmark": "text-to-motion",
        "model": model,
        "data": "outputs/demo/corpus",
        "split": "test",
        "n": 9,
        "seed": 7,
        "machine": "a machine",
        "judge": "judge 3f2a91",
        "main": "facts F1",
        "tables": {"by facts": ["facts F1"], "by the judge": ["R@1", "FID"], "against the reference": ["LVE"]},
        "rows": rows,
        "breakdown": {"emotion": {"happy": {"facts F1": score("facts F1", 0.7, n=5)}}, "length": {}},
        "cases": cases,
        "notes": ["A note."],
    }
    return Result(**{**given, **changes})


@pytest.fixture
def filmed(monkeypatch):
    """Films are written as empty files, and noted."""
    seen = []

    def film(motions, path, size, fps):
        seen.append((list(motions), path.name))
        path.write_bytes(b"film")

    monkeypatch.setattr(report, "film", film)
    return seen


def test_tables_hold_the_scores_and_their_intervals(tmp_path, filmed):
    page = check(report.render([result()], tmp_path / "r"))
    facts, judged, reference, by_emotion = page.tables
    assert facts == [
        ["", "facts F1"],
        ["reference ceiling", "0.960 0.864 to 1.056"],
        ["model", "0.621 0.559 to 0.684"],
        ["shuffled floor", "0.200 0.180 to 0.220"],
    ]
    assert judged[0] == ["", "R@1", "FID"] and judged[2] == ["model", "0.417 0.375 to 0.459", "not computed 1"]
    assert reference == [["", "LVE mm"], ["reference ceiling", "0.000 0.000 to 0.000"], ["model", "1234 1111 to 1358"]]
    assert by_emotion == [["emotion", "facts F1"], ["happy N = 5", "0.700 0.630 to 0.770"]]


def test_what_could_not_be_computed_says_why(tmp_path, filmed):
    page = check(report.render([result()], tmp_path / "r"))
    assert page.text.count("Not computed: FID: 500 clips are needed and there are 9") == 1
    assert {"href": "#result1-why1", "aria-label": "why: FID: 500 clips are needed and there are 9"} in page.of("a")
    assert "nan" not in page.text.lower()


def test_the_header_names_everything_and_the_judge_its_own_quality(tmp_path, filmed):
    text = " ".join(check(report.render([result()], tmp_path / "r")).text.split())
    for words in ("outputs/demo/model", "outputs/demo/corpus, split test", "9 clips", "a machine", "A note."):
        assert words in text
    assert "judge 3f2a91; on real pairs R@1 0.840" in text
    assert "seed 7" in text and "how LVE is defined. Unit: mm. N: 9 clips." in text
    assert "How to read this" in text and "What is lost here is lost in the judging" in text


def test_best_and_worst_clips_stand_beside_the_reference(tmp_path, filmed):
    held = result()
    page = check(report.render([held], tmp_path / "r", cases=2))
    assert [[m.values[-1, 23] for m in motions] for motions, _ in filmed] == [
        pytest.approx([0.5, 0.8]),
        pytest.approx([0.5, 0.7]),
        pytest.approx([0.5, 0.0]),
        pytest.approx([0.5, 0.1]),
    ]
    labels = [film["aria-label"] for film in page.of("video")]
    assert labels[0] == "Film of reference on the left, model on the right: Smile. 8"
    assert "says 8" in page.text and "said 8" in page.text
    assert "facts F1 0.800 clip clip-8" in " ".join(page.text.split())
    assert report.films([held], 2) == 4
    filmed.clear()
    check(report.render([result(higher_is_better=False)], tmp_path / "s", cases=1))
    assert filmed[0][0][1].values[-1, 23] == 0


def test_few_cases_are_not_shown_twice(tmp_path, filmed):
    held = result()
    held.cases = held.cases[:3]
    check(report.render([held], tmp_path / "r"))
    assert len(filmed) == 3


def test_hostile_words_stay_words(tmp_path, filmed):
    held = result(HOSTILE, model="<b>x</b>")
    held.cases[8].caption = HOSTILE
    path = report.render([held], tmp_path / "r")
    page = check(path)
    assert HOSTILE in page.text and "<b>x</b>" in page.text
    assert len(page.of("script")) == 1 and not page.of("img")
    assert "<script>document" not in path.read_text() and "<b>x" not in path.read_text()


def test_clips_that_cannot_be_filmed_are_told(tmp_path, monkeypatch):
    def film(*_):
        raise FacelmError("pictures need the system's EGL library")

    monkeypatch.setattr(report, "film", film)
    held = result()
    held.cases[0].reference = held.cases[0].made = None
    page = check(report.render([held], tmp_path / "r", cases=1))
    assert not page.of("video")
    assert "Not filmed: pictures need the system's EGL library" in page.text
    assert "There is no motion to show." in page.text


def test_results_without_cases_rows_or_judge(tmp_path, filmed):
    bare = Result("speed", "m", "d", "test", 4, 0, "a machine", rows={"model": {"time": score("time", 83.25, "ms")}})
    page = check(report.render([bare, Result("empty", "m", "d", "test", 0, 0, "a machine")], tmp_path / "r"))
    assert page.tables == [[["", "time ms"], ["model", "83.250 74.925 to 91.575"]]]
    assert "no learnt judge took part" in page.text and not filmed
    with pytest.raises(FacelmError, match="no result to report"):
        report.render([], tmp_path / "r")


def test_several_models_are_told_apart(tmp_path, filmed):
    page = check(report.render([result(model="a/model"), result(model="b/model")], tmp_path / "r", cases=1))
    assert "text-to-motion: a/model" in page.text and "text-to-motion: b/model" in page.text
    assert len({name for _, name in filmed}) == 4


def test_histograms_count_every_clip():
    values = np.array([0.0, 0.0, 0.5, 1.0])
    drawn = histogram("F1", values)
    assert [bar["words"] for bar in drawn["bars"]] == [
        "0.000 to 0.050: 2 clips",
        "0.500 to 0.550: 1 clip",
        "0.950 to 1.000: 1 clip",
    ]
    assert drawn["bars"][0]["height"] == 2 * drawn["bars"][1]["height"]
    assert drawn["median_x"] == 60 and "median 0.250" in drawn["words"]
    same = histogram("LVE", np.full(3, 2.5), "mm")
    assert len(same["bars"]) == 1 and (same["low"], same["high"]) == ("2.000", "3.000")


def test_the_ladder_puts_scores_on_one_line():
    drawn = ladder("R@1", {"reference": score("R@1", 0.8), "model": score("R@1", 0.4), "rest pose": score("R@1", 0.0)})
    reference, model, rest = (rung["x"] for rung in drawn["rungs"])
    assert model == pytest.approx((reference + rest) / 2)
    assert drawn["words"].startswith("R@1. reference: 0.800 (0.720 to 0.880); model: 0.400")


def test_films_are_films_and_the_page_works_in_a_browser(tmp_path):
    import imageio.v2 as imageio

    try:
        still(np.zeros(55), 16)
    except FacelmError as error:
        pytest.skip(str(error))
    held = result(HOSTILE)
    held.cases = held.cases[:2]
    held.cases[1].made = smile(frames=7)
    path = report.render([held], tmp_path / "r", cases=1, size=64, fps=25)
    with imageio.get_reader(path.parent / "media" / "1-best-1.mp4") as film:
        assert film.count_frames() == 7 and film.get_meta_data()["size"] == (136, 64)
    seen = browse(
        path,
        tmp_path / "profile",
        "document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth;"
        "document.body.dataset.shown = [...document.querySelectorAll('video')].length",
    )
    assert 'data-wide="false"' in seen and 'data-shown="2"' in seen and "<title>owned" not in seen
