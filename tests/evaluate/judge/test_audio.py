import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.ndimage import gaussian_filter1d

from facelm.corpus import load_corpus, write_corpus
from facelm.errors import FacelmError
from facelm.evaluate.embeddings import r_precision
from facelm.evaluate.judge import AudioJudge, AudioJudgeConfig, Judge, batches
from facelm.evaluate.judge.batches import TalkPairs
from facelm.evaluate.judge.pairs import Talk, split_tail, talks, windows
from facelm.evaluate.judge.sound import BANDS, RATE, log_mel
from facelm.evaluate.judge.teach import talking, teach_audio
from facelm.evaluate.judge.train import JudgeTraining
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT, HEAD

SMALL = AudioJudgeConfig(seconds=2, width=16, layers=1, tracks=4)
FPS = 25


def babble(seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise as loud as a jaw is open, and a head that nods as it likes: samples, and arkit values (T, 55)."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * FPS)
    opening = np.clip(gaussian_filter1d(rng.normal(size=frames), 2.0) * 2, 0, 1)
    loud = np.interp(np.arange(round(seconds * RATE)) / RATE, np.arange(frames) / FPS, opening)
    values = np.zeros((frames, 55), np.float32)
    values[:, ARKIT.index("jawOpen")] = opening
    values[:, ARKIT.index("headPitch")] = 0.3 * np.sin(np.arange(frames) / 9 + seed)
    return (loud * rng.normal(size=len(loud)) * 0.2).astype(np.float32), values


@pytest.fixture(scope="module")
def babbling(tmp_path_factory) -> Path:
    """A corpus of five takes of 32 s in clips of 8 s, of which one lacks its third clip."""
    rows = []
    for take in range(5):
        samples, values = babble(32, take)
        for part in range(4):
            if (take, part) == (4, 2):
                continue
            packed = io.BytesIO()
            soundfile.write(packed, samples[part * 8 * RATE : (part + 1) * 8 * RATE], RATE, format="FLAC")
            rows.append(
                {
                    "id": f"{take}-{part}",
                    "seconds": 8.0,
                    "fps": FPS,
                    "layout": "arkit",
                    "values": values[part * 200 : (part + 1) * 200],
                    "plan": "0.0-8.0 s neutral",
                    "prompts": ["Talk."],
                    "captions": ["She talks."],
                    "take": f"take {take}",
                    "begin": part * 8.0,
                    "audio": {"bytes": packed.getvalue(), "path": f"{take}-{part}.flac"},
                }
            )
    folder = tmp_path_factory.mktemp("audio") / "corpus"
    write_corpus({"train": rows}, folder)
    return folder


@pytest.fixture(scope="module")
def judge(babbling, tmp_path_factory) -> AudioJudge:
    training = JudgeTraining(max_steps=80, batch=32, learning_rate=4e-3, eval_every=80)
    return teach_audio(SMALL, training, babbling, tmp_path_factory.mktemp("audio") / "judge", 0.25, progress=False)


def test_clips_of_a_take_are_joined_and_holes_are_kept(babbling):
    found = talks(load_corpus(babbling, "train"))
    assert [(talk.take, talk.seconds) for talk in found] == [
        *((f"take {take}", 32.0) for take in range(4)),
        ("take 4", 16.0),
        ("take 4", 8.0),
    ]
    samples, values = babble(32, 0)
    np.testing.assert_array_equal(found[0].motion.values, values)
    np.testing.assert_allclose(found[0].samples, samples, atol=1e-4)
    window = found[0].window(3.0, 2.0)
    np.testing.assert_array_equal(window.motion.values, values[75:125])
    np.testing.assert_allclose(window.samples, samples[3 * RATE : 5 * RATE], atol=1e-4)
    learnt, apart = split_tail(found, 0.25)
    assert [talk.seconds for talk in learnt] == [24.0] * 4 + [12.0, 6.0]
    np.testing.assert_array_equal(apart[0].motion.values, values[600:])
    assert len(windows(apart, 2.0, 1.0)) == 4 * 7 + 3 + 1


def test_a_judge_of_sounds_finds_windows_it_never_saw(judge, babbling):
    found = windows(talking(babbling, 0.25)[1], 2.0, 1.0)[:32]
    sounds = judge.embed_audio([talk.samples for talk in found])
    motions = judge.embed_motions([talk.motion for talk in found])
    assert sounds.shape == motions.shape == (32, 50 * 4) and sounds.dtype == np.float32
    assert r_precision(sounds, motions)[0].value > 0.5


def test_the_heads_pose_and_loudness_do_not_matter(judge, babbling):
    talk = windows(talking(babbling, 0.25)[1], 2.0, 2.0)[0]
    still = talk.motion.values.copy()
    still[:, ARKIT.indices(HEAD)] = 0
    one, other = judge.embed_motions([talk.motion, FaceMotion(still, FPS)])
    np.testing.assert_array_equal(one, other)
    loud, soft = judge.embed_audio([talk.samples, 0.3 * talk.samples])
    assert np.linalg.norm(loud - soft) < 0.15


def test_padding_does_not_reach_shorter_clips(judge, babbling):
    talk = windows(talking(babbling, 0.25)[1], 2.0, 2.0)[0]
    short = talk.window(0, 1.0)
    alone, beside = judge.embed_motions([short.motion]), judge.embed_motions([talk.motion, short.motion])
    np.testing.assert_allclose(alone[0], beside[1], atol=1e-5)
    assert np.abs(alone[0].reshape(50, 4)[25:]).max() == 0 < np.abs(alone[0].reshape(50, 4)[:25]).max()
    heard = judge.embed_audio([short.samples])[0].reshape(50, 4)
    assert np.abs(heard[25:]).max() == 0 < np.abs(heard[:25]).max()


def test_what_is_saved_is_what_is_loaded(judge, tmp_path):
    judge.save_pretrained(tmp_path / "judge")
    again = Judge.from_pretrained(tmp_path / "judge")
    assert isinstance(again, AudioJudge) and again.kind == "audio" and again.fingerprint == judge.fingerprint
    sound = babble(2, 9)[0]
    np.testing.assert_array_equal(again.embed_audio([sound]), judge.embed_audio([sound]))


def test_what_cannot_be_heard_is_refused_in_one_sentence(judge, corpus):
    sound, values = babble(4, 3)
    spoilt = sound.copy()
    spoilt[100] = np.nan
    with pytest.raises(FacelmError, match="sound 1 holds a value that is not finite"):
        judge.embed_audio([sound[: 2 * RATE], spoilt])
    with pytest.raises(FacelmError, match=r"sound 0 has the shape \(2, 5\); give mono samples"):
        judge.embed_audio([np.zeros((2, 5))])
    with pytest.raises(FacelmError, match="trained on arkit ones"):
        judge.embed_motions([FaceMotion(np.zeros((50, 61), np.float32), 25, "livelink")])
    with pytest.warns(UserWarning, match="1 of 1 sounds are longer than 2 s"):
        np.testing.assert_array_equal(judge.embed_audio([sound]), judge.embed_audio([sound[: 2 * RATE]]))
    with pytest.raises(FacelmError, match="no clip of the corpus has sound"):
        talking(corpus, 0.15)
    with pytest.raises(FacelmError, match="as long as a window of 2 s"):
        TalkPairs(judge, [Talk("short", FaceMotion(values[:20], FPS), sound[:RATE])], 0)
    with pytest.raises(FacelmError, match="tail = 0.9"):
        talking(corpus, 0.9)
    with pytest.raises(FacelmError, match="whole number of the sound's 10 ms"):
        AudioJudgeConfig(fps=30)


def test_windows_that_begin_together_are_no_negatives(judge):
    sound, values = babble(2.4, 5)
    pairs = TalkPairs(judge, [Talk("one", FaceMotion(values, FPS), sound)], seed=0)
    motions, sounds, same = pairs.batch(0, 24)
    assert {len(m) for m in motions} == {50} and {len(s) for s in sounds} == {200}
    whole = pairs.values[0]
    starts = [next(s for s in range(11) if np.array_equal(whole[s : s + 50], m)) for m in motions]
    apart = np.abs(np.subtract.outer(starts, starts))
    np.testing.assert_array_equal(same, apart < batches.NEAR_S * FPS)
    assert same.all(1).sum() < 24


def test_log_mel_hears_pitch_where_it_is():
    times = np.arange(RATE) / RATE
    peaks = [int(log_mel(np.sin(2 * np.pi * hertz * times)).mean(0).argmax()) for hertz in (200, 1000, 4000)]
    mel = [2595 * np.log10(1 + hertz / 700) for hertz in (200, 1000, 4000)]
    centres = np.arange(1, BANDS + 1) * 2595 * np.log10(1 + 8000 / 700) / (BANDS + 1)
    nearest = [int(np.abs(centres - m).argmin()) for m in mel]
    assert np.abs(np.subtract(peaks, nearest)).max() <= 1  # a band at the bottom is hardly wider than a bin
    assert log_mel(np.zeros(1600)).shape == (10, BANDS) and log_mel(np.zeros(3)).shape == (1, BANDS)
    burst = np.zeros(RATE)
    burst[8000] = 1  # at 0.5 s
    assert int(log_mel(burst).sum(1).argmax()) == 50
    assert torch.isfinite(log_mel(np.zeros(1600))).all()
