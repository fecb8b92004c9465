"""RAVDESS (Livingstone and Russo, 2018) fitted with FLAME: motions under RAVDESS's own file names.

    Actor_01/01-01-06-01-02-01-12.npz      also .npy, .pkl or a folder of arrays; any folders above
    Actor_01/03-01-06-01-02-01-12.wav      the sound-only file of the same recording, or one named like the motion

The seven numbers (zenodo.org/records/1188976): modality (01 sound and picture, 02 picture, 03 sound), 01 speech or
02 song, emotion, 01 normal or 02 strong, statement, repetition, actor (odd numbers are men).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from facelm.corpus.readers.sides import SOUNDS, load_file, load_sound, motions_below, stem_of
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import Labels
from facelm.errors import FacelmError

NAME = "ravdess"
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
STATEMENTS = ("Kids are talking by the door", "Dogs are sitting by the door")
_NAME = re.compile(r"(0[12])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])$")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the first motions are named like RAVDESS's recordings."""
    first = next(motions_below(root), None)
    return first is not None and _NAME.match(stem_of(first)) is not None


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every recording with its emotion, statement, actor and sound."""
    sounds = {path.stem: path for path in sorted(root.rglob("*")) if path.suffix.lower() in SOUNDS}
    for path in motions_below(root):
        name = stem_of(path)
        try:
            yield _take(path, name, sounds)
        except FacelmError as error:
            report.skip(NAME, name, path, error)


def _take(path: Path, name: str, sounds: dict[str, Path]) -> Take:
    found = _NAME.match(name)
    if found is None:
        raise FacelmError(f"{path} is not named like a recording of RAVDESS (01-01-06-01-02-01-12.npz)")
    _, channel, emotion, intensity, statement, _, actor = found.groups()
    audio = sounds.get(name) or sounds.get("03" + name[2:])
    words = STATEMENTS[int(statement) - 1]
    return Take(
        id=name,
        dataset=NAME,
        motion=path,
        audio=audio,
        transcript=words,
        labels=Labels(
            actions=("talk" if channel == "01" else "sing",),
            emotions=(EMOTIONS[int(emotion) - 1],),
            intensity="normal" if intensity == "01" else "strong",
            transcript=words,
        ),
        subject=f"Actor_{actor}",
        extra={"gender": "male" if int(actor) % 2 else "female", "camera": "front"},
        notes=() if audio else (f"there is no sound 03{name[2:]}.wav",),
    )
