import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm.errors import FacelmError
from facelm.motion import load_motion
from facelm.motion.layout import ARKIT, LIVELINK
from facelm.motion.names import FOLDER, NameTable, arkit_name, best_table, builtin_tables, load_names, match


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------- spelling


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("eyeBlinkLeft", "eyeBlinkLeft"),
        ("EyeBlinkLeft", "eyeBlinkLeft"),
        ("eyeBlink_L", "eyeBlinkLeft"),
        ("eyeBlink.R", "eyeBlinkRight"),
        ("eyeBlinkR", "eyeBlinkRight"),
        ("eye_blink_left", "eyeBlinkLeft"),
        ("EYE BLINK RIGHT", "eyeBlinkRight"),
        ("head_blendShape.eyeBlink_L", "eyeBlinkLeft"),
        ("jawLeft", "jawLeft"),
        ("mouthRollLower", "mouthRollLower"),
        ("HeadYaw", "headYaw"),
        ("LeftEyePitch", "leftEyePitch"),
        ("_neutral", None),
        ("eyeBlink", None),
        ("", None),
        ("_L", None),
    ],
)
def test_arkit_names_are_found_in_every_spelling(name, channel):
    assert arkit_name(name) == channel


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LIVELINK.names), st.sampled_from([str, str.lower, str.upper, str.title]))
def test_every_channel_is_found_in_any_capitals(name, spell):
    assert arkit_name(spell(name)).lower() == name.lower()


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_channel_or_none(text):
    assert arkit_name(text) is None or arkit_name(text) in LIVELINK


# ---------------------------------------------------------------- built-in tables


def test_every_built_in_table_is_valid():
    assert set(builtin_tables()) == {"facegood", "ict_facekit"}
    assert len(builtin_tables()) == len(list(FOLDER.glob("*.yaml")))


def test_facegood_agrees_with_the_yardstick(shared, monkeypatch):
    monkeypatch.syspath_prepend(str(shared / "measure"))
    import face_measure

    sys.modules.pop("face_measure")
    for path in sorted((shared / "data/speech_zh").glob("*.npz")):
        archive = np.load(path, allow_pickle=False)
        motion, report = load_motion(path)
        expected = face_measure.retarget(archive["weights"].astype(np.float64), archive["names"])
        for channel, values in expected.items():
            np.testing.assert_allclose(motion.channel(channel), values, atol=1e-6, err_msg=channel)
        assert motion.fps == 30 and not any("left out" in note for note in report.notes)


def test_facegood_knows_all_116_names(shared):
    names = [str(n) for n in np.load(shared / "data/speech_zh/1114_2_01.npz")["names"]]
    table = best_table(names)
    assert table is builtin_tables()["facegood"] and all(table.lists(name) for name in names)
    assert len(table.channels) + len(table.ignored) == 116


def test_split_shapes_of_ict_facekit_are_averaged(shared):
    names = [str(n) for n in np.load(shared / "data/rigs/ict_facekit_exp53.npz")["names"]]
    values = np.zeros((2, len(names)))
    values[1, names.index("browInnerUp_L")], values[1, names.index("browInnerUp_R")] = 0.2, 0.6
    values[1, names.index("mouthSmile_R")] = 0.5
    made = match(values, names)
    assert made.table.name == "ICT-FaceKit" and made.unknown == () and made.absent == ("tongueOut",)
    row = dict(zip(ARKIT.names, made.values[1], strict=True))
    assert row["browInnerUp"] == pytest.approx(0.4) and row["mouthSmileRight"] == pytest.approx(0.5)
    assert made.values[1].sum() == pytest.approx(0.9)


def test_plain_names_need_no_table_and_overshoot_is_kept():
    made = match(np.full((1, 53), 1.08), ["_neutral", *(n.upper() for n in ARKIT.names[:52])])
    assert made.notes() == () and made.layout is ARKIT and made.values[0, :52] == pytest.approx(1.08)


