"""BEAT (Liu et al., 2022): 30 people who talk, ARKit weights at 60 fps as JSON, sound, TextGrids.

The layout is that of the English data v0.2.1 and of readme_beat.md in github.com/PantoMatrix/PantoMatrix:

    beat_english_v0.2.1/1/1_wayne_0_1_8.json    also .wav, .TextGrid, .csv (emotion), .txt (gestures), .bvh (body)

The name is speaker number, speaker, kind of recording (0 English speech, 1 English conversation, then the same for
Chinese, Spanish and Japanese), first and last number of what was read. In speech the first number gives the emotion.
There are no released files of splits, but the page gives the rule that `_split` follows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facelm.corpus.readers.sides import load_file, load_sound, sound_beside
from facelm.corpus.readers.take import SkipReport, Take
from facelm.corpus.readers.textgrid import transcript
from facelm.describe.labels import Labels
from facelm.errors import FacelmError

NAME = "beat"
LANGUAGES = ("English", "Chinese", "Spanish", "Japanese")
_NAME = re.compile(r"(\d+)_([a-z]+)_([0-7])_(\d+)_(\d+|[ab])$")
_EMOTIONS = (  # the last number read with each
    (64, "neutral"),
    (72, "happiness"),
    (80, "anger"),
    (86, "sadness"),
    (94, "contempt"),
    (102, "surprise"),
    (110, "fear"),
    (118, "disgust"),
)
_LONG = {1, 2, 3, 4, 6, 7, 8, 9, 11, 21}  # the speakers of four hours each
_FIRST = {65, 73, 81, 87, 95, 103, 111}  # the first number of each emotion
_LAST = {72, 80, 86, 94, 102, 110, 118}

load = load_file
sound = load_sound


@dataclass(frozen=True)
class Recording:
    """What the name of a recording says."""

    speaker: int
    person: str
    kind: int
    first: int
    last: str

    @property
    def subject(self) -> str:
        """Number and name, as in "1_wayne"."""
        return f"{self.speaker}_{self.person}"

    @property
    def emotion(self) -> str:
        """The emotion that was acted; conversations count as neutral."""
        if self.kind % 2:
            return "neutral"
        return next((emotion for last, emotion in _EMOTIONS if self.first <= last), "neutral")

    @property
    def labels(self) -> Labels:
        """Talking, with the emotion."""
        return Labels(actions=("talk",), emotions=(self.emotion,))

    @property
    def extra(self) -> dict[str, str]:
        """Language, and whether it is speech or conversation."""
        return {"language": LANGUAGES[self.kind // 2], "scene": "conversation" if self.kind % 2 else "speech"}


def parse(name: str) -> Recording | None:
    """The recording of that name, or None where it is not named like one."""
    found = _NAME.match(name)
    if found is None:
        return None
    speaker, person, kind, first, last = found.groups()
    return Recording(int(speaker), person, int(kind), int(first), last)


def recognises(root: Path) -> bool:
    """Whether recordings with JSON lie in the folder or in folders of it."""
    return any(parse(path.stem) for path in _files(root))


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every recording with its sound, words and emotion."""
    for path in _files(root):
        recording = parse(path.stem)
        if recording is None:
            continue
        try:
            yield take(
                path, path.stem, recording, path.parent, path.parent / f"{path.stem}.TextGrid", _split(recording)
            )
        except FacelmError as error:
            report.skip(NAME, path.stem, path, error)


def take(
    path: Path, name: str, recording: Recording, sounds: Path, grid: Path, split: str | None, dataset: str = NAME
) -> Take:
    """A take of BEAT or BEAT2 from the places where its files should be."""
    notes = []
    audio = sound_beside(sounds, name)
    if audio is None:
        notes.append(f"there is no sound {name}.wav")
    words = ""
    if grid.is_file():
        words = transcript(grid)
    else:
        notes.append(f"there is no {grid.name}")
    labels = Labels(recording.labels.actions, recording.labels.emotions, None, words)
    return Take(
        id=name,
        dataset=dataset,
        motion=path,
        audio=audio,
        transcript=words,
        labels=labels,
        subject=recording.subject,
        split=split,
        extra=recording.extra,
        notes=tuple(notes),
    )


def _files(root: Path) -> list[Path]:
    return sorted([*root.glob("*.json"), *root.glob("*/*.json"), *root.glob("*/*/*.json")])


def _split(recording: Recording) -> str | None:
    """The split of the page of BEAT, or None for recordings the page does not name (other languages)."""
    number, half = recording.first, recording.last in ("a", "b")
    if recording.kind == 0 and recording.speaker in _LONG:
        if number <= 8 or number in _FIRST:
            return "test"
        return "validation" if 57 <= number <= 64 or number in _LAST else "train"
    if recording.kind == 1 and recording.speaker in _LONG:
        return {1: "test", 12: "validation"}.get(number, "train")
    if recording.kind in (0, 1):
        if half:
            return "test" if recording.last == "a" else "validation"
        if recording.kind == 0 and number <= 8:
            return "test" if number <= 4 else "validation"
        if number in _FIRST or (recording.kind == 1 and number == 1):
            return None  # the page cuts these in half: one half each for test and validation
        return "train"
    return None
