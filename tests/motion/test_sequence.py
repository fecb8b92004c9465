from fractions import Fraction

import numpy as np
import pytest

from facelm import FaceMotion
from facelm.errors import FacelmError


def motion(frames: int = 50, fps: float = 25, seed: int = 0, **more) -> FaceMotion:
    return FaceMotion(np.random.default_rng(seed).random((frames, 55)), fps, **more)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (30, Fraction(30)),
        (12.5, Fraction(25, 2)),
        (np.float32(29.97), Fraction(30000, 1001)),
        (Fraction(60000, 1001), Fraction(60000, 1001)),
    ],
)
def test_rates_are_exact(fps, rate):
    made = motion(30, fps)
    assert made.rate == rate and made.fps == float(rate)
    assert made.seconds == pytest.approx(30 / float(rate)) and made.times()[-1] == pytest.approx(29 / float(rate))


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), "fast", None])
def test_a_bad_rate_is_one_sentence(fps):
    with pytest.raises(FacelmError, match="^fps must be a positive number[^\n]*$"):
        motion(3, fps)


def test_bad_values_are_one_sentence():
    with pytest.raises(FacelmError, match=r"\(3, 54\).*arkit needs \(frames, 55\)"):
        FaceMotion(np.zeros((3, 54)), 25)
    with pytest.raises(FacelmError, match="55"):
        FaceMotion(np.zeros(55), 25)
    with pytest.raises(FacelmError, match="empty"):
        FaceMotion(np.zeros((0, 55)), 25)
    with pytest.raises(FacelmError, match="numbers"):
        FaceMotion([["a"] * 55], 25)
    for bad in (np.nan, np.inf, 1e300):
        values = np.zeros((4, 55))
        values[2, 17] = bad
        with pytest.raises(FacelmError, match="jawOpen in frame 2"):
            FaceMotion(values, 25)


def test_values_are_a_read_only_copy():
    values = np.zeros((3, 55), dtype=np.float32)
    made = FaceMotion(values, 25)
    values[:] = 1
    assert made.values.max() == 0 and made.values.dtype == np.float32 and made.values.flags.c_contiguous
    with pytest.raises(ValueError):
        made.values[0, 0] = 1


def test_slices_move_the_timecode():
    made = motion(50, 25, start=3600)
    part = made[10:20]
    assert np.array_equal(part.values, made.values[10:20]) and part.start == Fraction(3600) + Fraction(10, 25)
    assert made[-5:].start == 3600 + Fraction(45, 25) and motion()[10:].start is None
    assert np.array_equal(made.crop(0.4, 0.8).values, part.values) and made.crop() == made
    assert motion(50, 25, start=86399)[30:].start == Fraction(1, 5)
    for nothing in (lambda: made[20:20], lambda: made[60:], lambda: made.crop(3), lambda: made.crop(1, 0.5)):
        with pytest.raises(FacelmError):
            nothing()
    with pytest.raises(FacelmError, match="resample"):
        made[::2]
    with pytest.raises(TypeError, match="motion.values"):
        made[3]


def test_concatenation_undoes_slicing():
    made = motion(50, 29.97, start=10)
    assert FaceMotion.concatenate([made[:7], made[7:30], made[30:]]) == made
    with pytest.raises(FacelmError, match="no motions"):
        FaceMotion.concatenate([])
    with pytest.raises(FacelmError, match="motion 1 has 30 fps"):
        FaceMotion.concatenate([motion(), motion(fps=30)])
    with pytest.raises(FacelmError, match="livelink"):
        FaceMotion.concatenate([motion(), motion().to("livelink")])


def test_equality_is_about_the_motion_not_its_words():
    assert motion() == motion().with_metadata(prompt="smile") and motion() != motion(seed=1)
    assert motion() != motion(fps=30) and motion() != motion().to("livelink") and motion() != motion(start=1)
    assert motion() != motion(identity=[1.0]) and motion(identity=[1.0]) == motion(identity=[1.0])
    assert motion().with_metadata(a="1").with_metadata(b="2").metadata == {"a": "1", "b": "2"}


