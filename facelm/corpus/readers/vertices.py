"""Data sets of meshes: their vertices fitted to a rig, so that they become channels with names."""

import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from facelm.corpus.readers.take import Take
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import FaceMotion, LoadReport
from facelm.rig import load_rig
from facelm.rig.base import Rig
from facelm.rig.correspond import Correspondence, correspond
from facelm.rig.fit import fit
from facelm.rig.flame_model import flame_path

ONTO = ("head", "rig")


def fitted(
    take: Take, vertices: np.ndarray, template: np.ndarray, fps: float, needs: str | None = None
) -> tuple[FaceMotion, LoadReport]:
    """The motion whose face moves as these vertices do.

    The take's `extra` says how: `rig` is the file of a rig with this mesh (the user's FLAME file, $FACELM_FLAME, where
    it names none), `onto` is "head" for the channels of the default head (ARKit's) or "rig" for those of that rig.

    Args:
        take: whose vertices they are.
        vertices: (T, V, 3) or (T, 3 V), metres.
        template: the person's neutral face, (V, 3).
        fps: frames/s.
        needs: what to say where no rig is named; None where FLAME is meant.

    Raises:
        FacelmError: naming the file: no rig, another mesh, or a frame that is not finite.
    """
    where = str(take.motion) if take.part is None else f"{take.motion}, {take.part}"
    onto = take.extra.get("onto", ONTO[0])
    if onto not in ONTO:
        raise FacelmError(f"{where}: onto is {onto!r}; choose 'head' for ARKit's channels or 'rig' for the rig's own")
    if "rig" not in take.extra and needs is not None:
        raise FacelmError(f"{where}: {needs}")
    path = Path(take.extra["rig"]) if "rig" in take.extra else flame_path()
    vertices, template = np.asarray(vertices, np.float32), np.asarray(template, np.float32)
    if template.ndim != 2 or template.shape[1] != 3:
        raise FacelmError(f"{where}: its template has the shape {template.shape}, not (vertices, 3)")
    if vertices.ndim == 2 and vertices.shape[1] == template.size:
        vertices = vertices.reshape(len(vertices), *template.shape)
    if vertices.ndim != 3 or vertices.shape[1:] != template.shape or not len(vertices):
        raise FacelmError(f"{where} has the shape {vertices.shape}; its template has {len(template)} vertices")
    finite = np.isfinite(vertices).all(axis=(1, 2))
    if not finite.all():
        raise FacelmError(f"{where}: frame {int(np.argmin(finite))} holds vertices that are no numbers; mend or cut it")
    source, target, matches = _rigs(str(path), onto)
    try:
        motion = fit(vertices, source, target, fps, template, matches)
    except FacelmError as error:
        raise FacelmError(f"{where}: {error}") from error
    rig = "the default head" if onto == "head" else f"the rig {path.name}"
    note = f"{len(template)} vertices a frame were fitted to {rig}."
    return motion, LoadReport(where, len(motion), motion.fps, dialect="vertices", notes=(note,))


@lru_cache(maxsize=2)
def _rigs(path: str, onto: str) -> tuple[Rig, Rig, Correspondence]:
    """The rig of the data set, the one to fit, and how their vertices correspond; found once for all takes."""
    source: Rig = load_rig(path)
    target: Rig = load_rig() if onto == "head" else source
    return source, target, correspond(source, target)


def load_array(path: Path) -> np.ndarray:
    """A plain array of numbers in an npy file, mapped rather than read. Raises FacelmError naming the file."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise MissingFileError(f"there is no file {path}") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FacelmError(f"{path} is no npy file of a plain array ({error}); get it again") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise FacelmError(f"{path} holds no array of numbers; get it again")
    return found
