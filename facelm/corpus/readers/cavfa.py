"""3D-CAVFA (PMMTalk, Han et al., 2023): Live Link Face at 60 fps, Mandarin, 14 men and 6 women.

The data is not public. Its paper says what there is (61 channels of Live Link Face with their times, sound at 48 kHz,
the text that was read, 20 actors) but not in which folders; this reader expects

    3D-CAVFA/S01/S01_0001.csv, S01_0001.wav, S01_0001.txt (what is said)     one folder an actor
    3D-CAVFA/subjects.csv                                                     subject,gender: S01,female ...

A folder is recognised when its name has CAVFA in it. The genders are needed for the paper's cross-gender protocol.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facelm.corpus.readers import takes as folder_of_takes
from facelm.corpus.readers.sides import load_file, load_sound
from facelm.corpus.readers.take import SkipReport, Take

NAME = "3d-cavfa"

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the folder is named after the data set."""
    return "cavfa" in root.resolve().name.lower()


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every take with its sound, the text that was read, and the actor."""
    for take in folder_of_takes.takes(root, report):
        words = " ".join(take.texts)
        notes = () if take.audio else (f"there is no sound {take.id}.wav",)
        yield replace(
            take,
            dataset=NAME,
            transcript=words,
            texts=(),
            labels=replace(take.labels, actions=("talk",), transcript=words),
            subject=take.subject or take.id.partition("/")[0],
            extra={"language": "Chinese", **take.extra},
            notes=notes,
        )