def test_eye_angles_make_it_livelink():
    made = match(np.ones((1, 2)), ["jawOpen", "left_eye_yaw"])
    assert made.layout is LIVELINK and made.values[0, LIVELINK.index("LeftEyeYaw")] == 1


# ---------------------------------------------------------------- tables of users


def test_a_table_written_by_hand(tmp_path):
    table = load_names(
        write(
            tmp_path / "rig.yaml",
            "name: rig\nfps: 24\nchannels:\n  Oh: {jawOpen: 0.5, mouthFunnel: 0.5}\n  Open: jawOpen\n"
            "  Squash: {cheekPuff: -1}\nignored: [Ears]\n",
        )
    )
    names = ["Oh", "open", "Squash", "Ears", "tongueOut", "Horns"]
    made = match(np.array([[1, 0.25, 0.5, 9, 0.125, 9], [1, 1, 0, 0, 0, 0]]), names, table)
    first, second = (dict(zip(ARKIT.names, row, strict=True)) for row in made.values.tolist())
    assert (first["jawOpen"], first["mouthFunnel"], first["cheekPuff"], first["tongueOut"]) == (0.75, 0.5, -0.5, 0.125)
    assert second["jawOpen"] == 1  # held, because two names lead there
    assert made.unknown == ("Horns",) and "Horns" in " ".join(made.notes())
    assert table.fps == 24 and (table.apply(np.zeros((3, 6)), names).shape) == (3, 55)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("chanels: {a: jawOpen}", "'chanels'; the nearest one is 'channels'"),
        ("channels: {a: jawOpn}", "'jawOpn'.*the nearest one is 'jawOpen'"),
        ("channels: {a: {mouthSmileleft: 1, mouthsmilRight: 1}}", "nearest one is 'mouthSmileRight'"),
        ("channels: {a: {jawOpen: wide}}", "weight of a must be a number"),
        ("channels: {a: {jawOpen: .nan}}", "weight of a must be a number"),
        ("channels: {a: 3}", "a must be the name of an ARKit channel"),
        ("channels: {a: }", "a must be the name of an ARKit channel"),
        ("channels: [a]", "needs a field channels"),
        ("name: x", "needs a field channels"),
        ("channels: {a: jawOpen}\nlayout: flame", "only arkit is possible"),
        ("channels: {a: jawOpen}\nfps: fast", "fps must be a positive number"),
        ("channels: {a: jawOpen}\nignored: b", "ignored must be a list"),
        ("- a", "must hold `field: value` lines"),
        ("", "must hold `field: value` lines"),
        ("a: [", "is not YAML"),
        ("[" * 5000, "nested too deeply|is not YAML"),
    ],
)
def test_mistakes_in_a_table_are_named(tmp_path, text, words):
    with pytest.raises(FacelmError, match=words):
        load_names(write(tmp_path / "rig.yaml", text))


def test_a_table_in_another_encoding(tmp_path):
    (tmp_path / "rig.yaml").write_bytes(b"channels: {\xff: jawOpen}")
    with pytest.raises(FacelmError, match="UTF-8"):
        load_names(tmp_path / "rig.yaml")


def test_a_table_that_is_absent_names_the_built_in_ones():
    with pytest.raises(FacelmError, match="facegood, ict_facekit"):
        load_names("facegod")


def test_names_that_nobody_knows_say_how_to_write_a_table():
    with pytest.raises(FacelmError, match="name table.*--names"):
        match(np.zeros((1, 2)), ["Smirk", "Sneeze"])


@pytest.mark.parametrize("names", [["jawOpen", "JawOpen"], ["jawOpen", "jawOpen"]])
def test_a_channel_that_stands_twice_is_refused(names):
    with pytest.raises(FacelmError, match="both jawOpen"):
        match(np.zeros((1, 2)), names)


def test_widths_must_agree():
    with pytest.raises(FacelmError, match="2 names"):
        match(np.zeros((4, 3)), ["jawOpen", "jawLeft"])
    with pytest.raises(FacelmError, match="nearest one is 'jawOpen'"):
        NameTable("mine", {"a": {"jawOpeen": 1.0}})
