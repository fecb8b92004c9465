import numpy as np
import pytest

from facelm.errors import FacelmError
from facelm.motion import ARKIT, LIVELINK, convert, layout, load_motion


def test_widths_and_the_order_of_the_file():
    assert (ARKIT.width, LIVELINK.width) == (55, 61)
    assert [name.lower() for name in ARKIT.names] == [name.lower() for name in LIVELINK.names[:55]]
    assert ARKIT.names[14:18] == ("jawForward", "jawRight", "jawLeft", "jawOpen")
    assert ARKIT.names[-3:] == ("headYaw", "headPitch", "headRoll")
    assert len(set(ARKIT.names)) == 55
    assert {c.unit for c in ARKIT.channels[:52]} == {"weight"} and {c.unit for c in ARKIT.channels[52:]} == {"rad"}


def test_names_of_the_real_header_in_its_order(shared):
    import csv
    import gzip

    with gzip.open(shared / "data/livelink/idle.csv.gz", "rt") as file:
        assert tuple(next(csv.reader(file))[2:]) == LIVELINK.names


def test_a_wrong_channel_or_layout_names_the_near_ones():
    with pytest.raises(FacelmError, match="jawOpen"):
        ARKIT.index("jawOpn")
    with pytest.raises(FacelmError, match="arkit, livelink"):
        layout("flame57")
    assert LIVELINK.index("jawOpen") == LIVELINK.index("JawOpen") == 17


@pytest.mark.parametrize("which", [ARKIT, LIVELINK])
def test_mirror_twice_is_nothing_and_swaps_sides(which):
    permutation, sign = which.mirror()
    values = np.random.default_rng(0).normal(size=(5, which.width)).astype(np.float32)
    mirrored = values[:, permutation] * sign
    assert np.array_equal(mirrored[:, permutation] * sign, values)
    for one, other in (("jawLeft", "jawRight"), ("mouthSmileLeft", "mouthSmileRight"), ("eyeLookInLeft",) * 2):
        other = other if one != other else "eyeLookInRight"
        assert np.array_equal(mirrored[:, which.index(one)], values[:, which.index(other)])
    assert np.array_equal(mirrored[:, which.index("headYaw")], -values[:, which.index("headYaw")])
    assert np.array_equal(mirrored[:, which.index("headRoll")], -values[:, which.index("headRoll")])
    assert np.array_equal(mirrored[:, which.index("headPitch")], values[:, which.index("headPitch")])
    assert np.array_equal(mirrored[:, which.index("jawOpen")], values[:, which.index("jawOpen")])
    if which is LIVELINK:
        assert np.array_equal(mirrored[:, which.index("LeftEyeYaw")], -values[:, which.index("RightEyeYaw")])
        assert np.array_equal(mirrored[:, which.index("LeftEyePitch")], values[:, which.index("RightEyePitch")])


def test_conversion_keeps_what_both_have_and_names_what_is_lost():
    values = np.random.default_rng(1).random((4, 61), dtype=np.float32)
    arkit, lost = convert(values, "livelink", "arkit")
    assert np.array_equal(arkit, values[:, :55])
    assert lost == LIVELINK.names[55:]
    back, nothing = convert(arkit, "arkit", "livelink")
    assert nothing == () and np.array_equal(back[:, :55], arkit)
    with pytest.raises(FacelmError, match="61"):
        convert(arkit, "livelink", "arkit")


def test_gaze_to_the_right_and_down_turns_both_eye_angles_that_way():
    values = np.zeros((1, 55), dtype=np.float32)
    values[0, ARKIT.indices(["eyeLookInLeft", "eyeLookOutRight", "eyeLookDownLeft", "eyeLookDownRight"])] = 0.5
    out, _ = convert(values, ARKIT, LIVELINK)
    angles = dict(zip(LIVELINK.names[55:], out[0, 55:], strict=True))
    assert angles["LeftEyeYaw"] == angles["RightEyeYaw"] > 0.2
    assert angles["LeftEyePitch"] == angles["RightEyePitch"] > 0.2
    assert angles["LeftEyeRoll"] == angles["RightEyeRoll"] == 0


@pytest.mark.filterwarnings("ignore")
def test_estimated_eye_angles_fit_real_ones(shared):
    for take in ("emotion_161", "rom_3", "facial"):
        real = load_motion(shared / f"data/livelink/{take}.csv.gz")[0]
        estimated = real.to("arkit").to("livelink")
        for name in ("LeftEyeYaw", "RightEyeYaw", "LeftEyePitch", "RightEyePitch"):
            assert np.corrcoef(real.channel(name), estimated.channel(name))[0, 1] > 0.97
            assert np.sqrt(np.mean((real.channel(name) - estimated.channel(name)) ** 2)) < 0.08
