"""What a system answers for the clips of a benchmark: drawn from a model (predict.py), or read from a folder.

Anybody's model takes part by a folder: `<name>.csv`, `.npz`, `.json` or any other motion file that facelm reads, one a
clip, and captions as `<name>.txt` or as lines of captions.jsonl. `write_template` says which names and what for.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facelm.errors import FacelmError, MissingFileError
from facelm.evaluate.clips import Clip
from facelm.files import atomic_folder
from facelm.motion import FaceMotion
from facelm.motion.files import load_motion

CAPTIONS, ANSWERS, PROMPTS = "captions.jsonl", "answers.jsonl", "prompts.jsonl"
LISTS = {CAPTIONS, ANSWERS, PROMPTS}
WORDS = {".txt"}
SOUNDS = {".wav", ".flac", ".mp3", ".ogg"}
MISSING = ("refuse", "skip")


@dataclass
class Predictions:
    """Answers for clips, in the order of the clips; None where there is none.

    Attributes:
        motions: for prompts, speech, or as reconstructions.
        captions: of the clips' motions.
        answers: to each clip's questions, in their order.
        samples: further motions for the prompts of some clips, by the clip's place, as many for each.
        notes: what a reader must know, a sentence each.
    """

    motions: list[FaceMotion | None] = field(default_factory=list)
    captions: list[str | None] = field(default_factory=list)
    answers: list[tuple[str, ...] | None] = field(default_factory=list)
    samples: dict[int, list[FaceMotion]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def file_name(identity: str) -> str:
    """The name of a clip's files without their ending: its id, characters that are none of a file's as "_"."""
    return re.sub(r"[^\w.@+-]", "_", identity)


def read_predictions(
    folder: str | Path, clips: Sequence[Clip], wanted: set[str], missing: str = "refuse"
) -> Predictions:
    """The predictions for clips in a folder.

    Args:
        wanted: of "motions", "captions", "answers".
        missing: "refuse" raises for a prediction that is absent or cannot be read; "skip" leaves it None and counts it
            in the notes.

    Raises FacelmError naming the file or the clip; MissingFileError when there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"there is no folder {folder}; see 'facelm score --template' for what it should hold")
    if missing not in MISSING:
        raise FacelmError(f"missing is {missing!r}; it is one of {', '.join(MISSING)}")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in LISTS]
    found = Predictions()
    if "motions" in wanted:
        named = _by_name(folder, [path for path in files if path.suffix.lower() not in WORDS | SOUNDS])
        found.motions = _motions(folder, named, clips, missing, found.notes)
    if "captions" in wanted:
        texts = _texts(folder, [path for path in files if path.suffix.lower() in WORDS])
        found.captions = [texts.get(clip.id, texts.get(file_name(clip.id))) for clip in clips]
        if missing == "refuse" and None in found.captions:
            _refuse(folder, found.captions, clips, "captions")
    if "answers" in wanted:
        replies = {(line["id"], line["question"]): line["answer"] for line in _lines(folder / ANSWERS, "answer", True)}
        for clip in clips:
            own = [replies.get((clip.id, question)) for question, _ in clip.questions]
            found.answers.append(None if any(a is None for a in own) else tuple(a for a in own if a is not None))
        if missing == "refuse" and None in found.answers:
            _refuse(folder, found.answers, clips, "answers")
    return found


