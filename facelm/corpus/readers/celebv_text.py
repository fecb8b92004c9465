"""CelebV-Text (Yu et al., 2023) fitted with FLAME, with its labels and its sentences.

    celebvtext_info.json                clips, as the release has them (github.com/celebv-text/CelebV-Text)
    emotion/oC9r-CTbToE_0_0.txt         sentences about the emotion, one a line; action/ likewise
    any/folders/oC9r-CTbToE_0_0.npz     a motion named like its clip (also .npy, .pkl, a folder of arrays); .wav beside

The page of the release does not print the form of its file of labels ("metadata annotation"); it is read in the form
that the same authors gave CelebV-HQ, with the names of actions and emotions as words or as flags.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facelm.corpus.readers.celebv_hq import labelled
from facelm.corpus.readers.sides import load_file, load_sound, read_lines
from facelm.corpus.readers.take import SkipReport, Take
from facelm.errors import FacelmError

NAME = "celebv-text"
LABELS = "celebvtext_info.json"
SENTENCES = ("action", "emotion")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the file of clips lies in the folder."""
    return (root / LABELS).is_file()


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every motion whose clip is known, with its labels and sentences."""
    for take in labelled(root, root / LABELS, NAME, report):
        try:
            files = [root / kind / f"{take.id}.txt" for kind in SENTENCES]
            yield replace(take, texts=tuple(line for file in files if file.is_file() for line in read_lines(file)))
        except FacelmError as error:
            report.skip(NAME, take.id, take.motion, error)
