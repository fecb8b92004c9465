"""Train a retrieval judge: of texts and motions, or (kind: audio) of speech and motions without the head's pose.

    python recipes/judge.py --config recipes/nano/judge.yaml --corpus outputs/corpus
    python recipes/judge.py --config recipes/nano/audio_judge.yaml --corpus outputs/talking

Every field of `Text` or `Audio`, of `facelm.evaluate.judge.TextJudgeConfig` or `AudioJudgeConfig`, and of
`facelm.evaluate.judge.train.JudgeTraining` may stand in the YAML file and be overridden on the command line. Writes the
judge, `metrics.jsonl` and a checkpoint to `out`; `--resume true` goes on from the checkpoint. At the end it says how
well real pairs of the test split find each other, and what it makes of motions that were spoilt on purpose.
"""

import argparse
import os
import sys
from dataclasses import dataclass

from facelm.errors import FacelmError
from facelm.fields import parse_fields, read_yaml


@dataclass(frozen=True)
class Text:
    """What to train on and where to write. `wordings`: prompts and captions of a clip that are used, all when 0."""

    kind: str = "text"
    corpus: str = "outputs/corpus"
    out: str = "outputs/judge"
    wordings: int = 0
    resume: bool = False
    progress: bool = True


@dataclass(frozen=True)
class Audio:
    """The same for speech. `tail` > 0: the test is the last share of every take, not the test split."""

    kind: str = "audio"
    corpus: str = "outputs/talking"
    out: str = "outputs/audio-judge"
    tail: float = 0.0
    resume: bool = False
    progress: bool = True


def kind_of(arguments: list[str]) -> str:
    """ "text" or "audio": what --kind says, or the config file."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--kind")
    parser.add_argument("--config")
    given, _ = parser.parse_known_args(arguments)
    content = read_yaml(given.config) if given.config else None
    kind = given.kind or (content.get("kind") if isinstance(content, dict) else None) or "text"
    if kind not in ("text", "audio"):
        raise FacelmError(f"kind is {kind!r}: give text or audio")
    return str(kind)


def main() -> int:
    # Threads that wait for each other spin for a moment only: endless spinning is many times slower on busy cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        kind = kind_of(sys.argv[1:])
        if kind == "text":
            text(sys.argv[1:])
        else:
            audio(sys.argv[1:])
    except FacelmError as error:
        print(f"facelm: {error}", file=sys.stderr)
        return 2
    return 0


def text(arguments: list[str]) -> None:
    from facelm.evaluate.judge import TextJudgeConfig
    from facelm.evaluate.judge.train import JudgeTraining

    run, config, training = parse_fields(__doc__ or "", arguments, Text, TextJudgeConfig, JudgeTraining)
    from facelm.corpus.shards import load_corpus, shard_files
    from facelm.evaluate.judge.check import compare, real_texts, table, text_changes
    from facelm.evaluate.judge.pairs import clips
    from facelm.evaluate.judge.teach import teach_text

    judge = teach_text(config, training, run.corpus, run.out, run.wordings, run.resume, run.progress)
    print(f"{run.out}: judge of texts, fingerprint {judge.fingerprint}")
    if not shard_files(run.corpus, "test"):
        return
    found = clips(load_corpus(run.corpus, "test"))
    print("Real pairs of the test split:", *real_texts(judge, found), sep="\n  ")
    if config.layout == "arkit":
        motions = [clip.motion for clip in found]
        queries = judge.embed_texts([clip.prompts[0] for clip in found])
        print("Motions spoilt on purpose:", table(compare(judge, queries, motions, text_changes(found))), sep="\n")


def audio(arguments: list[str]) -> None:
    from facelm.evaluate.judge import AudioJudgeConfig
    from facelm.evaluate.judge.train import JudgeTraining

    run, config, training = parse_fields(__doc__ or "", arguments, Audio, AudioJudgeConfig, JudgeTraining)
    from facelm.evaluate.judge.check import compare, real_talk, table, talk_changes
    from facelm.evaluate.judge.pairs import windows
    from facelm.evaluate.judge.teach import talking, teach_audio

    judge = teach_audio(config, training, run.corpus, run.out, run.tail, run.resume, run.progress)
    print(f"{run.out}: judge of sounds, fingerprint {judge.fingerprint}")
    found = windows(talking(run.corpus, run.tail)[1], config.seconds, 1.0)
    print(f"Real windows of {config.seconds:g} s, one every second:", *real_talk(judge, found), sep="\n  ")
    motions = [talk.motion for talk in found]
    queries = judge.embed_audio([talk.samples for talk in found])
    print("Motions spoilt on purpose:", table(compare(judge, queries, motions, talk_changes(found))), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
