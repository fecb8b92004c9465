from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm.errors import FacelmError
from facelm.motion import FaceMotion, load_motion
from facelm.motion.clean import CleanConfig, clean, find_outliers, find_repeats, smoothed

RNG = np.random.default_rng


def performed(seed: int, frames: int = 300, fps: float = 30.0) -> np.ndarray:
    """(T, 55) of smooth movement, with blinks, and the noise of a tracker."""
    rng = RNG(seed)
    times = np.arange(frames) / fps
    values = np.zeros((frames, 55))
    for channel in range(52):
        for _ in range(3):
            middle, width = rng.uniform(0, frames / fps), rng.uniform(0.15, 1.0)
            values[:, channel] += rng.uniform(0, 0.4) * np.exp(-(((times - middle) / width) ** 2))
    values[:, 52:] = 0.2 * np.sin(times[:, None] * rng.uniform(0.5, 3, 3))
    return values + rng.normal(0, 0.002, values.shape)


def planted(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values with spikes of one or two frames in single channels, and where they are, (T, D)."""
    rng = RNG(seed)
    spiked, where = values.copy(), np.zeros(values.shape, bool)
    for frame in range(6, len(values) - 8, 12):
        channel, length = rng.integers(0, 52), rng.integers(1, 3)
        spiked[frame : frame + length, channel] += rng.choice([-1, 1]) * rng.uniform(0.3, 0.7)
        where[frame : frame + length, channel] = True
    return spiked, where


def scores(values: np.ndarray, seed: int) -> tuple[float, float]:
    """Recall of planted spikes, and the share of other frames in which something was called an outlier."""
    spiked, where = planted(values, seed)
    found = find_outliers(spiked, CleanConfig())
    return float(found[where].mean()), float((found & ~where).any(1)[~where.any(1)].mean())


def test_planted_spikes_are_found_and_little_else():
    rates = np.array([scores(performed(seed), seed) for seed in range(12)])
    assert rates[:, 0].mean() >= 0.95
    assert rates[:, 1].mean() < 0.01


@pytest.mark.parametrize("take", ["rom_3", "facial", "idle", "emotion_161", "emotion_164", "emotion_167"])
def test_spikes_planted_in_real_takes_are_found(shared, take):
    motion, _ = load_motion(shared / "data" / "livelink" / f"{take}.csv.gz")
    recall, false_alarms = scores(motion.values.astype(float), 0)
    assert recall >= 0.95
    assert false_alarms < 0.01


@pytest.mark.parametrize("take", ["rom_3", "facial", "idle", "emotion_161", "emotion_164", "emotion_167"])
def test_a_clean_take_hardly_changes_and_its_jerk_falls(shared, take):
    motion, _ = load_motion(shared / "data" / "livelink" / f"{take}.csv.gz")
    (cleaned,), report = clean(motion)
    assert len(cleaned) == len(motion)
    assert np.abs(cleaned.values - motion.values).mean() < 0.002
    assert report.change == pytest.approx(np.abs(cleaned.values - motion.values).mean(), abs=1e-6)
    assert report.outlier_frames < 0.01 * len(motion)
    assert report.jerk < 0.9
    for side in ("Left", "Right"):  # blinks keep their depth
        deepest = motion.channel(f"eyeBlink{side}").max()
        assert cleaned.channel(f"eyeBlink{side}").max() > 0.9 * deepest


def test_spikes_are_replaced_by_what_lies_between_their_neighbours():
    truth = performed(3)
    spiked, where = planted(truth, 3)
    (cleaned,), report = clean(FaceMotion(spiked, 30, "arkit"))
    assert np.abs(cleaned.values - truth)[where].mean() < 0.02
    assert report.outlier_frames >= 0.95 * where.any(1).sum()
    assert report.jerk < 0.3


def test_failed_frames_are_found_by_distance():
    truth = performed(4)
    broken = truth.copy()
    broken[100:115] += RNG(0).normal(0, 1.0, (15, 55))
    (by_distance,), _ = clean(FaceMotion(broken, 30, "arkit"), CleanConfig(outliers="distance", smooth=0))
    (by_jump,), _ = clean(FaceMotion(broken, 30, "arkit"), CleanConfig(smooth=0))
    error = [np.abs(m.values - truth)[100:115].mean() for m in (by_distance, by_jump)]
    assert error[0] < 0.15 < error[1]


def test_repeated_frames_of_a_movement_are_filled_in_and_rest_is_left_alone():
    values = np.zeros((120, 55))
    values[60:, 17] = np.linspace(0, 0.9, 60)
    values[80] = values[79]
    values[91:93] = values[90]
    assert np.flatnonzero(find_repeats(values, 30)).tolist() == [80, 91, 92]
    (cleaned,), report = clean(FaceMotion(values, 30, "arkit"), CleanConfig(smooth=0, outliers="none"))
    assert report.repeats == 3
    assert np.allclose(cleaned.values[60:, 17], np.linspace(0, 0.9, 60), atol=1e-6)


def test_short_holes_stay_bridged_and_long_ones_are_cut_out():
    motion = FaceMotion(performed(5), 30, "arkit", start=10.0)
    pieces, report = clean(motion, CleanConfig(), holes=[(50, 55), (100, 130), (135, 160)])
    assert [len(piece) for piece in pieces] == [100, 140]  # the five frames between two holes are too few to keep
    assert report.cut == 60
    assert pieces[1].start == Fraction(10) + Fraction(160, 30)
    assert len(clean(motion, CleanConfig(longest_gap=5), holes=[(100, 130)])[0]) == 1
    with pytest.raises(FacelmError, match="not inside a motion of 300 frames"):
        clean(motion, holes=[(290, 301)])


def test_a_real_take_that_lost_the_face_for_long_comes_in_pieces(shared):
    motion, read = load_motion(shared / "data" / "livelink" / "apfel_short_rows.csv.gz")
    assert sum(end - first for first, end in read.holes) == read.bridged > 0
    pieces, report = clean(motion, CleanConfig(longest_gap=0.1), read.holes)
    long = [(first, end) for first, end in read.holes if (end - first) / motion.fps > 0.1]
    assert long
    assert len(pieces) > 1
    assert sum(map(len, pieces)) + report.cut == len(motion)


def test_head_drift_is_removed_on_request():
    values = performed(6)
    drifting = values.copy()
    drifting[:, 52] += 0.3 + 0.02 * np.arange(300) / 30
    (kept,), _ = clean(FaceMotion(drifting, 30, "arkit"))
    (centred,), report = clean(FaceMotion(drifting, 30, "arkit"), CleanConfig(centre_head=True))
    assert abs(np.median(kept.values[:, 52])) > 0.2
    assert abs(np.median(centred.values[:, 52])) < 0.02
    assert report.drift["headYaw"] == pytest.approx(0.02, abs=0.015)
    assert np.abs(centred.values[:, :52] - kept.values[:, :52]).max() < 1e-6


@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 90),
    smooth=st.floats(0, 2),
    rule=st.sampled_from(["jump", "distance", "none"]),
    centre=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_any_motion_stays_a_motion_of_its_length_and_range(seed, frames, smooth, rule, centre):
    rng = RNG(seed)
    motion = FaceMotion(rng.normal(0.3, rng.uniform(0, 1), (frames, 55)), 25, "arkit")
    (cleaned,), report = clean(motion, CleanConfig(outliers=rule, smooth=smooth, centre_head=centre))
    assert len(cleaned) == frames
    assert report.jerk <= 1 + 1e-6
    if not centre:
        assert (cleaned.values >= motion.values.min(0) - 1e-6).all()
        assert (cleaned.values <= motion.values.max(0) + 1e-6).all()


def test_smoothing_keeps_parabolas_and_smooths_the_same_frequencies_at_any_rate():
    times = np.linspace(0, 1, 60)[:, None]
    assert np.allclose(smoothed(1 + times - 2 * times**2, 5.0, 30), 1 + times - 2 * times**2, atol=1e-8)
    kept = []
    for fps in (30, 60):
        wave = np.sin(2 * np.pi * 4 * np.arange(10 * fps) / fps)[:, None]
        kept.append(float(smoothed(wave, 0.5, fps)[2 * fps : 8 * fps].std() / wave.std()))
    assert kept[0] == pytest.approx(kept[1], abs=0.03)
    assert kept[0] < 0.9


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(FacelmError, match="outliers is 'mean'; it is one of jump, distance, none"):
        CleanConfig(outliers="mean")
    with pytest.raises(FacelmError, match="smooth is -1; it must not be below 0"):
        CleanConfig(smooth=-1)
