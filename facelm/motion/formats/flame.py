"""FLAME coefficients, read from and written as the files of the field's tools (`flame_dialects` names them).

The layout is the smallest one that has a place for every joint of the dialect: flame56, flame106 or flame, whatever
the values are, so that all takes of a data set come in the same one.
"""

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion.formats import ReadOptions
from facelm.motion.formats.arrays import npz_names
from facelm.motion.formats.containers import Held, frame_files, frame_folders, kind_of, read_held
from facelm.motion.formats.flame_dialects import (
    ALONE,
    DIALECTS,
    LEFT_OUT,
    NEEDED,
    RATES,
    USUAL_FPS,
    WANTED,
    Dialect,
    expected,
)
from facelm.motion.formats.gaps import interpolate, missing_between
from facelm.motion.layout import FLAME, FLAME56, FLAME106, Layout, convert
from facelm.motion.report import LoadReport
from facelm.motion.sequence import FaceMotion
from facelm.motion.timecode import exact_rate

MAX_GAP_S = 60.0
WRITES = ("diffposetalk", "artalk", "vhap")

_DEFAULTS = ReadOptions()


def sniff(path: Path, head: bytes) -> bool:
    """Whether it is npy, a pickle, a torch file, a folder of FLAME arrays, or an npz that no other reader claims."""
    kind = kind_of(path)
    if kind == "folder":
        stacked = any((path / f"{name}.npy").is_file() for name in NEEDED)
        return stacked or bool(frame_folders(path, NEEDED) or frame_files(path))
    if kind == "npz":
        names = set(npz_names(path))
        return any(dialect.fits(names) for dialect in DIALECTS) or names.isdisjoint(("values", "weights", "layout"))
    return kind is not None


def read(path: Path, options: ReadOptions = _DEFAULTS) -> tuple[FaceMotion, LoadReport]:
    """The motion (flame56, flame106 or flame) and report of a file or folder of FLAME coefficients.

    The rate is the one the file states, else `options.fps`, else that of every file of its kind, else 25 with
    `fps_assumed` in the report. Frames that are missing from numbered ones are bridged, dropped or refused as
    `options.short_rows` says.
    Raises FacelmError naming the file, and the array and frame where one is wrong.
    """
    kind = kind_of(path)
    if kind is None:
        raise FacelmError(f"{path} holds no arrays; FLAME coefficients come as npz, npy, pickle, torch file or folder")
    held = read_held(path, kind, WANTED, tuple(ALONE))
    dialect = next((dialect for dialect in DIALECTS if dialect.fits({*held.arrays, *held.other})), None)
    fps: Fraction | None
    if dialect is None:
        tool, layout, values = _alone(path, held)
        fps, identity, notes = USUAL_FPS, *_identity(path, held.arrays.get("shape"))
    else:
        emoca = kind == "folder" and dialect.expression == "exp"  # whose arrays have the names of DECA's
        tool, fps = ("EMOCA", None) if emoca else (dialect.name, dialect.fps)
        layout = _layout(dialect, held)
        values = _values(path, dialect, layout, held)
        identity, notes = _identity(path, held.arrays.get(str(dialect.identity)))
        notes = [*_notes(dialect, held, layout), *notes]
    stated = _rate(path, held)
    rate = stated or (None if options.fps is None else exact_rate(options.fps)) or fps or USUAL_FPS
    assumed = not (stated or options.fps or fps)
    if assumed:
        notes.append(f"the file states no frame rate; {float(rate):g} fps was assumed.")
    values, holes = _bridge(path, held, values, float(rate), options.short_rows)
    try:
        motion = FaceMotion(values, rate, layout, identity)
    except FacelmError as error:
        raise FacelmError(f"{path}: {error}") from error
    return motion, LoadReport(
        path=str(path),
        rows=len(motion) - sum(end - first for first, end in holes),
        fps=motion.fps,
        bridged=sum(end - first for first, end in holes),
        holes=holes,
        dialect=f"{tool} {held.kind}",
        fps_assumed=assumed,
        notes=tuple(notes),
    )


# ---------------------------------------------------------------- arrays to values


def _alone(path: Path, held: Held) -> tuple[str, Layout, np.ndarray]:
    """Tool, layout and values of the one array of a file that is a whole motion."""
    found = [name for name, array in held.arrays.items() if array.ndim > 1 and array.shape[-1] in ALONE]
    if len(found) != 1:
        raise FacelmError(f"{path} holds {_describe(held)}, which is no FLAME motion facelm knows: {expected()}")
    values = _flat(path, found[0] or "the array", held.arrays[found[0]])
    return ALONE[values.shape[1]], FLAME56 if values.shape[1] == FLAME56.width else FLAME106, values


