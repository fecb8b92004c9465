import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import load_motion
from facelm.motion.formats import livelink
from facelm.motion.timecode import DROP_DAY, DROP_FRAME, TICKS, format_timecode

TAKES = ("rom_3", "facial", "apfel_short_rows", "myslate_3_60fps", "emotion_161", "emotion_164", "emotion_167", "idle")


def take(frames: int = 40, fps: float = 30, seed: int = 0, **more) -> FaceMotion:
    return FaceMotion(np.random.default_rng(seed).random((frames, 61), dtype=np.float32), fps, "livelink", **more)


def rows_of(motion: FaceMotion, tmp_path) -> list[str]:
    motion.save(tmp_path / "source.csv")
    return (tmp_path / "source.csv").read_text().splitlines()


def with_timecodes(rows: list[str], labels: list[str]) -> list[str]:
    return [rows[0], *(f"{label},{row.split(',', 1)[1]}" for label, row in zip(labels, rows[1:], strict=True))]


def load_rows(rows: list[str], tmp_path, **how):
    (tmp_path / "odd.csv").write_text("\n".join(rows) + "\n")
    return load_motion(tmp_path / "odd.csv", **how)


@pytest.mark.parametrize("name", TAKES)
def test_real_takes_are_known_by_content(shared, tmp_path, name):
    source = shared / f"data/livelink/{name}.csv.gz"
    (tmp_path / "take").write_bytes(source.read_bytes())  # whatever it is called
    motion, report = load_motion(tmp_path / "take")
    assert report.dialect == "Live Link Face CSV" and motion == load_motion(source)[0] and report.notes == ()


# ---------------------------------------------------------------- timecodes


@pytest.mark.parametrize("count", [30, 60])
def test_drop_frame_timecodes_survive(tmp_path, count):
    fps = 29.97 if count == 30 else 59.94
    number = 17_980 if count == 30 else 35_960  # just before a minute that leaves numbers out
    step = 2 if count == 30 else 1
    times = [(number * step + i * step) * DROP_FRAME for i in range(200)]
    labels = [format_timecode(ticks, drop=True)[:11] for ticks in times]
    if count == 30:
        labels = [f"{label[:9]}{int(label[9:]) // 2:02}" for label in labels]
    motion = take(200, fps)
    got, report = load_rows(with_timecodes(rows_of(motion, tmp_path), labels), tmp_path)
    assert got.rate == motion.rate and np.array_equal(got.values, motion.values) and not report.mended
    assert got.start == Fraction(times[0], TICKS) and got.metadata == {"timecode_style": "drop-frame"}
    assert bool(report.notes) == (count == 30)
    got.save(tmp_path / "again.csv")
    first = (tmp_path / "again.csv").read_text().splitlines()[1].split(",")[0]
    assert first == format_timecode(times[0], drop=True) and ";" in first
    again = FaceMotion.load(tmp_path / "again.csv")
    assert again == got and again.metadata == got.metadata
    assert FaceMotion.load(tmp_path / "again.csv")[7:].start == got.start + 7 / got.rate
    got.save(tmp_path / "again.npz")
    assert FaceMotion.load(tmp_path / "again.npz").metadata == got.metadata


@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(0, DROP_DAY // DROP_FRAME - 1), frames=st.integers(2, 400), fps=st.sampled_from([29.97, 59.94])
)
def test_drop_frame_round_trips_anywhere_in_the_day(tmp_path_factory, number, frames, fps):
    start = Fraction(number * DROP_FRAME, TICKS)
    motion = FaceMotion(np.zeros((frames, 61)), fps, "livelink", start=start, metadata={"timecode_style": "drop-frame"})
    path = tmp_path_factory.mktemp("drop") / "take.csv"
    motion.save(path)
    again, report = load_motion(path)
    assert again == motion and not report.mended


def test_timecodes_that_number_25_frames_a_second(tmp_path):
    labels = [f"10:00:{i // 25:02}:{i % 25:02}" for i in range(80)]
    got, report = load_rows(with_timecodes(rows_of(take(80, 25), tmp_path), labels), tmp_path)
    assert got == take(80, 25, start=36000) and not report.mended
    assert report.notes == ("the timecodes number 25 frames a second, not 60 as Live Link Face does.",)


