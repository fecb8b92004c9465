import pytest
from tiny_bases import KINDS, make_base
from tiny_model import random_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from facelm.lm.processor import FaceProcessor
from facelm.lm.vocabulary import Vocabulary


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of a base of a kind, made once: `base(kind, tied)`."""
    made = {}

    def get(kind="bpe", tied=True):
        if (kind, tied) not in made:
            made[kind, tied] = make_base(tmp_path_factory.mktemp("bases") / f"{kind}-{tied}", kind, tied)
        return made[kind, tied]

    return get


@pytest.fixture(params=KINDS)
def processor(request, base):
    """A processor over each kind of text tokenizer."""
    folder = base(request.param)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(str(folder))
    motion_tokenizer = random_tokenizer()
    Vocabulary.of(motion_tokenizer).extend(model, tokenizer)
    return FaceProcessor(tokenizer, motion_tokenizer)