def _layout(dialect: Dialect, held: Held) -> Layout:
    joints = {joint for joint, (array, _) in dialect.joints.items() if array in held.arrays}
    if dialect.eyelids in held.arrays or joints & {"leftEye", "rightEye"} or {"global", "neck"} <= joints:
        return FLAME
    if "neck" not in joints:
        return FLAME106
    return FLAME56 if held.arrays[dialect.expression].shape[-1] <= 50 else FLAME


def _values(path: Path, dialect: Dialect, layout: Layout, held: Held) -> np.ndarray:
    parts = {
        name: _flat(path, name, held.arrays[name])
        for name in dialect.arrays
        if name in held.arrays and name != dialect.identity
    }
    lengths = {name: len(part) for name, part in parts.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise FacelmError(f"{path}: its arrays differ in frames ({told}); cut them to the same length")
    expression = parts[dialect.expression]
    if not 1 <= expression.shape[1] <= 100:
        raise FacelmError(
            f"{path}: {dialect.expression} has {expression.shape[1]} columns, but FLAME has at most 100 expressions"
        )
    values = np.zeros((len(expression), layout.width))
    values[:, : expression.shape[1]] = expression
    for joint, (array, first) in dialect.joints.items():
        if array in parts:
            _check_width(path, array, parts[array], dialect.widths.get(array, 3))
            at = layout.index(joint + "X")
            values[:, at : at + 3] = parts[array][:, first : first + 3]
    if dialect.eyelids in parts:
        _check_width(path, str(dialect.eyelids), parts[dialect.eyelids], 2)
        values[:, layout.indices(("eyelidLeft", "eyelidRight"))] = parts[dialect.eyelids]
    return values


def _flat(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """An array (T, D), (T, 1, D), (1, T, D) or of one frame (D,) as float64 (T, D)."""
    if array.dtype.kind not in "biuf":
        raise FacelmError(f"{path}: {name} holds words rather than numbers")
    if not array.size:
        raise FacelmError(f"{path}: {name} is empty; there is no frame in this take")
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    flat = array.reshape(1, -1) if array.ndim < 2 else array.reshape(len(array), -1)
    with np.errstate(invalid="ignore"):  # NaN is told of later, by frame and channel
        return flat.astype(np.float64)


def _check_width(path: Path, name: str, array: np.ndarray, width: int) -> None:
    if array.shape[1] != width:
        raise FacelmError(f"{path}: {name} has {array.shape[1]} columns and needs {width}")


def _identity(path: Path, shape: np.ndarray | None) -> tuple[np.ndarray | None, list[str]]:
    """The shape coefficients, one set for the take; None when there are none or they are all zero."""
    if shape is None:
        return None, []
    sets = _flat(path, "shape", shape) if shape.ndim > 1 else shape.reshape(1, -1)
    if not np.isfinite(sets).all():
        raise FacelmError(f"{path}: its shape coefficients are not all finite; fit it again")
    notes = []
    if len(sets) > 1 and np.ptp(sets, axis=0).max() > 1e-6:
        notes.append(f"the shape differs over the frames; its mean over {len(sets)} is the identity.")
    mean = sets.mean(axis=0, dtype=np.float64) if notes else sets[0]
    return (np.asarray(mean, dtype=np.float32) if np.any(mean) else None), notes


def _rate(path: Path, held: Held) -> Fraction | None:
    for name in RATES:
        if name in held.arrays:
            try:
                return exact_rate(float(held.arrays[name].reshape(-1)[0]))
            except (FacelmError, ValueError, IndexError, TypeError):
                raise FacelmError(f"{path}: its {name} is no positive number; correct it") from None
    return None


def _bridge(
    path: Path, held: Held, values: np.ndarray, fps: float, short_rows: str
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Numbered frames with those between them filled in, and where these are."""
    if short_rows not in ("bridge", "drop", "refuse"):
        raise FacelmError(f"short_rows is {short_rows!r}; choose one of bridge, drop, refuse")
    holes = () if held.frames is None else missing_between(held.frames)
    if held.frames is None or not holes or short_rows == "drop":
        return values, ()
    if short_rows == "refuse":
        raise FacelmError(
            f"{path} has no face in {sum(end - first for first, end in holes)} frames (the first is frame "
            f"{holes[0][0]}); load it with short_rows='bridge' or 'drop'"
        )
    longest = max(end - first for first, end in holes)
    if longest > MAX_GAP_S * fps:
        raise FacelmError(f"{path} has no face in {longest} frames on end; split it there, or use short_rows='drop'")
    return interpolate(held.frames, values), holes


def _notes(dialect: Dialect, held: Held, layout: Layout) -> list[str]:
    notes = [dialect.note] if dialect.note else []
    names = (*held.arrays, *held.other)
    known = dict.fromkeys(f"{LEFT_OUT[name]} ({name})" for name in names if name in LEFT_OUT)
    known |= dict.fromkeys(f"the turn of the body ({name})" for name in names if name in dialect.left_out)
    if known:
        notes.append(f"left out: {', '.join(known)}.")
    absent = [joint for joint, (array, _) in dialect.joints.items() if array not in held.arrays]
    if absent:
        notes.append(f"there are no angles of {', '.join(absent)}.")
    width = held.arrays[dialect.expression].shape[-1]
    if width < 50 or (layout is not FLAME56 and width < 100):
        notes.append(f"the file has {width} of FLAME's expressions; the others are 0.")
    return notes


def _describe(held: Held) -> str:
    shapes = [f"{name or 'an array'} {array.shape}" for name, array in held.arrays.items()]
    told = [" ".join(name.split()) for name in (*shapes, *held.other)]
    return ", ".join(told[:8]) + (f" and {len(told) - 8} more" if len(told) > 8 else "") if told else "nothing"


# ---------------------------------------------------------------- writing


def write(motion: FaceMotion, path: Path, dialect: str) -> None:
    """Write a motion in a FLAME layout as npz of a tool: "diffposetalk", "artalk" or "vhap", with its rate as `fps`.

    What the tool has no place for (eyes, eyelids, the last expressions) is told in a warning. "artalk" may also be an
    .npy file, the bare array ARTalk trains on, which has to be at 25 fps.
    Raises FacelmError for other dialects, endings and layouts.
    """
    if dialect not in WRITES:
        raise FacelmError(f"unknown dialect {dialect!r}; FLAME motion is written as {', '.join(WRITES)}")
    if not motion.layout.is_flame:
        raise FacelmError(
            f"the dialect {dialect} holds FLAME coefficients, but the motion has the layout {motion.layout.name}; "
            "turn it into FLAME with a map (facelm rig map)"
        )
    bare = dialect == "artalk" and path.suffix.lower() == ".npy"
    if not bare and path.suffix.lower() != ".npz":
        raise FacelmError(f"{path}: the dialect {dialect} is written to files ending in .npz")
    if bare and motion.rate != USUAL_FPS:
        raise FacelmError(f"{path}: an npy of ARTalk is at 25 fps and this motion at {motion.fps:g}; resample it to 25")
    arrays = {"diffposetalk": _as_diffposetalk, "artalk": _as_artalk, "vhap": _as_vhap}[dialect](motion)
    with atomic_path(path) as temporary:
        if bare:
            np.save(temporary, arrays["motion"])
        else:
            np.savez_compressed(temporary, **arrays, fps=np.float64(motion.fps))  # type: ignore[arg-type]


def _as_diffposetalk(motion: FaceMotion) -> dict[str, np.ndarray]:
    values = _in(motion, FLAME106, lost=50)
    shape = np.broadcast_to(_shape(motion, 100), (len(values), 100))
    return {"shape": shape, "exp": values[:, :50], "pose": values[:, 100:]}


def _as_artalk(motion: FaceMotion) -> dict[str, np.ndarray]:
    shape = {} if motion.identity is None else {"shape": motion.identity}
    return {"motion": _in(motion, FLAME106), **shape}


def _as_vhap(motion: FaceMotion) -> dict[str, np.ndarray]:
    values = _in(motion, FLAME)
    if values[:, 100:102].any():
        _warn(motion, "vhap", FLAME.names[100:102])
    turns = {"rotation": 102, "neck_pose": 105, "jaw_pose": 108}
    return {
        "translation": np.zeros((len(values), 3), np.float32),
        **{name: values[:, first : first + 3] for name, first in turns.items()},
        "eyes_pose": values[:, 111:117],
        "shape": _shape(motion, 300),
        "expr": values[:, :100],
        "static_offset": np.zeros((1, 5143, 3), np.float32),  # FLAME's 5,023 vertices and the teeth VHAP adds
    }


def _in(motion: FaceMotion, target: Layout, lost: int = 100) -> np.ndarray:
    """The values in another FLAME layout, without the expressions from number `lost` on; warns of what is not 0."""
    values, gone = convert(motion.values, motion.layout, target)
    moving = [name for name in gone if motion.channel(name).any()]
    moving += [target.names[i] for i in range(lost, 100) if values[:, i].any()]
    _warn(motion, target.name, tuple(dict.fromkeys(moving)))
    return values


def _shape(motion: FaceMotion, width: int) -> np.ndarray:
    shape = np.zeros(width, dtype=np.float32)
    if motion.identity is not None:
        if motion.identity[width:].any():
            warnings.warn(f"the shape has {len(motion.identity)} coefficients; {width} were written", stacklevel=5)
        shape[: len(motion.identity)] = motion.identity[:width]
    return shape


def _warn(motion: FaceMotion, what: str, lost: tuple[str, ...]) -> None:
    if lost:
        names = ", ".join(lost[:6]) + (f" and {len(lost) - 6} more" if len(lost) > 6 else "")
        warnings.warn(f"{what} has no place for {names} of {motion.layout.name}; they were not written", stacklevel=5)
