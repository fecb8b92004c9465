from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm.errors import FacelmError
from facelm.motion.timecode import (
    DAY,
    DROP_DAY,
    DROP_FRAME,
    NTSC,
    TICKS,
    exact_rate,
    find_grid,
    format_timecode,
    forward,
    frame_ticks,
    label_ticks,
    parse_timecode,
    split_timecode,
)


def ticks_of(labels: list[str]) -> tuple[np.ndarray, int]:
    parts = [split_timecode(label) for label in labels]
    seconds, thousandths, drops = zip(*parts, strict=True)
    return label_ticks(np.array(seconds), np.array(thousandths), drops[0])


@pytest.mark.parametrize("fps", [23.976, 23.98, 29.97, 47.952, 59.94, 119.88])
def test_names_of_ntsc_rates_are_fractions(fps):
    assert exact_rate(fps) in NTSC and exact_rate(float(exact_rate(fps))) == exact_rate(fps)


@pytest.mark.parametrize("fps", [0, -25, float("nan"), float("inf"), "fast", None])
def test_rates_that_are_none(fps):
    with pytest.raises(FacelmError, match="fps must be a positive number"):
        exact_rate(fps)


@pytest.mark.parametrize("text", ["", "noon", "1:2:3", "00:61:00:00", "00:00:75:00", "-1:00:00:00", "00:00:00:00:00"])
def test_what_is_no_timecode(text):
    with pytest.raises(ValueError, match="no timecode"):
        parse_timecode(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, DAY - 1))
def test_every_tick_of_the_day_has_a_timecode(ticks):
    assert parse_timecode(format_timecode(ticks)) == ticks
    assert format_timecode(ticks + DAY) == format_timecode(ticks)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, DROP_DAY // DROP_FRAME - 1))
def test_every_drop_frame_has_a_timecode(number):
    label = format_timecode(number * DROP_FRAME, drop=True)
    assert ";" in label and parse_timecode(label) == number * DROP_FRAME


def test_drop_frame_keeps_up_with_the_clock():
    assert format_timecode(59 * 60 * DROP_FRAME + 59 * DROP_FRAME, drop=True) == "00:00:59;59.000"
    assert format_timecode(3600 * DROP_FRAME, drop=True) == "00:01:00;04.000"  # 0 to 3 are left out
    assert format_timecode(35_964 * DROP_FRAME, drop=True) == "00:10:00;00.000"  # but not in every tenth minute
    assert abs(parse_timecode("23:59:59;59") / TICKS - 86400) < 0.11


def test_drop_frame_labels_of_30_a_second():
    labels = ["00:00:59;28", "00:00:59;29", "00:01:00;02", "00:01:00;03"]
    ticks, count = ticks_of(labels)
    assert count == 30 and np.array_equal(np.diff(ticks), [2 * DROP_FRAME] * 3)
    assert find_grid(ticks).rate == Fraction(30000, 1001)


@pytest.mark.parametrize("count", [24, 25, 30, 48, 50, 60, 100, 120])
def test_other_programs_number_the_frames_of_a_second(count):
    labels = [f"00:00:0{(40 + i) // count}:{(40 + i) % count}" for i in range(3 * count)]
    ticks, found = ticks_of(labels)
    assert found == count and find_grid(ticks).rate == count


@pytest.mark.parametrize("fps", [12, 15, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60])
@settings(max_examples=15, deadline=None)
@given(start=st.integers(0, DAY - 1), frames=st.integers(2, 500))
def test_rate_and_start_come_back_from_the_timecodes(fps, start, frames):
    rate = exact_rate(fps)
    ticks = frame_ticks(frames, rate, Fraction(start, TICKS))
    again, count = ticks_of([format_timecode(int(tick)) for tick in ticks])
    again = again + DAY * np.cumsum(np.diff(again, prepend=again[0]) < 0)
    grid = find_grid(again)
    assert count == 60 and again[0] == start and grid.rate == rate and np.array_equal(grid.frames, np.arange(frames))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40))
def test_rows_kept_go_forward_and_are_as_many_as_can_be(ticks):
    kept = forward(np.array(ticks, dtype=np.int64))
    assert (np.diff(np.array(ticks, dtype=np.int64)[kept]) > 0).all()
    longest = [1] * len(ticks)  # the plain quadratic way
    for i in range(len(ticks)):
        longest[i] = 1 + max((longest[j] for j in range(i) if ticks[j] < ticks[i]), default=0)
    assert kept.sum() == max(longest, default=0)


def test_of_equal_times_the_first_row_is_kept():
    assert forward(np.array([5, 7, 7, 3, 9, 9])).tolist() == [True, True, False, False, True, False]
