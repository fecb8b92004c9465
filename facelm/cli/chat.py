"""`facelm chat`: a conversation with words and motions, typed or piped."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facelm.cli.common import about, load_lm, load_take, output
from facelm.errors import FacelmError

if TYPE_CHECKING:
    from facelm.agent import FaceLM
    from facelm.motion import FaceMotion

HELP = """\
Type what the face should do, or ask about a motion. Commands:
  /load FILE   give the model a motion (.csv, .csv.gz, .npz) together with your next words
  /save FILE   write the last motion (.csv, .npz, .glb, .mp4, .gif, .png)
  /new         forget the conversation
  /help        this list
  /quit        end"""


class Conversation:
    """The state of a chat: messages so far, motions waiting for the next words, and the last motion."""

    def __init__(self, lm: "FaceLM", seed: int | None) -> None:
        self.lm, self.seed = lm, seed
        self.messages: list[dict[str, Any]] = []
        self.waiting: list[FaceMotion] = []
        self.last: FaceMotion | None = None

    def answer(self, line: str) -> str:
        """What to print after a line that was typed; FacelmError when it asks for something impossible."""
        command, _, argument = line.partition(" ")
        verbs = {"/load": self._load, "/save": self._save, "/new": self._new, "/help": lambda _: HELP}
        if command in verbs:
            return verbs[command](argument.strip())
        if command.startswith("/"):
            raise FacelmError(f"there is no command {command}; type /help for the list")
        return self._say(line)

    def _load(self, path: str) -> str:
        if not path:
            raise FacelmError("/load needs a file, for example /load take.csv")
        motion = load_take(path)
        self.lm.check_heard(motion)
        self.waiting.append(motion)
        self.last = motion
        return f"{path}: {about(motion)}; now say something about it, for example 'Describe this motion.'"

    def _save(self, path: str) -> str:
        from facelm.rig.export import ENDINGS, export

        if not path:
            raise FacelmError("/save needs a file, for example /save out.glb")
        if self.last is None:
            raise FacelmError("there is no motion to save yet; ask for one, for example 'Smile, then nod.'")
        with output(path, ENDINGS) as temporary:
            export(self.last, temporary)
        return f"{path}: {about(self.last)}"

    def _new(self, _: str) -> str:
        self.messages, self.waiting = [], []
        return "a new conversation"

    def _say(self, line: str) -> str:
        motions = [{"type": "motion", "motion": motion} for motion in self.waiting]
        message = {"role": "user", "content": [*motions, {"type": "text", "text": line}]}
        reply = self.lm.chat([*self.messages, message], self.seed)
        self.messages += [message, reply]
        self.waiting = []
        said = []
        for part in reply["content"]:
            if part["type"] == "motion":
                self.last = part["motion"]
                said.append(f"[motion: {about(part['motion'])}; /save FILE writes it]")
            else:
                said.append(part["text"].strip())
        return "\n".join(said)


@click.command()
@click.option("--model", required=True, help="Folder of a model.")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same motions; by default any.")
def chat(model: str, seed: int | None) -> None:
    """Talk with a model; /load gives it a motion, /save writes its last one, /help lists the commands.

    When the lines are piped in, a line that fails makes the exit code 2; the lines after it still run.

    \b
    Example:
      printf '%s\\n' 'Smile, then nod.' '/save smile.glb' | facelm chat --model outputs/demo/model
    """
    conversation = Conversation(load_lm(model), seed)
    typed, failed = sys.stdin.isatty(), False
    if typed:
        click.echo(f"{Path(model).name}: type what the face should do; /help lists the commands, /quit ends")
    while True:
        try:
            line = input("> " if typed else "").strip()
        except EOFError:
            break
        if line == "/quit":
            break
        if not line:
            continue
        try:
            click.echo(conversation.answer(line))
        except (FacelmError, OSError) as error:
            click.echo(f"facelm: {' '.join(str(error).split())}", err=True)
            failed = True
    if failed and not typed:
        raise click.exceptions.Exit(2)
