"""What each data set says about its takes: names, labels, texts, splits."""

import json

import numpy as np
import pytest
from trees import FACEGOOD_NAMES, MMHEAD, TREES, curves, deca_npz, emoca_folder, text

from facelm.corpus.readers import SkipReport, iterate, load_take
from facelm.corpus.readers.beat import parse
from facelm.errors import FacelmError


def read(name, tmp_path, **options):
    root = TREES[name].make(tmp_path)
    report = SkipReport(options.pop("on_error", "stop"))
    return root, {take.id: take for take in iterate(root, report=report, **options)}, report


# ---------------------------------------------------------------- MMHead


def test_mmhead_texts_benchmarks_and_splits(tmp_path):
    _, takes, report = read("mmhead", tmp_path)
    first, second, third = (takes[name] for name in MMHEAD)
    assert first.annotations.action == "The person talks, smiles and looks away."
    assert first.annotations.scenarios == (
        "She hears good news.",
        "He meets an old friend.",
        "The person wins a prize.",
    )
    assert first.annotations.joined().startswith("The person talks, smiles and looks away. The person looks happy")
    assert [take.extra["benchmarks"] for take in (first, second, third)] == ["I II", "I", "II"]
    assert [take.split for take in (first, second, third)] == ["train", "test", "train"]
    assert first.extra["split II"] == "validation" and first.extra["source"] == "celebvhq"
    assert not report.remarks


def test_mmhead_takes_texts_as_they_were_released_and_says_so(tmp_path):
    root = TREES["mmhead"].make(tmp_path)
    text(root / "text_annotations/action" / f"{MMHEAD[0]}.txt", "The person was smiling at 3 people.\n")
    (root / "text_annotations/emotion" / f"{MMHEAD[1]}.txt").unlink()
    text(root / "text_annotations/emotion_scenario" / f"{MMHEAD[2]}.txt", "- She wins.\n- He wins.\n")
    report = SkipReport("stop")
    takes = {take.id: take for take in iterate(root, report=report)}
    notes = {remark.take: remark.reason for remark in report.remarks}
    assert takes[MMHEAD[0]].annotations.action == "The person was smiling at 3 people."
    assert "a limit of the paper is not kept: action says '3'" in notes[MMHEAD[0]]
    assert takes[MMHEAD[1]].annotations.emotion == ""
    assert f"there is no text emotion/{MMHEAD[1]}.txt" in notes[MMHEAD[1]]
    assert takes[MMHEAD[2]].annotations.scenarios == ("She wins.", "He wins.")
    assert "it has 2 scenarios, not 3" in notes[MMHEAD[2]]


@pytest.mark.parametrize(
    "content",
    [
        {"train": [f"{MMHEAD[0]}.pkl"], "val": [MMHEAD[1]], "test": []},
        {MMHEAD[0]: "train", MMHEAD[1]: "val"},
        [{"name": MMHEAD[0], "split": "train"}, {"name": MMHEAD[1], "split": "val"}],
        {"train": {MMHEAD[0]: {}}, "val": [{"name": MMHEAD[1]}]},
    ],
)
def test_mmhead_lists_in_several_forms(tmp_path, content):
    root = TREES["mmhead"].make(tmp_path)
    (root / "t2m_subset.json").unlink()
    text(root / "talking_subset.json", json.dumps(content))
    assert [take.split for take in iterate(root)] == ["train", "validation", None]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train": [MMHEAD[0]], "test": [MMHEAD[0]]}, "puts CELEBVHQ_--uyzf7X_0c_0 into two splits"),
        ({"somewhere": [MMHEAD[0]]}, "unknown split 'somewhere'"),
        ({"train": 3}, "a split or a list of names is needed, not 3"),
        ({"train": [3]}, "names of clips are needed, not 3"),
        ([{"name": "a"}], "entry 1: it needs a name and a split"),
        ({}, "names no clip with a split"),
    ],
)
def test_mmhead_lists_that_make_no_sense(tmp_path, content, said):
    root = TREES["mmhead"].make(tmp_path)
    text(root / "talking_subset.json", json.dumps(content))
    with pytest.raises(FacelmError, match="talking_subset.json") as caught:
        list(iterate(root, on_error="stop"))
    assert said in str(caught.value)
    assert len(list(iterate(root))) == 3


