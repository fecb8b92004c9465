"""Every reader with every kind of bad input: refused with file and row, or read with a note; nothing is run."""

import os
import pickle
import shutil

import numpy as np
import pytest
from trees import TREES, curves, wav

from facelm.corpus.readers import SkipReport, iterate, load_take
from facelm.errors import FacelmError

WITH_SOUND = [name for name, tree in TREES.items() if tree.sound]
WITH_WORDS = [name for name, tree in TREES.items() if tree.words]
WITH_RATES = ["takes", "beat", "beat2", "facegood", "3d-cavfa"]  # whose files state their rate


@pytest.fixture(params=TREES)
def tree(request):
    return TREES[request.param]


@pytest.fixture
def root(tree, tmp_path):
    return tree.make(tmp_path)


def first_of(tree, root):
    return next(take for take in iterate(root) if (root / tree.motion).samefile(take.motion))


def a_file_of(path):
    """The motion, or the array of expressions where a motion is a folder."""
    return path / "exp.npy" if path.is_dir() else path


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def refused(take, *names):
    with pytest.raises(FacelmError) as caught:
        load_take(take)
    said = str(caught.value)
    assert "\n" not in said and any(name in said for name in names), said
    return said


def test_truncated_file(tree, root):
    take = first_of(tree, root)
    file = a_file_of(take.motion)
    data = file.read_bytes()
    for share in (0.0, 0.5, 0.9):
        file.write_bytes(data[: int(len(data) * share)])
        if file.suffix != ".csv" or share == 0:  # a CSV that ends early is a shorter take with a short row at its end
            refused(take, file.name, take.motion.name)
        else:
            try:
                motion, report = load_take(take)
            except FacelmError as error:
                assert file.name in str(error)
            else:
                assert motion.seconds < 2 and any("longer than the motion" in note for note in report.notes) == (
                    share < 0.6
                )


def test_wrong_columns(tree, root):
    take = first_of(tree, root)
    remove(take.motion)
    tree.write(take.motion, curves(20, tree.width, 3)[:, : tree.width // 3], tree.fps)
    if tree.write.__name__ in ("beat_json", "facegood_npz"):  # their columns have names: those that are there are read
        motion, report = load_take(take)
        assert len(report.absent) > 20 and motion.layout.width >= 55
        take.motion.write_bytes(take.motion.read_bytes()[:-40] + b"]}]}")
    if tree.write.__name__ == "beat2_npz":  # fewer expressions are fewer components of the same basis
        arrays = dict(np.load(take.motion))
        np.savez(take.motion, **{**arrays, "poses": arrays["poses"][:, :72]})
    refused(take, take.motion.name, "exp.npy", "bs_name")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_a_number(tree, root, value):
    take = first_of(tree, root)
    values = curves(20, tree.width, 3)
    values[11, 2] = value
    tree.write(take.motion, values, tree.fps)
    said = refused(take, take.motion.name, "exp.npy")
    assert any(word in said for word in ("11", "row 13", "frame")), said


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff" * 40, b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00v\x00{}", b"solid x\n"]
)
def test_unknown_dialect(tree, root, content):
    take = first_of(tree, root)
    a_file_of(take.motion).write_bytes(content)
    refused(take, take.motion.name)


def test_pickle_with_code_in_it_runs_nothing(tree, root, tmp_path):
    take = first_of(tree, root)
    proof = tmp_path / "it ran"

    class Code:
        def __reduce__(self):
            return os.mkdir, (str(proof),)

    a_file_of(take.motion).write_bytes(pickle.dumps({"expression": Code()}))
    refused(take, take.motion.name)
    assert not proof.exists()


def test_ten_minutes(tree, root):
    take = first_of(tree, root)
    frames = round(600 * tree.fps) + 1
    tree.write(take.motion, np.tile(curves(100, tree.width), (frames // 100 + 1, 1))[:frames], tree.fps)
    motion, report = load_take(take)
    assert len(motion) == frames
    assert take.audio is None or any("shorter than the motion" in note for note in report.notes)


@pytest.mark.parametrize("tree", WITH_WORDS, indirect=True)
def test_text_that_is_not_utf8(tree, root):
    path = root / tree.words
    path.write_bytes(path.read_bytes() + "Müller\n".encode("latin-1"))
    with pytest.raises(FacelmError, match=rf"{path.name} line \d+ is not UTF-8"):
        list(iterate(root, on_error="stop"))
    report = SkipReport()
    try:
        takes = list(iterate(root, report=report))
    except FacelmError as error:  # the labels of the whole data set
        assert path.name in str(error)
    else:
        assert len(takes) == len(tree.ids) - report.count() and report.count() >= (path.name != "train.txt")


@pytest.mark.parametrize("tree", WITH_SOUND, indirect=True)
def test_sound_shorter_than_the_motion(tree, root):
    take = first_of(tree, root)
    wav(take.audio, 1.2)
    _, report = load_take(take)
    assert any("0.80 s shorter than the motion (1.20 s against 2.00 s)" in note for note in report.notes)


@pytest.mark.parametrize("tree", WITH_SOUND, indirect=True)
def test_damaged_sound(tree, root):
    take = first_of(tree, root)
    for content in (b"", b"RIFF\x24\x00\x00\x00WAVE", b"no sound at all"):
        take.audio.write_bytes(content)
        refused(take, take.audio.name)


@pytest.mark.parametrize("tree", WITH_SOUND, indirect=True)
def test_missing_pair(tree, root):
    take = first_of(tree, root)
    take.audio.unlink()
    report = SkipReport()
    alone = next(found for found in iterate(root, report=report) if found.id == take.id)
    assert alone.audio is None
    assert load_take(alone)[0] is not None
    if take.dataset not in ("takes", "m2f-d"):  # where sound is optional nothing is missing
        assert any("no sound" in remark.reason and remark.take == take.id for remark in report.remarks)


def test_motion_that_is_gone(tree, root):
    take = first_of(tree, root)
    remove(take.motion)
    refused(take, take.motion.name)


@pytest.mark.parametrize("tree", WITH_RATES, indirect=True)
def test_mixed_rates_in_one_data_set(tree, root):
    """Takes at 30 and at 60 fps may stand side by side where the files say their rate."""
    take = first_of(tree, root)
    tree.write(take.motion, curves(60, tree.width), 30)
    rates = {found.id: load_take(found)[0].fps for found in iterate(root)}
    assert rates.pop(take.id) == 30
    assert set(rates.values()) == {tree.fps}
