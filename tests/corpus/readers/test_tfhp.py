"""The data base of TFHP."""

import builtins
import os
import pickle

import numpy as np
import pytest
from trees import TREES, curves, tfhp_data_base

from facelm.corpus.readers import SkipReport, iterate, load_sound_of, load_take
from facelm.errors import FacelmError

lmdb = pytest.importorskip("lmdb")


@pytest.fixture
def root(tmp_path):
    return tfhp_data_base(tmp_path)


def change(root, key, value):
    with lmdb.open(str(root / "lmdb"), map_size=2**24) as base, base.begin(write=True) as txn:
        if value is None:
            txn.delete(key)
        else:
            txn.put(key, value)


def test_pieces_of_a_take_are_one_motion(root):
    (take,) = iterate(root, on_error="stop")
    assert (take.id, take.part, take.subject, take.split) == ("TH_00001/000",) * 2 + ("TH_00001", "train")
    motion, report = load_take(take)
    values = curves(130, 56)
    assert motion.layout.name == "flame106" and motion.fps == 25 and report.dialect
    assert np.array_equal(motion.values[:, :50], values[:, :50])
    assert np.array_equal(motion.values[:, 100:], values[:, 50:])  # head, then jaw
    assert not motion.values[:, 50:100].any()
    assert motion.identity.shape == (100,) and motion.identity[0] == 0.25
    whole = load_sound_of(take)
    assert whole.rate == 16_000 and len(whole.samples) == 130 * 640
    across = load_sound_of(take, 3.9, 0.2)  # from one piece to the next
    assert np.array_equal(across.samples, whole.samples[62_400:65_600])


def test_keys_are_found_without_their_file(root):
    (root / "lmdb" / "keys.txt").unlink()
    assert [take.id for take in iterate(root)] == ["TH_00001/000"]


def test_released_splits_of_the_coefficients(tmp_path):
    root = TREES["tfhp"].make(tmp_path)
    (root / "val.txt").write_text("TH_00009/004\n")
    report = SkipReport("stop")
    takes = list(iterate(root, report=report))
    assert [take.split for take in takes] == ["train", "train", "test"]
    assert "validation names TH_00009/004, but it is not here" in report.remarks[0].reason


def test_pickles_in_the_data_base_run_nothing(root, tmp_path):
    proof = tmp_path / "it ran"

    class Code:
        def __reduce__(self):
            return os.mkdir, (str(proof),)

    change(root, b"TH_00001/000/001", pickle.dumps(Code()))
    (take,) = iterate(root)
    with pytest.raises(FacelmError, match="TH_00001/000/001 is a pickle that asks for"):
        load_take(take)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (b"TH_00001/000/001", None, "has no TH_00001/000/001"),
        (b"TH_00001/000/001", b"\x80\x04broken", "damaged pickle"),
        (b"TH_00001/000/001", pickle.dumps([1]), "a dict is needed"),
        (
            b"TH_00001/000/001",
            pickle.dumps({"coef": {"exp": np.zeros((30, 7)), "pose": np.zeros((30, 6))}}),
            "holds no exp",
        ),
        (b"TH_00001/000/metadata", pickle.dumps({"n_frames": -3}), "names no number of frames"),
        (b"metadata", pickle.dumps({"seg_len": "many"}), "names no number of frames"),
    ],
)
def test_damage_names_the_data_base_and_the_take(root, key, value, said):
    change(root, key, value)
    (take,) = iterate(root)
    with pytest.raises(FacelmError, match="lmdb") as caught:
        load_take(take)
    assert said in str(caught.value)


def test_not_a_number_names_the_frame(root):
    bad = np.zeros((30, 50), np.float32)
    bad[4, 3] = np.nan
    coefficients = {"exp": bad, "pose": np.zeros((30, 6), np.float32), "shape": np.zeros((30, 100), np.float32)}
    change(root, b"TH_00001/000/001", pickle.dumps({"coef": coefficients}))
    (take,) = iterate(root)
    with pytest.raises(FacelmError, match="TH_00001/000: the value of expression3 in frame 104 is nan"):
        load_take(take)


def test_what_is_no_data_base(root):
    (root / "lmdb" / "data.mdb").write_bytes(b"nothing" * 1000)
    with pytest.raises(FacelmError, match="is a damaged data base"):
        load_take(next(iterate(root)))


def test_the_package_is_named_when_it_is_missing(root, monkeypatch):
    (take,) = iterate(root)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "lmdb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FacelmError, match=r"pip install 'facelm\[tfhp\]'"):
        load_take(take)
