"""The folder of takes: what people put into it, and what they get wrong."""

import json

import numpy as np
import pytest
from trees import TREES, beat_json, curves, livelink, mmhead_pickle, text, textgrid, wav

from facelm.corpus.readers import SkipReport, iterate, load_take
from facelm.describe.annotations import Annotations
from facelm.errors import FacelmError


@pytest.fixture
def root(tmp_path):
    return TREES["takes"].make(tmp_path)


def by_id(root, **options):
    return {take.id: take for take in iterate(root, **options)}


def test_everything_that_is_said_about_a_take(root):
    takes = by_id(root, on_error="stop")
    anna, second, ben = takes["anna_01"], takes["anna_02"], takes["ben/take"]
    assert anna.texts == ("She smiles and nods.", "A woman who agrees.")
    assert anna.labels.emotions == ("happy", "surprised") and anna.split == "train"
    assert anna.extra == {"gender": "female"}
    assert second.labels.emotions == ("happy", "sad") and second.split == "validation"
    assert second.transcript == second.labels.transcript == "oh well"
    assert second.extra == {"syncnet": "2.5", "gender": "female"}
    assert ben.transcript == "hello you" and ben.subject == "ben"
    assert ben.audio == root / "ben" / "take.wav"


def test_annotations_are_held_to_the_limits(root):
    written = {
        "action": "The person smiles and looks away.",
        "emotion": "The person looks happy.",
        "expression": "The corners of the mouth rise.",
        "head_pose": "The head stays still.",
        "scenarios": ["She hears good news.", "He wins.", "A friend arrives."],
        "summary": "A short smile.",
    }
    text(root / "anna_01.json", json.dumps({"annotations": written}))
    assert by_id(root)["anna_01"].annotations == Annotations(**{**written, "scenarios": tuple(written["scenarios"])})
    text(root / "anna_01.json", json.dumps({"annotations": {**written, "emotion": "very " * 20}}))
    with pytest.raises(FacelmError, match=r"anna_01.json, annotations: emotion has 20 words"):
        by_id(root, on_error="stop")
    text(root / "anna_01.json", json.dumps({"annotations": {"action": "Smiles."}}))
    with pytest.raises(FacelmError, match="annotations: it needs the fields action, emotion"):
        by_id(root, on_error="stop")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("name,emotion\nanna_01,sad\n", "has no column take"),
        ("take,emotion\nanna_01,sad,more\n", "row 2 has 3 fields, but the header has 2"),
        ("take,emotion\nanna_01,sad\nanna_01.csv,happy\n", "row 3 names the take 'anna_01' again, after row 2"),
        ("take,split\nanna_01,dev-set\n", "row 2, split: unknown split 'dev-set'"),
        ("take,fps\nanna_01,fast\n", "row 2, fps: 'fast' is no number"),
        ("take,fps\nanna_01,-30\n", "row 2, fps: -30 is no rate"),
        ("take,emotion\nanna_99,sad\n", "row 2 names the take 'anna_99', but there is no such motion"),
    ],
)
def test_tables_with_mistakes_name_the_row(root, table, said):
    text(root / "labels.csv", table)
    with pytest.raises(FacelmError, match="labels.csv") as caught:
        by_id(root, on_error="stop")
    assert said in str(caught.value)
    report = SkipReport()
    assert by_id(root, report=report)  # the others go on
    assert any(said in remark.reason for remark in report.remarks)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "anna_01.json line 1: this is not JSON"),
        ("[1]", "anna_01.json holds a list; a dict is needed"),
        ('{"emotion": 3}', "anna_01.json, emotion: a text or a list of texts is needed"),
        ('{"subject": {"name": "anna"}}', "anna_01.json, subject: a word or a number is needed"),
        ("[" * 100_000, "anna_01.json"),
    ],
)
def test_json_with_mistakes_names_the_field(root, content, said):
    text(root / "anna_01.json", content)
    report = SkipReport()
    assert set(by_id(root, report=report)) == {"anna_02", "ben/take"}
    assert said in report.remarks[0].reason and report.remarks[0].take == "anna_01"


