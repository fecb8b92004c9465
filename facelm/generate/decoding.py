"""Decoding that can only write valid motion.

A motion after its plan is regular: a cue known beforehand, then one token of each stream, step after step. So motion is
decoded by a loop of its own instead of transformers' `generate`: cues are fed together with the token before them
(five forwards for the six tokens of a step), only the ids of the stream whose turn it is are compared, and every row
draws from its own seed, so that what a row becomes does not depend on the batch it is in. It needs nothing of a model
but `forward` with a static cache, and at temperature 0 it agrees with `generate` under the same constraints (tested).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facelm.errors import FacelmError
from facelm.lm.vocabulary import Cues, Vocabulary

BATCH_ROWS = 32
BATCH_TOKENS = 16384  # rows x length of one batch, which bounds the memory of the cache
TEXT_STAGE, MOTION_STAGE = 0, 1


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen among the valid ones.

    Attributes:
        temperature: 0 takes the likeliest, 1 draws from the model's distribution. For motion it may be a mapping from
            stream names to temperatures; streams left out are greedy.
        top_p: Draw from the smallest set of tokens that holds this share of the probability, in (0, 1].

    Raises FacelmError for a negative temperature or a share outside (0, 1].
    """

    temperature: float | Mapping[str, float] = 0.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        given = self.temperature
        values = list(given.values()) if isinstance(given, Mapping) else [given]
        if not all(0 <= value < float("inf") for value in values):
            raise FacelmError(f"temperature is {given}; it must be 0 (the likeliest) or more, for example 0.7")
        if not 0 < self.top_p <= 1:
            raise FacelmError(f"top_p is {self.top_p}; it must be above 0 and at most 1, for example 0.95")

    def of(self, stream: str) -> float:
        """The temperature of a stream's tokens."""
        if isinstance(self.temperature, Mapping):
            return self.temperature.get(stream, 0.0)
        return self.temperature


class Decoder:
    """Writes text or motion after a prompt with any causal language model of transformers whose vocabulary is extended.

    Rows are left-padded into batches of at most `BATCH_ROWS`; every row has its own seed.
    """

    def __init__(self, model: Any, tokenizer: Any, vocabulary: Vocabulary) -> None:
        self.model = model
        self.ids = vocabulary.ids(tokenizer)
        self.streams = [name for name, _ in vocabulary.streams]
        config = model.config.get_text_config()
        self.context = int(getattr(config, "max_position_embeddings", None) or 2**31)
        device = model.get_input_embeddings().weight.device
        rows = model.get_input_embeddings().weight.shape[0]
        special = [index for index, token in tokenizer.added_tokens_decoder.items() if token.special]
        text = torch.zeros(rows, dtype=torch.bool)
        text[: len(tokenizer)] = True  # the rows after are padding
        text[[*special, *tokenizer.all_special_ids, *self.ids.all.tolist()]] = False
        self._text = text.to(device)

    def text(
        self,
        prompts: Sequence[Sequence[int]],
        stops: Sequence[int],
        max_tokens: int,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
    ) -> list[list[int]]:
        """Words after each prompt: ids of text alone, the last of which is one of `stops` unless they ran out of room.

        Args:
            prompts: Ids of each row.
            stops: Ids that end a row; no other special, cue or motion token can occur.
            max_tokens: At most so many ids are added to a row (fewer where the context ends).
            seeds: Seed of each row.

        Raises:
            FacelmError: a prompt fills the model's context.
        """
        sampling = sampling or Sampling()
        for prompt in prompts:
            if len(prompt) >= self.context:
                raise FacelmError(
                    f"the request has {len(prompt)} tokens, the model's context holds {self.context}; shorten it"
                )
        lengths = [min(len(prompt) + max_tokens, self.context) for prompt in prompts]

        def write(rows: list[int]) -> list[list[int]]:
            room = [lengths[row] - len(prompts[row]) for row in rows]
            return self._write_text([prompts[row] for row in rows], stops, room, [seeds[row] for row in rows], sampling)

        return _in_batches(lengths, write)

    def motion(
        self,
        prompts: Sequence[Sequence[int]],
        cues: Sequence[Cues],
        seeds: Sequence[int],
        sampling: Sampling | None = None,
    ) -> list[np.ndarray]:
        """Codes of the motion after each prompt, one step for every cue: list of int64 (steps, streams).

        Args:
            prompts: Ids of each row, the last of which opens the motion.
            cues: (phase, position) of every step of each row; they are forced in before each step.
            seeds: Seed of each row.

        Raises:
            FacelmError: prompt and motion are longer than the model's context, naming the steps that fit.
        """
        sampling = sampling or Sampling()
        width = len(self.streams) + 1
        for prompt, steps in zip(prompts, cues, strict=True):
            room = (self.context - len(prompt) - 1) // width
            if len(steps) > room:
                raise FacelmError(
                    f"a motion of {len(steps)} steps does not fit the model's context of {self.context} tokens, "
                    f"which has room for {max(room, 0)} after this prompt; ask for a shorter one"
                )
        lengths = [len(prompt) + width * len(steps) for prompt, steps in zip(prompts, cues, strict=True)]

        def write(rows: list[int]) -> list[np.ndarray]:
            chosen = [prompts[row] for row in rows]
            return self._write_motion(chosen, [cues[row] for row in rows], [seeds[row] for row in rows], sampling)

        return _in_batches(lengths, write)

    @torch.inference_mode()
    def _write_text(
        self,
        prompts: list[Sequence[int]],
        stops: Sequence[int],
        room: list[int],
        seeds: list[int],
        sampling: Sampling,
    ) -> list[list[int]]:
        draws = _draws(seeds, TEXT_STAGE, max(room), self._text.device)
        allowed = self._text.clone()
        allowed[list(stops)] = True
        temperature = sampling.temperature
        assert not isinstance(temperature, Mapping), "text has one temperature"
        run = _Run(self.model, prompts, max(room))
        scores = run.scores
        written: list[list[int]] = [[] for _ in prompts]
        open_rows = set(range(len(prompts)))
        for position in range(max(room)):
            scores = scores[:, : len(allowed)].masked_fill(~allowed, float("-inf"))
            chosen = _choose(scores, temperature, sampling.top_p, draws[:, position])
            for row, token in enumerate(chosen.tolist()):
                if row in open_rows:
                    written[row].append(token)
                    if token in stops or len(written[row]) == room[row]:
                        open_rows.discard(row)
            if not open_rows:
                break
            scores = run.feed(chosen[:, None])
        return written

    @torch.inference_mode()
    def _write_motion(
        self, prompts: list[Sequence[int]], cues: list[Cues], seeds: list[int], sampling: Sampling
    ) -> list[np.ndarray]:
        device = self._text.device
        steps, streams = max(len(row) for row in cues), len(self.streams)
        # Rows that end early go on with their last cue; what they write then is cut off below.
        filled = np.array([[*row, *[row[-1]] * (steps - len(row))] for row in cues])  # (B, steps, 2)
        forced = torch.from_numpy(self.ids.cues[filled[..., 0], filled[..., 1]]).to(device)  # (B, steps)
        draws = _draws(seeds, MOTION_STAGE, steps * streams, device)
        written = torch.empty(len(prompts), steps, streams, dtype=torch.long, device=device)
        prompts = [[*prompt, cue] for prompt, cue in zip(prompts, forced[:, 0].tolist(), strict=True)]
        run = _Run(self.model, prompts, steps * (streams + 1) - 2)
        scores = run.scores
        for step in range(steps):
            for stream, name in enumerate(self.streams):
                start = self.ids.offsets[stream]
                own = scores[:, start : start + self.ids.sizes[stream]]
                code = _choose(own, sampling.of(name), sampling.top_p, draws[:, step * streams + stream])
                written[:, step, stream] = code
                token = (code + start)[:, None]
                if stream < streams - 1:
                    scores = run.feed(token)
                elif step < steps - 1:
                    scores = run.feed(torch.cat([token, forced[:, step + 1, None]], dim=1))
        codes = written.cpu().numpy()
        return [codes[row, : len(cues[row])] for row in range(len(prompts))]


