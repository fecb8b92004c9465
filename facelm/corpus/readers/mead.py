"""MEAD (Wang et al., 2020) fitted with FLAME: what EMOCA, DECA, SPECTRE or MEAD-3D wrote into MEAD's own folders.

The layout is MEAD's, and that of MEAD-3D (github.com/haonanhe/MEAD-3D) and EMICA's output:

    M003/video/front/angry/level_3/001.npz      ("video" may be left out; .npy, .pkl and folders of arrays as well)
    M003/audio/angry/level_3/001.wav            or 001.wav beside the motion; MEAD's own .m4a needs converting

M003 is a man, W009 a woman. Cameras: front, left_30, left_60, right_30, right_60, top, down.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from facelm.corpus.readers.sides import inside, load_file, load_sound, sound_beside, stem_of, takes_below
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import Labels
from facelm.errors import FacelmError

NAME = "mead"
EMOTIONS = ("neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
_SUBJECT = re.compile(r"[MW]\d{3}$")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether folders are named like MEAD's people and hold cameras or videos."""
    people = [path for path in root.iterdir() if path.is_dir() and _SUBJECT.match(path.name)]
    return any((person / name).is_dir() for person in people[:3] for name in ("video", "front", "audio"))


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every clip with its emotion, level, camera and sound."""
    return takes_below(root, NAME, _take, report)


def _take(root: Path, path: Path) -> Take:
    identity = inside(root, path)
    parts = identity.split("/")
    if len(parts) < 5 or not _SUBJECT.match(parts[0]) or not parts[-2].startswith("level_"):
        raise FacelmError(f"{path} does not lie where MEAD has its clips: M003/video/front/angry/level_3/001.npz")
    subject, camera, emotion, level, name = parts[0], *parts[-4:]
    if emotion not in EMOTIONS:
        raise FacelmError(f"{path}: {emotion!r} is none of MEAD's emotions ({', '.join(EMOTIONS)})")
    sounds = root / subject / "audio" / emotion / level
    audio = sound_beside(path.parent, stem_of(path)) or sound_beside(sounds, name)
    notes = []
    if audio is None:
        packed = (sounds / f"{name}.m4a").is_file()
        remedy = f"; convert audio/{emotion}/{level}/{name}.m4a to WAV with ffmpeg" if packed else ""
        notes.append(f"there is no sound {name}.wav{remedy}")
    return Take(
        id="/".join((subject, camera, emotion, level, name)),
        dataset=NAME,
        motion=path,
        audio=audio,
        labels=Labels(actions=("talk",), emotions=(emotion,), intensity=level),
        subject=subject,
        extra={
            "camera": camera,
            "level": level.removeprefix("level_"),
            "gender": "male" if subject[0] == "M" else "female",
        },
        notes=tuple(notes),
    )
