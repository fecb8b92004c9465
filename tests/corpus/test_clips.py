"""Takes as clips: nothing is lost or doubled, cuts fall where the face is quiet, words fit, sound is in time."""

import io
import random

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import wave

from facelm.corpus.clips import FPS, RATE, SHORTEST, STEP, category, cut, pieces, rows
from facelm.corpus.readers import Take
from facelm.corpus.schema import schema, table
from facelm.describe.annotations import Annotations
from facelm.describe.labels import Labels
from facelm.describe.plan import Plan
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT, LAYOUTS
from facelm.motion.retarget import LinearMap


def moving(frames, seed=0):
    rng = np.random.default_rng(seed)
    values = np.zeros((frames, 55), np.float32)
    values[:, ARKIT.index("jawOpen")] = 0.4 + 0.4 * np.sin(np.cumsum(rng.uniform(0, 0.6, frames)))
    for middle in range(20, frames - 5, 70):
        for side in ("Left", "Right"):
            values[middle : middle + 5, ARKIT.index("eyeBlink" + side)] = (0.5, 0.9, 1.0, 0.8, 0.4)
    return FaceMotion(values, FPS)


def saved(motion, folder, name="take", **more):
    motion.save(folder / f"{name}.npz")
    return Take(id=name, dataset="takes", motion=folder / f"{name}.npz", **more)


def clips(take, seconds=8.0, cleaned=False):
    return list(rows(take, pieces(take, cleaned)[0], take.id, "mine", 1.0, seconds, 0))


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 3000), seconds=st.floats(2, 20), seed=st.integers(0, 5))
def test_clips_in_a_row_are_the_take(frames, seconds, seed):
    ranges = cut(moving(frames, seed), seconds)
    assert ranges[0][0] == 0 and ranges[-1][1] == frames
    assert all(a[1] == b[0] for a, b in zip(ranges, ranges[1:], strict=False))
    lengths = [end - first for first, end in ranges]
    assert max(lengths) <= max(seconds * FPS, 2 * SHORTEST)
    assert len(ranges) == 1 or min(lengths) >= SHORTEST
    assert all(length % STEP == 0 for length in lengths[:-1])
    assert len(ranges) <= 2 + 1.6 * frames / (seconds * FPS - STEP)


def test_cuts_fall_where_the_face_rests():
    speed = np.full(500, 0.05)
    speed[150:164] = speed[330:344] = 0
    values = np.zeros((500, 55), np.float32)
    values[:, ARKIT.index("jawOpen")] = np.abs((np.cumsum(speed) % 2) - 1)  # up and down, always equally fast
    (_, one), (_, other), _ = cut(FaceMotion(values, FPS), 8.0)
    assert one in range(150, 164) and other in range(330, 344)


def test_cuts_fall_beside_blinks():
    motion = moving(2000)
    lids = motion.channel("eyeBlinkLeft")
    assert all(max(lids[end - 1], lids[end]) < 0.1 for _, end in cut(motion, 8.0)[:-1])


def test_a_take_of_ten_minutes_is_cut_in_no_time(tmp_path):
    ranges = cut(moving(15_000), 8.0)
    assert 75 <= len(ranges) <= 90


def test_real_takes_come_back_frame_by_frame(shared, tmp_path):
    for name in ("rom_3", "apfel_short_rows"):
        take = Take(id=name, dataset="takes", motion=shared / f"data/livelink/{name}.csv.gz")
        found, _ = pieces(take)
        made = clips(take, cleaned=True)
        whole = np.concatenate([piece.motion.values for piece in found])
        assert np.array_equal(np.concatenate([row["values"] for row in made]), whole)
        assert {piece.begin for piece in found} <= {row["begin"] for row in made}
        for before, after in zip(made, made[1:], strict=False):
            assert after["begin"] > before["begin"] + before["seconds"] - 0.05
        for row in made:
            plan = Plan.parse(row["plan"])
            assert plan.seconds == pytest.approx(row["seconds"], abs=0.051) and plan.text() == row["plan"]
            assert len(row["facts"]) == sum(len(phase.items) for phase in plan.phases)
            assert len(row["prompts"]) == len(row["captions"]) == 6 and len(set(row["prompts"])) > 3
            assert row["annotations"]["action"] and len(row["annotations"]["scenarios"]) == 3
            assert row["questions"] and row["layout"] == "arkit" and row["fps"] == 25


def test_a_hole_in_the_tracking_parts_a_take_and_keeps_it_in_time_with_its_sound(tmp_path):
    wave(12.0, fps=30, layout="livelink").save(tmp_path / "take.csv")
    lines = (tmp_path / "take.csv").read_text().splitlines(keepends=True)
    (tmp_path / "take.csv").write_text("".join(lines[:101] + lines[161:]))  # frames 100 to 159 are missing
    heard = np.zeros(16_000 * 12)
    heard[round(16_000 * 160 / 30) :] = 0.5
    soundfile.write(tmp_path / "take.wav", heard, 16_000)
    take = Take(id="take", dataset="takes", motion=tmp_path / "take.csv", audio=tmp_path / "take.wav")
    before, after = clips(take, cleaned=True)
    assert (before["begin"], after["begin"]) == (0.0, pytest.approx(160 / 30, abs=1e-6))
    assert (before["seconds"], after["seconds"]) == (
        pytest.approx(100 / 30, abs=0.05),
        pytest.approx(200 / 30, abs=0.05),
    )
    levels = [np.abs(soundfile.read(io.BytesIO(clip["audio"]["bytes"]))[0]) for clip in (before, after)]
    assert levels[0].max() < 0.01 and levels[1][200:-2000].min() > 0.4


