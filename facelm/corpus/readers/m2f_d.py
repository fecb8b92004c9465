"""M2F-D (Media2Face, Zhao et al., 2024): expressions and head poses at 30 fps of MEAD, CREMA-D, RAVDESS, HDTF,
Acappella and videos in six more languages.

The data is not public, and its expressions are codes of the authors' own network (GNPFA), which nothing but that
network turns into a face: such files are refused with these words. What can be read is M2F-D tracked again with a
public tracker, in the folders its paper implies:

    M2F-D/MEAD/M003/happy_level_3_001.npz        source, person, clip; motion in any format facelm reads
    M2F-D/MEAD/M003/happy_level_3_001.wav        .txt: the style ("prompt") of the clip, one a line

A folder is recognised when its name is M2F-D or M2F_D.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facelm.corpus.readers import takes as folder_of_takes
from facelm.corpus.readers.sides import load_file, load_sound, npz_names
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import NEUTRAL, emotion_name
from facelm.describe.units import EMOTIONS
from facelm.errors import FacelmError
from facelm.motion import FaceMotion, LoadReport

NAME = "m2f-d"
_CODES = {"z_e", "z_exp", "latent", "expression_code", "expression_latent"}

sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the folder is named after the data set."""
    return root.resolve().name.lower().replace("_", "-") == NAME


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every clip with its source, person, sound and style; an emotion in its name becomes a label."""
    for take in folder_of_takes.takes(root, report):
        source, *between, name = take.id.split("/")
        found = [word for word in name.lower().split("_") if emotion_name(word) in (NEUTRAL, *EMOTIONS)]
        emotions = take.labels.emotions or tuple(found[:1])
        yield replace(
            take,
            dataset=NAME,
            labels=replace(take.labels, emotions=emotions),
            subject=take.subject or "/".join([source, *between[:1]]),
            extra={"source": source.lower(), **take.extra},
        )


def load(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The motion, unless it is codes of GNPFA."""
    try:
        return load_file(take)
    except FacelmError:
        if _CODES & npz_names(take.motion):
            raise FacelmError(
                f"{take.motion} holds codes of GNPFA, which only that network turns into a face; "
                "track the videos with a public tracker (SMIRK, EMOCA) and read its files"
            ) from None
        raise
