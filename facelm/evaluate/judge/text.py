"""The judge of words: do a text and a motion belong together? After TMR (Petrovich et al., 2023), as paper 000 uses it.

Both sides are small transformers that are trained to put a clip's texts next to its motion. The motion enters as
coefficients: vertices of a blendshape rig are the same numbers times a fixed matrix, which the first layer can learn.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facelm.errors import FacelmError
from facelm.evaluate.judge.base import Judge
from facelm.evaluate.judge.networks import Pooled
from facelm.evaluate.judge.words import WORDS, TextReader, TextSource
from facelm.fields import check_positive
from facelm.motion.layout import layout as named_layout


@dataclass(frozen=True)
class TextJudgeConfig:
    """Sizes of a `TextJudge`. Raises FacelmError for one that can't be.

    layout, fps, seconds: of the motions; longer ones are cut off. patch: frames a step. width, layers, heads: of both
    transformers. embedding: D. encoder: a folder or Hub id of a text encoder, which stays frozen, or "words".
    """

    layout: str = "arkit"
    fps: float = 25.0
    seconds: float = 10.0
    patch: int = 4
    width: int = 128
    layers: int = 2
    heads: int = 4
    embedding: int = 256
    encoder: str = WORDS

    def __post_init__(self) -> None:
        named_layout(self.layout)
        check_positive(self, "judge", "fps", "seconds", "patch", "width", "layers", "heads", "embedding")
        if self.width % (2 * self.heads):
            raise FacelmError(f"judge: width {self.width} must be a multiple of twice the {self.heads} heads")


class TextJudge(Judge):
    """Judge of texts and motions; see `Judge`. Made by recipes/judge.py, read by `Judge.from_pretrained`.

    Args:
        config: its sizes.
        source: what it reads texts with.
        corpus: fingerprint of the corpus it learns from.
        folder: of the encoder, where it is not at the source's name.
    """

    kind = "text"

    def __init__(
        self, config: TextJudgeConfig, source: TextSource, corpus: str = "", folder: str | None = None
    ) -> None:
        super().__init__(config, corpus)
        self.source, self._folder = source, folder
        self._reader: TextReader | None = None
        sizes = (config.width, config.layers, config.heads, config.embedding)
        self.motion_start = nn.Linear(config.patch * len(self._columns), config.width)
        self.motion_pool = Pooled(*sizes)
        self.text_start: nn.Module
        if source.width:
            self.text_start = nn.Linear(source.width, config.width)
        else:
            self.text_start = nn.Embedding(len(source.words) + 1, config.width)
        self.text_pool = Pooled(*sizes)

    def motion_side(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, S * patch, C) normalised and bool (B, S) to (B, D)."""
        steps = values.view(len(values), mask.shape[1], -1)  # (B, S, patch * C)
        return self.motion_pool(self.motion_start(steps), mask)

    def other_side(self, items: Sequence[Tensor]) -> Tensor:
        """(B, D) of texts as a reader gives them: float16 (L, features) or int64 (L,) each."""
        padded = nn.utils.rnn.pad_sequence(list(items), batch_first=True).to(self.device)
        mask = torch.arange(padded.shape[1]) < torch.tensor([len(item) for item in items])[:, None]
        if padded.is_floating_point():
            padded = padded.float()
        return self.text_pool(self.text_start(padded), mask.to(self.device))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings (N, D) float32; of a text longer than 128 tokens the beginning counts.

        A text without words, or in an alphabet the encoder does not know, has an embedding as well: near nothing in
        particular. Raises FacelmError when the encoder is not at hand or not the one of the training.
        """
        if isinstance(texts, str):
            raise FacelmError("embed_texts takes a list of texts, not one text; put it into brackets")
        if self._reader is None:
            self._reader = self.source.open(self._folder)
        return self._in_batches(self._reader.read(texts), self.other_side)

    @classmethod
    def from_about(cls, about: dict[str, Any], encoder: str | None) -> "TextJudge":
        """An untrained judge of the shape that a config.json tells."""
        source = {**about["encoder"], "words": tuple(about["encoder"]["words"])}
        return cls(TextJudgeConfig(**about["config"]), TextSource(**source), about["corpus"], encoder)

    def _about(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "config": asdict(self.config),
            "corpus": self.corpus,
            "encoder": {**asdict(self.source), "words": list(self.source.words)},
        }