def write_template(clips: Sequence[Clip], out: str | Path) -> Path:
    """Write what others need to take part: prompts.jsonl and the sounds. Returns the path of prompts.jsonl.

    A line a clip: id, file (the name to give its predictions, without ending), prompt, seconds, fps, layout,
    transcript, questions, and `audio`, the name of a sound file beside it, where there is one.
    """
    with atomic_folder(out) as folder:
        lines = []
        for clip in clips:
            line: dict[str, Any] = {
                "id": clip.id,
                "file": file_name(clip.id),
                "prompt": clip.prompt,
                "seconds": round(clip.motion.seconds, 3),
                "fps": clip.motion.fps,
                "layout": clip.motion.layout.name,
                "transcript": clip.transcript,
                "questions": [question for question, _ in clip.questions],
            }
            if clip.audio is not None:
                line["audio"] = f"{file_name(clip.id)}.flac"
                (folder / line["audio"]).write_bytes(clip.audio)
            lines.append(json.dumps(line, ensure_ascii=False))
        (folder / PROMPTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Path(out) / PROMPTS


def _motions(
    folder: Path, named: dict[str, Path], clips: Sequence[Clip], missing: str, notes: list[str]
) -> list[FaceMotion | None]:
    motions: list[FaceMotion | None] = []
    unreadable: list[str] = []
    rates, layouts, lengths, mended = 0, set(), 0, 0
    for clip in clips:
        path = named.get(clip.id) or named.get(file_name(clip.id))
        motions.append(None)
        if path is None:
            continue
        try:
            shown, report = load_motion(path)
            shown.to(clip.motion.layout)
        except FacelmError as error:
            told = str(error) if str(path) in str(error) else f"{path}: {error}"
            if missing == "refuse":
                raise FacelmError(f"{told}; or leave such predictions out with --missing skip") from error
            unreadable.append(told)
            continue
        motions[-1] = shown
        rates += shown.rate != clip.motion.rate
        layouts |= {shown.layout.name} - {clip.motion.layout.name}
        lengths += abs(shown.seconds - clip.motion.seconds) > 1.5 / clip.motion.fps
        mended += report.mended
    absent = [m is None for m in motions].count(True) - len(unreadable)
    if missing == "refuse" and absent:
        _refuse(folder, motions, clips, "motions")
    count = len(clips) - absent - len(unreadable)
    if unreadable:
        notes.append(f"{len(unreadable)} predicted motions cannot be read; the first: {unreadable[0]}.")
    if rates:
        notes.append(f"{rates} of {count} predicted motions have another rate than the reference and were resampled.")
    if layouts:
        notes.append(f"Predicted motions of the layout {', '.join(sorted(layouts))} were converted.")
    if lengths:
        notes.append(
            f"{lengths} of {count} predicted motions differ in length from the reference; what is compared with it is "
            "as long as the shorter of the two."
        )
    if mended:
        notes.append(f"{mended} of {count} predicted motions had gaps that were filled in.")
    return motions


def _by_name(folder: Path, files: Sequence[Path]) -> dict[str, Path]:
    """Files by their path in the folder without ending (.csv.gz is one). Raises FacelmError for two of one name."""
    named: dict[str, Path] = {}
    for path in files:
        name = path.relative_to(folder).as_posix()
        name = name.removesuffix(".gz").rpartition(".")[0] or name
        if name in named:
            raise FacelmError(f"{named[name]} and {path} are predictions for one clip; keep one of them")
        named[name] = path
    return named


def _texts(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    try:
        texts = {name: path.read_text(encoding="utf-8").strip() for name, path in _by_name(folder, files).items()}
    except UnicodeDecodeError as error:
        raise FacelmError(f"a caption in {folder} is not UTF-8 ({error}); save it as UTF-8 text") from error
    return texts | {line["id"]: line["caption"].strip() for line in _lines(folder / CAPTIONS, "caption")}


def _lines(path: Path, key: str, questions: bool = False) -> list[dict[str, str]]:
    """The lines of a jsonl file; none where there is no file. Raises FacelmError naming a line that is wrong."""
    if not path.is_file():
        return []
    keys = ("id", "question", key) if questions else ("id", key)
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            lines.append({name: line[name] for name in keys})
        except (ValueError, KeyError, TypeError):
            raise FacelmError(f"{path}, line {number}: no JSON object with {', '.join(keys)}") from None
        if not all(isinstance(value, str) for value in lines[-1].values()):
            raise FacelmError(f"{path}, line {number}: {', '.join(keys)} should be text")
    return lines


def _refuse(folder: Path, found: Sequence[Any], clips: Sequence[Clip], what: str) -> None:
    absent = [clip for clip, prediction in zip(clips, found, strict=True) if prediction is None]
    raise FacelmError(
        f"{folder} lacks {what} for {len(absent)} of {len(clips)} clips, the first is {absent[0].id}; add them "
        f"(the file is named {file_name(absent[0].id)}), or leave such clips out with --missing skip"
    )
