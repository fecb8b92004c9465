"""Verbs for two rigs: rig map, rig fit."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelm.cli.common import about, load_take, output
from facelm.errors import FacelmError, MissingFileError

if TYPE_CHECKING:
    import numpy as np

    from facelm.rig.base import Rig
    from facelm.rig.correspond import Correspondence

RIG = "`default`, or a rig file (npz, GLB, FLAME), or `flame` for $FACELM_FLAME"
LANDMARKS = "Pairs that replace or join those found: YAML, `name: [source vertex, target vertex]`."
MATCHES = "Corresponding vertices: read from this npz if it exists, else written to it."
FREE = "Plain least squares, without recognising shapes that both rigs have."


@click.group()
def rig() -> None:
    """Bring motion from one rig to another.

    Example:  facelm rig map default flame --out arkit_to_flame.npz
    """


@rig.command("map")
@click.argument("source")
@click.argument("target")
@click.option("--out", required=True, help="The map to write (.npz), for `facelm convert --map`.")
@click.option("--landmarks", type=click.Path(), help=LANDMARKS)
@click.option("--matches", type=click.Path(), help=MATCHES)
@click.option("--free", is_flag=True, help=FREE)
@click.option("--motion", "takes", multiple=True, help="Fit the map on this take too; may be given several times.")
def make_map(
    source: str,
    target: str,
    out: str,
    landmarks: str | None,
    matches: str | None,
    free: bool,
    takes: tuple[str, ...],
) -> None:
    """Fit a linear map from the values of one rig to those of another, by what they move.

    SOURCE and TARGET are `default` (the head of facelm), rig files (npz, GLB, FLAME's pkl or npz), or `flame` for the
    model that $FACELM_FLAME names. No names of shapes are used, so rigs of any naming will do.

    \b
    Examples:
      facelm rig map default flame --out arkit_to_flame.npz --motion take.csv
      facelm convert take.csv take.npz --map arkit_to_flame.npz
    """
    import numpy as np

    from facelm.rig.fit import fit_map

    with output(out, (".npz",)) as temporary:
        one, other = _rig(source), _rig(target)
        found = _matches(one, other, landmarks, matches)
        note = f"fitted from {source} to {target}" + (f" on {', '.join(takes)}" if takes else "")
        linear = fit_map(one, other, [load_take(take) for take in takes], found, not free, note)
        linear.save(temporary)
    entries = int((abs(linear.matrix) > 1e-3).sum())
    click.echo(
        f"{out}: {linear.source.name} to {linear.target.name}, {entries} entries, "
        f"from {len(found.vertices):,} matched vertices (median quality {np.median(found.quality):.2f})"
    )


@rig.command("fit")
@click.argument("file")
@click.option("--source", default="default", show_default=True, help=f"The rig FILE is of: {RIG}.")
@click.option("--target", default="default", show_default=True, help=f"The rig to move: {RIG}.")
@click.option("--out", required=True, help="The motion file to write; its ending chooses the format.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Frames a second of vertices.")
@click.option("--template", type=click.Path(), help="The neutral face of vertices, .npy (V, 3); else that of SOURCE.")
@click.option("--landmarks", type=click.Path(), help=LANDMARKS)
@click.option("--matches", type=click.Path(), help=MATCHES)
@click.option("--free", is_flag=True, help=FREE)
def fit_take(
    file: str,
    source: str,
    target: str,
    out: str,
    fps: float | None,
    template: str | None,
    landmarks: str | None,
    matches: str | None,
    free: bool,
) -> None:
    """Fit a motion of one rig, or vertices of its mesh, on another rig, frame by frame.

    FILE is a motion in the layout of the source rig, or vertices .npy (T, V, 3) in metres, as in VOCASET. Vertices may
    move and turn as a whole: that becomes the angles of the head.

    \b
    Examples:
      facelm rig fit take.csv --target my_rig.npz --out my_take.csv
      facelm rig fit sentence01.npy --fps 60 --source flame --out sentence01.csv
    """
    from facelm.rig.fit import fit

    one = _rig(source)
    other = one if target == source else _rig(target)
    vertices = _vertices(file)
    motion = load_take(file) if vertices is None else vertices
    neutral = None if template is None else _array(template)
    found = fit(motion, one, other, fps, neutral, _matches(one, other, landmarks, matches), not free)
    found.save(out)
    click.echo(f"{out}: {about(found)}, {found.layout.name}")


def _rig(name: str) -> "Rig":
    from facelm.rig import load_rig

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = load_rig() if name == "default" else load_rig(name)
    for warning in told:
        click.echo(f"facelm: {warning.message}", err=True)
    return found


def _matches(source: "Rig", target: "Rig", landmarks: str | None, cache: str | None) -> "Correspondence":
    from facelm.rig.correspond import Correspondence, correspond, read_pairs

    if cache is not None and Path(cache).exists():
        return Correspondence.load(cache)
    found = correspond(source, target, None if landmarks is None else read_pairs(landmarks))
    if cache is not None:
        found.save(cache)
    return found


def _vertices(file: str) -> "np.ndarray | None":
    """Vertices (T, V, 3) of an npy file that has them."""
    if not file.lower().endswith(".npy"):
        return None
    array = _array(file)
    return array if array.ndim == 3 and array.shape[2] == 3 else None


def _array(file: str) -> "np.ndarray":
    import numpy as np

    if not Path(file).is_file():
        raise MissingFileError(f"there is no file {file}")
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FacelmError(f"{file} is no npy file of plain numbers ({error}); save it with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise FacelmError(f"{file} is no npy file of plain numbers; save it with numpy.save")
    return array
