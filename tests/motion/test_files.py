import gzip
import os
import signal
import subprocess
import sys
import time
import warnings
from fractions import Fraction

import numpy as np
import pytest

from facelm import FaceMotion
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import LIVELINK, load_motion

FRAMES = {  # full rows (MANIFEST.md), missing frames between them, rate
    "rom_3": (4030, 3, Fraction(30)),
    "facial": (1913, 1, Fraction(30)),
    "apfel_short_rows": (1891, 37, Fraction(30)),
    "myslate_3_60fps": (328, 0, Fraction(60000, 1001)),
    "emotion_161": (1846, 0, Fraction(60000, 1001)),
    "emotion_164": (1895, 0, Fraction(60000, 1001)),
    "emotion_167": (1825, 0, Fraction(60000, 1001)),
    "idle": (3046, 0, Fraction(60000, 1001)),
}


def livelink(frames: int = 40, fps: float = 30, seed: int = 0, **more) -> FaceMotion:
    values = np.random.default_rng(seed).random((frames, 61), dtype=np.float32)
    return FaceMotion(values, fps, "livelink", **more)


# ---------------------------------------------------------------- real takes


@pytest.mark.parametrize("take", FRAMES)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".npz"])
def test_real_takes_load_save_and_load_equal(shared, tmp_path, take, ending):
    rows, bridged, rate = FRAMES[take]
    motion, report = load_motion(shared / f"data/livelink/{take}.csv.gz")
    assert (report.rows, report.bridged, motion.rate) == (rows, bridged, rate)
    assert len(motion) == rows + bridged
    motion.save(tmp_path / f"again{ending}")
    again, clean = load_motion(tmp_path / f"again{ending}")
    assert again == motion and not clean.mended


def test_real_rows_are_kept_value_by_value(shared):
    path = shared / "data/livelink/apfel_short_rows.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = [line.split(",")[2:] for line in file.readlines()[1:] if line.count(",") == 62]
    motion, report = load_motion(path, short_rows="drop")
    assert np.array_equal(motion.values, np.array(rows, dtype=np.float64).astype(np.float32))
    assert report.short_rows == 35


def test_short_rows_of_a_real_take_are_refused_as_asked(shared):
    path = shared / "data/livelink/apfel_short_rows.csv.gz"
    with pytest.raises(FacelmError, match="35 short rows .*row 224.*bridge"):
        load_motion(path, short_rows="refuse")
    with pytest.warns(UserWarning, match="short rows without a face: 35"):
        FaceMotion.load(path)


# ---------------------------------------------------------------- committed fixtures


def check_wave(motion: FaceMotion, skip: tuple[int, ...] = ()) -> None:
    t = motion.times()
    kept = ~np.isin(np.arange(len(t)), skip)
    assert np.allclose(motion.channel("jawOpen")[kept], (1 + np.sin(2 * np.pi * t[kept])) / 4, atol=1e-6)
    assert np.allclose(motion.channel("mouthSmileLeft"), t / 10, atol=1e-6)  # linear: bridging restores it


def test_fixture_60fps_gzip(fixtures):
    motion, report = load_motion(fixtures / "take_60fps.csv.gz")
    assert (len(motion), motion.rate, motion.start, report.mended) == (60, 60, 3600, False)
    check_wave(motion)


def test_fixture_30fps_short_rows(fixtures):
    motion, report = load_motion(fixtures / "take_30fps_short_rows.csv")
    assert (len(motion), motion.rate, motion.start) == (30, 30, Fraction(72001, 2))
    assert (report.rows, report.short_rows, report.bridged) == (26, 4, 4) and "short rows" in str(report)
    check_wave(motion, skip=(7, 8, 9, 20))
    dropped, report = load_motion(fixtures / "take_30fps_short_rows.csv", short_rows="drop")
    assert len(dropped) == 26 and dropped.rate == 30 and report.bridged == 0
    with pytest.raises(FacelmError, match="4 short rows .*row 9"):
        load_motion(fixtures / "take_30fps_short_rows.csv", short_rows="refuse")
    with pytest.raises(FacelmError, match="bridge, drop, refuse"):
        load_motion(fixtures / "take_30fps_short_rows.csv", short_rows="mend")


def test_fixture_across_midnight_in_any_column_order(fixtures):
    motion, report = load_motion(fixtures / "take_midnight_any_order.csv")
    assert (len(motion), motion.rate, report.mended) == (24, 24, False)
    check_wave(motion)
    assert motion.layout.names == LIVELINK.names


