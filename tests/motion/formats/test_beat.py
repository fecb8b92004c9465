import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import load_motion, save_motion
from facelm.motion.formats import beat


def document(frames=3, names=beat.NAMES):
    return {
        "names": list(names),
        "frames": [
            {"weights": [(i + j) / 100 for j in range(len(names))], "time": i / 60, "rotation": []}
            for i in range(frames)
        ],
    }


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_a_file_as_released(tmp_path):
    motion, report = load_motion(write(tmp_path / "a.json", document(120)))
    assert motion.fps == 60 and len(motion) == 120 and report.dialect == "BEAT JSON"
    assert report.absent == ("tongueOut",) and not motion.values[:, 52:].any()
    for j, name in enumerate(beat.NAMES):
        assert motion.channel(name)[7] == pytest.approx((7 + j) / 100)


def test_names_are_alphabetical_without_the_tongue():
    assert len(beat.NAMES) == 51 and list(beat.NAMES) == sorted(beat.NAMES) and "tongueOut" not in beat.NAMES


def test_names_in_another_order_are_found_by_name(tmp_path):
    motion, _ = load_motion(write(tmp_path / "a.json", document(3, beat.NAMES[::-1])))
    assert motion.channel(beat.NAMES[-1])[0] == 0 and motion.channel(beat.NAMES[0])[0] == pytest.approx(0.5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.one_of(st.sampled_from([23.976, 25, 29.97, 60]), st.floats(1, 240)),
    count=st.integers(1, 40),
)
def test_what_is_written_is_read_exactly(tmp_path_factory, seed, rate, count):
    values = np.zeros((count, 55), np.float32)
    motion = FaceMotion(values, rate)
    values[:, motion.layout.indices(beat.NAMES)] = np.random.default_rng(seed).normal(0, 1, (count, 51))
    motion = FaceMotion(values, rate)
    path = tmp_path_factory.mktemp("beat") / "a.json"
    beat.write(motion, path)
    again, report = load_motion(path)
    assert again == motion and not (report.bridged or report.jitter or report.repeated)
    content = json.loads(path.read_text())
    assert set(content["frames"][0]) == {"weights", "time", "rotation"} and content["names"] == list(beat.NAMES)


def test_what_the_format_has_no_place_for_is_told(tmp_path, recwarn):
    values = np.zeros((2, 55), np.float32)
    save_motion(FaceMotion(values, 25), tmp_path / "a.json")
    assert not recwarn
    values[1, 51], values[0, 53] = 1, 0.1
    with pytest.warns(UserWarning, match="no place for tongueOut, headPitch"):
        save_motion(FaceMotion(values, 25), tmp_path / "a.json")


def test_a_layout_without_the_shapes_is_refused(tmp_path):
    with pytest.raises(FacelmError):
        beat.write(FaceMotion(np.zeros((2, 56)), 25, "flame56"), tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def change(**entries):
    return lambda content: content["frames"][1].update(entries)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change(weights=[1, 2]), "frame 1 has 2 weights for 51 names"),
        (change(weights="many"), "frame 1: weights must be a list"),
        (change(weights=[None] * 51), "frame 1: weights is absent"),
        (change(weights=[float("nan")] * 51), "frame 1, .* is nan"),
        (change(weights=[10**400] * 51), "frame 1: weights is too large"),
        (change(time=-1), "frame 1: its time .* is negative"),
        (change(time=None), "frame 1: time is absent"),
        (change(time="soon"), "frame 1: time is no number"),
        (lambda content: content.update(names=[]), "no list of names"),
        (lambda content: content.update(frames=[]), "no list of frames"),
        (lambda content: content["frames"].insert(1, 7), "frame 1: weights must be"),
        (lambda content: content.update(names=["a"] * 51), "name table"),
    ],
)
def test_wrong_files_name_the_frame(tmp_path, spoil, words):
    content = document()
    spoil(content)
    with pytest.raises(FacelmError, match=words):
        load_motion(write(tmp_path / "a.json", content))


def test_a_file_that_is_cut_off(tmp_path):
    path = write(tmp_path / "a.json", document(20))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FacelmError, match="damaged JSON"):
        load_motion(path)
