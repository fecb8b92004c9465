"""A model that is made in a second and knows nothing: random weights, a random motion tokenizer, words in bytes."""

from functools import cache

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from facelm.lm.bases import NanoConfig, write_nano
from facelm.lm.processor import FaceProcessor
from facelm.lm.vocabulary import Vocabulary
from facelm.motion import FaceMotion
from facelm.tokenizer import MotionTokenizer, TokenizerConfig
from facelm.tokenizer.config import face_streams

WORDS = ["0.0-1.4 s slight sad, nod; 1.4-3.0 s strong dimple left, blink twice", "Smile slightly on the left."] * 4


def make_tiny(folder, seed=0, context=1024):
    """(model, processor) of a random model; `folder` is where its base may be written."""
    base = folder / f"base-{context}"
    if not base.exists():
        write_nano(
            base, WORDS, NanoConfig(vocabulary=320, hidden=32, layers=2, heads=2, intermediate=48, context=context)
        )
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    motion_tokenizer = random_tokenizer()
    vocabulary = Vocabulary.of(motion_tokenizer)
    vocabulary.extend(model, tokenizer)
    torch.manual_seed(seed)
    for weight in model.parameters():  # spread out, so that no choice is a near tie
        torch.nn.init.normal_(weight, std=0.3 if weight.ndim > 1 else 1.0)
    return model, FaceProcessor(tokenizer, motion_tokenizer, vocabulary)


@cache
def random_tokenizer():
    torch.manual_seed(0)
    config = TokenizerConfig(streams=face_streams(8, 8, 6, 5), width=8, encoder_blocks=1, decoder_blocks=1)
    return MotionTokenizer(config)


def wave(seconds=2.0, fps=25.0, layout="arkit"):
    """A motion that opens the jaw and turns the head."""
    motion = np.zeros((max(1, round(seconds * fps)), 55), np.float32)
    times = np.arange(len(motion)) / fps
    still = FaceMotion(motion, fps)
    motion[:, still.layout.index("jawOpen")] = 0.3 - 0.3 * np.cos(times * 6)
    motion[:, still.layout.index("headYaw")] = 0.2 * np.sin(times * 3)
    return FaceMotion(motion, fps).to(layout)
