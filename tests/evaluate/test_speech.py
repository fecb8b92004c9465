import math

import numpy as np
import pytest
import soundfile

from facelm.errors import FacelmError
from facelm.evaluate.speech import VISEMES, Lips, Phoneme, VisemeReader, energy, lag, synchrony, viseme
from facelm.motion import FaceMotion, load_motion
from facelm.motion.layout import ARKIT
from facelm.rig import load_rig

RATE = 16_000
LIPS = Lips(load_rig())
SHAPES = {  # what the lips do for a class, as ARKit coefficients
    "closures": {"mouthPressLeft": 0.8, "mouthPressRight": 0.8},
    "lip-teeth": {"mouthRollLower": 0.9, "jawOpen": 0.06},
    "rounded": {"mouthPucker": 0.9, "jawOpen": 0.15},
    "open": {"jawOpen": 0.6},
    "spread": {"mouthStretchLeft": 0.8, "mouthStretchRight": 0.8, "jawOpen": 0.12},
    "rest": {},
}
SYMBOLS = {"closures": "M", "lip-teeth": "F", "rounded": "UW1", "open": "AA1", "spread": "IY0", "rest": "SIL"}


def curves(frames: int, fps: float = 25.0, **channels: np.ndarray) -> FaceMotion:
    values = np.zeros((frames, 55))
    for name, track in channels.items():
        values[:, ARKIT.index(name)] = track
    return FaceMotion(values, fps, "arkit")


def syllables(seconds: float, fps: float, seed: int, late: float = 0.0) -> np.ndarray:
    """How far a mouth opens over time, in syllables at random moments."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * fps)) / fps - late
    moments = np.cumsum(rng.uniform(0.15, 0.5, int(seconds * 4)))
    heights = rng.uniform(0.2, 0.6, len(moments))
    return (heights * np.exp(-(((times[:, None] - moments) / 0.06) ** 2))).sum(1)


def noise(seconds: float, seed: int) -> np.ndarray:
    """A sound as loud as the syllables of that seed are open."""
    loud = syllables(seconds, RATE, seed)
    return loud * np.random.default_rng(seed).normal(size=len(loud))


@pytest.mark.parametrize("late", [-0.12, 0.0, 0.05, 0.2])
def test_the_lag_of_a_mouth_is_found(late):
    opening = syllables(12, 25, 0, late)
    found, best, shown = lag(opening, energy(noise(12, 0), RATE, len(opening), 25), 25)
    assert found == pytest.approx(1000 * late, abs=15)
    assert best > 0.6
    assert shown <= best


def test_another_sound_does_not_fit():
    opening = syllables(12, 25, 0)
    _, fits, _ = lag(opening, energy(noise(12, 0), RATE, len(opening), 25), 25)
    _, other, _ = lag(opening, energy(noise(12, 7), RATE, len(opening), 25), 25)
    assert other < fits - 0.3


def test_energy_at_the_frames():
    sound = np.zeros(RATE)
    sound[RATE // 2 :] = 0.5
    loud = energy(sound, RATE, 50, 25)  # a second of sound under two of motion
    assert (loud[:12] == 0).all()
    assert loud[14:24] == pytest.approx(60)
    assert (loud[26:] == 0).all()
    assert (energy(np.zeros(100), RATE, 5, 25) == 0).all()


def test_synchrony_over_clips_and_what_has_none():
    motions = [curves(250, jawOpen=syllables(10, 25, seed, 0.08)) for seed in range(4)]
    sounds = [(noise(10, seed), RATE) for seed in range(4)]
    scores = synchrony([*motions, curves(250)], [*sounds, sounds[0]], LIPS)
    assert scores["lip lag"].value == pytest.approx(80, abs=20)
    assert scores["lip lag spread"].value < 15
    assert scores["energy r"].value > scores["energy r, no lag"].value
    assert scores["energy r"].n == 4
    assert "1 clips left out: a still mouth" in scores["energy r"].note
    none = synchrony([curves(250)], [sounds[0]], LIPS)
    assert not none["lip lag"].known
    assert not none["energy r"].known
    assert all(math.isnan(x) for x in lag(np.ones(10), np.ones(10), 25))


def test_real_speech_is_in_time_and_shuffled_speech_is_not(shared):
    folder = shared / "data" / "speech_zh"
    motions, sounds = [], []
    for path in sorted(folder.glob("*.npz"))[:3]:
        motion, _ = load_motion(path)
        samples, rate = soundfile.read(path.with_suffix(".wav"), frames=30 * RATE)
        motions.append(motion.to("arkit").resample(25)[:750])
        sounds.append((samples, rate))
    true = synchrony(motions, sounds, LIPS)
    shuffled = synchrony(motions, sounds[1:] + sounds[:1], LIPS)
    assert abs(true["lip lag"].value) < 40
    assert true["energy r"].value > 0.8
    assert shuffled["energy r"].value < 0.5


def spoken(seed: int, late: float = 0.0) -> tuple[FaceMotion, list[Phoneme]]:
    """A face that shows the lips of random classes, 0.2 s each, and what it says."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(VISEMES), 30)
    phonemes = [Phoneme(SYMBOLS[name], 0.2 * i, 0.2 * (i + 1)) for i, name in enumerate(names)]
    motion = curves(150)
    values = motion.values.copy()
    for index, name in enumerate(names):
        first = round((0.2 * index + late) * 25)
        for channel, value in SHAPES[name].items():
            values[first : first + 5, ARKIT.index(channel)] = value
    return FaceMotion(values + rng.normal(0, 0.005, values.shape), 25, "arkit"), phonemes


def test_visemes_are_read_off_the_lips():
    training = [spoken(seed) for seed in range(4)]
    reader = VisemeReader.fit([m for m, _ in training], [p for _, p in training], LIPS)
    assert reader.names == tuple(VISEMES)
    test = [spoken(seed) for seed in (10, 11)]
    right = reader.score([m for m, _ in test], [p for _, p in test], LIPS)
    assert right["viseme F1"].value > 0.8
    assert set(right) == {"viseme F1", *(f"viseme F1 {name}" for name in VISEMES)}
    late = [(spoken(seed, late=0.12)[0], spoken(seed)[1]) for seed in (10, 11)]
    assert reader.score([m for m, _ in late], [p for _, p in late], LIPS)["viseme F1"].value < 0.7
    still = reader.score([curves(150), curves(150)], [p for _, p in test], LIPS)
    assert still["viseme F1"].value < 0.2


def test_every_cmudict_phoneme_has_a_class():
    symbols = (
        "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
    ).split()
    assert len(symbols) == 39
    assert {viseme(symbol) for symbol in symbols} == set(VISEMES) - {"rest"}
    assert viseme("ow2") == "rounded"
    with pytest.raises(FacelmError, match="'XX' is no ARPABET phoneme"):
        viseme("XX")


def test_wrong_input_is_refused():
    with pytest.raises(FacelmError, match="20 frames of motion and 30 of sound"):
        lag(np.zeros(20), np.zeros(30), 25)
    with pytest.raises(FacelmError, match="1 viseme class"):
        VisemeReader.fit([curves(50)], [[]], LIPS)
