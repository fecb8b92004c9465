"""Verbs that ask a model: animate, describe."""

import click

from facelm.cli.common import SHORT_ROWS, about, load_lm, load_take, output


@click.command()
@click.argument("text")
@click.option("--model", required=True, help="Folder of a model.")
@click.option("--out", required=True, help="File to write: .csv, .npz, .glb, .mp4, .gif or .png.")
@click.option("--seconds", type=float, help="Exact length; by default what the model plans.")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same motion; by default any.")
@click.option("--plan", help="Follow this plan, in the words the model writes them, instead of its own.")
@click.option("--candidates", type=click.IntRange(1), default=1, show_default=True, help="Draw so many, keep the best.")
def animate(
    text: str, model: str, out: str, seconds: float | None, seed: int | None, plan: str | None, candidates: int
) -> None:
    """Animate a face from words; prints the plan it followed, which you can edit and give back with --plan.

    \b
    Examples:
      facelm animate "Smile slightly on the left, then nod." --model outputs/demo/model --out smile.glb
      facelm animate "Be sad." --plan "0.0-1.4 s slight sad; 1.4-3.0 s nod" --model DIR --out sad.csv
    """
    from facelm.rig.export import ENDINGS, export

    with output(out, ENDINGS) as temporary:
        motion = load_lm(model).animate(text, seconds, seed, plan, candidates)
        export(motion, temporary)
    if "plan_error" in motion.metadata:
        click.echo(f"facelm: the model's plan could not be followed: {motion.metadata['plan_error']}", err=True)
    click.echo(f"plan: {motion.metadata['plan']}")
    click.echo(f"{out}: {about(motion)}, seed {motion.metadata['seed']}")


@click.command()
@click.argument("file")
@click.option("--model", required=True, help="Folder of a model.")
@click.option("--question", help="Ask this about the motion instead.")
@click.option("--every", type=click.FloatRange(0.2), help="Describe a long take in parts of so many seconds.")
@click.option("--short-rows", type=SHORT_ROWS, default="bridge", help="What to do with rows without a face.")
def describe(file: str, model: str, question: str | None, every: float | None, short_rows: str) -> None:
    """Say in words what a face does in a Live Link Face CSV (.csv, .csv.gz) or .npz.

    \b
    Examples:
      facelm describe take.csv --model outputs/demo/model --question "Does the head move?"
      facelm describe long_take.csv --model outputs/demo/model --every 4
    """
    motion = load_take(file, short_rows)
    lm = load_lm(model)
    if every is None:
        click.echo(lm.describe(motion, question))
        return
    count = max(1, round(motion.seconds / every))
    ends = [motion.seconds * part / count for part in range(count + 1)]
    parts = list(zip(ends, ends[1:], strict=False))
    answers = lm.describe_batch([motion.crop(start, end) for start, end in parts], question)
    for (start, end), answer in zip(parts, answers, strict=True):
        click.echo(f"{start:.1f}-{end:.1f} s  {' '.join(answer.split())}")
