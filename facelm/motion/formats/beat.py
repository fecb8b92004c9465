"""BEAT JSON: `{"names": [51 shapes], "frames": [{"weights": [...], "time": seconds}, ...]}`, 60 frames/s as released.

The names are MediaPipe's and Apple's without tongueOut, in alphabetical order; they are found by name here.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.documents import load_json, number, numbers, rate_of
from facelm.motion.formats.rows import NamedRows, as_motion
from facelm.motion.layout import ARKIT, SHAPES
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion

DIALECT = "BEAT JSON"
NAMES = tuple(sorted(name for name in SHAPES if name != "tongueOut"))

_DEFAULTS = ReadOptions()


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is a JSON object with names and frames of weights (either may come first)."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"{") and b'"weights"' in head and (b'"names"' in head or b'"frames"' in head[:200])


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion, layout arkit (without head angles, which the format has none of).

    Raises FacelmError naming the frame: weights that do not fit the names, times that are absent or negative.
    """
    document = load_json(path)
    names, frames = document.get("names"), document.get("frames")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
        raise FacelmError(f"{path} has no list of names; BEAT JSON has names and frames")
    if not isinstance(frames, list) or not frames:
        raise FacelmError(f"{path} has no frames; BEAT JSON has names and frames of weights and time")
    return as_motion(
        NamedRows(
            path,
            names,
            np.array([_weights(path, i, frame, len(names)) for i, frame in enumerate(frames)]),
            np.arange(len(frames)),
            np.arange(len(frames)),
            DIALECT,
            seconds=np.array([_time(path, i, frame) for i, frame in enumerate(frames)]),
            rate=rate_of(path, document),
            unit="frame",
        ),
        options,
    )


def write(motion: FaceMotion, path: Path) -> None:
    """Write the 51 shapes, exactly; a further field fps keeps rates that times alone would round.

    tongueOut, angles, timecode and metadata have no place in the format; a warning names those that move. Layouts
    without the shapes raise FacelmError.
    """
    motion = motion.to(ARKIT)
    lost = [name for name in ARKIT.names if name not in NAMES and motion.channel(name).any()]
    if lost:
        warnings.warn(f"BEAT JSON has no place for {', '.join(lost)}, which move in this motion", stacklevel=3)
    values = motion.values[:, motion.layout.indices(NAMES)]
    frames = [
        {"weights": [float(str(value)) for value in row], "time": float(time), "rotation": []}
        for row, time in zip(values, motion.times(), strict=True)
    ]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"names": list(NAMES), "fps": motion.fps, "frames": frames}), encoding="utf-8")


def _weights(path: Path, index: int, frame: Any, count: int) -> np.ndarray:
    row = numbers(path, f"frame {index}: weights", frame.get("weights") if isinstance(frame, dict) else None)
    if len(row) != count:
        raise FacelmError(f"{path} frame {index} has {len(row)} weights for {count} names")
    return row


def _time(path: Path, index: int, frame: dict[str, Any]) -> float:
    return number(path, f"frame {index}: time", frame.get("time"))
