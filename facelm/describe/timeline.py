"""A timeline: everything a face does in a motion, with the time it begins, peaks and ends.

    timeline(FaceMotion.load("take.csv")).events

Units are read from named coefficients against the thresholds of units.py, with hysteresis: an event needs a level at
the threshold, and lasts while the level stays above 60% of it. docs/facts.md defines every fact.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from facelm.describe.emotions import EmotionSpan, emotion_spans
from facelm.describe.events import GAZE_THRESHOLD, ONE_SIDE_RATIO, blinks
from facelm.describe.facts import Fact
from facelm.describe.head import HEAD_DEAD_BAND, POSES, nods, shakes
from facelm.describe.spans import Span, spans
from facelm.describe.speech import SPEECH_UNITS, held_through_speech, talking
from facelm.describe.tracks import COLUMNS, FPS, GAZE_DIRECTIONS, SHORTEST_REST, Tracks, resting, smoothed, tracks
from facelm.describe.units import UNITS
from facelm.motion import FaceMotion
from facelm.motion.retarget import LinearMap

SHORTEST_UNIT = 0.2  # s
SHORTEST_GAZE = 0.2  # s
SHORTEST_POSE = 0.3  # s
SHORTEST_SIDE = 0.4  # s; a side that leads or lags for less does not count as an event of its own
MOUTH_OPEN = 0.1  # of the lips' distance: from here the mouth counts as open
BLINK = Fact("blink")
# Trackers report a jaw thrust whenever the mouth opens (docs/facts.md), so it counts only where it is stronger.
FOLLOWER = "AU29"
LEADERS = ("AU10", "AU12", "AU16", "AU26")


@dataclass(frozen=True)
class Event:
    """One thing that happens once.

    Attributes:
        fact: what it is: an action unit, a head gesture or pose, a gaze direction, or `Fact("blink")`.
        intensity: of a unit its highest share of the unit's peak (0 to about 1), of the head radians (a pose's largest
            angle, a gesture's range), of gaze the eyeLook coefficient, of a blink how far the lids close (0 to 1).
        onset: seconds at which it leaves rest (10% of its rise).
        apex: seconds at which it is first within 5% of its highest level.
        offset: seconds at which it is back at rest, or turns into the next event; the end if it does not end.
        spoken: speech explains it: a mouth unit that comes and goes within talking.
    """

    fact: Fact
    intensity: float
    onset: float
    apex: float
    offset: float
    spoken: bool = False

    @property
    def seconds(self) -> float:
        """From onset to offset."""
        return self.offset - self.onset


@dataclass(frozen=True)
class Timeline:
    """What a motion shows.

    Attributes:
        seconds: the motion's duration.
        events: in order of onset.
        emotions: stretches that show an emotion's prototype, in order; often none.
        mouth_open: how far the lips are apart at most, 0 to 1 (jawOpen - mouthClose).
        mouth_open_mean: the same, mean over time.
        mouth_open_share: share of the time in which they are apart by 0.1 or more.
        talking: (begin, end) in seconds of stretches in which the mouth moves as in speech.
    """

    seconds: float
    events: tuple[Event, ...]
    emotions: tuple[EmotionSpan, ...] = ()
    mouth_open: float = 0.0
    mouth_open_mean: float = 0.0
    mouth_open_share: float = 0.0
    talking: tuple[tuple[float, float], ...] = field(default=())

    @property
    def expressive(self) -> tuple[Event, ...]:
        """The events that speech does not explain."""
        return tuple(event for event in self.events if not event.spoken)

    @property
    def blinks(self) -> tuple[Event, ...]:
        """The blinks."""
        return tuple(event for event in self.events if event.fact == BLINK)

    def during(self, begin: float, end: float) -> tuple[Event, ...]:
        """The events of which at least half lies within `begin` to `end` s, or that fill at least half of that time."""
        found = []
        for event in self.events:
            shared = min(event.offset, end) - max(event.onset, begin)
            if shared >= 0.5 * min(event.seconds, end - begin) and (shared > 0 or begin <= event.apex < end):
                found.append(event)
        return tuple(found)

    @staticmethod
    def before(a: Event, b: Event, least: float = 0.1) -> bool:
        """Whether `a` starts before `b` by at least `least` seconds."""
        return b.onset - a.onset >= least

    @staticmethod
    def overlaps(a: Event, b: Event) -> bool:
        """Whether both go on at the same time for at least half of the shorter one."""
        shared = min(a.offset, b.offset) - max(a.onset, b.onset)
        return shared > 0 and shared >= 0.5 * min(a.seconds, b.seconds)


def timeline(motion: FaceMotion, rest: np.ndarray | None = None, to_arkit: LinearMap | None = None) -> Timeline:
    """What a motion shows, and when.

    Args:
        motion: layout arkit or livelink, any fps; measured at 25 fps, so times are within 0.04 s. Of FLAME layouts
            only head, jaw opening and blinks are read without a map. Vertices of a rig are fitted on the default head
            first (`facelm.rig.fit.fit`), which makes them such a motion.
        rest: the person's resting face, arkit values (55,), subtracted first. None: `resting(motion)`, which is zeros
            under 20 s. It is best computed from all takes of a person; pass zeros to measure against the rig's rest.
        to_arkit: a map from the motion's layout to arkit, applied first; `describe.carried.levelled` makes one that
            was fitted between two rigs fit for this.
    """
    if to_arkit is not None:
        motion = to_arkit.apply(motion)
    return read(tracks_at_rest(motion, rest), motion.seconds)


def tracks_at_rest(motion: FaceMotion, rest: np.ndarray | None = None) -> Tracks:
    """The curves of a motion less the person's rest, as `timeline` finds it."""
    if rest is None and motion.seconds >= SHORTEST_REST:
        rest = resting(motion)
    return tracks(motion, rest)


