"""MMHead (Wu et al., 2024): FLAME motions at 25 fps of five video data sets, with sound and five texts a clip.

The layout is that of the page of the release (github.com/wsj-sjtu/MMHead), with both archives unpacked:

    MMHead/
      facial_motion/CELEBVHQ_--uyzf7X_0c_0.pkl        (T, 56): 50 expression, neck, jaw
      audio/CELEBVHQ_--uyzf7X_0c_0.wav
      text_annotations/{action,emotion,detail_expression,detail_head_pose,emotion_scenario}/CELEBVHQ_....txt
      talking_subset.json, t2m_subset.json            benchmarks I and II with their train, validation and test lists

The data is given out under an agreement, so what stands inside the two lists could not be looked up: {"train":
[names], "val": ...}, {name: "train", ...} and [{"name": ..., "split": ...}, ...] are read, names with or without an
ending. The released texts need not keep the paper's own limits; they are taken as they are and the takes say so.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facelm.corpus.readers.sides import (
    load_sound,
    motions_below,
    read_json,
    read_lines,
    sound_beside,
    split_name,
    stem_of,
)
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.annotations import SCENARIOS, Annotations, check
from facelm.errors import FacelmError
from facelm.motion import FaceMotion, LoadReport, load_motion

NAME = "mmhead"
FPS = 25
SUBSETS = {"I": "talking_subset.json", "II": "t2m_subset.json"}
TEXTS = {  # ours -> its folder
    "action": "action",
    "emotion": "emotion",
    "expression": "detail_expression",
    "head_pose": "detail_head_pose",
    "scenarios": "emotion_scenario",
}
_NUMBER = re.compile(r"^\s*(?:\(?\d+[.):]|[-*•])\s*")

sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the folder holds the motions and texts of a release, packed or not."""
    return (root / "text_annotations").is_dir() and any((root / f"facial_motion{e}").exists() for e in ("", ".zip"))


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every motion with its sound, texts, benchmarks and released split."""
    for name in ("facial_motion", "audio"):
        if (root / f"{name}.zip").is_file() and not (root / name).is_dir():
            raise FacelmError(f"{root / name}.zip is packed; unpack it with 'unzip {name}.zip -d {name}' in {root}")
    subsets: dict[str, dict[str, str]] = {}
    for benchmark, file in SUBSETS.items():
        if (root / file).is_file():
            try:
                subsets[benchmark] = _subset(root / file)
            except FacelmError as error:
                report.skip(NAME, "", root / file, error)
    sounds = _sounds(root / "audio")
    seen = set()
    for path in motions_below(root / "facial_motion"):
        name = stem_of(path)
        seen.add(name)
        try:
            yield _take(root, path, name, sounds, subsets)
        except FacelmError as error:
            report.skip(NAME, name, path, error)
    for benchmark, names in subsets.items():
        for name in sorted(set(names) - seen):
            list_file = root / SUBSETS[benchmark]
            report.remark(NAME, name, list_file, f"{list_file.name} names {name}, but it has no motion here")


def load(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The motion at 25 fps."""
    return load_motion(take.motion, fps=float(take.extra.get("fps", FPS)))


def _take(root: Path, path: Path, name: str, sounds: Path | None, subsets: dict[str, dict[str, str]]) -> Take:
    notes: list[str] = []
    audio = None
    if sounds is not None and (audio := sound_beside(sounds, name)) is None:
        notes.append(f"there is no sound {name}.wav in {sounds.name}/")
    benchmarks = {benchmark: names[name] for benchmark, names in subsets.items() if name in names}
    extra = {"source": name.partition("_")[0].lower(), "benchmarks": " ".join(benchmarks)}
    extra |= {f"split {benchmark}": split for benchmark, split in benchmarks.items()}
    return Take(
        id=name,
        dataset=NAME,
        motion=path,
        audio=audio,
        annotations=_annotations(root / "text_annotations", name, notes),
        split=next(iter(benchmarks.values()), None),
        extra=extra,
        notes=tuple(notes),
    )


def _sounds(folder: Path) -> Path | None:
    """Where the sound files lie: in the folder, or one level below where unpacking made a folder in a folder."""
    if not folder.is_dir():
        return None
    return folder / folder.name if (folder / folder.name).is_dir() else folder


def _annotations(folder: Path, name: str, notes: list[str]) -> Annotations | None:
    lines = {}
    for kind, place in TEXTS.items():
        path = folder / place / f"{name}.txt"
        if path.is_file():
            lines[kind] = [_NUMBER.sub("", line) for line in read_lines(path)]
        else:
            notes.append(f"there is no text {place}/{name}.txt")
    if not any(lines.values()):
        return None
    texts = {kind: " ".join(lines.get(kind, ())) for kind in TEXTS}
    scenarios = tuple(lines.get("scenarios", ()))
    if scenarios and len(scenarios) != SCENARIOS:
        notes.append(f"it has {len(scenarios)} scenarios, not {SCENARIOS}")
    texts.pop("scenarios")
    for kind, text in [*texts.items(), *(("scenarios", text) for text in scenarios)]:
        if text and (wrong := check(kind, text)):
            notes.append(f"a limit of the paper is not kept: {wrong[0]}")
    return Annotations(
        texts["action"], texts["emotion"], texts["expression"], texts["head_pose"], scenarios, "", strict=False
    )


# ---------------------------------------------------------------- the released lists


def _subset(path: Path) -> dict[str, str]:
    """The split of each name in a released list."""
    found: dict[str, str] = {}
    data = read_json(path, dict, list)
    for name, split in _pairs(data, path):
        name = stem_of(Path(name)).removesuffix(".wav").removesuffix(".txt")
        if found.setdefault(name, split) != split:
            raise FacelmError(f"{path} puts {name} into two splits, {found[name]} and {split}")
    if not found:
        raise FacelmError(f"{path} names no clip with a split; its form is not one that facelm knows")
    return found


def _pairs(data: Any, path: Path) -> Iterator[tuple[str, str]]:
    if isinstance(data, list):
        for place, each in enumerate(data, start=1):
            name = (
                next((each[k] for k in ("name", "id", "file", "filename") if k in each), None)
                if _is_dict(each)
                else None
            )
            if not isinstance(name, str) or not isinstance(each.get("split"), str):
                raise FacelmError(f"{path}, entry {place}: it needs a name and a split")
            yield name, split_name(each["split"], f"{path}, {name}") or "train"
        return
    for key, value in data.items():
        if isinstance(value, str):
            yield key, split_name(value, f"{path}, {key}") or "train"
        elif isinstance(value, list | dict):
            split = split_name(key, f"{path}, its list {key!r}") or "train"
            for name in value:
                name = next((name[k] for k in ("name", "id", "file") if k in name), None) if _is_dict(name) else name
                if not isinstance(name, str):
                    raise FacelmError(f"{path}, its list {key!r}: names of clips are needed, not {name!r}")
                yield name, split
        else:
            raise FacelmError(f"{path}, {key}: a split or a list of names is needed, not {value!r}")


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)