class _Run:
    """A batch under way: the cache, the mask (0 on the left padding) and the positions, for known most tokens."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], more: int) -> None:
        from transformers import StaticCache

        self.model = model
        device = model.get_input_embeddings().weight.device
        longest = max(len(prompt) for prompt in prompts)
        total = longest + max(more, 0)
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        self.mask = torch.ones(len(prompts), total, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.as_tensor(list(prompt))
            self.mask[row, : longest - len(prompt)] = 0
        self.positions = (self.mask.cumsum(1) - 1).clamp_min(0).to(device)
        self.mask = self.mask.to(device)
        # A static cache: a growing one copies itself at every token, which took half of the time of a small model.
        self.cache = StaticCache(config=model.config, max_cache_len=total)
        self.length = 0
        self.scores = self.feed(ids.to(device))

    def feed(self, ids: Tensor) -> Tensor:
        """Scores float32 (B, vocabulary) of the token after ids (B, n)."""
        now = slice(self.length, self.length + ids.shape[1])
        self.length = now.stop
        output = self.model(
            input_ids=ids,
            attention_mask=self.mask[:, : now.stop],
            position_ids=self.positions[:, now],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()


def _choose(scores: Tensor, temperature: float, top_p: float, draw: Tensor) -> Tensor:
    """Index (B,) among scores (B, K), from one uniform draw in [0, 1) a row."""
    if temperature == 0:
        return scores.argmax(-1)
    shares, order = (scores / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
    before = shares.cumsum(-1) - shares
    shares = shares * (before < top_p)
    total = shares.cumsum(-1)
    place = (total <= draw[:, None] * total[:, -1:]).sum(-1)
    place = torch.minimum(place, (shares > 0).sum(-1) - 1)
    return order.gather(-1, place[:, None])[:, 0]


def _draws(seeds: Sequence[int], stage: int, count: int, device: torch.device) -> Tensor:
    """Uniform float32 (B, count): each row from its own seed, the same on every device and in every batch."""
    rows = [np.random.default_rng([seed, stage]).random(count, dtype=np.float32) for seed in seeds]
    return torch.from_numpy(np.stack(rows)).to(device)


def _in_batches(lengths: Sequence[int], write: Callable[[list[int]], list[Any]]) -> list[Any]:
    """What `write` makes of the rows, given to it in batches of similar length; results in the order of the rows."""
    results: list[Any] = [None] * len(lengths)
    for rows in _batches(lengths):
        for row, result in zip(rows, write(rows), strict=True):
            results[row] = result
    return results


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if rows and (len(rows) == BATCH_ROWS or (len(rows) + 1) * lengths[rows[0]] > BATCH_TOKENS):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
