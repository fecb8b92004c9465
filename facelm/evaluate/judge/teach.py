"""Training of judges on a corpus, from its folder to the judge's."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facelm.corpus import load_corpus
from facelm.corpus.shards import read_note, shard_files
from facelm.errors import FacelmError
from facelm.evaluate.judge.audio import AudioJudge, AudioJudgeConfig
from facelm.evaluate.judge.batches import TalkPairs, TextPairs, texts_to_read
from facelm.evaluate.judge.features import TextFeatures
from facelm.evaluate.judge.pairs import Talk, clips, split_tail, talks, windows
from facelm.evaluate.judge.text import TextJudge, TextJudgeConfig
from facelm.evaluate.judge.train import JudgeTraining, train
from facelm.evaluate.judge.words import WORDS, EncoderReader, TextReader, WordReader

FEATURES_FILE = "text_features.bin"


def teach_text(
    config: TextJudgeConfig,
    training: JudgeTraining,
    corpus: str | Path,
    out: str | Path,
    wordings: int = 0,
    resume: bool = False,
    progress: bool = True,
) -> TextJudge:
    """Train a judge of texts on a corpus' train split; its validation split, where there is one, is scored on the way.

    Args:
        wordings: prompts and captions of a clip that are used; all when 0. With an encoder every text costs time.
        resume, out: see `facelm.evaluate.judge.train.train`.

    Raises:
        FacelmError: no clip with texts in the corpus, another layout, no such encoder, and what `train` raises.
    """
    found = clips(load_corpus(corpus, "train"))
    if len(found) < 2:
        raise FacelmError(f"{corpus} has {len(found)} training clip(s) with prompts and captions; a judge needs many")
    texts = texts_to_read(found, wordings, config.layout)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reader: TextReader = WordReader.of(texts) if config.encoder == WORDS else EncoderReader(config.encoder, device)
    torch.manual_seed(training.seed)
    judge = TextJudge(config, reader.source, fingerprint(corpus)).to(device)
    features = TextFeatures(texts, reader, Path(out) / FEATURES_FILE, progress)
    pairs = TextPairs(judge, found, wordings, features, training.seed)
    judge.fit_scale(pairs.values)
    held_out: list[tuple[np.ndarray, Tensor]] = []
    if shard_files(corpus, "validation"):
        apart = clips(load_corpus(corpus, "validation"))
        read = reader.read([clip.prompts[0] for clip in apart])
        held_out = [(judge.prepare(clip.motion), text) for clip, text in zip(apart, read, strict=True)]
    train(judge, training, pairs, held_out, out, resume, progress)
    features.remove()
    return judge


def teach_audio(
    config: AudioJudgeConfig,
    training: JudgeTraining,
    corpus: str | Path,
    out: str | Path,
    tail: float = 0.0,
    resume: bool = False,
    progress: bool = True,
) -> AudioJudge:
    """Train a judge of sounds on the talking in a corpus; see `talking` for `tail`, and `teach_text` for the rest."""
    learnt, apart = talking(corpus, tail)
    torch.manual_seed(training.seed)
    judge = AudioJudge(config, fingerprint(corpus)).to("cuda" if torch.cuda.is_available() else "cpu")
    pairs = TalkPairs(judge, learnt, training.seed)
    judge.fit_scale(pairs.values)
    held_out = [
        (judge.prepare(talk.motion), judge.listen(talk.samples))
        for talk in windows(apart, config.seconds, config.seconds / 2)
    ]
    train(judge, training, pairs, held_out, out, resume, progress)
    return judge


def talking(corpus: str | Path, tail: float = 0.0) -> tuple[list[Talk], list[Talk]]:
    """The talking of a corpus to learn from, and that to be tested on, none of which is trained on.

    With `tail` above 0 they are the beginnings and the last shares of every take of the train split, for corpora of few
    takes or talkers; else the train and test splits. Raises FacelmError when there is none.
    """
    if not 0 <= tail <= 0.5:
        raise FacelmError(f"judge: tail = {tail}: give the share of every take that is kept for the test, 0 to 0.5")
    found = talks(load_corpus(corpus, "train"))
    return split_tail(found, tail) if tail else (found, talks(load_corpus(corpus, "test")))


def fingerprint(corpus: str | Path) -> str:
    """Of the corpus, from its corpus.json; "" of one that has none. Raises FacelmError when there is no corpus.json."""
    return str(read_note(corpus).get("fingerprint", ""))
