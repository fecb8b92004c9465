"""CelebV-HQ (Zhu et al., 2022) fitted with FLAME, with its labels of actions and emotions.

The layout of the labels is that of github.com/CelebV-HQ/CelebV-HQ:

    celebvhq_info.json             {"meta_info": {"action_mapping": [...], "appearance_mapping": [...]}, "clips": {...}}
    any/folders/M2Ohb0FAaJU_1.npz  a motion named like its clip (also .npy, .pkl, a folder of arrays); .wav beside it

The emotion of a clip is one word, or several with their seconds, which stay in order of time. Labels of clips without
a motion here are passed over.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facelm.corpus.readers.sides import load_file, load_sound, motions_below, read_json, sound_beside, stem_of
from facelm.corpus.readers.take import SkipReport, Take
from facelm.describe.labels import Labels
from facelm.errors import FacelmError

NAME = "celebv-hq"
LABELS = "celebvhq_info.json"

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the file of labels lies in the folder."""
    return (root / LABELS).is_file()


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every motion whose clip has labels."""
    yield from labelled(root, root / LABELS, NAME, report)


def labelled(root: Path, labels: Path, dataset: str, report: SkipReport) -> Iterator[Take]:
    """The takes of a data set with labels of this form (CelebV-HQ, CelebV-Text)."""
    data = read_json(labels)
    clips = data.get("clips", data)
    meta = data.get("meta_info", {})
    if not isinstance(clips, dict) or not isinstance(meta, dict):
        raise FacelmError(f"{labels} has no 'clips' with the labels of each clip; get the file again")
    clips = {stem_of(Path(name)).removesuffix(".mp4"): value for name, value in clips.items()}
    for path in motions_below(root):
        name = stem_of(path)
        if name not in clips:
            report.skip(dataset, name, path, f"{path} is no clip that {labels.name} has labels of")
            continue
        try:
            yield _take(path, name, clips[name], meta, dataset, f"{labels}, clip {name}")
        except FacelmError as error:
            report.skip(dataset, name, path, error)


def _take(path: Path, name: str, clip: Any, meta: dict[str, Any], dataset: str, where: str) -> Take:
    if not isinstance(clip, dict):
        raise FacelmError(f"{where}: it has no fields; get the file again")
    attributes = clip.get("attributes", {})
    actions = _chosen(attributes, "action", meta, where)
    emotions = _emotions(attributes.get("emotion"), where)
    looks = _chosen(attributes, "appearance", meta, where)
    audio = sound_beside(path.parent, name)
    extra = {"video": str(clip.get("ytb_id", ""))}
    if "appearance" in attributes:
        extra["gender"] = "male" if "Male" in looks or "male" in looks else "female"
    return Take(
        id=name,
        dataset=dataset,
        motion=path,
        audio=audio,
        labels=Labels(actions=actions, emotions=emotions),
        extra=extra,
        notes=() if audio else (f"there is no sound {name}.wav",),
    )


def _chosen(attributes: dict[str, Any], kind: str, meta: dict[str, Any], where: str) -> tuple[str, ...]:
    """The names of the attributes that are 1."""
    flags, names = attributes.get(kind, []), meta.get(f"{kind}_mapping", [])
    if all(isinstance(flag, str) for flag in flags):
        return tuple(flags)
    if len(flags) != len(names):
        raise FacelmError(f"{where}: {len(flags)} labels of {kind}, but {kind}_mapping has {len(names)} names")
    return tuple(str(label) for label, flag in zip(names, flags, strict=True) if flag)


def _emotions(emotion: Any, where: str) -> tuple[str, ...]:
    labels = emotion.get("labels", ()) if isinstance(emotion, dict) else emotion or ()
    if isinstance(labels, str):
        return (labels,)
    try:
        spans = [(float(each["start_sec"]), float(each["end_sec"]), str(each["emotion"])) for each in labels]
    except (TypeError, KeyError, ValueError) as error:
        raise FacelmError(f"{where}: its emotions need emotion, start_sec and end_sec each ({error!r})") from None
    for start, end, name in spans:
        if not 0 <= start <= end:
            raise FacelmError(f"{where}: the emotion {name!r} lasts from {start:g} to {end:g} s, which cannot be")
    return tuple(name for _, _, name in sorted(spans))
