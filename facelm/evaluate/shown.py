"""What people are shown of a system: motions by clip id, with their words and sound."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facelm.errors import FacelmError, MissingFileError
from facelm.evaluate.clips import Clip
from facelm.evaluate.predictions import LISTS, PROMPTS, SOUNDS, WORDS, file_name
from facelm.evaluate.result import load_results
from facelm.motion import FaceMotion
from facelm.motion.files import load_motion


@dataclass(frozen=True)
class Shown:
    """A motion (or its file), the words it was asked for, and the bytes of a sound file, None without sound."""

    source: FaceMotion | Path
    prompt: str = ""
    sound: bytes | None = None

    @property
    def motion(self) -> FaceMotion:
        """The motion; its file is read now."""
        return load_motion(self.source)[0] if isinstance(self.source, Path) else self.source


def load_shown(path: str | Path, clips: Sequence[Clip] = (), benchmark: str | None = None) -> dict[str, Shown]:
    """What a system made, by clip id.

    Args:
        path: the JSON file of results that `facelm evaluate --out` wrote; or a folder of motion files, named as
            `facelm score --template` says. Words and sounds of a folder are those of prompts.jsonl in it.
        clips: of a corpus; words and sounds for a folder without prompts.jsonl.
        benchmark: which of several results; without it the first that has motions of the system.

    Raises FacelmError when there are no motions; MissingFileError when there is no such path.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"there is no {path}; give results (.json) or a folder of motion files")
    shown = _of_folder(path, clips) if path.is_dir() else _of_results(path, benchmark)
    if not shown:
        raise FacelmError(f"{path} holds no motions to show")
    return shown


def _of_results(path: Path, benchmark: str | None) -> dict[str, Shown]:
    for result in load_results(path):
        made = {case.id: Shown(case.made, case.prompt) for case in result.cases if case.made is not None}
        if made and benchmark in (None, result.benchmark):
            return made
    return {}


def _of_folder(folder: Path, clips: Sequence[Clip]) -> dict[str, Shown]:
    files = {
        path.relative_to(folder).as_posix().removesuffix(".gz").rpartition(".")[0]: path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in LISTS and path.suffix.lower() not in WORDS | SOUNDS
    }
    asked = _asked(folder) or {clip.id: (clip.prompt, clip.audio) for clip in clips}
    if not asked:
        return {name: Shown(path) for name, path in files.items()}
    found = {name: files.get(name) or files.get(file_name(name)) for name in asked}
    return {name: Shown(path, *asked[name]) for name, path in found.items() if path is not None}


def _asked(folder: Path) -> dict[str, tuple[str, bytes | None]]:
    """Words and sound by clip id, from prompts.jsonl; none where there is no such file."""
    path = folder / PROMPTS
    asked: dict[str, tuple[str, bytes | None]] = {}
    if not path.is_file():
        return asked
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            line: dict[str, Any] = json.loads(text)
            audio = line.get("audio")
            sound = (folder / Path(audio).name).read_bytes() if audio else None
            asked[str(line["id"])] = (str(line["prompt"]), sound)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise FacelmError(
                f"{path}, line {number}: no clip as facelm score --template writes it ({error})"
            ) from None
    return asked