def test_rows_hold_the_columns_of_a_corpus_and_repeat_exactly(tmp_path):
    take = saved(moving(300), tmp_path)
    once, again = table(clips(take)), table(clips(take))
    assert once == again and once.column_names == schema().names
    other = table(list(rows(take, pieces(take, False)[0], take.id, "mine", 1.0, 8.0, seed=1)))
    assert other["values"] == once["values"] and other["prompts"] != once["prompts"]


def test_the_users_words_come_first_and_stay_with_every_clip(tmp_path):
    texts = ("A woman tells a secret.", "She whispers.")
    take = saved(
        moving(500), tmp_path, texts=texts, transcript="nobody knows", labels=Labels(emotions=("happy", "sad"))
    )
    made = clips(take)
    assert len(made) == 3
    for row in made:
        assert row["prompts"][:2] == row["captions"][:2] == list(texts) and len(row["prompts"]) > 4
        assert row["transcript"] == ""
    whole = clips(saved(moving(100), tmp_path, texts=texts, transcript="nobody knows"))
    assert len(whole) == 1 and whole[0]["transcript"] == "nobody knows"


def test_annotations_of_the_data_set_win_where_the_take_is_one_clip(tmp_path):
    said = Annotations("He talks.", "He is calm.", "His mouth moves.", "It rests.", ("A man reads.",) * 3, "He talks.")
    assert clips(saved(moving(100), tmp_path, annotations=said))[0]["annotations"] == said.row()
    assert all(row["annotations"] != said.row() for row in clips(saved(moving(400), tmp_path, annotations=said)))


def test_sound_is_cut_to_the_clip_at_16_khz(tmp_path):
    heard = np.sin(2 * np.pi * 440 * np.arange(44_100 * 14) / 44_100) * np.linspace(0, 0.9, 44_100 * 14)
    soundfile.write(tmp_path / "take.wav", np.stack([heard, heard], 1), 44_100)
    made = clips(saved(moving(500), tmp_path, audio=tmp_path / "take.wav"))
    for row in made:
        samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
        assert rate == RATE and len(samples) == round(row["seconds"] * RATE) and samples.ndim == 1
        assert row["audio"]["path"] == f"{row['id']}.flac"
        level = np.abs(samples[: RATE // 10]).max()
        expected = 0.9 * (row["begin"] + 0.05) / 14 if row["begin"] < 13.9 else 0
        assert level == pytest.approx(expected, abs=0.03)
    assert np.abs(samples[-RATE:]).max() == 0  # the sound ends 6 s before the motion


def test_takes_without_sound_and_clips_after_its_end_have_none(tmp_path):
    assert clips(saved(moving(100), tmp_path))[0]["audio"] is None
    soundfile.write(tmp_path / "short.wav", np.zeros(16_000), 16_000)
    made = clips(saved(moving(900), tmp_path, audio=tmp_path / "short.wav"))
    assert made[0]["audio"] is not None and made[-1]["audio"] is None


def test_faces_without_named_expressions_are_not_described(tmp_path):
    layout = LAYOUTS["flame56"]
    values = np.random.default_rng(0).normal(0, 0.5, (100, layout.width)).astype(np.float32)
    values[:, -6:] = 0
    values[30:, layout.index("neckY")] = 0.4
    take = saved(FaceMotion(values, FPS, layout), tmp_path, texts=("An actor.",), labels=Labels(emotions=("sad",)))
    (row,) = clips(take)
    assert row["layout"] == "flame56" and row["values"].shape == (100, 56)
    assert "head turn left" in row["plan"] and row["prompts"][0] == "An actor."
    assert row["annotations"]["expression"] == "" and row["annotations"]["emotion"] and row["questions"] == []


def test_a_map_carries_flame_takes_to_arkit(tmp_path):
    flame, matrix = LAYOUTS["flame56"], np.zeros((55, 56))
    matrix[ARKIT.index("jawOpen"), flame.index("jawX")] = 2
    values = np.zeros((60, 56), np.float32)
    values[:, flame.index("jawX")] = 0.2
    values[:, flame.index("neckX")] = 0.3
    take = saved(FaceMotion(values, 30, "flame56"), tmp_path)
    (piece,) = pieces(take, mapping=LinearMap(flame, ARKIT, matrix, np.zeros(55)))[0]
    assert piece.motion.layout == ARKIT and piece.motion.fps == 25
    assert piece.motion.channel("jawOpen") == pytest.approx(0.4, abs=1e-5)
    assert piece.motion.channel("headPitch") == pytest.approx(0.3, abs=1e-5)
    assert pieces(saved(moving(60), tmp_path), False, LinearMap(flame, ARKIT, matrix, np.zeros(55)))[0][
        0
    ].motion == moving(60)


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        ("0.0-2.0 s neutral", "rest"),
        ("0.0-2.0 s nod", "head"),
        ("0.0-2.0 s slight happy, nod", "emotion"),
        ("0.0-2.0 s slight jaw open", "unit"),
        ("0.0-2.0 s slight jaw open, slight pucker", "two units"),
        ("0.0-1.0 s nod; 1.0-2.0 s neutral", "two phases"),
        ("0.0-1.0 s nod; 1.0-2.0 s neutral; 2.0-3.0 s nod; 3.0-4.0 s neutral", "more phases"),
    ],
)
def test_categories(plan, name):
    assert category(Plan.parse(plan)) == name


def test_the_order_of_drawing_is_the_clips_own(tmp_path):
    """A clip's words depend on its id and the seed alone, not on the takes before it."""
    a, b = saved(moving(100, 1), tmp_path, "a"), saved(moving(100, 2), tmp_path, "b")
    clips(a)
    first = clips(b)[0]["prompts"]
    random.seed(3)
    assert clips(b)[0]["prompts"] == first