def read(curves: Tracks, seconds: float) -> Timeline:
    """What curves of a motion of that duration show."""
    speech = talking(curves)
    events = [
        *_unit_events(curves, speech),
        *_pose_events(curves),
        *_gaze_events(curves),
        *(_blink(frame, depth, curves.lids) for frame, depth in blinks(curves.lids)),
    ]
    events.sort(key=lambda event: (event.onset, event.offset, event.fact.name, event.fact.side or ""))
    return Timeline(
        seconds,
        tuple(events),
        emotion_spans(held_through_speech(curves.smooth_levels, speech)),
        float(curves.mouth.max()),
        float(curves.mouth.mean()),
        float(np.mean(curves.mouth >= MOUTH_OPEN)),
        tuple((begin / FPS, end / FPS) for begin, end in speech),
    )


def _unit_events(curves: Tracks, speech: list[tuple[int, int]]) -> Iterable[Event]:
    levels = curves.smooth_levels
    held = held_through_speech(levels, speech)
    for unit in UNITS.values():
        least = unit.threshold / unit.peak
        if unit.sides:
            left, right = levels[:, COLUMNS[unit.code, "left"]], levels[:, COLUMNS[unit.code, "right"]]
        else:
            left = right = levels[:, COLUMNS[unit.code, None]]
        strong = np.maximum(left, right)
        if strong.max() < least:
            continue
        if unit.sides:
            kept = np.maximum(held[:, COLUMNS[unit.code, "left"]], held[:, COLUMNS[unit.code, "right"]])
        else:
            kept = held[:, COLUMNS[unit.code, None]]
        for span in spans(strong, least, 0.6 * least, SHORTEST_UNIT):
            for fact, part in _sides(unit.code, unit.sides, span, left, right, least):
                inside = slice(part.begin, part.end + 1)
                if unit.code == FOLLOWER and _leader(levels[part.apex]) > strong[part.apex]:
                    continue
                spoken = unit.code in SPEECH_UNITS and kept[inside].max() < least and _within(part, speech)
                yield _event(fact, part, float(strong[inside].max()), spoken)


def _leader(levels: np.ndarray) -> float:
    """The strongest unit that trackers mistake in part for a jaw thrust, of one frame's levels (K,)."""
    return max(float(levels[column]) for key, column in COLUMNS.items() if key[0] in LEADERS)


def _sides(
    code: str, sided: tuple[str, ...], span: Span, left: np.ndarray, right: np.ndarray, least: float
) -> Iterable[tuple[Fact, Span]]:
    """An event's span, cut where its side changes for 0.4 s or more."""
    if not sided:
        yield Fact(code), span
        return
    inside = slice(span.begin, span.end + 1)
    a, b = left[inside], right[inside]
    strong, weak = np.maximum(a, b), np.minimum(a, b)
    clear = strong >= np.minimum(least, 0.6 * strong.max())
    both = (weak >= ONE_SIDE_RATIO * strong) & (weak >= 0.6 * least) & ("both" in sided)
    labels = np.where(both, 0, np.where(a > b, 1, -1))
    sides = {0: "both", 1: "left", -1: "right"}
    runs = _label_runs(labels, clear, round(SHORTEST_SIDE * FPS))
    for begin, end, label in runs:
        if len(runs) == 1:
            part = span
        else:
            top = begin + int(strong[begin : end + 1].argmax())
            part = Span(span.begin + begin, span.begin + top, span.begin + end)
        weakest = weak[begin : end + 1].max() if label == 0 else 1.0
        if label == 0 and weakest < least:
            label = 1 if a[begin : end + 1].sum() > b[begin : end + 1].sum() else -1
        if strong[begin : end + 1].max() >= least:
            yield Fact(code, sides[label]), part