def test_mirror_and_channel():
    made = motion()
    assert made.mirror().mirror() == made
    assert np.array_equal(made.mirror().channel("mouthSmileLeft"), made.channel("mouthSmileRight"))


def _yardstick(shared):
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location("face_measure", shared / "measure" / "face_measure.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("source", "target"), [(60, 25), (30, 25), (25, 60), (24, 25), (59.94, 25), (25, 23.976)])
def test_resampling_agrees_with_the_yardstick(shared, source, target):
    made = motion(301, source)
    expected = _yardstick(shared).resample(made.times(), made.values.astype(np.float64), float(motion(2, target).rate))
    got = made.resample(target)
    assert got.values.shape == expected.shape
    assert np.abs(got.values - expected).max() < 1e-5


@pytest.mark.parametrize("source", [24, 25, 29.97, 30, 50, 59.94, 60, 120])
@pytest.mark.parametrize("target", [12.5, 25, 30, 60])
def test_resampling_keeps_slow_waves_and_time_and_removes_fast_ones(source, target):
    count = round(4 * source)
    time = motion(count, source).times()
    values = np.zeros((count, 55))
    values[:, 17] = 0.5 + 0.4 * np.sin(2 * np.pi * 1.0 * time)
    out = FaceMotion(values, source).resample(target)
    assert abs(out.times()[-1] - time[-1]) < 1 / target + 1e-9  # from the first frame up to the last
    inner = slice(len(out) // 5, -len(out) // 5)
    assert np.abs(out.channel("jawOpen") - (0.5 + 0.4 * np.sin(2 * np.pi * out.times())))[inner].max() < 0.02
    fast = 0.48 * source
    if fast > 0.62 * target:  # beyond what the target rate can hold, with the width of the filter
        values[:, 17] = 0.5 + 0.4 * np.sin(2 * np.pi * fast * time)
        assert FaceMotion(values, source).resample(target).channel("jawOpen")[inner].std() < 0.03


def test_resampling_edges():
    assert motion(1, 60).resample(25).values.shape == (1, 55)
    assert motion().resample(25) == motion()
    rest = FaceMotion(np.full((100, 55), 0.3), 60).resample(25)
    assert np.allclose(rest.values, 0.3, atol=1e-6)
    made = motion(200, 60).resample(25)
    assert made.values.min() >= motion(200, 60).values.min() and made.values.max() <= motion(200, 60).values.max()
    with pytest.raises(FacelmError, match="fps"):
        made.resample(0)


def test_blocks_do_not_show(monkeypatch):
    whole = motion(700, 60).resample(25)
    monkeypatch.setattr("facelm.motion.sequence._BLOCK", 64)
    assert motion(700, 60).resample(25) == whole


def test_three_hours():
    hours = FaceMotion(np.zeros((3 * 3600 * 25, 55), dtype=np.float32), 25)
    assert hours.seconds == 10800 and hours.crop(10799, 10800).seconds == 1
    assert len(hours.resample(5)) == 3 * 3600 * 5


# ---------------------------------------------------------------- FLAME


def test_resampling_turns_a_head_past_half_a_turn_without_a_jump():
    from scipy.spatial.transform import Rotation

    angle = np.linspace(2.5, 4.0, 60)  # a rotation vector is at most pi long, so it jumps to the other side
    values = np.zeros((60, 56), dtype=np.float32)
    values[:, 50:53] = Rotation.from_rotvec(angle[:, None] * [0, 1, 0]).as_rotvec()
    assert np.abs(np.diff(values[:, 51])).max() > 6
    slow = FaceMotion(values, 60, "flame56").resample(30)
    turned = Rotation.from_rotvec(slow.values[:, 50:53]).as_matrix()
    expected = Rotation.from_rotvec(angle[::2, None] * [0, 1, 0]).as_matrix()
    assert np.abs(turned - expected).max() < 0.02


def test_flame_is_not_mirrored_and_not_arkit():
    motion = FaceMotion(np.zeros((2, 106)), 25, "flame106")
    with pytest.raises(FacelmError, match="mirrored"):
        motion.mirror()
    with pytest.raises(FacelmError, match="facelm rig map"):
        motion.to("arkit")
    assert motion.to("flame56").layout.name == "flame56"
