import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import FLAME, LIVELINK, load_motion
from facelm.motion.formats import arrays
from facelm.motion.formats.arrays import npz_names, npz_shapes, parse_npy, read_npz
from facelm.motion.layout import LAYOUTS


def refuses(path, says: str) -> None:
    with pytest.raises(FacelmError, match=says) as caught:
        load_motion(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def npy(array: np.ndarray, **how) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **how)
    return file.getvalue()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_motion_survives(tmp_path_factory, data):
    layout = data.draw(st.sampled_from(list(LAYOUTS.values())))
    seed = data.draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).normal(size=(data.draw(st.integers(1, 5)), layout.width)).astype(np.float32)
    motion = FaceMotion(
        values,
        data.draw(st.sampled_from([23.976, 24, 25, 29.97, 30, 47.952, 59.94, 60, 119.88, 12.5, 33.3])),
        layout,
        identity=data.draw(st.none() | st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=300)),
        start=data.draw(st.none() | st.fractions(0, 86399, max_denominator=60000)),
        metadata=data.draw(st.dictionaries(st.text(min_size=1), st.text(), max_size=3)),
    )
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    motion.save(path)
    again, report = load_motion(path)
    assert again == motion and again.start == motion.start and again.metadata == motion.metadata
    assert report.dialect == "facelm npz" and not report.mended


def test_channels_in_another_order_are_put_right(tmp_path):
    values = np.random.default_rng(0).random((3, 61))
    order = np.random.default_rng(1).permutation(61)
    names = [LIVELINK.names[i] for i in order]
    np.savez(tmp_path / "a.npz", values=values[:, order], fps=30, layout="livelink", channels=names)
    assert load_motion(tmp_path / "a.npz")[0] == FaceMotion(values, 30, "livelink")
    np.savez(tmp_path / "a.npz", values=values[:, :60], fps=30, layout="livelink", channels=names[:60])
    refuses(tmp_path / "a.npz", "holds no motion as facelm saves it")


def test_nan_names_frame_and_channel(tmp_path):
    values = np.zeros((4, FLAME.width))
    values[2, FLAME.index("jawX")] = np.nan
    np.savez(tmp_path / "a.npz", values=values, fps=30, layout="flame")
    refuses(tmp_path / "a.npz", "the value of jawX in frame 2 is nan")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.5),
        np.array(["a", "öö"]),
        np.arange(3, dtype=">f4"),
        np.zeros((0, 4)),
        np.array([1j]),
        np.array([True]),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_of_every_version(tmp_path, array, version):
    got = parse_npy(npy(array, version=version), tmp_path / "a.npy")
    assert got.dtype == array.dtype and np.array_equal(got, array)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no array of numpy"),
        (b"\x93NUMPY\x09\x00", "no array of numpy"),
        (npy(np.zeros(4))[:-1], "is damaged: 31 bytes"),
        (npy(np.zeros(4)) + b"x", "is damaged: 33 bytes"),
        (npy(np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])), "records"),
        (npy(np.zeros(2, dtype="M8[s]")), "records"),
        (npy(np.zeros(4)).replace(b"(4,)", b"(-4,"), "no array of numpy|damaged"),
        (npy(np.zeros(4)).replace(b"'<f8'", b"exit()", 1), "no array of numpy"),
    ],
)
def test_bad_npy(tmp_path, data, says):
    with pytest.raises(FacelmError, match=says):
        parse_npy(data, tmp_path / "a.npy")


def test_names_and_shapes_without_reading_the_arrays(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((3, 4)), b=np.array("x"))
    assert npz_names(tmp_path / "a.npz") == ("a", "b") and npz_shapes(tmp_path / "a.npz") == {"a": (3, 4), "b": ()}
    assert set(read_npz(tmp_path / "a.npz", ("a", "c"))) == {"a"}
    (tmp_path / "b.npz").write_bytes(b"PK no zip")
    assert npz_names(tmp_path / "b.npz") == ()


def test_objects_are_unpickled_safely(tmp_path):
    names = np.array(["jaw", "lips"], dtype=object)
    np.savez(tmp_path / "a.npz", names=names)
    assert read_npz(tmp_path / "a.npz")["names"].tolist() == ["jaw", "lips"]

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "b.npz", names=np.array([Trap()], dtype=object))
    with pytest.raises(FacelmError, match=r"asks for posix.mkdir"):
        read_npz(tmp_path / "b.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_small_zip_of_much_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", values=np.zeros((20_000, 55)), fps=25, layout="arkit")
    assert (tmp_path / "a.npz").stat().st_size < 100_000
    monkeypatch.setattr(arrays, "MAX_BYTES", 1_000_000)
    refuses(tmp_path / "a.npz", "holds arrays of 8,80.,... bytes; facelm reads at most 1,000,000")


def test_a_locked_zip(tmp_path):
    FaceMotion(np.zeros((50, 55)), 25).save(tmp_path / "a.npz")
    data = bytearray((tmp_path / "a.npz").read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 1)
    (tmp_path / "a.npz").write_bytes(data)
    refuses(tmp_path / "a.npz", "no npz file of plain arrays .*encrypted")


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_flipped_bytes_are_refused_or_harmless(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    values = np.random.default_rng(0).normal(size=(9, 106)).astype(np.float32)
    kind = data.draw(st.sampled_from(["own.npz", "deca.npz", "artalk.npy", "dict.npy"]))
    if kind == "own.npz":
        FaceMotion(values, 25, "flame106").save(folder / kind)
    elif kind == "deca.npz":
        np.savez(folder / kind, exp=values[:, :50], pose=values[:, 100:], cam=values[:, :3])
    else:
        np.save(folder / kind, values if kind == "artalk.npy" else {"exp": values[:, :50], "pose": values[:, 100:]})
    broken = bytearray((folder / kind).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    (folder / kind).write_bytes(broken[: data.draw(st.integers(1, len(broken)))])
    try:
        motion, _ = load_motion(folder / kind)
        assert len(motion) >= 1
    except FacelmError as error:
        assert kind in str(error) and "\n" not in str(error)
