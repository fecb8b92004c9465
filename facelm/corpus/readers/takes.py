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

Other columns and keys ("gender", "camera", "syncnet", ...) are kept as they are for filters and protocols; what is
true of a person stands in `subjects.csv` (columns subject, gender, ...) in the uppermost folder. What the
Live Link Face app puts beside a take (frame_log.csv, take.json, a neutral frame, raw values) is left alone.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facelm.corpus.readers.fields import Row, enrich, table_rows
from facelm.corpus.readers.sides import MOTIONS, PEOPLE, SOUNDS, TABLE, load_file, load_sound, read_json, read_lines
from facelm.corpus.readers.take import SkipReport, Take
from facelm.corpus.readers.textgrid import transcript
from facelm.errors import FacelmError

NAME = "takes"
_NOT_TAKES = {TABLE, PEOPLE, "frame_log.csv", "skipped.csv"}
_ASIDE = ("_raw", "_neutral")  # the Live Link Face app's files beside a calibrated take
_TEXTS = (".txt", ".textgrid", ".json")

load = load_file
sound = load_sound


def recognises(root: Path) -> bool:
    """Whether some file in the folder or below may be a motion."""
    for folder, files in _folders(root):
        for names in _stems(files).values():
            if any(name.lower().endswith(MOTIONS) or _holds_motion(folder / name) for name in names):
                return True
    return False


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every take below the folder, sorted by its path."""
    rows: dict[str, Row] = {}
    for folder, files in _folders(root):
        inside = folder.relative_to(root).as_posix()
        prefix = "" if inside == "." else inside + "/"
        if TABLE in files:
            try:
                rows |= table_rows(folder / TABLE, prefix=prefix)
            except FacelmError as error:
                report.skip(NAME, "", folder / TABLE, error)
        for stem, names in sorted(_stems(files).items()):
            row = rows.pop(prefix + stem, None)
            try:
                motion = _motion(folder, names)
                if motion is not None:
                    yield _take(prefix + stem, folder / motion, names, row)
                elif any(name.lower().endswith(SOUNDS) for name in names):
                    report.remark(
                        NAME, prefix + stem, folder / names[0], f"{folder / names[0]} has no motion beside it"
                    )
            except FacelmError as error:
                report.skip(NAME, prefix + stem, folder / names[0], error)
    for identity, row in rows.items():
        report.skip(NAME, identity, row.table, f"{row.where} names the take {identity!r}, but there is no such motion")


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
    if not sure:
        sure = [name for name in names if _holds_motion(folder / name)]
    if len(sure) > 1:
        raise FacelmError(f"{folder / sure[0]} and {sure[1]} are two motions of one name; rename or remove one")
    return sure[0] if sure else None


def _holds_motion(path: Path) -> bool:
    """Whether a file that ends like words holds motion: BEAT's JSON, Face Cap's text."""
    if path.suffix.lower() not in (".json", ".txt"):
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    if path.suffix.lower() == ".json":
        return b'"names"' in head or b'"frames"' in head
    return head.startswith((b"info,", b"bs,"))


def _take(identity: str, motion: Path, names: list[str], row: Row | None) -> Take:
    folder, stem = motion.parent, identity.rpartition("/")[2]
    take = Take(identity, NAME, motion, audio=_sound(folder, names))
    if row is not None:
        take = enrich(take, row.fields, row.where)
    for name in names:
        path, ending = folder / name, Path(name).suffix.lower()
        if path == motion:
            continue
        if ending == ".txt":
            take = enrich(take, {"texts": list(read_lines(path))}, str(path))
        elif ending == ".textgrid":
            take = enrich(take, {"transcript": transcript(path)}, str(path))
        elif ending == ".json":
            take = enrich(take, read_json(path), str(path))
    video = next((stem + e for e in (".mov", ".mp4", ".MOV", ".MP4") if (folder / (stem + e)).is_file()), None)
    if take.audio is None and video:
        note = f"{video} may hold the sound, which facelm reads from 'ffmpeg -i {video} {stem}.wav'"
        take = replace(take, notes=(note,))
    return take


def _sound(folder: Path, names: list[str]) -> Path | None:
    return next((folder / name for name in names if name.lower().endswith(SOUNDS)), None)
