"""Verbs that write cards."""

import click


@click.group()
def card() -> None:
    """Write the card of a corpus.

    Example:  facelm card data outputs/corpus --license cc-by-4.0
    """


@card.command()
@click.argument("folder")
@click.option("--license", default="other", show_default=True, help="The Hub's name of the licence, such as cc-by-4.0.")
@click.option("--consent", default="", help="What the people who were recorded agreed to.")
@click.option("--name", default="", help="What the corpus is called; the folder's name when not given.")
@click.option("--overwrite", is_flag=True, help="Replace a card that is there.")
def data(folder: str, license: str, consent: str, name: str, overwrite: bool) -> None:
    """Write FOLDER/README.md, a card for the Hub: sources, statistics with pictures, columns, versions.

    What only you know, licence and consent, is marked FILL IN until you give it.

    Example:  facelm card data outputs/corpus --license cc-by-4.0
    """
    from facelm.corpus.card import write_card

    path = write_card(folder, license, consent, name, overwrite)
    missing = path.read_text(encoding="utf-8").count("FILL IN")
    click.echo(f"{path}: written" + (f"; look for FILL IN, in {missing} places" if missing else ""))
