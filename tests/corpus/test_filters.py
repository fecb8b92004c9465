from pathlib import Path

import numpy as np
import pytest
from trees import TREES

from facelm.corpus.filters import (
    PAPER,
    FewEmotionChanges,
    LongestFrames,
    OnlyCameras,
    OnlyLevel,
    Seconds,
    SyncConfidence,
    WithoutActions,
    benchmark,
    refuse,
)
from facelm.corpus.readers import SkipReport, Take, iterate
from facelm.describe.labels import Labels
from facelm.errors import FacelmError
from facelm.motion import FaceMotion


def take(name="a", actions=(), emotions=(), dataset="celebv-hq", **extra):
    labels = Labels(actions=tuple(actions), emotions=tuple(emotions))
    return Take(name, dataset, Path(f"{name}.npz"), labels=labels, extra=extra)


def motion(frames, fps=25.0):
    return FaceMotion(np.zeros((frames, 55)), fps)


@pytest.mark.parametrize("action", ["kiss", "listen_to_music", "play instrument", "Smoke", "whisper"])
def test_actions_that_can_hardly_be_seen(action):
    for dataset in ("celebv-hq", "celebv-text"):
        reason = refuse(take(actions=["talk", action], dataset=dataset), PAPER[dataset])
        assert reason == f"it shows the action {action.replace('_', ' ').lower()!r}"
        assert refuse(take(actions=["talk", "smile"], dataset=dataset), PAPER[dataset]) is None


def test_squint_is_left_out_of_celebv_text_alone():
    assert refuse(take(actions=["squint"]), PAPER["celebv-hq"]) is None
    assert refuse(take(actions=["squint"]), PAPER["celebv-text"]) == "it shows the action 'squint'"


def test_emotions_that_change_too_often():
    five = ["neutral", "happy", "sad", "happy", "sad"]
    rule = FewEmotionChanges()
    assert rule.reason(take(emotions=five)) is None  # four changes
    assert rule.reason(take(emotions=[*five, "sad"])) is None  # the same again is no change
    assert rule.reason(take(emotions=[*five, "neutral"])) == "its emotion changes more than 4 times"


def test_mead_is_level_three_from_the_front(tmp_path):
    takes = list(iterate(TREES["mead"].make(tmp_path)))
    reasons = {take.id: refuse(take, PAPER["mead"]) for take in takes}
    assert reasons == {
        "M003/front/angry/level_3/001": None,
        "M003/left_30/angry/level_3/001": "it was filmed by the camera left_30",
        "W009/front/neutral/level_1/001": None,
    }
    assert OnlyLevel(neutral=False).reason(takes[2]) == "its intensity is level 1, not 3"
    assert OnlyLevel().reason(take(emotions=["angry"], level="2")) == "its intensity is level 2, not 3"
    assert OnlyCameras(("400002", "400349")).reason(take(camera="400015")) is not None
    assert OnlyCameras().reason(take()) is None


def test_sync_confidence_is_honoured_when_present():
    rule = SyncConfidence(3.0)
    assert rule.reason(take(syncnet="2.99")) == "its SyncNet confidence is under 3"
    assert rule.reason(take(syncnet="3.0")) is None
    assert rule.reason(take()) is None
    for wrong in ("high", "nan"):
        with pytest.raises(FacelmError, match="take a, syncnet"):
            rule.reason(take(syncnet=wrong))


def test_durations_wait_for_the_motion():
    rules = (Seconds(), LongestFrames())
    assert refuse(take(), rules) is None
    assert refuse(take(), rules, motion(24)) == "it is shorter than 1 s"
    assert refuse(take(), rules, motion(25)) is None
    assert refuse(take(), rules, motion(200)) is None
    assert refuse(take(), rules, motion(201)) == "it lasts over 8 s"
    assert refuse(take(), (LongestFrames(),), motion(201)) == "it has more than 200 frames at 25 fps"
    assert refuse(take(), (LongestFrames(),), motion(480, 60)) is None  # 8 s at another rate
    with pytest.raises(FacelmError, match="lets nothing through"):
        Seconds(3, 2)


def test_reasons_are_counted():
    report, rule = SkipReport(), WithoutActions(("kiss",))
    for number in range(5):
        one = take(str(number), actions=["kiss"] if number % 2 else ["talk"])
        if reason := refuse(one, (rule,)):
            report.filtered(one, reason)
    assert report.reasons() == {"it shows the action 'kiss'": 2}


def test_benchmarks_by_what_is_done():
    talking = [take(f"talk {i}", ["talk", "smile"]) for i in range(300)]
    singing = [take(f"sing {i}", ["sing"]) for i in range(100)]
    others = [take(f"eat {i}", ["eat"]) for i in range(20)] + [take("face", ["talk"], dataset="multiface")]
    takes = [*talking, *others, *singing, take("read", ["read"])]
    first, second = benchmark(takes, "I"), benchmark(takes, "II")
    assert {each.id for each in first} == {each.id for each in (*talking, *singing)} | {"read"}
    assert {each.id for each in others} <= {each.id for each in second}
    assert sum(each.id.startswith("talk ") for each in second) == 250
    assert sum(each.id.startswith("sing ") for each in second) == 100
    assert benchmark(takes[::-1], "II") == second[::-1]  # the same takes in any order
    assert {each.id for each in benchmark(takes, "II", seed=1)} != {each.id for each in second}
    with pytest.raises(FacelmError, match="choose I or II"):
        benchmark(takes, "III")


def test_released_membership_counts(tmp_path):
    takes = list(iterate(TREES["mmhead"].make(tmp_path)))
    assert [each.id for each in benchmark(takes, "I")] == [takes[0].id, takes[1].id]
    assert [each.id for each in benchmark(takes, "II")] == [takes[0].id, takes[2].id]
