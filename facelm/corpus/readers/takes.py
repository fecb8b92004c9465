"""A folder of takes: anybody's captures, one file of motion a take and whatever is known about it beside it.

    captures/
      anna_01.csv            motion in any format facelm reads (also .csv.gz, .npz, .npy, .pkl, .glb, .gltf, BEAT .json)
      anna_01.wav            optional: what is heard, from the same moment on (also .flac, .mp3, .ogg)
      anna_01.txt            optional: captions, one a line
      anna_01.TextGrid       optional: what is said, as Praat and the Montreal Forced Aligner write it
      anna_01.json           optional: {"subject": "anna", "emotion": ["happy"], "actions": ["talk"],
                             "split": "train", "intensity": "strong", "transcript": "...", "texts": [...],
                             "annotations": {...}, "fps": 30}
      labels.csv             optional, in any folder, for takes there and below: a row a take, with the columns take,
                             subject, emotion, actions, split, ...; several emotions stand between ";"
      more/takes/...         sub-folders as one likes; their names become part of the take's id

Other columns and keys ("gender", "camera", "syncnet", ...) are kept as they are for filters and protocols. What the
Live Link Face app puts beside a take (frame_log.csv, take.json, a neutral frame, raw values) is left alone.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facelm.corpus.readers.sides import (
    MOTIONS,
    SOUNDS,
    load_file,
    load_sound,
    plain_number,
    read_json,
    read_lines,
    read_table,
    several,
    split_name,
)
from facelm.corpus.readers.take import SkipReport, Take
from facelm.corpus.readers.textgrid import transcript
from facelm.describe.annotations import Annotations
from facelm.describe.labels import Labels
from facelm.errors import FacelmError

NAME = "takes"
TABLE = "labels.csv"
_NOT_TAKES = {TABLE, "frame_log.csv", "readme.txt", "license.txt", "skipped.csv"}
_ASIDE = ("_raw", "_neutral")  # the Live Link Face app's files beside a calibrated take
_TEXTS = (".txt", ".textgrid", ".json")
_LISTS = {"emotion": "emotions", "emotions": "emotions", "action": "actions", "actions": "actions", "texts": "texts"}
_LISTS |= {"text": "texts", "caption": "texts", "captions": "texts"}
_WORDS = ("subject", "split", "intensity", "transcript")
_ANNOTATED = ("action", "emotion", "expression", "head_pose", "scenarios", "summary")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether some file in the folder or below may be a motion."""
    for _, files in _folders(root):
        stems = _stems(files)
        if any(_motion(Path(), names) for names in stems.values()):
            return True
    return False


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every take below the folder, sorted by its path."""
    rows: dict[str, _Row] = {}
    for folder, files in _folders(root):
        if TABLE in files:
            try:
                rows |= _rows(folder / TABLE, folder.relative_to(root))
            except FacelmError as error:
                report.skip(NAME, "", folder / TABLE, error)
        for stem, names in sorted(_stems(files).items()):
            identity = (folder.relative_to(root) / stem).as_posix()
            try:
                motion = _motion(folder, names)
                if motion is not None:
                    yield _take(identity, folder / motion, names, rows.pop(identity, None))
                elif any(name.lower().endswith(SOUNDS) for name in names):
                    report.remark(NAME, identity, folder / names[0], f"{folder / names[0]} has no motion beside it")
            except FacelmError as error:
                rows.pop(identity, None)
                report.skip(NAME, identity, folder / names[0], error)
    for identity, row in rows.items():
        report.skip(NAME, identity, row.table, f"{row.where} names the take {identity!r}, but there is no such motion")


@dataclass(frozen=True)
class _Row:
    table: Path
    line: int
    fields: dict[str, str]

    @property
    def where(self) -> str:
        return f"{self.table} row {self.line}"


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in files if not name.startswith("."))


def _stems(files: list[str]) -> dict[str, list[str]]:
    """The files of each take, by name without ending."""
    stems: dict[str, list[str]] = defaultdict(list)
    for name in files:
        ending = next((e for e in (*MOTIONS, *SOUNDS, *_TEXTS) if name.lower().endswith(e)), None)
        if ending is None or name.lower() in _NOT_TAKES:
            continue
        stem = name[: -len(ending)]
        if not stem.endswith(_ASIDE):
            stems[stem].append(name)
    return stems


def _motion(folder: Path, names: list[str]) -> str | None:
    """Which file of a take is its motion. Raises FacelmError when two may be."""
    sure = [name for name in names if name.lower().endswith(MOTIONS)]
    if not sure:  # BEAT's JSON and Face Cap's text end like files of words
        sure = [name for name in names if name.lower().endswith((".json", ".txt")) and _holds_motion(folder / name)]
    if len(sure) > 1:
        raise FacelmError(f"{folder / sure[0]} and {sure[1]} are two motions of one name; rename or remove one")
    return sure[0] if sure else None


def _holds_motion(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    if path.suffix.lower() == ".json":
        return b'"names"' in head or b'"frames"' in head
    return head.startswith((b"info,", b"bs,"))


def _take(identity: str, motion: Path, names: list[str], row: _Row | None) -> Take:
    folder, stem = motion.parent, identity.rpartition("/")[2]
    known = _known(row.fields, row.where) if row else {}
    audio, notes = None, []
    for name in names:
        path, ending = folder / name, Path(name).suffix.lower()
        if ending in SOUNDS:
            audio = path
        elif ending == ".txt" and path != motion:
            known["texts"] = (*known.get("texts", ()), *read_lines(path))
        elif ending == ".textgrid":
            known["transcript"] = transcript(path)
        elif ending == ".json" and path != motion:
            known |= _known(read_json(path), str(path))
    if audio is None and (video := _video(folder, stem)):
        notes.append(f"{video} holds the sound; take it out with 'ffmpeg -i {video} {stem}.wav'")
    words = {key: known.pop(key, "") for key in _WORDS}
    lists = {key: known.pop(key, ()) for key in ("emotions", "actions", "texts")}
    return Take(
        id=identity,
        dataset=NAME,
        motion=motion,
        audio=audio,
        transcript=words["transcript"],
        texts=lists["texts"],
        annotations=known.pop("annotations", None),
        labels=Labels(lists["actions"], lists["emotions"], words["intensity"] or None, words["transcript"]),
        subject=words["subject"],
        split=split_name(words["split"], identity),
        extra=known,
        notes=tuple(notes),
    )


def _video(folder: Path, stem: str) -> str | None:
    return next((stem + end for end in (".mov", ".mp4", ".MOV", ".MP4") if (folder / (stem + end)).is_file()), None)


def _rows(path: Path, folder: Path) -> dict[str, _Row]:
    """The rows of a table by the id of their take; a table may name takes in folders below its own."""
    rows: dict[str, _Row] = {}
    for line, fields in read_table(path, needed=("take",)):
        name = fields.pop("take")
        for ending in MOTIONS:
            name = name.removesuffix(ending)
        identity = (folder / name).as_posix()
        if identity in rows:
            raise FacelmError(f"{path} row {line} names the take {name!r} again, after row {rows[identity].line}")
        rows[identity] = _Row(path, line, {key: value for key, value in fields.items() if value})
    return rows


def _known(fields: dict[str, Any], where: str) -> dict[str, Any]:
    """What a table row or a JSON file says, checked, under the names `_take` uses."""
    known: dict[str, Any] = {}
    for key, value in fields.items():
        key = key.lower()
        if key in _LISTS:
            known[_LISTS[key]] = _strings(value, f"{where}, {key}", split=_LISTS[key] != "texts")
        elif key == "annotations":
            known[key] = _annotations(value, where)
        elif isinstance(value, (dict, list)):
            raise FacelmError(f"{where}, {key}: a word or number is needed, not a {type(value).__name__}")
        elif value is not None:
            known[key] = str(value)
    if "fps" in known and plain_number(known["fps"], f"{where}, fps") <= 0:
        raise FacelmError(f"{where}, fps: {known['fps']} is no rate; write frames a second, such as 30")
    if "split" in known:
        known["split"] = split_name(known["split"], f"{where}, split") or ""
    return known


def _strings(value: Any, where: str, split: bool) -> tuple[str, ...]:
    if isinstance(value, str):
        return several(value) if split else (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise FacelmError(f"{where}: a text or a list of texts is needed")


def _annotations(value: Any, where: str) -> Annotations:
    if not isinstance(value, dict) or set(value) != set(_ANNOTATED):
        raise FacelmError(f"{where}, annotations: it needs the fields {', '.join(_ANNOTATED)} and no others")
    scenarios = _strings(value["scenarios"], f"{where}, annotations, scenarios", split=False)
    texts = {name: value[name] for name in _ANNOTATED if name != "scenarios"}
    if wrong := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise FacelmError(f"{where}, annotations, {wrong[0]}: a text is needed")
    try:
        return Annotations(scenarios=scenarios, **texts)
    except FacelmError as error:
        raise FacelmError(f"{where}, annotations: {error}") from error
