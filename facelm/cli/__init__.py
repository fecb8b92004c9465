"""`facelm VERB`. Nothing heavy is imported before a verb runs, so that `facelm --help` answers at once."""

import click

from facelm import __version__
from facelm.cli.card import card
from facelm.cli.chat import chat
from facelm.cli.clean import clean
from facelm.cli.corpus import corpus
from facelm.cli.evaluate import evaluate, score
from facelm.cli.files import convert, render
from facelm.cli.info import info
from facelm.cli.make import base, merge
from facelm.cli.model import animate, describe
from facelm.cli.rig import rig
from facelm.errors import FacelmError

__all__ = ["main"]


class _Facelm(click.Group):
    """Turns a wrong request into one sentence and exit code 2; other errors keep their traceback and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FacelmError as error:
            sentence = " ".join(str(error).split())
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
            if error.filename is None:
                raise
            sentence = f"{error.filename}: {(error.strerror or 'cannot be opened').lower()}; check the path"
        click.echo(f"facelm: {sentence}", err=True)
        raise click.exceptions.Exit(2)


@click.group(cls=_Facelm, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="facelm")
def main() -> None:
    """Teach a language model to read and write facial motion.

    \b
    From nothing to a face, in this order:
      facelm corpus synth --hours 6 --out outputs/corpus
      accelerate launch recipes/tokenizer.py --config recipes/nano/tokenizer.yaml
      facelm base nano --corpus outputs/corpus --out outputs/bases/nano
      accelerate launch recipes/sft.py --config recipes/nano/pretrain.yaml
      accelerate launch recipes/sft.py --config recipes/nano/sft.yaml
      facelm animate "Smile slightly on the left, then nod." --model DIR --out smile.glb
      facelm describe take.csv --model DIR
    """


for verb in (animate, base, card, chat, clean, convert, corpus, describe, evaluate, info, merge, render, rig, score):
    main.add_command(verb)
