from pathlib import Path

import pytest
from tiny_judge import TINY

from facelm.corpus import load_corpus, synthesise
from facelm.evaluate.judge import TextJudge
from facelm.evaluate.judge.pairs import Clip, clips
from facelm.evaluate.judge.teach import teach_text
from facelm.evaluate.judge.train import JudgeTraining


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Some 450 synthesised clips."""
    folder = tmp_path_factory.mktemp("judge") / "corpus"
    synthesise(0.3, 0, folder)
    return folder


@pytest.fixture(scope="session")
def unseen(tmp_path_factory) -> list[Clip]:
    """64 clips of another seed."""
    folder = tmp_path_factory.mktemp("judge") / "unseen"
    synthesise(0.06, 7, folder)
    return clips(load_corpus(folder, "train").select(range(64)))


@pytest.fixture(scope="session")
def trained(tmp_path_factory, corpus) -> Path:
    """The folder of a tiny judge of texts that has learnt a little."""
    folder = tmp_path_factory.mktemp("judge") / "judge"
    training = JudgeTraining(max_steps=150, batch=64, learning_rate=4e-3, eval_every=150)
    judge = teach_text(TINY, training, corpus, folder, progress=False)
    assert isinstance(judge, TextJudge)
    return folder