def test_fixture_npz(fixtures):
    motion, _ = load_motion(fixtures / "motion_25fps.npz")
    assert (len(motion), motion.rate, motion.layout.name) == (25, 25, "arkit")
    check_wave(motion)


# ---------------------------------------------------------------- random motions


@pytest.mark.parametrize("seed", range(12))
def test_random_motions_survive_every_format(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rates = (12, 12.5, 15, 23.976, 24, 25, 29.97, 30, 33.3, 47.952, 50, 59.94, 60, 90, 119.88, 120)
    fps = rates[rng.integers(len(rates))]
    frames = int(rng.integers(40, 200))
    scale = 10.0 ** rng.integers(-12, 3, size=(frames, 61))  # tiny values too, and negative angles
    values = (rng.normal(size=(frames, 61)) * scale).astype(np.float32)
    start = Fraction(int(rng.integers(0, 86400 * 60_000)), 60_000)
    motion = FaceMotion(values, fps, "livelink", start=start)
    for ending in (".csv", ".csv.gz", ".npz"):
        motion.save(tmp_path / f"take{ending}")
        again, report = load_motion(tmp_path / f"take{ending}")
        assert again == motion and not report.mended


@pytest.mark.parametrize("fps", [24, 25, 30, 29.97, 50, 59.94, 60])
@pytest.mark.parametrize("frames", [2, 3, 7])
def test_standard_rates_are_found_from_few_frames(tmp_path, fps, frames):
    motion = livelink(frames, fps)
    motion.save(tmp_path / "take.csv")
    assert FaceMotion.load(tmp_path / "take.csv") == motion


def test_one_frame(tmp_path):
    for ending in (".csv", ".npz"):
        livelink(1, 60).save(tmp_path / f"one{ending}")
        assert FaceMotion.load(tmp_path / f"one{ending}") == livelink(1, 60)


def test_arkit_motion_as_csv_keeps_its_channels(tmp_path):
    arkit = livelink().to("arkit")
    arkit.save(tmp_path / "take.csv")
    assert FaceMotion.load(tmp_path / "take.csv").to("arkit") == arkit
    header = (tmp_path / "take.csv").read_text().splitlines()
    assert header[0].startswith("Timecode,BlendShapeCount,EyeBlinkLeft,") and header[2].startswith(
        "00:00:00:02.000,61,"
    )


def test_npz_keeps_everything(tmp_path):
    motion = livelink(identity=[1, 2.5], start=12.5, metadata={"prompt": "nod “twice”"})
    motion.save(tmp_path / "take.npz")
    again = FaceMotion.load(tmp_path / "take.npz")
    assert again == motion and again.metadata == motion.metadata and again.start == Fraction(25, 2)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".npz"])
def test_same_motion_same_bytes(tmp_path, ending):
    livelink().save(tmp_path / f"a{ending}")
    livelink().save(tmp_path / f"b{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


# ---------------------------------------------------------------- odd but usable CSV


def rows_of(motion: FaceMotion, tmp_path) -> list[str]:
    motion.save(tmp_path / "source.csv")
    return (tmp_path / "source.csv").read_text().splitlines()


def load_rows(rows: list[str], tmp_path, **how):
    (tmp_path / "odd.csv").write_text("\n".join(rows) + "\n")
    return load_motion(tmp_path / "odd.csv", **how)


@pytest.mark.parametrize("seed", range(6))
def test_dropped_frames_are_bridged_in_time(tmp_path, seed):
    rng = np.random.default_rng(seed)
    motion = livelink(80, [24, 25, 29.97, 30, 59.94, 60][seed], seed)
    rows = rows_of(motion, tmp_path)
    lost = np.sort(rng.choice(np.arange(1, 79), size=12, replace=False))
    kept = np.setdiff1d(np.arange(80), lost)
    got, report = load_rows([rows[0], *(rows[1 + i] for i in kept)], tmp_path)
    assert (len(got), got.rate, report.bridged) == (80, motion.rate, 12)
    assert np.array_equal(got.values[kept], motion.values[kept])
    for i in lost:  # between the neighbours that are there
        before, after = kept[kept < i][-1], kept[kept > i][0]
        low, high = np.sort(motion.values[[before, after]], axis=0)
        assert (got.values[i] >= low - 1e-6).all() and (got.values[i] <= high + 1e-6).all()
    dropped, _ = load_rows([rows[0], *(rows[1 + i] for i in kept)], tmp_path, short_rows="drop")
    assert np.array_equal(dropped.values, motion.values[kept]) and dropped.rate == motion.rate


def test_repeated_and_backward_rows_are_left_out(tmp_path):
    motion = livelink(20)
    rows = rows_of(motion, tmp_path)
    got, report = load_rows([*rows[:8], rows[7], rows[3], *rows[8:]], tmp_path)
    assert got == motion and report.repeated == 2 and "repeated" in str(report)


def test_jittering_timecodes_become_a_constant_rate(tmp_path):
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.4, 1.6, 300)) / 30
    rows = rows_of(livelink(300), tmp_path)
    values = np.zeros((300, 61))
    values[:, 17] = 0.5 + 0.3 * np.sin(time)
    for i, t in enumerate(time):
        ticks = round(t * 60_000)
        clock = f"00:00:{ticks // 60_000:02}:{ticks % 60_000 // 1000:02}.{ticks % 1000:03}"
        rows[1 + i] = ",".join([clock, "61", *(f"{v:.10f}" for v in values[i])])
    got, report = load_rows(rows, tmp_path)
    assert report.jitter and abs(got.seconds - (time[-1] - time[0])) < 0.1
    assert np.abs(got.channel("jawOpen") - (0.5 + 0.3 * np.sin(time[0] + got.times()))).max() < 0.01


