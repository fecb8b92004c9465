"""Tiny base models of every kind that must work: BPE and two kinds of sentencepiece, tied and untied."""

import io

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from facelm.lm.bases import NanoConfig, write_nano

KINDS = ("bpe", "sentencepiece", "unigram")
TEXTS = [
    "0.0-1.4 s slight sad, nod; 1.4-3.0 s strong dimple left, blink twice",
    "Smile slightly on the left, then nod.",
    "Describe this motion. What does the face do?",
    "The face looks sad and nods.",
    "user\nassistant\nsystem\n",
]


def make_base(folder, kind, tied):
    """Write a random base of some kind into a folder."""
    if kind == "bpe":
        write_nano(folder, TEXTS, NanoConfig(vocabulary=340, hidden=32, layers=2, heads=2, intermediate=48))
        if tied:
            return folder
        config = LlamaConfig.from_pretrained(folder)
        tokenizer = None
    else:
        config, tokenizer = None, sentencepiece_tokenizer(folder, kind)
    config = config or LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
    )
    config.tie_word_embeddings = tied
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def sentencepiece_tokenizer(folder, kind):
    """Train a small sentencepiece model and save it as transformers keeps it."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=written,
        vocab_size=340 if kind == "sentencepiece" else 320,
        model_type="bpe" if kind == "sentencepiece" else "unigram",
        byte_fallback=True,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    LlamaConfig(vocab_size=340).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return tokenizer
