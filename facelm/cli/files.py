"""Verbs that need no model: convert and render."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from facelm.cli.common import SHORT_ROWS, about, load_head, output

if TYPE_CHECKING:
    from facelm.motion import FaceMotion

PICTURES = (".mp4", ".gif", ".png")
SAVED = (".csv", ".csv.gz", ".json", ".npz")  # values without a head


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every verb that reads a motion for something else."""
    for option in (
        click.option("--short-rows", type=SHORT_ROWS, default="bridge", help="What to do with rows without a face."),
        click.option("--map", "linear_map", metavar="FILE", help="A map to another layout, from facelm rig map."),
        click.option("--input-fps", type=float, help="The rate of a file that states none, frames a second."),
        click.option("--names", help="The table of the file's channel names: a YAML file, or facegood, ict_facekit."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file")
@click.option("--out", required=True, help="The film (.mp4, .gif) or contact sheet (.png) to write.")
@click.option("--rig", metavar="FILE", help="The head to show it on (.npz, .glb, FLAME); facelm's own without.")
@_reading
def render(file: str, out: str, rig: str | None, **reading: Any) -> None:
    """Show a motion on a face, as a film or a contact sheet.

    FILE is any motion file facelm reads; facelm convert --help lists them.

    \b
    Examples:
      facelm render take.csv --out take.mp4
      facelm render speech.npz --names facegood --out speech.png
      facelm render fitted.npz --rig generic_model.pkl --out fitted.mp4
    """
    from facelm.rig.export import export

    motion = _load(file, **reading)
    with output(out, PICTURES) as temporary:
        export(motion, temporary, load_head(rig))
    click.echo(f"{out}: {about(motion)}")


@click.command()
@click.argument("file")
@click.argument("out")
@click.option("--fps", type=float, help="Resample to so many frames a second (anti-aliased).")
@click.option("--dialect", help="The tool a FLAME motion is for: diffposetalk, artalk or vhap.")
@click.option("--rig", metavar="FILE", help="The head of .glb, films and pictures; facelm's own without.")
@_reading
def convert(file: str, out: str, fps: float | None, dialect: str | None, rig: str | None, **reading: Any) -> None:
    """Write a motion in another format; the ending of OUT chooses it.

    FILE is recognised by its content: Live Link Face CSV, CSV or JSON of blendshape weights (MediaPipe, py-feat,
    Audio2Face, BEAT), Face Cap recordings, animated GLB and glTF, npz, and the files FLAME fitters write.
    OUT ends in .csv, .csv.gz (Live Link Face), .json (BEAT), .npz, .glb (Blender, three.js, Unreal), .mp4, .gif
    or .png.

    \b
    Examples:
      facelm convert take.csv take.glb --fps 30
      facelm convert landmarker.csv take.csv --input-fps 25
      facelm convert speech.npz speech.csv --names facegood
      facelm convert take.csv take.npz --map arkit_to_flame.npz --dialect diffposetalk
    """
    from facelm.motion import save_motion
    from facelm.rig.export import ENDINGS, export

    motion = _load(file, **reading)
    if fps is not None:
        motion = motion.resample(fps)
    with output(out, ENDINGS) as temporary:
        if dialect or out.lower().endswith(SAVED):
            with warnings.catch_warnings(record=True) as lost:
                warnings.simplefilter("always")
                save_motion(motion, temporary, dialect)
            for warning in lost:
                click.echo(f"facelm: {warning.message}", err=True)
        else:
            export(motion, temporary, load_head(rig))
    click.echo(f"{out}: {about(motion)}")


def _load(
    file: str, names: str | None, input_fps: float | None, linear_map: str | None, short_rows: str
) -> "FaceMotion":
    """The motion in a file, mapped; what had to be mended and what the reader noticed is told on stderr."""
    from facelm.motion import load_motion

    motion, report = load_motion(file, short_rows, names, input_fps)
    if report.mended:
        click.echo(f"facelm: {report}", err=True)
    for note in report.notes:
        click.echo(f"facelm: {note}", err=True)
    if linear_map is not None:
        from facelm.motion.retarget import LinearMap

        motion = LinearMap.load(linear_map).apply(motion)
    return motion