def test_bom_spelling_spaces_and_blank_lines(tmp_path):
    motion = livelink(5)
    rows = rows_of(motion, tmp_path)
    header = rows[0].replace("BlendShapeCount", "BlendshapeCount").replace("JawOpen", " jawOpen")
    assert load_rows(["\ufeff" + header, *rows[1:3], "", *rows[3:], ""], tmp_path)[0] == motion


def test_gzip_is_known_by_content(tmp_path):
    motion = livelink(5)
    motion.save(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv.gz").read_bytes())
    assert FaceMotion.load(tmp_path / "b.csv") == motion


def test_columns_some_exporters_leave_out_become_zero(tmp_path):
    motion = livelink(5)
    rows = [",".join(row.split(",")[:-9]) for row in rows_of(motion, tmp_path)]
    got, report = load_rows(rows, tmp_path)
    assert np.array_equal(got.values[:, :52], motion.values[:, :52]) and not got.values[:, 52:].any()
    assert report.absent == LIVELINK.names[52:] and "HeadYaw" in str(report)


def test_short_rows_at_both_ends_are_trimmed(tmp_path):
    motion = livelink(10)
    rows = rows_of(motion, tmp_path)
    for i in (1, 2, 10):
        rows[i] = rows[i].split(",")[0] + ",0"
    got, report = load_rows(rows, tmp_path)
    assert got == FaceMotion(motion.values[2:9], 30, "livelink", start=Fraction(2, 30)) and report.short_rows == 3


# ---------------------------------------------------------------- bad files


def bad_csv(tmp_path, change) -> str:
    rows = rows_of(livelink(6), tmp_path)
    change(rows)
    with pytest.raises(FacelmError) as caught:
        load_rows(rows, tmp_path)
    assert "\n" not in str(caught.value) and "odd.csv" in str(caught.value)
    return str(caught.value)


def set_field(line: int, field: int, text: str):
    def change(rows):
        fields = rows[line].split(",")
        fields[field] = text
        rows[line] = ",".join(fields)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_field(2, 19, "nan"), "row 3, column JawOpen is nan"),
        (set_field(2, 19, "inf"), "row 3, column JawOpen is inf"),
        (set_field(2, 19, "open"), "row 3, column JawOpen: 'open' is no number"),
        (set_field(3, 0, "noon"), "row 4: 'noon' is no timecode"),
        (set_field(6, 0, "05:00:00:00.000"), "jumps by 18000 s between rows 6 and 7"),
        (set_field(0, 19, "JawAjar"), "no column for JawOpen"),
        (set_field(0, 0, "Clock"), "says nothing of its rate"),
        (set_field(0, 1, "JawOpen"), "two columns named jawopen"),
        (lambda rows: rows.__setitem__(2, rows[2] + ",1,2"), "row 3 has 65 fields, but the header has 63"),
        (lambda rows: rows.__setitem__(slice(None), ["a,b", "1,2"]), "no blendshape columns"),
        (lambda rows: rows.__setitem__(slice(None), [""]), "no blendshape columns"),
        (lambda rows: rows.__delitem__(slice(1, None)), "no row with blendshape values"),
    ],
)
def test_bad_csv_is_one_sentence_naming_the_place(tmp_path, change, says):
    assert says in bad_csv(tmp_path, change)


