"""VOCASET (Cudeiro et al., 2019): 12 people, 480 sentences, meshes of FLAME's 5,023 vertices at 60 fps, and sound.

Two layouts, the release's (voca.is.tue.mpg.de) and the one FaceFormer, CodeTalker and many others make of it:

    data_verts.npy                (frames, 5023, 3)         vertices_npy/FaceTalk_170725_00137_TA_sentence01.npy
    subj_seq_to_idx.pkl           person, sentence, frame   wav/FaceTalk_170725_00137_TA_sentence01.wav
    raw_audio_fixed.pkl           person, sentence          templates.pkl
    templates.pkl                 person

Meshes become channels by a fit (facelm.rig.fit) that needs a rig with this mesh: the user's own FLAME file, in
$FACELM_FLAME or as `extra["rig"]`. The channels are those of the default head (ARKit's), or with `extra["onto"]` "rig"
FLAME's own. The split is the one by person of VOCA's authors (8, 2 and 2); others leave sentences 1 to 20 of the last
four people out as well, because the people who train say some of them too.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from facelm.corpus.readers.sides import load_sound, sound_beside, sound_notes
from facelm.corpus.readers.take import SkipReport, Sound, Take
from facelm.corpus.readers.vertices import fitted, load_array
from facelm.describe.labels import Labels
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import FaceMotion, LoadReport
from facelm.motion.formats.pickles import load_pickle

NAME = "vocaset"
FPS = 60
VERTICES, INDEX, AUDIO, TEMPLATES = "data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl"
FOLDER = "vertices_npy"
VALIDATION = ("FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA")
TEST = ("FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA")
_NAME = re.compile(r"(FaceTalk_\d+_\d+_TA)_(sentence\d+)$")


def recognises(root: Path) -> bool:
    """Whether the folder has one of the two layouts."""
    return (root / TEMPLATES).is_file() and ((root / FOLDER).is_dir() or (root / VERTICES).is_file())


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every sentence with its person, sound and split."""
    if not (root / FOLDER).is_dir():
        sounds = root / AUDIO if (root / AUDIO).is_file() else None
        index = _pickled(root / INDEX)
        for person in sorted(index):
            for sentence in sorted(_dict(index[person], root / INDEX)):
                yield _take(root / VERTICES, person, sentence, sounds, f"{person}/{sentence}")
        return
    for path in sorted((root / FOLDER).glob("*.npy")):
        named = _NAME.match(path.stem)
        if named is None:
            error = f"{path} is not named like a sentence of VOCASET (FaceTalk_170725_00137_TA_sentence01.npy)"
            report.skip(NAME, path.stem, path, error)
            continue
        yield _take(path, named[1], named[2], sound_beside(root / "wav", path.stem), None)


def load(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The sentence as channels of a rig, at 60 fps."""
    root = take.motion.parent if take.part else take.motion.parent.parent
    templates = _pickled(root / TEMPLATES)
    if take.subject not in templates:
        raise FacelmError(f"{root / TEMPLATES} has no template of {take.subject}; get it again")
    if take.part is None:
        return fitted(take, load_array(take.motion), templates[take.subject], FPS)
    motion, report = fitted(take, _sentence(take, root), templates[take.subject], FPS)
    heard = sound(take)
    if heard is None:
        return motion, report
    notes = sound_notes(len(heard.samples) / heard.rate, motion, f"its sound in {AUDIO}")
    return motion, LoadReport(report.path, report.rows, report.fps, dialect=report.dialect, notes=report.notes + notes)


def sound(take: Take, begin: float = 0.0, seconds: float | None = None) -> Sound | None:
    """What is heard: a WAV file, or its part of the release's pickle."""
    if take.part is None or take.audio is None:
        return load_sound(take, begin, seconds)
    person, _, sentence = take.part.partition("/")
    held = _dict(_pickled(take.audio).get(person), take.audio).get(sentence)
    try:
        samples, rate = np.asarray(held["audio"]), int(held["sample_rate"])  # type: ignore[index]
        scale = np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1
        first = round(begin * rate)
        chosen = samples.ravel()[first : None if seconds is None else first + round(seconds * rate)]
        return Sound((chosen / scale).astype(np.float32), rate)
    except (TypeError, KeyError, ValueError) as error:
        raise FacelmError(
            f"{take.audio} has no audio and sample_rate of {take.part} ({error!r}); get it again"
        ) from error


def _take(motion: Path, person: str, sentence: str, audio: Path | None, part: str | None) -> Take:
    return Take(
        id=f"{person}/{sentence}",
        dataset=NAME,
        motion=motion,
        part=part,
        audio=audio,
        labels=Labels(actions=("talk",)),
        subject=person,
        split="validation" if person in VALIDATION else "test" if person in TEST else "train",
        extra={"sentence": sentence},
        notes=() if audio else (f"there is no sound of {person}, {sentence}",),
    )


def _sentence(take: Take, root: Path) -> np.ndarray:
    """The vertices of a sentence (T, 5023, 3) in the release's array of all frames."""
    person, _, sentence = str(take.part).partition("/")
    frames = _dict(_dict(_pickled(root / INDEX).get(person), root / INDEX).get(sentence), root / INDEX)
    everything = load_array(take.motion)
    try:
        rows = [int(frames[place]) for place in sorted(frames)]
        if not rows or not 0 <= min(rows) <= max(rows) < len(everything):
            raise ValueError(f"frames {min(rows, default=0)} to {max(rows, default=0)} of {len(everything)}")
        return np.asarray(everything[rows])
    except (TypeError, ValueError) as error:
        raise FacelmError(f"{root / INDEX}, {take.part}: its frames are not in {VERTICES} ({error})") from None


def _pickled(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}; it comes with VOCASET")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> dict[str, Any]:
    """A pickle of the release, read once; `changed` is the time of its last change."""
    return _dict(load_pickle(path), path)


def _dict(value: Any, path: Path) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise FacelmError(f"{path} is not what VOCASET has under that name; get it again")
    return value
