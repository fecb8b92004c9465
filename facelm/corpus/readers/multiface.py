"""Multiface (Wuu et al., 2022) fitted with FLAME: motions under the names of its captures and expressions.

    m--20180227--0000--6795937--GHS/E001_Neutral_Eyes_Open.npz             (also .npy, .pkl, a folder of arrays)
    m--20180227--0000--6795937--GHS/images/E001_Neutral_Eyes_Open/400002.npz     where each camera was fitted
    m--20180227--0000--6795937--GHS/SEN_a_good_morrow_to_you_my_boy.wav    beside it or in audio/

The names of captures, expressions (E..., EXP_...) and sentences (SEN_...) are those of
github.com/facebookresearch/multiface; its own meshes have a topology of their own and are not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from facelm.corpus.readers.sides import inside, load_file, load_sound, sound_beside, takes_below
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import Labels
from facelm.errors import FacelmError

NAME = "multiface"
_CAPTURE = re.compile(r"m--\d{8}--\d{4}--([A-Za-z0-9]+)--")
_SEGMENT = re.compile(r"(?:(SEN)_|EXP_|E\d{3}_)(.+)$")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether folders are named like captures."""
    return any(path.is_dir() and _CAPTURE.match(path.name) for path in root.iterdir())


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every expression and sentence of every capture, and every camera of it."""
    return takes_below(root, NAME, _take, report)


def _take(root: Path, path: Path) -> Take:
    parts = inside(root, path).split("/")
    capture = next((found for part in parts if (found := _CAPTURE.match(part))), None)
    place = next((i for i, part in enumerate(parts) if _SEGMENT.match(part)), None)
    if capture is None or place is None:
        raise FacelmError(f"{path} does not lie where Multiface has its expressions: m--...--GHS/E001_Name.npz")
    segment = _SEGMENT.match(parts[place])
    spoken = segment is not None and segment[1] == "SEN"
    words = segment[2].replace("_", " ").lower() if segment else ""
    folder = next(parent for parent in path.parents if _CAPTURE.match(parent.name))
    audio = sound_beside(folder, parts[place]) or sound_beside(folder / "audio", parts[place])
    return Take(
        id="/".join(part for part in parts if part != "images"),
        dataset=NAME,
        motion=path,
        audio=audio,
        transcript=words if spoken else "",
        labels=Labels(actions=("talk" if spoken else words,), transcript=words if spoken else ""),
        subject=capture[1],
        extra={"camera": parts[place + 1]} if place + 1 < len(parts) else {},
        notes=(f"there is no sound {parts[place]}.wav",) if spoken and audio is None else (),
    )
