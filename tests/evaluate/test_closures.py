import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm.errors import FacelmError
from facelm.evaluate.closures import eyelid_closure, lip_closure, matched
from facelm.evaluate.pairs import measure, pairs
from facelm.motion import FaceMotion, load_motion
from facelm.motion.layout import ARKIT
from facelm.rig import load_rig
from facelm.rig.gaps import gaps
from facelm.runs import runs

RIG = load_rig()
GAPS = gaps(RIG)


def curves(frames: int = 60, **channels: np.ndarray) -> FaceMotion:
    values = np.zeros((frames, 55))
    for name, track in channels.items():
        values[:, ARKIT.index(name)] = track
    return FaceMotion(values, 25, "arkit")


def pulse(*times: int, frames: int = 60, length: int = 4) -> np.ndarray:
    track = np.zeros(frames)
    for time in times:
        track[time : time + length] = 0.9
    return track


def score(metric, predicted: FaceMotion, true: FaceMotion):
    return metric(list(pairs([predicted], [true], RIG)))


def test_gaps_of_the_default_head():
    closed = RIG.vertices(curves(1, eyeBlinkLeft=np.array([0.9])))
    assert GAPS.of(closed, "left")[0] < 0.3 * GAPS.of(RIG.rest[None], "left")[0]
    assert GAPS.of(closed, "right")[0] == pytest.approx(GAPS.of(RIG.rest[None], "right")[0])
    opened = RIG.vertices(curves(1, jawOpen=np.array([0.5])))
    assert GAPS.of(opened, "lips")[0] > 0.01 > 0.002 > GAPS.of(RIG.rest[None], "lips")[0]


def test_gaps_of_another_rig(shared):
    with pytest.warns(UserWarning, match="tongueOut"):
        rig = load_rig(shared / "data" / "rigs" / "ict_facekit_exp53.npz")
    found = gaps(rig)
    blink, opened = curves(1, eyeBlinkRight=np.array([1.0])), curves(1, jawOpen=np.array([0.5]))
    assert found.of(rig.vertices(blink), "right")[0] < 0.1 * found.of(rig.rest[None], "right")[0]
    assert found.of(rig.vertices(opened), "lips")[0] > 5 * found.of(rig.rest[None], "lips")[0]


def test_blinks_kept_lost_and_invented():
    both = {"eyeBlinkLeft": pulse(10, 40), "eyeBlinkRight": pulse(10, 40)}
    true = curves(**both)
    assert score(eyelid_closure(GAPS), true, true).value == 1
    shifted = curves(eyeBlinkLeft=pulse(12, 40), eyeBlinkRight=pulse(12, 40))
    assert score(eyelid_closure(GAPS), shifted, true).value == 1  # 80 ms late
    late = curves(eyeBlinkLeft=pulse(13, 40), eyeBlinkRight=pulse(13, 40))
    assert score(eyelid_closure(GAPS), late, true).value == 0.5
    one_eye = curves(eyeBlinkLeft=pulse(10, 40))
    assert score(eyelid_closure(GAPS), one_eye, true).value == 0.5
    assert score(eyelid_closure(GAPS, "precision"), true, one_eye).value == 0.5
    never = score(eyelid_closure(GAPS), true, curves())
    assert not never.known
    single = curves(eyeBlinkLeft=pulse(10, length=1))
    assert not score(eyelid_closure(GAPS), true, single).known  # one frame is no blink


def test_lips_that_close():
    closing = {"mouthRollLower": pulse(10, 30), "mouthRollUpper": pulse(10, 30)}
    opened = np.full(60, 0.3)
    opened[[*range(10, 14), *range(30, 34)]] = 0
    true = curves(jawOpen=opened, **closing)
    assert score(lip_closure(GAPS), true, true).value == 1
    assert score(lip_closure(GAPS, of="runs"), true, true).value == 1
    half = opened.copy()
    half[10:14] = 0.3
    half_closed = curves(jawOpen=half, mouthRollLower=pulse(30), mouthRollUpper=pulse(30))
    assert score(lip_closure(GAPS), half_closed, true).value == 0.5
    assert score(lip_closure(GAPS, of="runs"), half_closed, true).value == 0.5
    assert score(lip_closure(GAPS, "precision"), half_closed, true).value == 1
    assert score(lip_closure(GAPS, "precision"), true, half_closed).value == 0.5
    assert not score(lip_closure(GAPS), true, curves(jawOpen=np.full(60, 0.3))).known


def test_a_real_take_keeps_its_own_closures_and_blunted_ones_are_lost(shared):
    take, _ = load_motion(shared / "data" / "livelink" / "rom_3.csv.gz")
    take = take.to("arkit").resample(25)[:1500]
    kernel = np.ones(15) / 15
    smooth = FaceMotion(np.stack([np.convolve(column, kernel, "same") for column in take.values.T], 1), 25, "arkit")
    ajar = take.values.copy()
    ajar[:, ARKIT.index("jawOpen")] += 0.1
    kinds = [lip_closure(GAPS), eyelid_closure(GAPS)]
    same = measure(kinds, pairs([take], [take], RIG))
    assert [score.value for score in same.values()] == [1, 1]
    assert score(eyelid_closure(GAPS), smooth, take).value < 0.9
    assert score(lip_closure(GAPS), FaceMotion(ajar, 25, "arkit"), take).value < 0.6


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_runs_are_what_a_loop_finds(flags, least):
    found, start = [], None
    for index, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = index
        if not flag and start is not None:
            if index - start >= least:
                found.append((start, index))
            start = None
    assert runs(np.array(flags, bool), least) == found


def test_each_event_is_matched_once():
    assert matched([1.0, 1.05], [1.02], 0.08) == 1
    assert matched([1.0, 2.0], [0.95, 2.05], 0.08) == 2
    assert matched([1.0], [], 0.08) == 0


def test_wrong_words_are_refused():
    with pytest.raises(FacelmError, match="what is recall or precision"):
        lip_closure(GAPS, "f1")