def test_two_motions_of_one_name_are_refused(root):
    mmhead_pickle(root / "anna_01.pkl", curves(20, 56))
    with pytest.raises(FacelmError, match="are two motions of one name"):
        by_id(root, on_error="stop")


def test_json_and_text_may_be_motion(tmp_path):
    beat_json(tmp_path / "one.json", curves(30, 51))
    text(tmp_path / "one.txt", "A caption.\n")
    take = by_id(tmp_path)["one"]
    assert take.texts == ("A caption.",)
    assert load_take(take)[0].layout.name == "arkit"


def test_what_the_live_link_app_puts_beside_a_take_is_left_alone(tmp_path):
    folder = tmp_path / "20240101_MySlate_1"
    livelink(folder / "MySlate_1_iPhone.csv", curves(60, 61))
    livelink(folder / "MySlate_1_iPhone_raw.csv", curves(60, 61))
    livelink(folder / "MySlate_1_iPhone_neutral.csv", curves(1, 61))
    text(folder / "frame_log.csv", "V,1,2,3\n")
    text(folder / "take.json", json.dumps({"slate": "MySlate", "takeNumber": 1, "subject": "iPhone"}))
    text(folder / "MySlate_1_iPhone.mov", "video")
    text(folder / ".hidden.csv", "no take")
    report = SkipReport("stop")
    (take,) = iterate(tmp_path, report=report)
    assert take.id == "20240101_MySlate_1/MySlate_1_iPhone"
    assert "ffmpeg -i MySlate_1_iPhone.mov MySlate_1_iPhone.wav" in report.remarks[0].reason


def test_sound_without_a_motion_is_noted(root):
    wav(root / "music.wav", 1.0)
    report = SkipReport("stop")
    assert len(by_id(root, report=report)) == 3
    assert "music.wav has no motion beside it" in report.remarks[0].reason


def test_a_rate_can_be_given_where_files_state_none(tmp_path):
    mmhead_pickle(tmp_path / "one.pkl", curves(60, 56))
    text(tmp_path / "labels.csv", "take,fps\none,30\n")
    assert load_take(by_id(tmp_path)["one"])[0].fps == 30


def test_negative_time(tmp_path):
    livelink(tmp_path / "one.csv", curves(60, 61))
    path = tmp_path / "one.csv"
    path.write_text(path.read_text().replace("00:00:00:05.000", "-0:00:00:05.000"))
    with pytest.raises(FacelmError, match=r"one.csv row 7"):
        load_take(by_id(tmp_path)["one"])
    textgrid(tmp_path / "one.TextGrid", ["yes"], 1.0)
    grid = tmp_path / "one.TextGrid"
    grid.write_text(grid.read_text().replace("            xmin = 0.0", "            xmin = -0.5"))
    with pytest.raises(FacelmError, match=r"tier 'words', interval 1: its time -0.5 to 1 s is negative"):
        by_id(tmp_path, on_error="stop")


def test_real_takes_with_sound(shared, tmp_path):
    """Three real Live Link takes with sound made for them."""
    import shutil

    takes = {"rom_3": "a range of motion", "myslate_3_60fps": "a short take", "emotion_167": "she is sad"}
    for name, words in takes.items():
        shutil.copy(shared / "data" / "livelink" / f"{name}.csv.gz", tmp_path / f"{name}.csv.gz")
        text(tmp_path / f"{name}.txt", words + "\n")
    for name, take in by_id(tmp_path).items():
        wav(tmp_path / f"{name}.wav", load_take(take)[0].seconds)
    found = by_id(tmp_path, on_error="stop")
    assert {name: take.texts for name, take in found.items()} == {name: (words,) for name, words in takes.items()}
    for take in found.values():
        motion, report = load_take(take)
        assert motion.layout.name == "livelink" and not [note for note in report.notes if ".wav" in note]
        assert np.ptp(motion.values, axis=0).max() > 0.2
