"""The verb clean."""

from pathlib import Path
from typing import Any

import click

from facelm.cli.common import about
from facelm.errors import FacelmError


@click.command()
@click.argument("file")
@click.option("--out", required=True, help="The motion file to write; its ending chooses the format.")
@click.option(
    "--outliers",
    type=click.Choice(["jump", "distance", "none"]),
    default="jump",
    show_default=True,
    help="jump: values that jump out of their neighbours and back; distance: frames far from the take's mean.",
)
@click.option(
    "--fence", type=float, default=3.0, show_default=True, help="Box plot factor of outliers; more finds fewer."
)
@click.option("--smooth", type=float, default=0.05, show_default=True, help="Strength of smoothing; 0 for none.")
@click.option(
    "--longest-gap",
    type=float,
    default=0.3,
    show_default=True,
    help="Seconds without a face that are bridged; longer ones are cut out, and the pieces written as OUT-1, OUT-2 ...",
)
@click.option("--centre-head", is_flag=True, help="Remove constant drift and offset of the head angles.")
def clean(file: str, out: str, **settings: Any) -> None:
    """Clean a take: outliers, repeated frames, long gaps, jitter, and on request head drift.

    Example:  facelm clean take.csv --out clean.csv --centre-head
    """
    from facelm.motion import load_motion
    from facelm.motion.clean import CleanConfig
    from facelm.motion.clean import clean as cleaned

    motion, read = load_motion(file)
    if read.mended:
        click.echo(f"facelm: {read}", err=True)
    pieces, report = cleaned(motion, CleanConfig(**settings), read.holes)
    if not pieces:
        raise FacelmError(f"{file}: no half second of it is without a long gap; raise --longest-gap to bridge them")
    target = Path(out)
    stem, ending = target.name.split(".")[0], "".join(target.name.partition(".")[1:])
    for number, piece in enumerate(pieces, start=1):
        place = target if len(pieces) == 1 else target.with_name(f"{stem}-{number}{ending}")
        piece.save(place)
        click.echo(f"{place}: {about(piece)}")
    click.echo(f"{report}")
