"""`FaceProcessor`: chat messages with text and motion to ids, and ids back to text and motion.

What a person types can never become a motion token or a mark of the chat: every text is encoded without the special
tokens and without the added ones, and only this file puts those between the texts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from facelm import __version__
from facelm.describe.plan import Phase, Plan
from facelm.errors import FacelmError
from facelm.lm.vocabulary import CHAT_END, CHAT_START, Vocabulary, VocabularyIds

ROLES = ("system", "user", "assistant")
FACTS = "facelm.json"
MOTION_TOKENIZER = "motion_tokenizer"

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Encoded:
    """Ids of a conversation, and for each 1 where the assistant says it of its own choice (cues are forced: 0)."""

    input_ids: list[int] = field(default_factory=list)
    assistant_mask: list[int] = field(default_factory=list)

    def add(self, ids: Iterable[int], said: bool | Iterable[int] = False) -> None:
        """Append ids; `said` is their mask, or one value for all."""
        ids = list(ids)
        self.input_ids.extend(ids)
        self.assistant_mask.extend([int(said)] * len(ids) if isinstance(said, bool) else said)


class FaceProcessor:
    """Turns messages into ids and ids into content parts, for one text tokenizer and one motion tokenizer.

    A message is `{"role": "system" | "user" | "assistant", "content": str or list of parts}`; a part is
    `{"type": "text", "text": str}` or `{"type": "motion", "motion": FaceMotion or EncodedMotion}`.
    """

    def __init__(self, tokenizer: Any, motion_tokenizer: Any, vocabulary: Vocabulary | None = None) -> None:
        """`vocabulary` is what the model was trained with (by default, what the motion tokenizer asks for).

        FacelmError when the motion tokenizer is another one, or the text tokenizer was not extended.
        """
        self.tokenizer = tokenizer
        self.motion_tokenizer = motion_tokenizer
        self.vocabulary = vocabulary or Vocabulary.of(motion_tokenizer)
        if motion_tokenizer.fingerprint != self.vocabulary.fingerprint:
            raise FacelmError(
                f"the model was trained with motion tokenizer {self.vocabulary.fingerprint}, this one is "
                f"{motion_tokenizer.fingerprint}; use the tokenizer saved with the model, or train again"
            )
        self.ids: VocabularyIds = self.vocabulary.ids(tokenizer)
        self.chat_start, self.chat_end = (tokenizer.convert_tokens_to_ids(mark) for mark in (CHAT_START, CHAT_END))
        self.text = _PlainText(tokenizer, self.vocabulary)
        tokenizer.chat_template = chat_template()

    @classmethod
    def from_pretrained(cls, folder: str | Path, motion_tokenizer: Any = None) -> "FaceProcessor":
        """The processor saved in a model's folder, with the motion tokenizer saved there or a given one.

        FacelmError when files are missing or the motion tokenizer is not the one the model was trained with.
        """
        from transformers import AutoTokenizer

        from facelm.tokenizer import MotionTokenizer

        facts = read_facts(folder)
        vocabulary = Vocabulary.from_dict(facts.get("vocabulary", {}))
        if motion_tokenizer is None:
            motion_tokenizer = MotionTokenizer.from_pretrained(Path(folder) / MOTION_TOKENIZER)
        return cls(AutoTokenizer.from_pretrained(str(folder)), motion_tokenizer, vocabulary)

    def save_pretrained(self, folder: str | Path, **facts: Any) -> None:
        """Write the text tokenizer, chat template, motion tokenizer and `facelm.json` (with `facts`) into a folder."""
        folder = Path(folder)
        self.tokenizer.save_pretrained(str(folder))
        self.motion_tokenizer.save_pretrained(folder / MOTION_TOKENIZER)
        content = {"version": __version__, "vocabulary": self.vocabulary.to_dict(), **facts}
        (folder / FACTS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def encode(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> Encoded:
        """Ids of a conversation, ending with the start of an answer if asked; never truncated.

        In assistant turns a motion gets cues from the plan in the text right before it (its last line), or those of
        a single phase where no plan is found. FacelmError for an unknown role or a malformed part.
        """
        encoded = Encoded()
        for message in messages:
            role = message.get("role")
            if role not in ROLES:
                raise FacelmError(f"a message has role {role!r}; the roles are {', '.join(ROLES)}")
            self._turn(encoded, role, _parts(message.get("content")))
        if add_generation_prompt:
            encoded.add([self.chat_start, *self.text.encode("assistant\n")])
        return encoded

    def _turn(self, encoded: Encoded, role: str, parts: list[Message]) -> None:
        said = role == "assistant"
        header = f"{role}\n"
        encoded.add([self.chat_start])
        first = parts[0]["text"] if parts and parts[0]["type"] == "text" else ""
        start, text = self.text.encode_after(header, first)
        encoded.add(start)
        encoded.add(text, said)
        for index, part in enumerate(parts):
            if part["type"] == "motion":
                before = parts[index - 1] if index else {}
                encoded.add(*self._motion(part["motion"], before.get("text", "") if said else None))
            elif index:
                encoded.add(self.text.encode(part["text"]), said)
        encoded.add([self.chat_end], said)
        encoded.add(self.text.encode("\n"))

    def _motion(self, motion: Any, plan: str | None) -> tuple[list[int], list[int]]:
        """Ids and mask of a motion; `plan` is the text before it in an assistant's turn, None in others."""
        codes = self.codes(motion)
        if plan is None:
            ids = self.ids.motion(codes)
            return ids.tolist(), [0] * len(ids)
        ids = self.ids.motion(codes, self.cues(plan, len(codes)))
        return ids.tolist(), (~np.isin(ids, self.ids.cues)).astype(int).tolist()

    def codes(self, motion: Any) -> np.ndarray:
        """Codes (steps, streams) of a FaceMotion, an EncodedMotion, or an array that holds them already."""
        from facelm.motion import FaceMotion

        if isinstance(motion, FaceMotion):
            motion = self.motion_tokenizer.encode(motion)
        codes = getattr(motion, "codes", motion)
        if not isinstance(codes, np.ndarray):
            raise FacelmError(f"a motion part holds a FaceMotion or an EncodedMotion, not {type(motion).__name__}")
        return codes

    def cues(self, plan: str | Plan, steps: int) -> list[tuple[int, int]]:
        """(phase, position) for each of the steps, from a plan or the last line of a text; else of a single phase."""
        rate = self.motion_tokenizer.rate
        if isinstance(plan, str):
            try:
                plan = Plan.parse((plan.strip().splitlines() or [""])[-1])
            except FacelmError:
                plan = Plan((Phase(0.0, round(steps / rate, 3), ()),))
        return plan.cues(steps, rate)

    def decode(self, ids: Iterable[int]) -> list[dict[str, Any]]:
        """Content parts of the ids of one answer, up to its end mark: text parts, and motion parts with `codes`.

        FacelmError where a motion is malformed or not closed.
        """
        from facelm.tokenizer import EncodedMotion

        found = list(map(int, ids))
        if self.chat_end in found:
            found = found[: found.index(self.chat_end)]
        parts: list[dict[str, Any]] = []
        while found:
            start = found.index(self.ids.motion_start) if self.ids.motion_start in found else len(found)
            text = self.tokenizer.decode(found[:start], skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if text:
                parts.append({"type": "text", "text": text})
            if start == len(found):
                break
            if self.ids.motion_end not in found[start:]:
                raise FacelmError("the motion of this answer is not closed: it was cut off; allow more tokens")
            end = found.index(self.ids.motion_end, start) + 1
            parts.append({"type": "motion", "codes": EncodedMotion(self.ids.codes(found[start:end]))})
            found = found[end:]
        return parts


class _PlainText:
    """Encodes text with a tokenizer as if its special tokens and the tokens of motion did not exist."""

    def __init__(self, tokenizer: Any, vocabulary: Vocabulary) -> None:
        self._tokenizer = tokenizer
        self._motion = set(vocabulary.tokens)

    @cached_property
    def _kept(self) -> list[dict[str, Any]]:
        """Added tokens a base uses for ordinary text (runs of spaces, say), which stay in use."""
        added = json.loads(self._tokenizer.backend_tokenizer.to_str())["added_tokens"]
        return [t for t in added if not t["special"] and t["content"] not in self._motion]

    @cached_property
    def _backend(self) -> Any:
        from tokenizers import Tokenizer

        if not getattr(self._tokenizer, "is_fast", False):
            raise FacelmError("this text tokenizer has no fast version; convert it to a tokenizer.json first")
        content = json.loads(self._tokenizer.backend_tokenizer.to_str())
        content |= {"added_tokens": self._kept, "post_processor": None, "truncation": None, "padding": None}
        _no_prefix(content["pre_tokenizer"])
        return Tokenizer.from_str(json.dumps(content))

    @cached_property
    def _renumber(self) -> dict[int, int]:
        """Ids of kept added tokens in the plain backend -> in the tokenizer."""
        pairs = [(self._backend.token_to_id(t["content"]), t["id"]) for t in self._kept]
        return {plain: real for plain, real in pairs if plain != real}

    @cached_property
    def _forbidden(self) -> set[int]:
        known = self._tokenizer.get_vocab()
        ids = {known[token] for token in self._motion} | set(self._tokenizer.all_special_ids)
        ids |= {id_ for id_, token in self._tokenizer.added_tokens_decoder.items() if token.special}
        return ids - {self._tokenizer.unk_token_id}

    def encode(self, text: str) -> list[int]:
        """Ids of a text that are never special and never motion."""
        if not text:
            return []
        encoding = self._backend.encode(text, add_special_tokens=False)
        ids = [self._renumber.get(id_, id_) for id_ in encoding.ids]
        if self._forbidden.isdisjoint(ids):
            return ids
        # A Unigram model has its special tokens among its words: break the first one typed after its first letter.
        start, end = next(span for id_, span in zip(ids, encoding.offsets, strict=True) if id_ in self._forbidden)
        if end - start < 2:
            return self.encode(text[:start]) + self.encode(text[end:])
        return self.encode(text[: start + 1]) + self.encode(text[start + 1 :])

    def encode_after(self, header: str, text: str) -> tuple[list[int], list[int]]:
        """Ids of a header and of the text that follows it, as they are when both are encoded in one go."""
        start, whole = self.encode(header), self.encode(header + text)
        if whole[: len(start)] == start:
            return start, whole[len(start) :]
        return start, self.encode(text)


def _no_prefix(pre_tokenizer: dict[str, Any] | None) -> None:
    """A sentencepiece tokenizer puts a space before the first word alone; in a chat no text comes first."""
    if pre_tokenizer is None:
        return
    if pre_tokenizer.get("prepend_scheme") == "first":
        pre_tokenizer["prepend_scheme"] = "never"
    for inner in pre_tokenizer.get("pretokenizers", []):
        _no_prefix(inner)


def _parts(content: Any) -> list[Message]:
    """Content as a list of checked parts, neighbouring texts joined."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, Sequence):
        raise FacelmError("the content of a message is a string or a list of text and motion parts")
    parts: list[Message] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "motion" and ("motion" in part or "codes" in part):
            parts.append({"type": "motion", "motion": part.get("motion", part.get("codes"))})
        elif kind == "text" and isinstance(part.get("text"), str):
            if parts and parts[-1]["type"] == "text":
                parts[-1] = {"type": "text", "text": parts[-1]["text"] + part["text"]}
            else:
                parts.append({"type": "text", "text": part["text"]})
        else:
            raise FacelmError('a part is {"type": "text", "text": ...} or {"type": "motion", "motion": ...}')
    return parts


def chat_template() -> str:
    """The ChatML template that is saved with every model, with `{% generation %}` marks."""
    return files("facelm.lm").joinpath("templates/chat_template.jinja").read_text(encoding="utf-8")


def read_facts(folder: str | Path) -> dict[str, Any]:
    """The content of a model folder's `facelm.json`; FacelmError when the folder is no facelm model."""
    path = Path(folder) / FACTS
    if not path.is_file():
        raise FacelmError(f"{folder} is no facelm model: it has no {FACTS}; give a folder that recipes/sft.py wrote")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError, ValueError):
        raise FacelmError(f"{path} is damaged; save the model again") from None
