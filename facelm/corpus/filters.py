"""Filters: which takes of a data set are left out, and why.

Those of MMHead's paper (Wu et al., 2024, section 3.1) under the names of the data sets it was made from, and a few that
any corpus may use. A filter looks at what a take says; those that need its length say nothing until they see the
motion. The reason is a sentence, so that a report can count it.

    filters = (*PAPER["mead"], LongestFrames())
    reason = refuse(take, filters) or refuse(take, filters, motion)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from facelm.corpus.protocols import draw
from facelm.corpus.readers.sides import plain_number
from facelm.corpus.readers.take import Take
from facelm.errors import FacelmError
from facelm.motion import FaceMotion

WORKING_FPS = 25
TALKING = ("talk", "sing", "read")  # what makes a clip one of MMHead's benchmark I
EXTRAS = ("talk", "sing")  # of which benchmark II takes SAMPLED each as well
SAMPLED = 250


class Filter(Protocol):
    """reason: why the take is left out, or None. `motion` is None where it has not been loaded."""

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None: ...


@dataclass(frozen=True)
class WithoutActions:
    """Leaves out takes that show one of these actions, however their data set spells it ("listen_to_music")."""

    actions: tuple[str, ...]

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """The action that can hardly be seen."""
        unwanted = [action for action in take.labels.actions if _words(action) in self.actions]
        return f"it shows the action {_words(unwanted[0])!r}" if unwanted else None


@dataclass(frozen=True)
class FewEmotionChanges:
    """Leaves out takes whose emotion changes more often than `most` times."""

    most: int = 4

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """How often it changes."""
        emotions = take.labels.emotions
        changes = sum(a != b for a, b in zip(emotions, emotions[1:], strict=False))
        return f"its emotion changes more than {self.most} times" if changes > self.most else None


@dataclass(frozen=True)
class OnlyLevel:
    """Keeps one level of intensity; neutral takes, which MEAD has in level 1 only, are kept where `neutral` is True.

    MMHead's 11,313 clips of MEAD are more than the level 3 of its 48 public people holds, so they count neutral ones.
    """

    level: str = "3"
    neutral: bool = True

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """The level it has instead; takes without a level pass."""
        level = take.extra.get("level", self.level)
        if level == self.level or (self.neutral and take.labels.emotions == ("neutral",)):
            return None
        return f"its intensity is level {level}, not {self.level}"


@dataclass(frozen=True)
class OnlyCameras:
    """Keeps takes that were filmed by one of these cameras; takes that name none pass."""

    cameras: tuple[str, ...] = ("front",)

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """The camera it was filmed by instead."""
        camera = take.extra.get("camera", self.cameras[0])
        return None if camera in self.cameras else f"it was filmed by the camera {camera}"


@dataclass(frozen=True)
class SyncConfidence:
    """Leaves out takes whose SyncNet confidence (a column or field `syncnet`) is under `least`; others pass.

    The paper does not print its threshold, so there is no default.
    """

    least: float

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """That sound and picture hardly belong together. Raises FacelmError where the field is no number."""
        if "syncnet" not in take.extra:
            return None
        confidence = plain_number(take.extra["syncnet"], f"take {take.id}, syncnet")
        return f"its SyncNet confidence is under {self.least:g}" if confidence < self.least else None


@dataclass(frozen=True)
class Seconds:
    """Keeps takes of `least` to `most` seconds; those of MMHead last 1 to 8."""

    least: float = 1.0
    most: float = 8.0

    def __post_init__(self) -> None:
        if not 0 <= self.least < self.most:
            raise FacelmError(f"a filter of {self.least:g} to {self.most:g} s lets nothing through")

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """That it is shorter or longer."""
        if motion is None or self.least <= motion.seconds <= self.most:
            return None
        return (
            f"it is shorter than {self.least:g} s" if motion.seconds < self.least else f"it lasts over {self.most:g} s"
        )


@dataclass(frozen=True)
class LongestFrames:
    """Leaves out takes of more than `most` frames at `fps` frames/s."""

    most: int = 200
    fps: float = WORKING_FPS

    def reason(self, take: Take, motion: FaceMotion | None = None) -> str | None:
        """That it is longer."""
        if motion is None or round(motion.seconds * self.fps) <= self.most:
            return None
        return f"it has more than {self.most} frames at {self.fps:g} fps"


HARDLY_SEEN = ("kiss", "listen to music", "play instrument", "smoke", "whisper")
PAPER: dict[str, tuple[Filter, ...]] = {
    "celebv-hq": (WithoutActions(HARDLY_SEEN), LongestFrames()),
    "celebv-text": (WithoutActions((*HARDLY_SEEN, "squint")), FewEmotionChanges(), LongestFrames()),
    "mead": (OnlyLevel(), OnlyCameras(), LongestFrames()),
    "ravdess": (LongestFrames(),),
    "multiface": (LongestFrames(),),  # add OnlyCameras with the number of the frontal camera of your captures
}
"""MMHead's filters by data set; SyncConfidence comes on top for the two that were filmed in the wild."""


def refuse(take: Take, filters: Iterable[Filter], motion: FaceMotion | None = None) -> str | None:
    """The first reason to leave a take out, or None. Without the motion, filters of its length let it pass."""
    return next((reason for each in filters if (reason := each.reason(take, motion))), None)


def benchmark(takes: Sequence[Take], which: str, seed: int = 0) -> list[Take]:
    """The takes of MMHead's benchmark "I" (who talks, sings or reads) or "II" (text to motion).

    Released membership counts where the takes have it. Otherwise I is every take with an action of TALKING; II is
    every other one, all of Multiface, and 250 talking and 250 singing takes drawn by `seed`.

    Raises FacelmError for another benchmark.
    """
    if which not in ("I", "II"):
        raise FacelmError(f"there is no benchmark {which!r} of MMHead; choose I or II")
    if any(take.extra.get("benchmarks") for take in takes):
        return [take for take in takes if which in take.extra.get("benchmarks", "").split()]
    talking = [take for take in takes if _shows(take, TALKING) and take.dataset != "multiface"]
    if which == "I":
        return talking
    drawn: set[tuple[str, str]] = set()
    for action in EXTRAS:
        found = sorted((t for t in talking if _shows(t, (action,))), key=lambda t: draw(seed, "II", t.dataset, t.id))
        drawn |= {(take.dataset, take.id) for take in found[:SAMPLED]}
    others = {(take.dataset, take.id) for take in takes} - {(take.dataset, take.id) for take in talking}
    return [take for take in takes if (take.dataset, take.id) in others | drawn]


def _shows(take: Take, actions: tuple[str, ...]) -> bool:
    return any(_words(action) in actions for action in take.labels.actions)


def _words(action: str) -> str:
    return " ".join(action.replace("_", " ").replace("-", " ").lower().split())
