"""Verbs that make corpora: synthesised ones, and those of somebody's takes."""

import click


@click.group()
def corpus() -> None:
    """Make a corpus of motions with plans and words.

    Example:  facelm corpus synth --hours 2 --seed 0 --out outputs/corpus
    """


@corpus.command()
@click.option("--hours", type=float, default=2.0, show_default=True, help="Hours of motion.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--out", required=True, help="A new folder for the Parquet files.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
def synth(hours: float, seed: int, out: str, workers: int) -> None:
    """Synthesise performances with exact facts, in train, validation and a compositional test split.

    Example:  facelm corpus synth --hours 2 --seed 0 --out outputs/corpus
    """
    from facelm.corpus.synth import synthesise

    counts = synthesise(hours, seed, out, workers)
    click.echo(f"{out}: " + ", ".join(f"{count} {split} clips" for split, count in counts.items()))