def test_mmhead_packed_or_incomplete(tmp_path):
    root = TREES["mmhead"].make(tmp_path)
    text(root / "talking_subset.json", json.dumps({"train": ["CELEBVHQ_gone_0"]}))
    report = SkipReport()
    list(iterate(root, report=report))
    assert "talking_subset.json names CELEBVHQ_gone_0, but it has no motion here" in report.remarks[-1].reason
    (root / "audio").rename(root / "aside")
    text(root / "audio.zip", "packed")
    with pytest.raises(FacelmError, match="unpack it with 'unzip audio.zip -d audio'"):
        list(iterate(root))


# ---------------------------------------------------------------- BEAT, BEAT2


def test_beat_names_words_and_splits(tmp_path):
    _, takes, _ = read("beat", tmp_path)
    wayne = takes["1_wayne_0_9_9"]
    assert wayne.subject == "1_wayne" and wayne.transcript == "the first thing"
    assert wayne.labels.actions == ("talk",) and wayne.labels.emotions == ("neutral",)
    assert wayne.extra == {"language": "English", "scene": "speech"} and wayne.split == "train"
    assert takes["1_wayne_1_1_1"].split == "test" and takes["1_wayne_1_1_1"].extra["scene"] == "conversation"
    assert takes["2_scott_0_65_65"].labels.emotions == ("happiness",) and takes["2_scott_0_65_65"].split == "test"


@pytest.mark.parametrize(
    ("number", "emotion"),
    [
        (1, "neutral"),
        (64, "neutral"),
        (65, "happiness"),
        (73, "anger"),
        (81, "sadness"),
        (87, "contempt"),
        (94, "contempt"),
    ]
    + [(95, "surprise"), (103, "fear"), (110, "fear"), (111, "disgust"), (118, "disgust")],
)
def test_beat_emotion_of_a_number(number, emotion):
    assert parse(f"2_scott_0_{number}_{number}").emotion == emotion
    assert parse(f"2_scott_1_{number}_{number}").emotion == "neutral"


def test_beat_knows_what_is_no_recording():
    assert parse("2_scott_0_1_1").subject == "2_scott" and parse("5_stewart_0_65_b").last == "b"
    assert [parse(name) for name in ("labels", "scott_0_1_1", "2_scott_9_1_1", "2_scott_0_1")] == [None] * 4


def test_beat2_types(tmp_path):
    root, takes, _ = read("beat2", tmp_path)
    assert [take.split for take in takes.values()] == ["test", "train", None]
    assert takes["4_lawrence_1_2_2"].extra["released"] == "additional"
    assert takes["2_scott_0_73_73"].labels.emotions == ("anger",)
    assert takes["2_scott_0_1_1"].transcript == "i have a question"
    table = root / "beat_english_v2.0.0" / "train_test_split.csv"
    table.write_text(table.read_text() + "9_miranda_0_1_1,val\n2_scott_0_2_2,holdout\n")
    with pytest.raises(FacelmError, match="train_test_split.csv row 6: unknown split 'holdout'"):
        list(iterate(root, on_error="stop"))
    table.write_text(table.read_text().replace("holdout", "val"))
    report = SkipReport()
    list(iterate(root, report=report))
    assert sum("smplxflame_30/" in remark.reason for remark in report.remarks) == 2


def test_beat2_sample_is_read(shared, tmp_path):
    """The real talker, in BEAT2's folders."""
    place = tmp_path / "beat_english_v2.0.0"
    for folder, name in (("smplxflame_30", "2_scott_0_1_1.npz"), ("wave16k", "2_scott_0_1_1.wav")):
        (place / folder).mkdir(parents=True)
        source = name.replace(".npz", "_face.npz")
        (place / folder / name).symlink_to(shared / "data" / "flame_beat2" / source)
    text(place / "train_test_split.csv", "id,type\n2_scott_0_1_1,test\n")
    (take,) = iterate(tmp_path)
    motion, report = load_take(take)
    assert take.dataset == "beat2" and take.split == "test"
    assert motion.fps == 30 and len(motion) == 1906
    assert motion.channel("jawX").max() > 0.05
    assert not [note for note in report.notes if ".wav" in note]


