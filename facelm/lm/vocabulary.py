"""The new words of a language model: marks, cues and one token for every code of every motion stream.

A motion is written `<|motion|>` step step ... `<|/motion|>`. A step is one token for each stream, in stream order; in
what the assistant says, each step begins with a cue `<|cue_{phase}_{position}|>` that tells where in the plan it lies.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facelm.describe.plan import MAX_PHASES, POSITIONS
from facelm.errors import FacelmError

MOTION_START, MOTION_END = "<|motion|>", "<|/motion|>"
CHAT_START, CHAT_END = "<|im_start|>", "<|im_end|>"
VOCABULARY_MULTIPLE = 64  # an unpadded vocabulary is slow, and breaks tensor parallel runs (TRL issue 5608)
NAME = r"[a-z]+(?:_[a-z]+)*"  # of a stream
OFFSET, NOISE = 0.3, 0.05  # spread of a stream's offset and of single rows, in standard deviations of the old rows

Cues = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class VocabularyIds:
    """Where the new tokens lie in one tokenizer. The ids of a stream are consecutive: code c has `offsets[k] + c`."""

    motion_start: int
    motion_end: int
    cues: np.ndarray = field(compare=False)  # (MAX_PHASES, POSITIONS) int64
    offsets: tuple[int, ...]  # id of code 0 of each stream
    sizes: tuple[int, ...]  # codes of each stream

    @property
    def all(self) -> np.ndarray:
        """Every new id, in the order of `Vocabulary.tokens`: (2 + cues + codes,) int64."""
        streams = [np.arange(start, start + size) for start, size in zip(self.offsets, self.sizes, strict=True)]
        return np.concatenate([[self.motion_start, self.motion_end], self.cues.reshape(-1), *streams])

    def motion(self, codes: np.ndarray, cues: Cues | None = None) -> np.ndarray:
        """Ids of a motion with its marks: (2 + steps * (streams + has_cues),) int64 from codes (steps, streams)."""
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != len(self.offsets) or len(codes) == 0:
            raise FacelmError(f"motion codes must have shape (steps, {len(self.offsets)}), they have {codes.shape}")
        if (codes < 0).any() or (codes >= np.array(self.sizes)).any():
            step, stream = np.argwhere((codes < 0) | (codes >= np.array(self.sizes)))[0]
            raise FacelmError(
                f"code {codes[step, stream]} at step {step} of stream {stream} is not below {self.sizes[stream]}; "
                "the codes come from another motion tokenizer"
            )
        steps = codes + np.array(self.offsets)
        if cues is not None:
            if len(cues) != len(codes):
                raise FacelmError(f"{len(codes)} steps need as many cues, not {len(cues)}")
            where = np.array(cues)
            steps = np.concatenate([self.cues[where[:, 0], where[:, 1]][:, None], steps], axis=1)
        return np.concatenate([[self.motion_start], steps.reshape(-1), [self.motion_end]]).astype(np.int64)

    def codes(self, ids: Iterable[int]) -> np.ndarray:
        """Codes (steps, streams) int64 of the ids of one motion with its marks; cues are passed over."""
        found = np.asarray(list(ids), dtype=np.int64)
        if len(found) < 2 or found[0] != self.motion_start or found[-1] != self.motion_end:
            raise FacelmError(f"a motion begins with {MOTION_START} and ends with {MOTION_END}")
        body = found[1:-1]
        body = body[~np.isin(body, self.cues)]
        streams = len(self.offsets)
        if len(body) == 0 or len(body) % streams:
            raise FacelmError(f"a motion of {len(body)} codes is not a whole number of steps of {streams} codes")
        codes = body.reshape(-1, streams) - np.array(self.offsets)
        wrong = (codes < 0) | (codes >= np.array(self.sizes))
        if wrong.any():
            step, stream = np.argwhere(wrong)[0]
            raise FacelmError(f"step {step} of the motion has no code of stream {stream} where it belongs")
        return codes


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that one motion tokenizer needs: its streams (name, codes) in order, and its fingerprint."""

    streams: tuple[tuple[str, int], ...]
    fingerprint: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "streams", tuple((str(name), int(codes)) for name, codes in self.streams))
        names = [name for name, _ in self.streams]
        if not names or len(set(names)) < len(names) or any(not re.fullmatch(NAME, name) for name in names):
            raise FacelmError(f"streams need different names of lower-case letters and _, not {names}")
        if any(codes < 1 for _, codes in self.streams) or any(name in ("motion", "cue") for name in names):
            raise FacelmError(f"every stream needs at least one code and a name of its own: {self.streams}")

    @classmethod
    def of(cls, motion_tokenizer: Any) -> "Vocabulary":
        """The vocabulary of a `MotionTokenizer`."""
        return cls(tuple((s.name, s.codes) for s in motion_tokenizer.streams), motion_tokenizer.fingerprint)

    @property
    def tokens(self) -> list[str]:
        """Every new token, in the order it is added: marks, cues, then the codes of each stream."""
        cues = [f"<|cue_{phase}_{position}|>" for phase in range(MAX_PHASES) for position in range(POSITIONS)]
        codes = [f"<|{name}_{code}|>" for name, size in self.streams for code in range(size)]
        return [MOTION_START, MOTION_END, *cues, *codes]

    def motion_text(self, codes: np.ndarray, cues: Cues | None = None) -> str:
        """The string of a motion (steps, streams), with a cue before each step where cues are given."""
        steps = []
        for index, step in enumerate(np.asarray(codes)):
            cue = "" if cues is None else f"<|cue_{cues[index][0]}_{cues[index][1]}|>"
            names = zip(self.streams, step, strict=True)
            steps.append(cue + "".join(f"<|{name}_{code}|>" for (name, _), code in names))
        return MOTION_START + "".join(steps) + MOTION_END

    def parse(self, text: str) -> np.ndarray:
        """Codes (steps, streams) int64 of the string of one motion; cues are passed over.

        FacelmError where a token is unknown, missing, out of order or out of range.
        """
        if not (text.startswith(MOTION_START) and text.endswith(MOTION_END)):
            raise FacelmError(f"the string of a motion begins with {MOTION_START} and ends with {MOTION_END}")
        body = text[len(MOTION_START) : -len(MOTION_END)]
        found = re.findall(rf"<\|({NAME})_(\d+)(?:_(\d+))?\|>", body)
        if "".join(f"<|{name}_{i}{'_' + j if j else ''}|>" for name, i, j in found) != body:
            raise FacelmError("the string of a motion holds something else than motion tokens")
        codes = [(name, int(i)) for name, i, j in found if not (name == "cue" and j)]
        if not codes or len(codes) % len(self.streams):
            raise FacelmError(f"a motion of {len(codes)} codes is not a whole number of steps of {len(self.streams)}")
        for index, (name, code) in enumerate(codes):
            stream, size = self.streams[index % len(self.streams)]
            if name != stream or code >= size:
                raise FacelmError(f"<|{name}_{code}|> stands where one of the {size} codes of '{stream}' belongs")
        return np.array([code for _, code in codes], dtype=np.int64).reshape(-1, len(self.streams))

    def ids(self, tokenizer: Any) -> VocabularyIds:
        """The new ids in a tokenizer that was extended; FacelmError when it was not."""
        tokens = self.tokens
        known = tokenizer.get_vocab()
        missing = [token for token in tokens if token not in known]
        if missing:
            raise FacelmError(f"the text tokenizer lacks {missing[0]} and {len(missing) - 1} more; extend it first")
        found = np.array([known[token] for token in tokens], dtype=np.int64)
        cues = 2 + MAX_PHASES * POSITIONS
        sizes = tuple(size for _, size in self.streams)
        starts = np.cumsum([cues, *sizes])[:-1]
        if any((np.diff(found[start : start + size]) != 1).any() for start, size in zip(starts, sizes, strict=True)):
            raise FacelmError("the ids of a motion stream are not consecutive: the tokenizer had some of them before")
        return VocabularyIds(
            motion_start=int(found[0]),
            motion_end=int(found[1]),
            cues=found[2:cues].reshape(MAX_PHASES, POSITIONS),
            offsets=tuple(int(found[start]) for start in starts),
            sizes=sizes,
        )

    def extend(self, model: Any, tokenizer: Any, codebooks: Mapping[str, Any] | None = None) -> list[int]:
        """Add the tokens to a tokenizer and rows for them to any causal LM of transformers; returns the new ids.

        The ChatML marks are added too where the base lacks them. The number of rows is padded to a multiple of 64.
        Rows of codes start from `codebooks` (stream name -> tensor (codes, dim)) through a fixed random projection,
        on the scale of the old rows; streams with equal codebooks share the projection. All other new rows start near
        the mean of the old ones. The same arguments give the same rows. Nothing changes when all tokens are there.
        """
        from tokenizers import AddedToken

        old = len(tokenizer)
        marks = [AddedToken(mark, special=True, normalized=False) for mark in (CHAT_START, CHAT_END)]
        # As special tokens, `skip_special_tokens=True` (what stock servers do) would delete every motion.
        added = [AddedToken(token, special=False, normalized=False) for token in self.tokens]
        known = tokenizer.get_vocab()
        tokenizer.add_tokens([mark for mark in marks if mark.content not in known], special_tokens=True)
        tokenizer.add_tokens(added)
        rows = model.get_input_embeddings().weight.shape[0]
        size = -(-max(rows, len(tokenizer)) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
        if size != rows:
            model.resize_token_embeddings(size, mean_resizing=False)
        ids = self.ids(tokenizer)
        if len(tokenizer) > old:
            tables = [model.get_input_embeddings().weight]
            head = model.get_output_embeddings()
            if head is not None and head.weight.data_ptr() != tables[0].data_ptr():
                tables.append(head.weight)
            for weight in tables:
                self._fill(weight.data, old, ids, codebooks or {})
        return list(range(old, len(tokenizer)))

    def _fill(self, weight: Any, old: int, ids: VocabularyIds, codebooks: Mapping[str, Any]) -> None:
        """Write the rows from `old` on of an embedding table (rows, hidden), from the statistics of the rows before."""
        import torch

        generator = torch.Generator().manual_seed(0)
        before = weight[:old].float().cpu()
        mean, std = before.mean(0), before.std(0)
        hidden = weight.shape[1]
        rows = mean.repeat(weight.shape[0] - old, 1)
        new = int(ids.all.max()) + 1 - old  # rows after these are padding and stay at the mean
        rows[:new] += NOISE * std * torch.randn(new, hidden, generator=generator)
        projections: list[tuple[Any, Any]] = []
        for (name, codes), start in zip(self.streams, ids.offsets, strict=True):
            offset = OFFSET * torch.randn(hidden, generator=generator)
            if name not in codebooks:
                continue
            book = codebooks[name].detach().float().cpu()
            if len(book) != codes:
                raise FacelmError(f"the codebook of stream '{name}' has {len(book)} entries, its tokens {codes}")
            units = (book - book.mean(0)) / (book - book.mean(0)).pow(2).mean().sqrt().clamp_min(1e-8)
            projection = next((p for other, p in projections if torch.equal(other, book)), None)
            if projection is None:
                projection = torch.randn(book.shape[1], hidden, generator=generator) / book.shape[1] ** 0.5
                projections.append((book, projection))
            rows[start - old : start - old + codes] += std * (units @ projection + offset)
        weight[old:] = rows.to(weight)

    def to_dict(self) -> dict[str, Any]:
        """What `facelm.json` keeps of a vocabulary."""
        return {"streams": [list(stream) for stream in self.streams], "fingerprint": self.fingerprint}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Vocabulary":
        """The vocabulary of `to_dict`; FacelmError when a field is missing."""
        try:
            return cls(tuple((name, codes) for name, codes in content["streams"]), str(content["fingerprint"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FacelmError(f"the vocabulary in facelm.json is damaged ({error}); save the model again") from None
