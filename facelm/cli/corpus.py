"""Verbs that make corpora: synthesised ones, and those of somebody's takes."""

import click

from facelm.errors import FacelmError


@click.group()
def corpus() -> None:
    """Make a corpus of motions with plans, words and sound.

    Example:  facelm corpus build captures --out outputs/corpus
    """


@corpus.command()
@click.option("--hours", type=float, default=2.0, show_default=True, help="Hours of motion.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--out", required=True, help="A new folder for the Parquet files.")
@click.option("--workers", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
def synth(hours: float, seed: int, out: str, workers: int) -> None:
    """Synthesise performances with exact facts, in train, validation and a compositional test split.

    Example:  facelm corpus synth --hours 2 --seed 0 --out outputs/corpus
    """
    from facelm.corpus.synth import synthesise

    counts = synthesise(hours, seed, out, workers)
    click.echo(f"{out}: " + ", ".join(f"{count} {split} clips" for split, count in counts.items()))


@corpus.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--out", required=True, help="A new folder for the corpus.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--reader", help="The data set that the folders hold; found by their layout when not given.")
@click.option("--protocol", help="Which takes are for training, validation and test: random, identity, released, ...")
@click.option(
    "--weight", "weights", multiple=True, metavar="SOURCE=W", help="Training visits its clips W times as often."
)
@click.option("--map", "map_", help="A linear map of `facelm rig map` for takes in FLAME coefficients.")
@click.option(
    "--clip-seconds", type=float, default=8.0, show_default=True, help="Longer takes are cut where it is quiet."
)
@click.option("--no-clean", is_flag=True, help="Leave outliers, repeated frames and jitter as they are.")
@click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip", show_default=True)
@click.option("--keep-duplicates", is_flag=True, help="Keep takes that are the same performance again.")
@click.option("--paper-filters", is_flag=True, help="Leave out what MMHead left out of each data set.")
@click.option("--syncnet", type=float, help="Least SyncNet confidence of takes that have one.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of splits and words.")
@click.option("--fresh", is_flag=True, help="Throw away an unfinished build with other arguments.")
def build(
    sources: tuple[str, ...],
    out: str,
    jobs: int,
    reader: str | None,
    protocol: str | None,
    weights: tuple[str, ...],
    map_: str | None,
    clip_seconds: float,
    no_clean: bool,
    on_error: str,
    keep_duplicates: bool,
    paper_filters: bool,
    syncnet: float | None,
    seed: int,
    fresh: bool,
) -> None:
    """Make a corpus of takes: cleaned, cut into clips, put into words, with their sound.

    SOURCES are folders: your own takes (take.csv, with take.wav and take.txt beside it where there are some), public
    data sets, and corpora made before, synthesised ones too. A build that was stopped or killed goes on where it was
    when the same command is given again. What could not be read stands in skipped.csv.

    \b
    Examples:
      facelm corpus build captures --out outputs/corpus --jobs 2
      facelm corpus build captures outputs/synth --weight captures=3 --out outputs/mixed
    """
    from facelm.corpus.build import BuildConfig, build

    config = BuildConfig(
        reader=reader,
        protocol=protocol,
        paper_filters=paper_filters,
        syncnet=syncnet,
        weights=dict(map(_weight, weights)),
        map=map_,
        clip_seconds=clip_seconds,
        clean=not no_clean,
        on_error="stop" if on_error == "stop" else "skip",
        keep_duplicates=keep_duplicates,
        seed=seed,
    )
    try:
        click.echo(str(build(sources, out, config, jobs, fresh)))
    except KeyboardInterrupt:
        click.echo("\nfacelm: stopped; what is done is kept, and the same command goes on from there", err=True)
        raise click.exceptions.Exit(130) from None


@corpus.command()
@click.argument("folder")
@click.option("--model", required=True, help="The model's name at the endpoint.")
@click.option("--out", required=True, help="A new folder for the annotated corpus.")
@click.option("--answers", help="File that keeps the answers; OUT.answers.sqlite when not given.")
@click.option("--concurrency", type=click.IntRange(1), default=8, show_default=True, help="Requests at the same time.")
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds one request may take.")
@click.option("--price-in", type=float, default=0.0, help="Price of a million tokens that are sent, for the estimate.")
@click.option("--price-out", type=float, default=0.0, help="Price of a million tokens that come back.")
@click.option("--yes", is_flag=True, help="Start without asking.")
def annotate(
    folder: str,
    model: str,
    out: str,
    answers: str | None,
    concurrency: int,
    timeout: float,
    price_in: float,
    price_out: float,
    yes: bool,
) -> None:
    """Let a language model write the annotations of a corpus, from measured facts, into a copy of it.

    The endpoint is any that speaks OpenAI's protocol: OPENAI_BASE_URL and OPENAI_API_KEY. What will be asked is counted
    first. Answers that break a limit are asked for again; all are kept, so a run that was stopped goes on where it was.

    Example:  facelm corpus annotate outputs/corpus --model my-model --out outputs/annotated --price-in 0.1
    """
    from tqdm import tqdm

    from facelm.corpus.annotate import annotate_corpus, estimate
    from facelm.corpus.shards import refuse_full
    from facelm.describe.annotator import Annotator

    refuse_full(out)
    annotator = Annotator(model, answers or f"{out.rstrip('/')}.answers.sqlite", concurrency, timeout)
    expected = estimate(folder, annotator)
    price = f", about {expected.cost(price_in, price_out):.2f} at these prices" if price_in or price_out else ""
    click.echo(
        f"{expected.clips:,} clips, {expected.requests:,} requests to make, about {expected.tokens_in:,} tokens in and "
        f"{expected.tokens_out:,} out{price}"
    )
    if expected.requests and not yes:
        click.confirm("Go on?", abort=True)
    with tqdm(total=expected.clips, unit="clip", desc="annotating") as bar:
        done = annotate_corpus(folder, out, annotator, lambda: bar.update())
    click.echo(f"{out}: {done.clips:,} clips annotated")
    if done.failed:
        click.echo(f"{len(done.failed):,} clips keep the words they had; the first: {done.failed[0]}", err=True)


def _weight(text: str) -> tuple[str, float]:
    source, _, weight = text.rpartition("=")
    try:
        return source, float(weight)
    except ValueError:
        raise FacelmError(f"--weight {text!r}: write SOURCE=NUMBER, for example captures=3") from None
