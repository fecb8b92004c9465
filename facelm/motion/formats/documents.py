"""JSON of weights as programs dump it: MediaPipe's lists of categories, Audio2Face, and what the JSON readers share.

MediaPipe (Python or JavaScript), a list of frames or an object with `frames`; a frame is a list of
`{"categoryName": ..., "score": ...}`, or an object with `blendshapes` (such a list, or `{name: weight}`) and a time.
Audio2Face: `{"exportFps": ..., "facsNames": [...], "weightMat": [[...], ...]}`.
"""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.rows import NamedRows, as_motion, decode, time_unit
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion
from facelm.motion.timecode import exact_rate

LISTS = ("frames", "results", "data", "faceBlendshapes", "face_blendshapes", "blendshapes")
WEIGHTS = ("faceBlendshapes", "face_blendshapes", "blendshapes", "blendShapes", "weights", "categories")
NAMES, SCORES = ("categoryName", "category_name", "name"), ("score", "weight", "value")
TIMES = {  # key: units to a second
    **dict.fromkeys(("time", "seconds", "t"), 1.0),
    **dict.fromkeys(("timestamp_ms", "timestampMs", "time_ms", "timeMs"), 1e3),
    **dict.fromkeys(("timestamp_us", "timestampUs"), 1e6),
    **dict.fromkeys(("timestamp",), 0.0),  # told from its steps
}

_DEFAULTS = ReadOptions()


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is JSON of blendshapes."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    marks = (b"ategoryName", b"ategory_name", b"lendshape", b"lendShape", b"facsNames", b'"eyeBlink', b'"jawOpen"')
    return start in (b"{", b"[") and any(mark in head for mark in marks)


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion of MediaPipe's or Audio2Face's JSON; frames without a face count as short rows.

    Raises FacelmError naming the frame.
    """
    document = load_json(path, lists=True)
    if isinstance(document, dict) and "facsNames" in document:
        return as_motion(_audio2face(path, document), options)
    frames = document
    if isinstance(document, dict):
        frames = next((document[key] for key in LISTS if isinstance(document.get(key), list)), None)
    if not isinstance(frames, list) or not frames:
        raise FacelmError(f"{path} has no list of frames with blendshapes")
    rate = rate_of(path, document) if isinstance(document, dict) else None
    return as_motion(_mediapipe(path, frames, rate), options)


def load_json(path: Path, lists: bool = False) -> Any:
    """The object (or list, where allowed) of a JSON file. Raises FacelmError when it is none."""
    with open(path, "rb") as file:
        text = decode(path, file.read())
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FacelmError(f"{path} is damaged JSON ({error}); get or export it again") from None
    if not isinstance(document, (dict, list) if lists else dict):
        raise FacelmError(f"{path} must hold a JSON object, not {type(document).__name__}")
    return document


def number(path: Path, where: str, value: Any) -> float:
    """A JSON number. Raises FacelmError with `where` when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        told = "is absent" if value is None else f"is no number but {type(value).__name__}"
        raise FacelmError(f"{path} {where} {told}")
    try:
        return float(value)
    except OverflowError:
        raise FacelmError(f"{path} {where} is too large") from None


def numbers(path: Path, where: str, row: Any) -> np.ndarray:
    """A JSON list of numbers as float64 (N,). Raises FacelmError with `where` when it is none."""
    if not isinstance(row, list):
        raise FacelmError(f"{path} {where} must be a list of numbers")
    return np.array([number(path, where, value) for value in row], dtype=np.float64)


def rate_of(path: Path, document: dict[str, Any]) -> Fraction | None:
    """The rate a document states as fps (or exportFps), or None."""
    fps = document.get("fps", document.get("exportFps"))
    if fps is None:
        return None
    if isinstance(fps, bool) or not isinstance(fps, int | float | str):
        raise FacelmError(f"{path}: fps must be a positive number, not {fps!r}")
    try:
        return exact_rate(float(fps))
    except (ValueError, OverflowError):
        raise FacelmError(f"{path}: fps must be a positive number, not {fps!r}") from None


# ---------------------------------------------------------------- MediaPipe


def _mediapipe(path: Path, frames: list[Any], rate: Fraction | None) -> NamedRows:
    names: list[str] = []
    values, lines, short, times = [], [], [], []
    unit = 1.0
    for index, frame in enumerate(frames):
        scores = _scores(path, index, frame)
        if not scores:
            short.append(index)
            continue
        names = names or list(scores)
        absent = [name for name in names if name not in scores]
        if absent:
            raise FacelmError(f"{path} frame {index} has no {absent[0]}, which the frames before it have")
        values.append([number(path, f"frame {index}: {name}", scores[name]) for name in names])
        lines.append(index)
        key = next((key for key in TIMES if isinstance(frame, dict) and key in frame), None)
        if key is not None:
            unit = TIMES[key]
            times.append(number(path, f"frame {index}: {key}", frame[key]))
    if times and len(times) < len(lines):
        raise FacelmError(f"{path}: only {len(times)} of {len(lines)} frames have a time; give all a time or none")
    rows = NamedRows(
        path,
        names,
        np.array(values, dtype=np.float64).reshape(len(values), len(names)),
        np.array(lines, dtype=np.int64),
        np.array(lines, dtype=np.int64),
        "MediaPipe JSON",
        rate=rate,
        short=short,
        unit="frame",
    )
    if times:
        stamps = np.array(times)
        if not unit:
            unit, word = time_unit(path, stamps)
            rows.notes.append(f"the timestamps were taken as {word}.")
        rows.seconds = stamps / unit
    return rows


def _scores(path: Path, index: int, frame: Any) -> dict[str, Any]:
    """{name: weight} of a frame, wherever its blendshapes stand; empty where no face was seen."""
    while True:
        if isinstance(frame, dict) and (key := next((key for key in WEIGHTS if key in frame), None)) is not None:
            frame = frame[key]
        elif isinstance(frame, list) and frame and isinstance(frame[0], list):
            frame = frame[0]  # the first face
        elif isinstance(frame, list) and frame and isinstance(frame[0], dict) and "categories" in frame[0]:
            frame = frame[0]
        else:
            break
    if frame is None:
        return {}
    if isinstance(frame, dict):
        return {name: weight for name, weight in frame.items() if name not in TIMES}
    if not isinstance(frame, list):
        raise FacelmError(f"{path} frame {index} holds no blendshapes but {type(frame).__name__}")
    scores: dict[str, Any] = {}
    for category in frame:
        name = next((category[key] for key in NAMES if isinstance(category, dict) and key in category), None)
        score = next((category[key] for key in SCORES if isinstance(category, dict) and key in category), None)
        if not isinstance(name, str) or score is None:
            raise FacelmError(f"{path} frame {index} has a blendshape without categoryName and score")
        scores[name] = score
    return scores


# ---------------------------------------------------------------- Audio2Face


def _audio2face(path: Path, document: dict[str, Any]) -> NamedRows:
    names, matrix = document["facsNames"], document.get("weightMat")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise FacelmError(f"{path}: facsNames must be a list of names")
    if not isinstance(matrix, list) or not matrix:
        raise FacelmError(f"{path} has no weightMat with a list of weights a frame")
    rows = [numbers(path, f"frame {i}: weights", row) for i, row in enumerate(matrix)]
    odd = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if odd is not None:
        raise FacelmError(f"{path} frame {odd} has {len(rows[odd])} weights for {len(names)} names")
    count = np.arange(len(rows))
    return NamedRows(
        path, names, np.array(rows), count, count, "Audio2Face JSON", rate=rate_of(path, document), unit="frame"
    )