# ---------------------------------------------------------------- data sets fitted with FLAME


def test_mead_folders(tmp_path):
    root, takes, _ = read("mead", tmp_path, on_error="skip")
    man, side, woman = takes.values()
    assert (man.subject, man.labels.emotions, man.labels.intensity) == ("M003", ("angry",), "level_3")
    assert man.extra == {"camera": "front", "level": "3", "gender": "male"} and side.extra["camera"] == "left_30"
    assert woman.extra["gender"] == "female" and man.audio == side.audio
    deca_npz(root / "M003/video/front/bored/level_1/002.npz", curves(20, 56))
    deca_npz(root / "M003/loose.npz", curves(20, 56))
    text(root / "M003/audio/sad/level_2/003.m4a", "packed sound")
    emoca_folder(root / "M003/front/sad/level_2/003", curves(20, 56))  # without video/, as EMICA writes it
    report = SkipReport()
    takes = {take.id: take for take in iterate(root, report=report)}
    assert len(takes) == 4 and report.count() == 2
    reasons = " ".join(remark.reason for remark in report.remarks)
    assert "'bored' is none of MEAD's emotions" in reasons and "does not lie where MEAD has its clips" in reasons
    assert "convert audio/sad/level_2/003.m4a to WAV" in takes["M003/front/sad/level_2/003"].notes[0]


def test_ravdess_names(tmp_path):
    root, takes, _ = read("ravdess", tmp_path)
    woman, man = takes["01-01-06-02-02-01-12"], takes["01-02-03-01-01-02-01"]
    assert woman.labels.emotions == ("fearful",) and woman.labels.intensity == "strong"
    assert woman.labels.actions == ("talk",) and man.labels.actions == ("sing",)
    assert woman.transcript == "Dogs are sitting by the door" and man.transcript == "Kids are talking by the door"
    assert (woman.extra["gender"], man.extra["gender"]) == ("female", "male") and woman.subject == "Actor_12"
    assert woman.audio.name == "03-01-06-02-02-01-12.wav"
    emoca_folder(root / "Actor_12" / "01-01-06-02-02-01-99", curves(20, 56))
    with pytest.raises(FacelmError, match="01-01-06-02-02-01-99 is not named like a recording of RAVDESS"):
        list(iterate(root, on_error="stop"))


def test_celebv_hq_labels(tmp_path):
    root, takes, _ = read("celebv-hq", tmp_path)
    clip = takes["M2Ohb0FAaJU_1"]
    assert clip.labels.actions == ("smile", "talk") and clip.labels.emotions == ("neutral", "happy")
    assert clip.extra == {"video": "M2Ohb0FAaJU", "gender": "male"}
    deca_npz(root / "flame" / "unknown_0.npz", curves(20, 56))
    with pytest.raises(FacelmError, match=r"unknown_0.npz is no clip that celebvhq_info.json has labels of"):
        list(iterate(root, on_error="stop"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about["action"].pop(), "3 labels of action, but action_mapping has 4 names"),
        (lambda about: about["emotion"]["labels"][0].update(start_sec=-1), "lasts from -1 to 0.4 s, which cannot be"),
        (lambda about: about["emotion"]["labels"][0].pop("end_sec"), "need emotion, start_sec and end_sec"),
    ],
)
def test_celebv_hq_labels_with_mistakes_name_the_clip(tmp_path, change, said):
    root = TREES["celebv-hq"].make(tmp_path)
    data = json.loads((root / "celebvhq_info.json").read_text())
    change(data["clips"]["M2Ohb0FAaJU_1"]["attributes"])
    text(root / "celebvhq_info.json", json.dumps(data))
    with pytest.raises(FacelmError, match="celebvhq_info.json, clip M2Ohb0FAaJU_1") as caught:
        list(iterate(root, on_error="stop"))
    assert said in str(caught.value)
    assert [take.id for take in iterate(root)] == ["_0tf2n3rlJU_0"]


def test_celebv_text_labels_and_sentences(tmp_path):
    _, takes, _ = read("celebv-text", tmp_path)
    first, second = takes.values()
    assert first.texts == ("This person is talking.", "He talks for a long time.")
    assert first.labels.actions == ("talk", "squint") and second.labels.actions == ("squint",)
    assert len(second.labels.emotions) == 6


