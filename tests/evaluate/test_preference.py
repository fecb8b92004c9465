"""The preference page: nobody can tell from it who is who, and choices are counted as they were meant."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from pages import browse, check

from facelm import FaceMotion
from facelm.cli import main
from facelm.errors import FacelmError, MissingFileError
from facelm.evaluate import preference
from facelm.evaluate.preference import QUESTIONS, count_preferences, write_preference
from facelm.evaluate.result import Case, Result, save_results
from facelm.evaluate.shown import load_shown
from facelm.rig import still

HOSTILE = "</script><script>document.title = 'owned'</script> & smile"


def smile(amount, frames=3):
    values = np.zeros((frames, 55), np.float32)
    values[:, 23:25] = np.linspace(0, amount, frames)[:, None]
    return FaceMotion(values, 25, metadata={"generator": "secret-system"})


def results(path, amount, count=6, prompt="Smile."):
    cases = [Case(f"clip-{i}", f"{prompt} {i}", None, smile(amount + i / 100)) for i in range(count)]
    save_results([Result("text-to-motion", "m", "d", "test", count, 0, "a machine", cases=cases)], path)
    return path


@pytest.fixture
def both(tmp_path):
    return results(tmp_path / "alpha.json", 0.2), results(tmp_path / "beta.json", 0.8)


@pytest.fixture
def filmed(monkeypatch):
    """Films are written as empty files; what each showed on the left and on the right is noted."""
    seen = []

    def film(motions, path, size, fps, sound):
        seen.append(tuple(float(m.values[-1, 23]) for m in motions))
        path.write_bytes(b"film" if sound is None else sound.read_bytes())

    monkeypatch.setattr(preference, "film", film)
    return seen


def key_of(study):
    return json.loads((study / "key.json").read_text())


def data_of(study):
    page = (study / "page" / "index.html").read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S).group(1))


def save(study, path, choose, rater="ann", saved="2026-01-01T10:00:00Z"):
    """A file of choices: choose(entry of the key, question) is the side clicked, or None."""
    choices = {}
    for entry in key_of(study)["pairs"]:
        given = {question: choose(entry, question) for question in entry["questions"]}
        choices[str(entry["pair"])] = {question: side for question, side in given.items() if side}
    held = {"format": 1, "study": key_of(study)["study"], "rater": rater, "name": "", "saved": saved}
    path.write_text(json.dumps({**held, "choices": choices}))
    return path


def side_of(entry, system):
    return "left" if entry["left"] == system else "right"


def test_the_page_says_nothing_of_who_is_who(both, filmed, tmp_path):
    assert write_preference(*both, tmp_path / "study", seed=3) == []
    study = tmp_path / "study"
    check(study / "page" / "index.html")
    files = sorted(path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file())
    assert files == ["key.json", "page/index.html", *(f"page/media/00{i}.mp4" for i in range(1, 7))]
    page = (study / "page" / "index.html").read_text()
    assert not [word for word in ("alpha", "beta", "clip-", "secret", "key.json") if word in page]
    assert set(data_of(study)) == {"study", "pairs", "questions"}
    assert all(set(pair) == {"pair", "questions", "film", "prompt", "sound"} for pair in data_of(study)["pairs"])


def test_the_key_tells_the_sides_and_each_system_is_left_as_often(both, filmed, tmp_path):
    write_preference(*both, tmp_path / "study", seed=3)
    entries = key_of(tmp_path / "study")["pairs"]
    assert Counter(entry["left"] for entry in entries) == {"a": 3, "b": 3}
    for entry, (left, right) in zip(entries, filmed, strict=True):
        assert (left < 0.5) == (entry["left"] == "a") and (left < 0.5) != (right < 0.5)
    prompts = {pair["pair"]: pair["prompt"] for pair in data_of(tmp_path / "study")["pairs"]}
    assert all(prompts[entry["pair"]] == f"Smile. {entry['id'][-1]}" for entry in entries)


def test_one_seed_gives_one_study_and_another_another(both, filmed, tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        write_preference(*both, tmp_path / name, seed=seed, pairs=4)
    one, two, three = (key_of(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two and len(one["pairs"]) == 4
    assert one["study"] != three["study"]
    assert [entry["id"] for entry in one["pairs"]] != [entry["id"] for entry in three["pairs"]]


def test_a_study_is_not_written_over(both, filmed, tmp_path):
    write_preference(*both, tmp_path / "study", seed=3)
    write_preference(*both, tmp_path / "study", seed=3)
    with pytest.raises(FacelmError, match="holds another study"):
        write_preference(*both, tmp_path / "study", seed=4)


def test_choices_are_counted_by_hand(both, filmed, tmp_path):
    study = tmp_path / "study"
    write_preference(*both, study, seed=1)

    def ann(entry, question):  # words: A five times, once no difference; naturalness: always what is left
        if question == "natural":
            return "left"
        return "none" if entry["pair"] == 2 else side_of(entry, "a")

    def bo(entry, question):  # words: B; naturalness: unanswered
        return side_of(entry, "b") if question == "words" else None

    files = [save(study, tmp_path / "ann.json", ann), save(study, tmp_path / "bo.json", bo, "bo")]
    counted = count_preferences(study, files)
    assert counted.raters == 2
    assert counted.chosen["words"] == {"a": 5, "b": 6, "none": 1}
    assert counted.chosen["natural"] == {"a": 3, "b": 3}
    share = counted.shares["words"]
    assert share.value == pytest.approx(5 / 11) and share.n == 11
    # Wilson: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with p = 5/11, n = 11, z = 1.959964
    assert (share.low, share.high) == pytest.approx((0.21271, 0.71991), abs=2e-5)
    assert "1 of 12 choices were no difference" in share.note
    text = counted.text()
    assert f"| {QUESTIONS['words']}" in text and "| 0.455 (0.213 to 0.720)" in text and "2 rater(s)" in text
    assert "6 question(s) were left unanswered." in text


def test_a_rater_counts_once_with_what_was_saved_last(both, filmed, tmp_path):
    study = tmp_path / "study"
    write_preference(*both, study, seed=1)
    late = save(study, tmp_path / "late.json", lambda e, q: side_of(e, "b"), saved="2026-01-02T10:00:00Z")
    early = save(study, tmp_path / "early.json", lambda e, q: side_of(e, "a"))
    for files in ((late, early), (early, late)):
        counted = count_preferences(study, files)
        assert counted.raters == 1 and counted.chosen["words"] == {"b": 6}
        assert "already" in counted.notes[0]


def test_only_ties_give_no_share(both, filmed, tmp_path):
    study = tmp_path / "study"
    write_preference(*both, study, seed=1)
    counted = count_preferences(study, [save(study, tmp_path / "c.json", lambda e, q: "none")])
    assert not counted.shares["words"].known and "nobody chose A or B" in counted.shares["words"].note
    assert "not computed" in counted.text()


def test_wrong_files_of_choices_are_refused(both, filmed, tmp_path):
    study = tmp_path / "study"
    write_preference(*both, study, seed=1)
    write_preference(*both, tmp_path / "other", seed=2)
    foreign = save(tmp_path / "other", tmp_path / "foreign.json", lambda e, q: "left")
    made_up = save(study, tmp_path / "made_up.json", lambda e, q: "up")
    (tmp_path / "half.json").write_text('{"study": ')
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "bare.json").write_text(json.dumps({"study": key_of(study)["study"]}))
    for file, words in (
        (foreign, "another study"),
        (made_up, "'up', which the page never asks"),
        (tmp_path / "half.json", "no readable JSON"),
        (tmp_path / "list.json", "holds a list"),
        (tmp_path / "bare.json", "holds no choices"),
    ):
        with pytest.raises(FacelmError, match=words):
            count_preferences(study, [file])
    with pytest.raises(MissingFileError, match="absent.json does not exist"):
        count_preferences(study, [tmp_path / "absent.json"])
    with pytest.raises(MissingFileError, match="key.json does not exist"):
        count_preferences(tmp_path, [foreign])
    with pytest.raises(FacelmError, match="no choices to count"):
        count_preferences(study, [])


def test_clips_of_one_side_are_left_out_and_told(filmed, tmp_path):
    a, b = results(tmp_path / "a.json", 0.2, 4), results(tmp_path / "b.json", 0.8, 6)
    assert write_preference(a, b, tmp_path / "study") == [
        f"2 clip(s) of {b} are not in the other and were left out, such as clip-4."
    ]
    assert len(filmed) == 4


def test_what_cannot_be_compared_is_refused(both, filmed, tmp_path):
    other = results(tmp_path / "other.json", 0.8, prompt="Frown.")
    with pytest.raises(FacelmError, match="clip clip-0 was asked for with different words"):
        write_preference(both[0], other, tmp_path / "study")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FacelmError, match="empty holds no motions"):
        write_preference(both[0], tmp_path / "empty", tmp_path / "study")
    with pytest.raises(MissingFileError, match="there is no .*nowhere"):
        write_preference(both[0], tmp_path / "nowhere", tmp_path / "study")
    (tmp_path / "folder").mkdir()
    smile(0.1).save(tmp_path / "folder" / "unknown.npz")
    with pytest.raises(FacelmError, match="no clip in common"):
        write_preference(both[0], tmp_path / "folder", tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_folders_bring_words_and_sound(filmed, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        smile(0.3).save(tmp_path / name / "clip_1.npz")
        smile(0.3).save(tmp_path / name / "bare.csv")
    line = {"id": "clip 1", "file": "clip_1", "prompt": "Say hello.", "audio": "clip_1.flac"}
    (tmp_path / "a" / "prompts.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "a" / "clip_1.flac").write_bytes(b"sound")
    assert set(load_shown(tmp_path / "a")) == {"clip 1"} and set(load_shown(tmp_path / "b")) == {"clip_1", "bare"}
    (tmp_path / "b" / "prompts.jsonl").write_text(json.dumps({**line, "audio": None}) + "\n")
    write_preference(tmp_path / "a", tmp_path / "b", tmp_path / "study")
    (pair,) = data_of(tmp_path / "study")["pairs"]
    assert pair["questions"] == ["words", "sound", "natural"] and pair["prompt"] == "Say hello."
    assert (tmp_path / "study" / "page" / "media" / "001.mp4").read_bytes() == b"sound"
    (tmp_path / "b" / "prompts.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(FacelmError, match="prompts.jsonl, line 1"):
        load_shown(tmp_path / "b")


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_the_verb_writes_and_counts(both, filmed, tmp_path):
    study = tmp_path / "study"
    written = run("--preference", *both, "--out", study, "--pairs", 2, "--seed", 5)
    assert written.exit_code == 0, written.output
    assert "study/page" in written.output and len(key_of(study)["pairs"]) == 2
    choices = save(study, tmp_path / "c.json", lambda entry, question: side_of(entry, "b"))
    counted = run("--preference-results", study, choices)
    assert counted.exit_code == 0 and "| 0.000 (0.000 to 0.658)" in counted.output, counted.output
    lacking = run("--preference", *both)
    assert lacking.exit_code == 2 and "--out" in lacking.output
    assert run("--preference-results", tmp_path / "absent", choices).exit_code == 2
    assert "give MODEL and --data" in run().output


def test_the_page_in_a_browser(filmed, tmp_path):
    a, b = results(tmp_path / "a.json", 0.2, 2, HOSTILE), results(tmp_path / "b.json", 0.8, 2, HOSTILE)
    write_preference(a, b, tmp_path / "study")
    page, profile = tmp_path / "study" / "page" / "index.html", tmp_path / "profile"
    press = "const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));"
    seen = browse(page, profile, press + "press('Enter'); press('ArrowLeft'); press('ArrowDown'); press('Enter');")
    assert "Pair 2 of 2" in seen and "<title>owned" not in seen and "&lt;/script&gt;" in seen
    seen = browse(
        page,
        profile,
        press + "press('ArrowRight'); press('ArrowRight'); press('Enter');"
        "document.body.dataset.kept = JSON.stringify(state.choices);",
    )
    assert "All 2 pairs are answered." in seen
    kept = json.loads(re.search(r'data-kept="(.*?)"', seen).group(1).replace("&quot;", '"'))
    assert kept == {"1": {"words": "left", "natural": "none"}, "2": {"words": "right", "natural": "right"}}


def test_films_hide_where_they_come_from(both, tmp_path):
    try:
        still(np.zeros(55), 16)
    except FacelmError as error:
        pytest.skip(str(error))
    write_preference(*both, tmp_path / "study", pairs=1, size=64)
    film = (tmp_path / "study" / "page" / "media" / "001.mp4").read_bytes()
    assert len(film) > 500 and b"secret" not in film and b"alpha" not in film and b"clip-" not in film
