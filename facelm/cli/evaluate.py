"""Verbs that score: a model (evaluate), or a folder of anybody's predictions (score)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelm.cli.common import load_head, load_lm, output, quiet

if TYPE_CHECKING:
    from facelm.evaluate.predict import Share
    from facelm.evaluate.result import Result
    from facelm.evaluate.setting import Setting

DEFAULT = "text-to-motion,captioning,reconstruction,speed"
_SPLIT = click.option("--split", default="test", show_default=True, help="Split of the corpus.")
_PROMPTS = click.option("--prompts", type=click.IntRange(2), default=200, show_default=True, help="How many clips.")
_SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything drawn.")
_SHARED = (
    _SPLIT,
    _PROMPTS,
    _SEED,
    click.option("--judge", "judges", multiple=True, help="Folder of a retrieval judge; one of text, one of sound."),
    click.option("--encoder", default="", help="Text encoder for BERTScore: a folder or Hub id."),
    click.option("--rig", help="Head whose vertices are compared; by default the built-in one."),
    click.option("--llm-judge", help="Language model that rates text-to-motion, at OPENAI_BASE_URL."),
    click.option("--ratings", default="ratings.sqlite", show_default=True, help="File that keeps its ratings."),
    click.option("--report", help="Write a report to look at into this folder."),
)


def _shared(command: Any) -> Any:
    for option in reversed(_SHARED):
        command = option(command)
    return command


@click.command()
@click.argument("model", nargs=-1, metavar="MODEL")
@click.option("--data", help="Folder of the corpus whose clips are asked for.")
@click.option("--benchmark", "benchmarks", default=DEFAULT, show_default=True, help="Names, with commas between.")
@_shared
@click.option("--candidates", type=click.IntRange(1), default=1, show_default=True, help="Draw so many, keep the best.")
@click.option("--samples", type=click.IntRange(0), default=0, help="Draw so many more for MEE, CE and MultiModality.")
@click.option("--out", help="Write the figures as JSON too, and the motions as .npz beside it.")
@click.option("--preference", nargs=2, metavar="A B", help="Instead: a page on which people choose, into --out.")
@click.option("--pairs", type=click.IntRange(1), default=30, show_default=True, help="Of that page.")
@click.option("--preference-results", "study", metavar="DIR", help="Instead: count the choices people saved.")
@click.pass_obj
def evaluate(
    share: "Share | None",
    model: tuple[str, ...],
    data: str | None,
    benchmarks: str,
    candidates: int,
    samples: int,
    report: str | None,
    out: str | None,
    preference: tuple[str, str] | None,
    pairs: int,
    study: str | None,
    **where: Any,
) -> None:
    """Score a model between floors and ceilings, in tables of Markdown.

    \b
    Benchmarks: text-to-motion, captioning, reconstruction, question-answering, speed.

    \b
    Examples:
      facelm evaluate outputs/demo/model --data outputs/demo/corpus --out outputs/scores.json
      facelm evaluate DIR --data outputs/corpus --benchmark text-to-motion --samples 10 --judge outputs/judge
      facelm evaluate --preference ours.json theirs/ --out study    # two results, or folders of motions
      facelm evaluate --preference-results study choices-*.json
    """
    if preference or study:
        from facelm.cli import preference as people

        if study:
            people.count(study, model)
        elif preference:
            corpus = {"folder": data, "split": where["split"], "count": where["prompts"], "seed": where["seed"]}
            people.write(*preference, out, pairs, None if benchmarks == DEFAULT else benchmarks, **corpus)
        return
    if len(model) != 1 or data is None:
        raise click.UsageError("give MODEL and --data; or --preference A B and --out; or --preference-results")
    first = share is None or share.rank == 0
    with output(out, (".json",)) if out and first else nullcontext() as file:
        quiet()
        from facelm.evaluate import benchmarks as protocols

        names = protocols.names_of(benchmarks, protocols.NAMES)
        setting = _setting(model[0], data=data, **where)
        lm = load_lm(model[0])
        asked = sum(name != protocols.SPEED for name in names) * len(setting.clips)
        with _counting(share, asked * (1 + samples)) as share:
            results = protocols.evaluate(lm, setting, names, candidates, samples, share)
        if first:
            _finish(results, file, out, report)


@click.command()
@click.argument("folder", required=False)
@click.option("--data", help="Folder of the corpus whose clips were asked for.")
@click.option("--benchmark", "benchmarks", default="text-to-motion", show_default=True, help="Names, commas between.")
@_shared
@click.option("--tokenizer", default="", help="Folder of a motion tokenizer, for the row 'reconstruction'.")
@click.option("--missing", type=click.Choice(["refuse", "skip"]), default="refuse", help="Clips without a prediction.")
@click.option("--template", help="Instead: write what this corpus asks for into the folder --out.")
@click.option("--out", help="Write the figures as JSON too, and the motions as .npz beside it.")
def score(
    folder: str | None,
    data: str | None,
    benchmarks: str,
    missing: str,
    template: str | None,
    report: str | None,
    out: str | None,
    **where: Any,
) -> None:
    """Score a folder of predictions, whoever made them: motion files of any kind, and captions as .txt or
    captions.jsonl, named by the clips they answer.

    \b
    Benchmarks: text-to-motion, text-and-speech, speech, captioning, reconstruction, question-answering.

    \b
    Examples:
      facelm score --template outputs/corpus --out outputs/asked        # ids, prompts, seconds, sounds
      facelm score outputs/theirs --data outputs/corpus --benchmark text-to-motion,captioning
    """
    if template is not None:
        _template(template, out, where)
        return
    if folder is None or data is None:
        raise click.UsageError("give FOLDER and --data, or --template CORPUS --out FOLDER")
    with output(out, (".json",)) if out else nullcontext() as file:
        from facelm.evaluate import benchmarks as protocols
        from facelm.evaluate.predictions import read_predictions

        names = protocols.names_of(benchmarks, list(protocols.BENCHMARKS))
        setting = _setting(folder, data=data, **where)
        results = []
        for name in names:
            predictions = read_predictions(folder, setting.clips, {protocols.NEEDS[name]}, missing)
            results.append(protocols.score(name, setting, predictions))
        _finish(results, file, out, report)


def _template(corpus: str, out: str | None, where: dict[str, Any]) -> None:
    if out is None:
        raise click.UsageError("give --out FOLDER, where the prompts and sounds are to be written")
    from facelm.evaluate.clips import choose
    from facelm.evaluate.predictions import write_template

    clips = choose(corpus, where["split"], where["prompts"], where["seed"])
    click.echo(f"{write_template(clips, out)}: {len(clips)} clips to answer; name the files as `file` says")


def _setting(model: str, rig: str | None, llm_judge: str | None, ratings: str, **where: Any) -> "Setting":
    from facelm.evaluate.setting import Setting

    setting = Setting.load(head=load_head(rig), model=model, **where)
    if llm_judge is None:
        return setting
    from facelm.evaluate.llm_judge import LlmJudge

    return replace(setting, rater=LlmJudge(llm_judge, ratings))


def _finish(results: Sequence["Result"], file: Path | None, out: str | None, report: str | None) -> None:
    from facelm.evaluate.result import save_results

    click.echo("\n\n".join(result.text() for result in results))
    if file is not None and out is not None:
        save_results(results, file, Path(out).with_suffix(".npz"))
    if report is not None:
        from tqdm import tqdm

        from facelm.evaluate.report import films, render

        with tqdm(total=films(results), unit="film", desc="report", delay=1) as bar:
            page = render(results, report, progress=lambda done: _told(bar, done))
        click.echo(f"\nopen {page}")


@contextmanager
def _counting(share: "Share | None", total: int) -> Iterator["Share"]:
    """A share of the work that shows its progress; of several processes the first does, in their stead."""
    from tqdm import tqdm

    from facelm.evaluate.predict import Share

    share = share or Share()
    with tqdm(total=total, unit="clip", delay=1, disable=share.rank > 0) as bar:
        yield replace(share, progress=lambda done: _told(bar, done * share.processes))


def _told(bar: Any, done: int) -> None:
    bar.update(min(done, bar.total - bar.n))  # the last batch may be short of some processes
