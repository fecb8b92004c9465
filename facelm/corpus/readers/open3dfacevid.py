"""Open3DFaceVid (TDMM-LM, Song et al., 2026): generated videos, fitted with SMIRK, with the prompts they came from.

The layout is what the authors' own fitting script writes (github.com/Songluchuan/TDMM-LM_data,
tools/smirk_inverse/datawheel_sample.py):

    coeff/prompt_1_3000/0000_happy_subtle.pkl      {"expression", "pose", "eyelid", "jaw", "identity", "camera_pose"}
    coeff/prompt_1_3000/0000_happy_subtle.txt      the prompt, where it is kept beside the motion
    prompts.json                                   or all of them: {"prompt_1_3000/0000_happy_subtle": "A woman ..."}

The form in which the prompts are released is not printed anywhere we could look; these two are read. What stands in
the name of the file (an emotion and how strong it is, or an action) becomes labels. There is no sound, and the files
do not state their rate: `fps` in labels.csv does where it is not 25.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from facelm.corpus.readers.sides import inside, load_file, load_sound, motions_below, read_json, read_lines
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import NEUTRAL, Labels, emotion_name
from facelm.describe.units import EMOTIONS
from facelm.errors import FacelmError

NAME = "open3dfacevid"
FOLDER = "coeff"
PROMPTS = "prompts.json"
INTENSITIES = ("subtle", "slight", "mild", "moderate", "medium", "strong", "intense", "extreme")
_NUMBER = re.compile(r"^\d+_\s*(?:Emotion:\s*)?")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether coeff/ holds pickles in folders of prompts."""
    return next((root / FOLDER).glob("*/*.pkl"), None) is not None


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every motion with its prompt and what its name says."""
    prompts = read_json(root / PROMPTS) if (root / PROMPTS).is_file() else {}
    for path in motions_below(root / FOLDER):
        name = inside(root / FOLDER, path)
        try:
            yield _take(path, name, prompts.get(name))
        except FacelmError as error:
            report.skip(NAME, name, path, error)


def _take(path: Path, name: str, prompt: object) -> Take:
    text = path.with_suffix(".txt")
    texts = read_lines(text) if text.is_file() else ()
    if prompt is not None:
        if not isinstance(prompt, str):
            raise FacelmError(f"{PROMPTS}, {name}: a text is needed, not {prompt!r}")
        texts = (prompt, *texts)
    return Take(
        id=name,
        dataset=NAME,
        motion=path,
        texts=texts,
        labels=_labels(name.rpartition("/")[2]),
        extra={"prompts": name.rpartition("/")[0]},
        notes=() if texts else ("there is no prompt for it",),
    )


def _labels(name: str) -> Labels:
    words = [word for word in _NUMBER.sub("", name).lower().split("_") if word]
    intensity = next((word for word in words if word in INTENSITIES), None)
    rest = [word.strip() for word in words if word not in INTENSITIES]
    known = {NEUTRAL, *EMOTIONS}
    return Labels(
        actions=tuple(word for word in rest if emotion_name(word) not in known),
        emotions=tuple(word for word in rest if emotion_name(word) in known),
        intensity=intensity,
    )