def _label_runs(labels: np.ndarray, clear: np.ndarray, shortest: int) -> list[tuple[int, int, int]]:
    """(first, last, label) of runs of equal labels over the clear frames; short runs join the longer neighbour."""
    frames = np.flatnonzero(clear)
    borders = np.flatnonzero(np.diff(labels[frames])) + 1
    runs = [[int(part[0]), int(part[-1]), int(labels[part[0]])] for part in np.split(frames, borders)]
    while len(runs) > 1:
        shortest_run = min(range(len(runs)), key=lambda i: runs[i][1] - runs[i][0])
        if runs[shortest_run][1] - runs[shortest_run][0] + 1 >= shortest:
            break
        beside = [i for i in (shortest_run - 1, shortest_run + 1) if 0 <= i < len(runs)]
        target = max(beside, key=lambda i: runs[i][1] - runs[i][0])
        runs[target][0] = min(runs[target][0], runs[shortest_run][0])
        runs[target][1] = max(runs[target][1], runs[shortest_run][1])
        del runs[shortest_run]
        merged: list[list[int]] = []
        for run in runs:
            if merged and merged[-1][2] == run[2]:
                merged[-1][1] = run[1]
            else:
                merged.append(run)
        runs = merged
    runs[0][0], runs[-1][1] = 0, len(labels) - 1
    return [(begin, end, label) for begin, end, label in runs]


def _pose_events(curves: Tracks) -> Iterable[Event]:
    angles = curves.smooth_head
    gestures = [(1, Fact("head nod"), g) for g in nods(angles[:, 1])]
    gestures += [(0, Fact("head shake"), g) for g in shakes(angles[:, 0])]
    for _, fact, gesture in gestures:
        yield Event(fact, gesture.size, gesture.begin / FPS, gesture.apex / FPS, (gesture.end + 1) / FPS)
    for axis, sign, fact in POSES:
        track = sign * angles[:, axis]
        if track.max() < HEAD_DEAD_BAND:
            continue
        for span in spans(track, HEAD_DEAD_BAND, 0.8 * HEAD_DEAD_BAND, SHORTEST_POSE, split=False):
            shaken = sum(
                max(0, min(span.end, g.end) - max(span.begin, g.begin) + 1) for where, _, g in gestures if where == axis
            )
            if shaken < 0.5 * (span.end - span.begin + 1):
                yield _event(fact, span, float(track[span.begin : span.end + 1].max()))


def _gaze_events(curves: Tracks) -> Iterable[Event]:
    gaze = smoothed(curves.gaze)
    for column, direction in enumerate(GAZE_DIRECTIONS):
        track = gaze[:, column]
        if track.max() >= GAZE_THRESHOLD:
            for span in spans(track, GAZE_THRESHOLD, 0.7 * GAZE_THRESHOLD, SHORTEST_GAZE, split=False):
                yield _event(Fact("gaze", direction), span, float(track[span.begin : span.end + 1].max()))


def _blink(frame: int, depth: float, lids: np.ndarray) -> Event:
    """A blink lasts while the lids are closed by at least a quarter of its depth more than around it."""
    reach = round(0.4 * FPS)
    begin = end = frame
    floor = 0.25 * depth
    while begin > max(0, frame - reach) and lids[begin - 1] > floor and lids[begin - 1] <= lids[begin] + 0.1:
        begin -= 1
    while end < min(len(lids) - 1, frame + reach) and lids[end + 1] > floor and lids[end + 1] <= lids[end] + 0.1:
        end += 1
    return Event(BLINK, depth, begin / FPS, frame / FPS, (end + 1) / FPS)


def _event(fact: Fact, span: Span, intensity: float, spoken: bool = False) -> Event:
    return Event(fact, intensity, span.begin / FPS, span.apex / FPS, (span.end + 1) / FPS, spoken)


def _within(span: Span, speech: list[tuple[int, int]]) -> bool:
    shared = sum(max(0, min(span.end + 1, end) - max(span.begin, begin)) for begin, end in speech)
    return shared >= 0.5 * (span.end + 1 - span.begin)