def test_missing_files_endings_and_folders(tmp_path):
    with pytest.raises(MissingFileError, match="there is no file .*gone.csv"):
        FaceMotion.load(tmp_path / "gone.csv")
    with pytest.raises(FileNotFoundError):
        FaceMotion.load(tmp_path / "gone.npz")
    for name in ("take.fbx", "take", "take.csv.zip", "take.mat"):
        (tmp_path / name).write_bytes(b"something else")
        with pytest.raises(FacelmError, match="no motion that facelm knows; it reads CSV, JSON"):
            FaceMotion.load(tmp_path / name)
        with pytest.raises(FacelmError, match=r"\.csv, \.csv\.gz, \.json, \.npz"):
            livelink(2).save(tmp_path / name)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FacelmError, match="is a folder"):
        FaceMotion.load(tmp_path / "folder.csv")
    with pytest.raises(FacelmError, match="is a folder"):
        livelink(2).save(tmp_path / "folder.csv")


def test_the_content_decides_and_not_the_ending(tmp_path):
    motion = livelink(5)
    for ending, name in ((".csv", "take.npz"), (".csv.gz", "take.pkl"), (".npz", "take.csv"), (".npz", "take")):
        motion.save(tmp_path / f"source{ending}")
        (tmp_path / name).write_bytes((tmp_path / f"source{ending}").read_bytes())
        got, report = load_motion(tmp_path / name)
        assert got == motion and report.dialect == ("facelm npz" if ending == ".npz" else "Live Link Face CSV")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    livelink(5).save(tmp_path / "take.csv")
    (tmp_path / "take.csv").chmod(0)
    with pytest.raises(FacelmError, match="may not be read"):
        load_motion(tmp_path / "take.csv")


def test_damaged_files(tmp_path):
    livelink(50).save(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv.gz").write_bytes((tmp_path / "a.csv.gz").read_bytes()[:-900])
    with pytest.raises(FacelmError, match="damaged gzip"):
        FaceMotion.load(tmp_path / "b.csv.gz")
    (tmp_path / "c.csv").write_bytes(bytes(range(128, 256)) * 9)
    with pytest.raises(FacelmError, match="no CSV text"):
        FaceMotion.load(tmp_path / "c.csv")
    (tmp_path / "d.npz").write_bytes(b"PK not a zip")
    with pytest.raises(FacelmError, match="no npz file"):
        FaceMotion.load(tmp_path / "d.npz")


def test_npz_that_is_no_motion(tmp_path):
    def refuses(says: str, **arrays) -> None:
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(FacelmError, match=says):
            FaceMotion.load(tmp_path / "x.npz")

    values = np.zeros((2, 55))
    refuses("no array fps, layout", values=values)
    refuses("unknown layout 'dog'", values=values, fps=25, layout="dog")
    refuses("fps must be", values=values, fps=0, layout="arkit")
    refuses("needs", values=values[:, :50], fps=25, layout="arkit")
    refuses("holds no motion", values=values, fps=np.zeros(3), layout="arkit")
    refuses("holds no motion", values=values, fps=25, layout="arkit", metadata="{")
    refuses("holds no motion", values=values, fps=25, layout="arkit", metadata="[1]")


def test_pickles_in_npz_are_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "x.npz", values=np.array([Trap()], dtype=object), fps=25, layout="arkit")
    with pytest.raises(FacelmError, match="asks for posix.mkdir"):
        FaceMotion.load(tmp_path / "x.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_clean_file_gives_no_warning(tmp_path):
    livelink().save(tmp_path / "take.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FaceMotion.load(tmp_path / "take.csv")


def test_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "take.csv"
    livelink(3).save(path)
    code = (
        "import sys, numpy as np; from facelm import FaceMotion\n"
        "motion = FaceMotion(np.full((400000, 61), 0.123), 60, 'livelink'); print('go', flush=True)\n"
        f"motion.save({str(path)!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        while not any(p.stat().st_size for p in tmp_path.glob(".take.csv.tmp-*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert FaceMotion.load(path) == livelink(3)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["take.csv"]