def test_drop_frame_and_plain_timecodes_in_one_file_are_refused(tmp_path):
    rows = rows_of(take(5), tmp_path)
    rows[3] = rows[3].replace(":04.000", ";04.000", 1)
    with pytest.raises(FacelmError, match=r"odd.csv row 4: .*drop-frame"):
        load_rows(rows, tmp_path)


def test_one_wrong_timecode_costs_its_own_row(tmp_path):
    motion = take(80)
    for wrong in ("00:00:30:00.000", "00:00:00:00.000", "23:00:00:00.000"):
        rows = rows_of(motion, tmp_path)
        rows[41] = wrong + rows[41][15:]
        got, report = load_rows(rows, tmp_path)
        assert (report.repeated, report.bridged, len(got)) == (1, 1, 80)
        kept = np.arange(80) != 40
        assert np.array_equal(got.values[kept], motion.values[kept])


def test_negative_time_names_the_row(tmp_path):
    rows = rows_of(take(5), tmp_path)
    rows[2] = "-" + rows[2]
    with pytest.raises(FacelmError, match=r"odd.csv row 3: '-00:00:00:02.000' is no timecode"):
        load_rows(rows, tmp_path)


def test_two_takes_in_one_file_are_refused(tmp_path):
    rows = rows_of(take(150), tmp_path)
    with pytest.raises(FacelmError, match="rows 152 to 301 .*two takes in one file"):
        load_rows([*rows, *rows[1:]], tmp_path)
    assert load_rows([rows[0], *[row for row in rows[1:] for _ in range(2)]], tmp_path)[1].repeated == 150


def test_mixed_rates_become_one_and_are_told(tmp_path):
    half = [i * 2 for i in range(100)] + [200 + i for i in range(100)]  # sixtieths: 30 fps, then 60
    labels = [f"00:00:{i // 60:02}:{i % 60:02}.000" for i in half]
    rows = with_timecodes(rows_of(take(200), tmp_path), labels)
    got, report = load_rows(rows, tmp_path)
    assert report.jitter and "irregular" in str(report) and abs(got.seconds - 299 / 60) < 0.1


# ---------------------------------------------------------------- bad files, long files


def test_text_that_is_not_utf_8(tmp_path):
    text = "\n".join(rows_of(take(3), tmp_path))
    for encoding in ("utf-16", "utf-16-le"):
        (tmp_path / "odd.csv").write_bytes(text.encode(encoding))
        with pytest.raises(FacelmError, match="odd.csv"):
            load_motion(tmp_path / "odd.csv")
    (tmp_path / "odd.csv").write_bytes(text.replace("JawOpen", "Kiefer-Öffnung,JawOpen").encode("latin1"))
    with pytest.raises(FacelmError, match=r"odd.csv is no CSV text"):
        load_motion(tmp_path / "odd.csv")


def test_truncated_in_the_middle_of_a_row_loses_that_row_alone(tmp_path):
    motion = take(20)
    rows = rows_of(motion, tmp_path)
    (tmp_path / "cut.csv").write_text("\n".join(rows)[:-300])
    got, report = load_motion(tmp_path / "cut.csv")
    assert report.short_rows == 1 and np.array_equal(got.values, motion.values[:19])


def test_empty_files(tmp_path):
    for content in (b"", b"\x1f\x8b"):
        (tmp_path / "odd.csv").write_bytes(content)
        with pytest.raises(FacelmError, match=r"odd.csv is (empty|a damaged gzip)"):
            load_motion(tmp_path / "odd.csv")


def test_ten_minutes_load_in_a_moment(tmp_path):
    frames = 10 * 60 * 60
    row = ",".join(f"{v:.10f}" for v in np.random.default_rng(0).random(61))
    with open(tmp_path / "long.csv", "w") as file:
        file.write(",".join(("Timecode", "BlendShapeCount", *livelink.LIVELINK.names)) + "\n")
        for i in range(frames):
            file.write(f"{format_timecode(i * 1000)},61,{row}\n")
    began = time.process_time()
    motion, _ = load_motion(tmp_path / "long.csv")
    assert len(motion) == frames and time.process_time() - began < 3
