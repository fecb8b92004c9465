"""Timelines: planted events are found with their times, sides and sizes; nothing is found where nothing is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_faces import Face

from facelm.describe.facts import Fact
from facelm.describe.timeline import BLINK, Event, Timeline, timeline
from facelm.describe.tracks import THRESHOLDS, resting, tracks
from facelm.describe.units import UNITS
from facelm.errors import FacelmError
from facelm.motion import FaceMotion, load_motion
from facelm.motion.layout import ARKIT, FLAME, FLAME106

FRAME = 1 / 25
TWO_FRAMES = 2.1 * FRAME
NO_REST = np.zeros(ARKIT.width)


def facts(motion: FaceMotion) -> list[Fact]:
    return [event.fact for event in timeline(motion).events]


def only(motion: FaceMotion) -> Event:
    (event,) = timeline(motion).events
    return event


def test_a_face_at_rest_does_nothing() -> None:
    shown = timeline(Face().motion())
    assert (shown.seconds, shown.events, shown.emotions, shown.talking) == (6.0, (), (), ())
    assert shown.mouth_open == shown.mouth_open_mean == shown.mouth_open_share == 0.0


@pytest.mark.parametrize("code", [code for code in UNITS if code not in ("M60", "AU30", "AU28")])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_onset_apex_and_offset_lie_within_two_frames(code: str, share: float) -> None:
    unit = UNITS[code]
    event = only(Face().raised(unit.channels[0], share * unit.peak, 1.0, 4.0, rise=0.5, fall=0.6).motion())
    assert event.fact == Fact(code, "both" if unit.sides else None)
    assert event.onset == pytest.approx(1.0 + 0.1, abs=TWO_FRAMES)  # where a tenth of the rise is done
    assert event.apex == pytest.approx(1.5 - 0.08, abs=TWO_FRAMES)  # where it is first within 5% of the top
    assert event.offset == pytest.approx(4.0 - 0.12, abs=TWO_FRAMES)
    assert event.intensity == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("side", ["left", "right"])
def test_sides_are_the_persons_own(side: str) -> None:
    assert only(Face().raised("mouthSmile" + side.capitalize(), 0.6, 1, 4).motion()).fact == Fact("AU12", side)
    assert facts(Face().raised("jaw" + side.capitalize(), 0.5, 1, 4).motion()) == [Fact("AU30", side)]


def test_a_side_that_joins_later_makes_an_event_of_its_own() -> None:
    face = Face(8).raised("mouthSmileLeft", 0.6, 1, 7).raised("mouthSmileRight", 0.6, 4, 7)
    left, both = timeline(face.motion()).events
    assert (left.fact, both.fact) == (Fact("AU12", "left"), Fact("AU12", "both"))
    assert left.offset == pytest.approx(4.2, abs=0.2)
    assert both.onset == pytest.approx(4.2, abs=0.2)


def test_a_side_that_lags_a_little_does_not() -> None:
    face = Face().raised("mouthSmileLeft", 0.6, 1, 4).raised("mouthSmileRight", 0.5, 1.2, 4.2)
    assert facts(face.motion()) == [Fact("AU12", "both")]


def test_two_smiles_are_two_events_even_without_rest_between() -> None:
    face = Face().raised("mouthSmile", 0.6, 0.5, 2.4).raised("mouthSmile", 0.6, 3.2, 5.5)
    assert facts(face.motion()) == [Fact("AU12", "both")] * 2
    sagging = Face().resting("mouthSmileLeft", 0.2).resting("mouthSmileRight", 0.2)
    sagging.raised("mouthSmile", 0.6, 0.5, 2.4).raised("mouthSmile", 0.6, 3.2, 5.5)
    assert facts(sagging.motion()) == [Fact("AU12", "both")] * 2


def test_a_slight_smile_that_grows_strong_and_back_is_three_events() -> None:
    face = Face(10).raised("mouthSmile", 0.2, 1, 9).raised("mouthSmile", 0.6, 4, 6.5)
    before, strong, after = timeline(face.motion()).events
    assert [round(event.intensity, 1) for event in (before, strong, after)] == [0.2, 0.9, 0.2]
    assert (strong.onset, strong.offset) == (pytest.approx(4.1, abs=0.1), pytest.approx(6.4, abs=0.1))
    assert (before.onset, after.offset) == (pytest.approx(1.1, abs=TWO_FRAMES), pytest.approx(8.9, abs=TWO_FRAMES))


def test_a_short_gap_does_not_cut_an_event() -> None:
    face = Face().raised("mouthSmile", 0.6, 1, 4)
    face.values[60:63] = 0.0
    assert len(timeline(face.motion()).events) == 1


def test_tracker_noise_neither_makes_nor_cuts_events() -> None:
    assert timeline(Face().noisy(0.02).motion()).events == ()
    event = only(Face().raised("browInnerUp", 0.5, 1, 4).noisy(0.02).motion())
    assert event.onset == pytest.approx(1.1, abs=TWO_FRAMES)
    assert event.offset == pytest.approx(3.9, abs=TWO_FRAMES)


def test_blinks_are_told_from_closed_eyes() -> None:
    shown = timeline(Face(8).blinking(1.0, 2.0).raised("eyeBlink", 0.9, 4, 6).motion())
    assert [event.fact for event in shown.events] == [BLINK, BLINK, Fact("AU43", "both")]
    assert [blink.apex for blink in shown.blinks] == pytest.approx([1.0, 2.0], abs=TWO_FRAMES)
    for blink in shown.blinks:
        assert blink.intensity == pytest.approx(0.95, abs=0.1)
        assert 0.1 < blink.seconds < 0.4


def test_mouth_opening_leaves_out_what_the_lips_close_again() -> None:
    open_ = timeline(Face().raised("jawOpen", 0.8, 1, 4, rise=0.04, fall=0.04).motion())
    assert (open_.mouth_open, open_.mouth_open_share) == (pytest.approx(0.8, abs=0.01), pytest.approx(0.5, abs=0.02))
    assert open_.mouth_open_mean == pytest.approx(0.4, abs=0.02)
    closed = timeline(Face().raised("jawOpen", 0.8, 1, 4).raised("mouthClose", 0.8, 1, 4).motion())
    assert closed.mouth_open == pytest.approx(0, abs=1e-6)


POSES = {  # table A of MMHead's supplement
    ("headPitch", -0.3): Fact("head up"),
    ("headPitch", 0.3): Fact("head down"),
    ("headYaw", -0.3): Fact("head turn", "right"),
    ("headYaw", 0.3): Fact("head turn", "left"),
    ("headRoll", -0.3): Fact("head tilt", "left"),
    ("headRoll", 0.3): Fact("head tilt", "right"),
}


@pytest.mark.parametrize(("channel", "angle"), POSES)
def test_head_poses_follow_the_sign_table(channel: str, angle: float) -> None:
    event = only(Face().raised(channel, angle, 1, 4).motion())
    assert event.fact == POSES[channel, angle]
    assert event.intensity == pytest.approx(0.3, abs=0.01)
    assert timeline(Face().raised(channel, angle / 3.1, 1, 4).motion()).events == ()  # the dead band


def test_nods_and_shakes_are_gestures_with_a_time_and_no_pose() -> None:
    nod = only(Face().moving("headPitch", 0.12, 2.0, 1.6, 3).motion())
    assert nod.fact == Fact("head nod")
    shake = only(Face().moving("headYaw", 0.15, 2.0, 1.6, 3).motion())
    assert shake.fact == Fact("head shake")
    for gesture in (nod, shake):
        assert gesture.onset == pytest.approx(2.0, abs=0.35)
        assert gesture.offset == pytest.approx(3.9, abs=0.35)


def test_looking_left_and_right_slowly_is_no_shake() -> None:
    face = Face(10).raised("headYaw", 0.3, 1, 3).raised("headYaw", -0.3, 4, 6).raised("headYaw", 0.3, 7, 9)
    assert facts(face.motion()) == [Fact("head turn", "left"), Fact("head turn", "right"), Fact("head turn", "left")]


def test_gaze_has_a_direction_and_a_time() -> None:
    face = Face().raised("eyeLookOutLeft", 0.6, 1, 3, 0.1, 0.1).raised("eyeLookInRight", 0.6, 1, 3, 0.1, 0.1)
    event = only(face.motion())
    assert event.fact == Fact("gaze", "left")
    assert (event.onset, event.offset) == (pytest.approx(1, abs=TWO_FRAMES), pytest.approx(3, abs=TWO_FRAMES))


def emotions(motion: FaceMotion) -> list[str]:
    return [span.name for span in timeline(motion).emotions]


def test_an_emotion_needs_the_units_that_set_it_apart() -> None:
    happy = Face().raised("mouthSmile", 0.6, 1, 4).raised("cheekSquint", 0.4, 1, 4)
    (span,) = timeline(happy.motion()).emotions
    assert (span.name, span.side) == ("happy", None)
    assert (span.begin, span.end) == (pytest.approx(1.15, abs=0.15), pytest.approx(3.85, abs=0.15))
    assert span.score > 0.9
    assert emotions(Face().raised("browInnerUp", 0.6, 1, 4).motion()) == []
    assert emotions(Face().raised("eyeWide", 0.6, 1, 4).motion()) == []
    assert emotions(Face().raised("cheekSquint", 0.6, 1, 4).motion()) == []


def test_one_sided_smiles_are_contempt_and_not_joy() -> None:
    (span,) = timeline(Face().raised("mouthSmileLeft", 0.6, 1, 4).motion()).emotions
    assert (span.name, span.side) == ("contemptuous", "left")


def test_emotions_show_through_talking() -> None:
    face = Face().raised("mouthSmile", 0.5, 0.5, 5.5).raised("cheekSquint", 0.4, 0.5, 5.5).talking(1, 5)
    shown = timeline(face.motion())
    assert [span.name for span in shown.emotions] == ["happy"]
    assert shown.emotions[0].end - shown.emotions[0].begin > 4


def test_talking_is_found_and_explains_what_the_mouth_does_in_it() -> None:
    shown = timeline(Face(8).talking(2, 6).raised("mouthSmile", 0.5, 1, 7).motion())
    ((begin, end),) = shown.talking
    assert (begin, end) == (pytest.approx(2, abs=0.3), pytest.approx(6, abs=0.3))
    assert len(shown.events) > 5
    assert [event.fact for event in shown.expressive] == [Fact("AU12", "both")]
    assert timeline(Face().raised("jawOpen", 0.7, 1, 2).raised("jawOpen", 0.7, 3, 4).motion()).talking == ()


def test_order_and_overlap() -> None:
    face = Face(8).raised("browInnerUp", 0.6, 1, 4).raised("mouthSmile", 0.6, 2, 5).raised("jawOpen", 0.6, 6, 7.5)
    brow, smile, jaw = timeline(face.motion()).events
    assert Timeline.before(brow, smile) and Timeline.before(smile, jaw)
    assert not Timeline.before(smile, brow) and not Timeline.before(brow, brow)
    assert Timeline.overlaps(brow, smile) and not Timeline.overlaps(smile, jaw)
    shown = timeline(face.motion())
    assert shown.during(0, 3) == (brow,)
    assert shown.during(2, 4) == (brow, smile)
    assert shown.during(5.9, 8) == (jaw,)


def test_a_resting_offset_is_taken_off_long_takes() -> None:
    face = Face(30).resting("mouthFrownLeft", 0.15).resting("mouthFrownRight", 0.15).noisy(0.005)
    face.raised("mouthSmile", 0.6, 10, 13)
    motion = face.motion()
    assert facts(motion) == [Fact("AU12", "both")]
    assert Fact("AU15", "both") in {event.fact for event in timeline(motion, NO_REST).events}
    assert resting(motion)[ARKIT.index("mouthFrownLeft")] == pytest.approx(0.145, abs=0.01)


def test_an_expression_held_all_along_is_no_rest() -> None:
    held = Face(30).resting("mouthSmileLeft", 0.5).resting("mouthSmileRight", 0.5).motion()
    assert facts(held) == [Fact("AU12", "both")]
    short = Face(5).resting("mouthFrownLeft", 0.15).resting("mouthFrownRight", 0.15).motion()
    assert resting(short).sum() == 0


def test_the_rest_of_all_takes_of_a_person_serves_each() -> None:
    takes = [Face(8).resting("mouthStretchLeft", 0.18).resting("mouthStretchRight", 0.18).motion() for _ in range(3)]
    assert timeline(takes[0]).events != ()
    assert timeline(takes[0], resting(*takes)).events == ()
    with pytest.raises(FacelmError, match="55 arkit values"):
        tracks(takes[0], np.zeros(52))


def test_jaw_thrusts_that_follow_an_open_mouth_are_the_trackers() -> None:
    assert facts(Face().raised("jawForward", 0.3, 1, 4).motion()) == [Fact("AU29")]
    assert facts(Face().raised("jawForward", 0.2, 1, 4).raised("jawOpen", 0.8, 1, 4).motion()) == [Fact("AU26")]


def test_flame_without_a_map_shows_head_jaw_and_lids() -> None:
    values = np.zeros((100, FLAME.width))
    values[30:70, FLAME.index("jawX")] = 0.3
    values[20:80, FLAME.index("neckY")] = 0.3
    values[10:14, FLAME.indices(("eyelidLeft", "eyelidRight"))] = 1.0
    values[:, 0] = 3.0  # expression components have no names
    assert set(facts(FaceMotion(values, 25, FLAME))) == {Fact("AU26"), Fact("head turn", "left"), BLINK}
    values = np.zeros((100, FLAME106.width))
    values[30:70, FLAME106.index("globalX")] = 0.3
    assert facts(FaceMotion(values, 25, FLAME106)) == [Fact("head down")]


def test_one_frame_has_a_timeline() -> None:
    values = np.zeros((1, ARKIT.width))
    assert timeline(FaceMotion(values, 30)).events == ()
    values[0, ARKIT.index("jawOpen")] = 0.8
    assert only(FaceMotion(values, 30)).fact == Fact("AU26")


CHANNELS = [channel for unit in UNITS.values() for channel in unit.side_channels("left" if unit.sides else None)]


@st.composite
def faces(draw: st.DrawFn) -> Face:
    face = Face(5)
    for _ in range(draw(st.integers(1, 5))):
        channel = draw(st.sampled_from([*CHANNELS, "mouthSmile", "browDown", "headYaw", "headRoll", "headPitch"]))
        onset = draw(st.floats(0, 3.5))
        face.raised(channel, draw(st.floats(0.1, 0.9)), onset, onset + draw(st.floats(0.6, 2.5)), 0.3, 0.3)
    return face


def _mirrored(fact: Fact) -> Fact:
    return Fact(fact.name, {"left": "right", "right": "left"}.get(fact.side or "", fact.side))


@settings(max_examples=60, deadline=None)
@given(faces())
def test_a_mirrored_motion_has_the_mirrored_timeline(face: Face) -> None:
    def told(motion: FaceMotion, mirror: bool) -> list[tuple[str, str | None, float, float]]:
        events = [(_mirrored(e.fact) if mirror else e.fact, e.onset, e.offset) for e in timeline(motion).events]
        return sorted((fact.name, str(fact.side), onset, offset) for fact, onset, offset in events)

    assert told(face.motion().mirror(), False) == told(face.motion(), True)


@settings(max_examples=60, deadline=None)
@given(faces(), st.integers(5, 60))
def test_a_later_motion_has_a_later_timeline(face: Face, frames: int) -> None:
    values = np.concatenate([np.zeros((15, ARKIT.width)), face.values, np.zeros((20, ARKIT.width))])
    later = np.concatenate([np.zeros((frames, ARKIT.width)), values])
    before, after = (timeline(FaceMotion(v, 25)).events for v in (values, later))
    assert [event.fact for event in after] == [event.fact for event in before]
    assert [e.onset for e in after] == pytest.approx([e.onset + frames * FRAME for e in before])
    assert [e.offset for e in after] == pytest.approx([e.offset + frames * FRAME for e in before])


@settings(max_examples=60, deadline=None)
@given(faces(), st.floats(1.0, 2.0))
def test_a_stronger_performance_loses_no_unit(face: Face, gain: float) -> None:
    def units(values: np.ndarray) -> list[Event]:
        motion = FaceMotion(np.clip(values, -1, 1), 25)
        return [event for event in timeline(motion).events if event.fact.name in UNITS and event.fact != Fact("AU29")]

    stronger = units(face.values * gain)
    for event in units(face.values):
        assert any(
            other.fact.name == event.fact.name and other.onset < event.offset and other.offset > event.onset
            for other in stronger
        ), event


def take(shared: Path, name: str) -> FaceMotion:
    return load_motion(shared / "data" / "livelink" / f"{name}.csv.gz")[0]


def test_an_idle_face_is_mostly_at_rest(shared: Path) -> None:
    idle = take(shared, "idle")
    assert (tracks(idle).levels >= THRESHOLDS).mean() < 0.02
    shown = timeline(idle)
    assert 3 <= len(shown.blinks) <= 8
    assert shown.talking == ()


def test_acted_emotions_show_their_units(shared: Path) -> None:
    def share(name: str, code: str) -> float:
        motion = take(shared, name)
        return sum(e.seconds for e in timeline(motion).events if e.fact.name == code) / motion.seconds

    assert share("emotion_161", "AU5") > 0.5  # fearful: eyes wide, brows up
    assert share("emotion_161", "AU2") > 0.3
    assert share("emotion_164", "AU9") > 0.3  # disgusted
    assert share("emotion_167", "AU4") > 0.5  # sad
    assert share("emotion_167", "AU15") > 0.3
    assert share("idle", "AU15") == 0
