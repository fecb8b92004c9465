"""BEAT2 (EMAGE, Liu et al., 2024): BEAT with FLAME faces at 30 fps in SMPL-X files.

The layout is that of the release (huggingface.co/datasets/H-Liu1997/BEAT2) and its loaders:

    beat_english_v2.0.0/            also beat_chinese_v2.0.0 and others, one or several in a folder
      smplxflame_30/2_scott_0_1_1.npz
      wave16k/2_scott_0_1_1.wav
      textgrid/2_scott_0_1_1.TextGrid
      train_test_split.csv          id,type with the types train, val, test and additional (more for training)

Takes of the type "additional" have no split of their own; `extra["released"]` says the type.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facelm.corpus.readers import beat
from facelm.corpus.readers.sides import load_file, load_sound, read_table, split_name
from facelm.corpus.readers.take import SkipReport, Take
from facelm.errors import FacelmError

NAME = "beat2"
MOTIONS = "smplxflame_30"
TABLE = "train_test_split.csv"
EXTRA = "additional"

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the folder, or one in it, holds smplxflame_30."""
    return bool(_releases(root))


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every recording with its sound, words, emotion and released split."""
    for release in _releases(root):
        types: dict[str, str] = {}
        if (release / TABLE).is_file():
            try:
                types = {row["id"]: _type(row["type"], release, line) for line, row in _rows(release)}
            except FacelmError as error:
                report.skip(NAME, "", release / TABLE, error)
        for path in sorted((release / MOTIONS).glob("*.npz")):
            recording = beat.parse(path.stem)
            if recording is None:
                report.remark(
                    NAME, path.stem, path, f"{path} is not named like a recording of BEAT (2_scott_0_1_1.npz)"
                )
                continue
            grid = release / "textgrid" / f"{path.stem}.TextGrid"
            kind = types.pop(path.stem, "")
            split = None if kind in ("", EXTRA) else kind
            try:
                found = beat.take(path, path.stem, recording, release / "wave16k", grid, split, NAME)
                yield replace(found, extra={**found.extra, "released": kind}) if kind else found
            except FacelmError as error:
                report.skip(NAME, path.stem, path, error)
        for name in types:
            report.remark(NAME, name, release / TABLE, f"{TABLE} names {name}, but {MOTIONS}/{name}.npz is missing")


def _releases(root: Path) -> list[Path]:
    places = [root, *sorted(path for path in root.iterdir() if path.is_dir())] if root.is_dir() else []
    return [place for place in places if (place / MOTIONS).is_dir()]


def _rows(release: Path) -> Iterator[tuple[int, dict[str, str]]]:
    return read_table(release / TABLE, needed=("id", "type"))


def _type(name: str, release: Path, line: int) -> str:
    return EXTRA if name == EXTRA else split_name(name, f"{release / TABLE} row {line}") or ""
