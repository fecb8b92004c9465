"""Verbs that make models out of others: base, merge."""

import click

from facelm.cli.common import quiet
from facelm.errors import FacelmError


@click.command()
@click.argument("name", type=click.Choice(["nano", "smollm2-135m"]))
@click.option("--out", required=True, help="Folder for the base model.")
@click.option("--corpus", "folder", help="The corpus whose words nano learns (nano only).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random weights (nano only).")
@click.option("--offline", is_flag=True, help="Do not ask the Hub; use the installed package (smollm2-135m only).")
def base(name: str, out: str, folder: str | None, seed: int, offline: bool) -> None:
    """Make a base language model to fine-tune: nano (random, tiny) or smollm2-135m (real weights).

    Any other causal LM of transformers serves as a base too: name its folder or Hub id in the recipe.

    Example:  facelm base nano --corpus outputs/corpus --out outputs/bases/nano
    """
    quiet()
    from facelm.lm.bases import make_nano, make_smollm2

    if name == "nano":
        if folder is None:
            raise FacelmError("nano learns the words of a corpus; give --corpus DIR from `facelm corpus synth`")
        make_nano(out, folder, seed=seed)
        click.echo(f"{out}: nano, a random model for the words of {folder}")
    else:
        click.echo(f"{out}: weights of {make_smollm2(out, offline)}")


@click.command()
@click.argument("folder")
@click.option("--out", required=True, help="A new folder for the whole model.")
@click.option("--base", help="Where the base is now, if it was moved.")
def merge(folder: str, out: str, base: str | None) -> None:
    """Merge an adapter into its base: one folder that transformers, vLLM and others load without PEFT.

    Example:  facelm merge outputs/adapter --out outputs/merged
    """
    quiet()
    from facelm.lm.folder import merge_model

    merge_model(folder, out, base)
    click.echo(f"{out}: the whole model of {folder}")
