"""What `facelm evaluate` does for people's preferences: write the page, and count what they chose."""

from collections.abc import Sequence
from typing import Any

import click


def write(a: str, b: str, out: str | None, pairs: int, benchmark: str | None, **corpus: Any) -> None:
    """Write the page that compares two systems. corpus: folder, split, count and seed of the clips they answer."""
    from tqdm import tqdm

    from facelm.evaluate.clips import choose
    from facelm.evaluate.preference import KEY, write_preference

    if out is None:
        raise click.UsageError("give --out FOLDER, where the page is to be written")
    clips = choose(**corpus) if corpus["folder"] else []
    with tqdm(total=pairs, unit="pair", desc="filming") as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        notes = write_preference(a, b, out, corpus["seed"], pairs, clips, benchmark, progress=progress)
    for note in notes:
        click.echo(f"facelm: {note}", err=True)
    click.echo(f"{out}/page: open index.html, or give the whole folder to those who choose")
    click.echo(f"{out}/{KEY}: which side was which; keep it to yourself until all have chosen")


def count(study: str, files: Sequence[str]) -> None:
    """Print what people preferred."""
    from facelm.evaluate.preference import count_preferences

    click.echo(count_preferences(study, files).text())