def test_multiface_names(tmp_path):
    _, takes, _ = read("multiface", tmp_path)
    face, spoken = takes.values()
    assert face.labels.actions == ("neutral eyes open",) and face.subject == spoken.subject == "6795937"
    assert spoken.transcript == "a good morrow to you my boy" and spoken.labels.actions == ("talk",)
    assert spoken.extra["camera"] == "400002" and spoken.audio is not None


def test_open3dfacevid_prompts_and_labels(tmp_path):
    root, takes, _ = read("open3dfacevid", tmp_path)
    smile, eyes = takes.values()
    assert smile.texts == ("A young woman smiles faintly at the camera.",)
    assert smile.labels.emotions == ("happy",) and smile.labels.intensity == "subtle"
    assert eyes.texts == ("A man closes his eyes.",) and eyes.labels.actions == ("closeeye",)
    (root / "coeff/prompt_1_3000/0000_happy_subtle.txt").unlink()
    assert next(iter(iterate(root))).notes == ("there is no prompt for it",)


# ---------------------------------------------------------------- blendshapes


def test_facegood_in_both_layouts(tmp_path):
    _, takes, _ = read("facegood", tmp_path / "npz")
    root, raw, report = read("facegood train", tmp_path / "raw")
    motion, other = load_take(takes["1114_2_01"])[0], load_take(raw["1114_2_01"])[0]
    assert np.array_equal(motion.values, other.values) and motion.fps == other.fps == 30
    assert np.allclose(motion.channel("jawOpen"), curves(60, 5)[:, FACEGOOD_NAMES.index("mouth_stretch_c")], atol=1e-6)
    assert "1114_2_06.wav has no weights" in report.remarks[0].reason
    np.save(root / "shirley_1119_bs_name.npy", np.array(FACEGOOD_NAMES[:3]))
    with pytest.raises(FacelmError, match=r"has the shape \(60, 5\), but shirley_1119_bs_name.npy has 3 names"):
        load_take(raw["1114_2_01"])
    (root / "shirley_1119_bs_name.npy").unlink()
    with pytest.raises(FacelmError, match="there is no file .*shirley_1119_bs_name.npy"):
        load_take(raw["1114_2_01"])


def test_takes_named_by_a_date_are_not_taken_for_facegood(tmp_path):
    for name in ("2024_1_05", "2024_1_06"):
        deca_npz(tmp_path / f"{name}.npz", curves(20, 56))
        (tmp_path / f"{name}.wav").write_bytes(b"")
    assert {take.dataset for take in iterate(tmp_path)} == {"takes"}


def test_real_mandarin_speech(shared):
    takes = list(iterate(shared / "data" / "speech_zh", on_error="stop"))
    assert [take.id for take in takes] == [f"1114_2_0{number}" for number in range(1, 6)]
    motion, report = load_take(takes[0])
    assert takes[0].dataset == "facegood" and motion.layout.name == "arkit" and motion.fps == 30
    assert motion.channel("jawOpen").std() > 0.05
    assert not [note for note in report.notes if "shorter" in note]


def test_cavfa_actors_and_words(tmp_path):
    _, takes, _ = read("3d-cavfa", tmp_path)
    take = takes["S01/S01_0001"]
    assert take.subject == "S01" and take.extra["gender"] == "female"
    assert take.transcript == take.labels.transcript == "今天天气很好" and take.texts == ()


def test_m2f_d_style_and_codes(tmp_path):
    root, takes, _ = read("m2f-d", tmp_path)
    take = takes["MEAD/M003/happy_level_3_001"]
    assert take.texts == ("a man full of joy",) and take.labels.emotions == ("happy",)
    assert take.subject == "MEAD/M003" and take.extra["source"] == "mead"
    np.savez(root / "MEAD/M003/happy_level_3_001.npz", z_e=np.zeros((60, 128), np.float32), pose=np.zeros((60, 6)))
    with pytest.raises(FacelmError, match="holds codes of GNPFA, which only that network turns into a face"):
        load_take(take)

    assert take.audio.name == "happy_level_3_001.wav"
