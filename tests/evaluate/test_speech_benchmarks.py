"""The benchmarks of sound, on talking whose sound follows the jaw, and on real speech."""

import dataclasses
import io

import numpy as np
import pytest
import soundfile
from puppets import Sage

from facelm.corpus import write_corpus
from facelm.evaluate import benchmarks
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.setting import Setting
from facelm.motion import FaceMotion

RATE = 16_000


def talk(seed, seconds=3.0, fps=25):
    """(values, samples): a jaw that opens at random, lips that close, and noise as loud as the jaw is open."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * fps)
    opening = np.clip(
        np.interp(np.arange(frames), np.arange(0, frames + 5, 5), rng.uniform(0, 0.6, frames // 5 + 1)), 0, 1
    )
    values = np.zeros((frames, 55), np.float32)
    layout = FaceMotion(values, fps).layout
    values[:, layout.index("jawOpen")] = opening
    values[:, layout.index("mouthFunnel")] = rng.uniform(0, 0.2, frames)
    values[:, layout.index("mouthPressLeft")] = 0.2 * (opening < 0.1)
    values[:, layout.index("headYaw")] = 0.1 * np.sin(np.arange(frames) / 7)
    loud = np.interp(np.arange(round(seconds * RATE)) / RATE, np.arange(frames) / fps, opening)
    return values, (loud * rng.normal(size=len(loud)) * 0.3).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talking") / "c"

    def row(seed):
        values, samples = talk(seed)
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format="FLAC")
        return {
            "id": f"talk-{seed}",
            "category": "talk",
            "seconds": 3.0,
            "fps": 25.0,
            "layout": "arkit",
            "values": values,
            "plan": "0.0-3.0 s slight jaw open",
            "facts": [],
            "prompts": [f"Talk number {seed}."],
            "captions": ["She talks."],
            "questions": [],
            "audio": {"bytes": file.getvalue(), "path": f"talk-{seed}.flac"} if seed % 10 != 9 else None,
        }

    write_corpus({"train": [row(i) for i in range(10, 18)], "test": [row(i) for i in range(10)]}, folder)
    return folder


@pytest.fixture(scope="module")
def setting(corpus):
    return Setting.load(corpus, model="puppet")


def late(motion, frames=4):
    return FaceMotion(np.concatenate([motion.values[:1].repeat(frames, 0), motion.values[:-frames]]), motion.rate)


def test_a_copy_is_perfect_and_a_late_one_is_told(setting):
    same = benchmarks.score("speech", setting, Predictions(motions=[c.motion for c in setting.clips]))
    assert same.n == 9 and "1 of 10 motions (or sounds) are missing" in same.text()
    own = same.rows["model"]
    assert own["LVE"].value == own["ALE"].value == 0 and own["jaw_r"].value == pytest.approx(1)
    assert own["energy r"].value > 0.8 and abs(own["lip lag"].value) < 40
    delayed = benchmarks.score("speech", setting, Predictions(motions=[late(c.motion) for c in setting.clips]))
    assert delayed.rows["model"]["lip lag"].value == pytest.approx(own["lip lag"].value + 160, abs=30)
    assert delayed.rows["model"]["LVE"].value > 1
    for row in ("random training", "shuffled", "rest pose"):
        assert delayed.rows[row]["ALE"].value > 0, row
    assert not delayed.rows["rest pose"]["energy r"].known


def test_text_and_speech_asks_both_judges(setting):
    both = dataclasses.replace(setting, judge=Sage(setting.clips), listener=Sage(setting.clips))
    found = benchmarks.score("text-and-speech", both, Predictions(motions=[c.motion for c in setting.clips])).rows
    assert found["model"]["Text-Match"].value == 0 < found["shuffled"]["Text-Match"].value
    assert found["model"]["Audio-Match"].known and found["reference"]["audio FID"].value < 1e-3
    assert not found["model"]["audio R@1"].known and "do not fill a gallery" in found["model"]["audio R@1"].note
    assert found["model"]["facts F1"].known


def test_real_speech_keeps_time_with_its_own_lips(shared, tmp_path):
    from facelm.corpus.build import BuildConfig, build

    build([str(shared / "data" / "speech_zh")], tmp_path / "c", BuildConfig(), 1)
    split = next(name for name in ("test", "validation", "train") if list((tmp_path / "c").glob(f"{name}-*")))
    some = Setting.load(tmp_path / "c", split, prompts=6)
    found = benchmarks.score("speech", some, Predictions(motions=[c.motion for c in some.clips]))
    assert found.rows["model"]["energy r"].value > found.rows["shuffled"]["energy r, no lag"].value
    assert abs(found.rows["model"]["lip lag"].value) < 200
