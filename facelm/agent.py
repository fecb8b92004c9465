"""FaceLM: a fine-tuned language model that animates, describes and talks about faces."""

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelm import __version__
from facelm.describe.agreement import performed
from facelm.describe.plan import Phase, Plan
from facelm.errors import FacelmError
from facelm.generate import Decoder, Sampling
from facelm.lm.folder import load_model
from facelm.lm.instructions import animate_request, describe_request, told
from facelm.lm.processor import FaceProcessor, Message
from facelm.motion import FaceMotion
from facelm.tokenizer import EncodedMotion

DEFAULT_SECONDS = 3.0  # of a motion whose plan cannot be read and whose length was not asked
# Greedy but for the eyes: cues tell when to change, so the likeliest face and head are best; a blink, which may come a
# step sooner or later, is never the likeliest thing to do at any one step.
DEFAULT_SAMPLING = Sampling(temperature={"eyes": 0.7})
PLAN_TOKENS = 192  # eight full phases
CAPTION_TOKENS = 256  # the notes and the caption
REPLY_TOKENS = 256

Judge = Callable[[Plan, FaceMotion], float]


@dataclass(frozen=True)
class _Score:
    """What is to be performed: the words before the motion, the plan they mean, frames at the tokenizer's rate."""

    words: str
    plan: Plan
    frames: int
    error: str = ""


class FaceLM:
    """A causal language model with the words of motion in its vocabulary, and the processor that belongs to it.

    lm = FaceLM.from_pretrained("outputs/demo/model")
    motion = lm.animate("Smile slightly on the left, then nod.", seconds=3.0, seed=1)
    motion.save("smile.csv")
    print(motion.metadata["plan"], lm.describe(motion))
    """

    def __init__(self, model: Any, processor: FaceProcessor) -> None:
        self.model = model.eval()
        self.processor = processor
        self.decoder = Decoder(model, processor.tokenizer, processor.vocabulary)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | None = None) -> "FaceLM":
        """The model saved in a folder, on a device ("cuda" where there is one, unless another is named).

        Raises FacelmError when the folder is no facelm model, or its motion tokenizer is not the one it was trained
        with.
        """
        import torch

        model, processor = load_model(folder)
        return cls(model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), processor)

    # ------------------------------------------------------------------ words to motion

    def plan(self, text: str, seconds: float | None = None) -> Plan:
        """The plan the model makes for a request, to be read or edited and given to `animate`.

        Raises FacelmError for an empty or too long request, a length that does not fit the context, and when what the
        model wrote cannot be read as a plan.
        """
        score = self._scores([text], [seconds], [None])[0]
        if score.error:
            raise FacelmError(f"the model made no valid plan of {text!r}: {score.error}; give a plan of your own")
        return score.plan

    def animate(
        self,
        text: str,
        seconds: float | None = None,
        seed: int | None = None,
        plan: Plan | str | None = None,
        candidates: int = 1,
        judge: Judge = performed,
        sampling: Sampling = DEFAULT_SAMPLING,
    ) -> FaceMotion:
        """A motion that does what `text` says; see `animate_batch` for the arguments, results and errors."""
        return self.animate_batch([text], seconds, seed, [plan], candidates, judge, sampling)[0]

    def animate_batch(
        self,
        texts: Sequence[str],
        seconds: float | Sequence[float | None] | None = None,
        seed: int | None = None,
        plans: Sequence[Plan | str | None] | None = None,
        candidates: int = 1,
        judge: Judge = performed,
        sampling: Sampling = DEFAULT_SAMPLING,
    ) -> list[FaceMotion]:
        """A motion for each text, values (T, D) in the layout and at the rate of the model's motion tokenizer.

        The model writes a plan (always its likeliest), then performs it. `metadata` of a motion holds `generator`,
        `prompt`, `plan` (the words it followed) and `seed`: `animate` with that seed makes it again. When the model's
        plan cannot be read, the motion is of one phase and `plan_error` says why.

        Args:
            texts: What the faces should do, in English.
            seconds: Exact length of the motions (to a frame), one for all or one each. None: as long as the plan.
            seed: Text i draws with seed + i * candidates. None: any.
            plans: Plans to follow instead of the model's, as `Plan` or as words; stretched to `seconds` where given.
            candidates: Motions to draw for each text, of which the best is kept.
            judge: `judge(plan, motion)` is high when the motion does what the plan says; by default the
                strict F1 of the facts measured.
            sampling: How motion is drawn.

        Raises:
            FacelmError: an empty text, one longer than the context, a length that does not fit the context (naming
                the seconds that do), or a plan with unknown words (naming the nearest known).
        """
        if candidates < 1:
            raise FacelmError(f"candidates is {candidates}; draw at least 1")
        if not isinstance(seconds, Sequence):
            seconds = [seconds] * len(texts)
        seed = secrets.randbelow(2**31) if seed is None else seed
        if seed < 0:
            raise FacelmError(f"seed is {seed}; give 0 or more")
        scores = self._scores(texts, seconds, plans or [None] * len(texts))
        rows = [row for row in range(len(texts)) for _ in range(candidates)]
        prompts, cues = [], []
        for text, asked, score in zip(texts, seconds, scores, strict=True):
            ids, steps = self._opened(text, asked, score)
            prompts.append(ids)
            cues.append(self.processor.cues(score.plan, steps))
        seeds = [seed + row for row in range(len(rows))]
        codes = self.decoder.motion([prompts[r] for r in rows], [cues[r] for r in rows], seeds, sampling)
        encoded = [EncodedMotion(code, scores[row].frames) for row, code in zip(rows, codes, strict=True)]
        motions = self.processor.motion_tokenizer.decode_batch(encoded)
        made = []
        for row, score in enumerate(scores):
            own = range(row * candidates, (row + 1) * candidates)
            best = own[0]
            if candidates > 1:
                marks = [judge(score.plan, motions[index]) for index in own]
                best = own[marks.index(max(marks))]
            facts = {"prompt": texts[row], "plan": score.words, "seed": str(seeds[best])}
            if score.error:
                facts["plan_error"] = score.error
            made.append(motions[best].with_metadata(generator=f"facelm {__version__}", **facts))
        return made

    def _scores(
        self, texts: Sequence[str], seconds: Sequence[float | None], plans: Sequence[Plan | str | None]
    ) -> list[_Score]:
        """What each text is to become; plans that are not given are written by the model, all in one batch."""
        for text in texts:
            if not text.strip():
                raise FacelmError("the request is empty; say what the face should do, for example 'smile and nod'")
        given = [Plan.parse(plan) if isinstance(plan, str) else plan for plan in plans]
        prompts = [self._prompt(text, asked) for text, asked in zip(texts, seconds, strict=True)]
        for plan, prompt, asked in zip(given, prompts, seconds, strict=True):
            if plan is None and asked is not None:
                self._check_length(asked, self._most_seconds(len(prompt)))
        open_rows = [row for row, plan in enumerate(given) if plan is None]
        stops = [self.processor.ids.motion_start]
        written = self.decoder.text([prompts[row] for row in open_rows], stops, PLAN_TOKENS, [0] * len(open_rows))
        words = dict(zip(open_rows, map(self._words, written), strict=True))
        return [
            self._score(plan, words.get(row, ""), asked, len(prompt))
            for row, (plan, prompt, asked) in enumerate(zip(given, prompts, seconds, strict=True))
        ]

    def _score(self, given: Plan | None, words: str, seconds: float | None, used: int) -> _Score:
        """The plan given (errors in it are the user's) or else the words written (errors in them are told, not raised).

        `used`: tokens before the plan.
        """
        fps = self.processor.motion_tokenizer.fps
        error = ""
        if given is None:
            try:
                plan = Plan.parse(words)
            except FacelmError as reason:
                plan, error = Plan((Phase(0.0, seconds or DEFAULT_SECONDS),)), str(reason)
        else:
            plan = given
        most = self._most_seconds(used + len(self.processor.text.encode(words or plan.text())))
        if given is None and seconds is None and plan.seconds > most > 0:
            error = error or f"the plan lasted {plan.seconds:g} s, which does not fit the model's context"
            seconds = most
        self._check_length(plan.seconds if seconds is None else seconds, most)
        if seconds is not None:
            try:
                plan = plan.scaled(seconds)
            except FacelmError as reason:
                if given is not None:
                    raise
                error = error or str(reason)
        frames = round((plan.seconds if seconds is None else seconds) * fps)
        return _Score(words if error else plan.text(), plan, frames, error)

    def _prompt(self, text: str, seconds: float | None) -> list[int]:
        message = {"role": "user", "content": animate_request(text.strip(), seconds)}
        ids = self.processor.encode([message], add_generation_prompt=True).input_ids
        if len(ids) + PLAN_TOKENS >= self.decoder.context:
            raise FacelmError(
                f"the request has {len(ids)} tokens, too many for the model's context of {self.decoder.context}, "
                "which holds the plan and the motion too; shorten it"
            )
        return ids

    def _opened(self, text: str, seconds: float | None, score: _Score) -> tuple[list[int], int]:
        """Ids up to the mark that opens the motion, written as in training, and the steps that follow."""
        tokenizer = self.processor.motion_tokenizer
        one_step = EncodedMotion(np.zeros((1, len(tokenizer.streams)), np.int64))
        content: list[Message] = [{"type": "text", "text": score.words}] if score.words else []
        user = {"role": "user", "content": animate_request(text.strip(), seconds)}
        answer = {"role": "assistant", "content": [*content, {"type": "motion", "motion": one_step}]}
        ids = self.processor.encode([user, answer]).input_ids
        start = len(ids) - 1 - ids[::-1].index(self.processor.ids.motion_start)
        return ids[: start + 1], -(-score.frames // tokenizer.downsample)

    def _words(self, ids: Sequence[int]) -> str:
        """Text of ids on one line, without the mark they end with."""
        words = self.processor.tokenizer.decode([i for i in ids if i != self.processor.ids.motion_start])
        return " ".join(str(words).split())

    def _most_seconds(self, used: int, per_step: int | None = None) -> float:
        """Seconds of motion that fit in the context after `used` tokens; a step has one token more for its cue.

        One step is spare, so that rounding to frames never goes beyond.
        """
        tokenizer = self.processor.motion_tokenizer
        steps = (self.decoder.context - used - 3) // (per_step or len(tokenizer.streams) + 1)
        return math.floor(max(steps - 1, 0) / tokenizer.rate * 10) / 10

    def _check_length(self, seconds: float, most: float) -> None:
        context, fps = self.decoder.context, self.processor.motion_tokenizer.fps
        if not math.isfinite(seconds) or seconds <= 0 or round(seconds * fps) < 1:
            raise FacelmError(f"a motion of {seconds:g} s has no frame at {fps:g} fps; ask for at least {1 / fps:g} s")
        if most <= 0:
            raise FacelmError(f"the request leaves no room in the model's context of {context} tokens; shorten it")
        if seconds > most + 0.1:
            raise FacelmError(
                f"a motion of {seconds:g} s does not fit the model's context of {context} tokens; "
                f"ask for at most {most:g} s"
            )

    # ------------------------------------------------------------------ motion to words

    def describe(self, motion: FaceMotion, question: str | None = None) -> str:
        """A sentence that says what a face does, or the answer to a question about it; see `describe_batch`."""
        return self.describe_batch([motion], question)[0]

    def describe_batch(self, motions: Sequence[FaceMotion], question: str | None = None) -> list[str]:
        """A description of each motion (any layout, any rate), or its answer to `question`; the likeliest words.

        Raises:
            FacelmError: a motion longer than the context, naming the seconds that fit; an empty question.
        """
        if question is not None and not question.strip():
            raise FacelmError("the question is empty; ask something, for example 'Does the head move?'")
        prompts = []
        for motion in motions:
            self.check_heard(motion, question)
            encoded = self.processor.motion_tokenizer.encode(motion)
            content = describe_request(encoded, question)
            prompts.append(self.processor.encode([{"role": "user", "content": content}], True).input_ids)
        end = self.processor.chat_end
        written = self.decoder.text(prompts, [end], CAPTION_TOKENS, [0] * len(prompts))
        answers = [str(self.processor.tokenizer.decode([i for i in ids if i != end])).strip() for ids in written]
        return [told(answer) if question is None else answer for answer in answers]

    def check_heard(self, motion: FaceMotion, question: str | None = None) -> None:
        """FacelmError when a motion is longer than the model hears at once; told before hours of it are encoded."""
        streams = len(self.processor.motion_tokenizer.streams)
        nothing = EncodedMotion(np.zeros((1, streams), np.int64))
        content = describe_request(nothing, question)
        words = len(self.processor.encode([{"role": "user", "content": content}], True).input_ids) - streams
        most = self._most_seconds(words + min(CAPTION_TOKENS, self.decoder.context // 4), streams)
        if motion.seconds > most + 0.1:
            raise FacelmError(
                f"the motion lasts {motion.seconds:g} s and the model hears at most {most:g} s at once; "
                f"describe it in parts: motion.crop(0, {most:g}), or --every 4 on the command line"
            )

    # ------------------------------------------------------------------ conversation

    def chat(
        self, messages: Sequence[Message], seed: int | None = None, sampling: Sampling = DEFAULT_SAMPLING
    ) -> dict[str, Any]:
        """The next message of a conversation: `{"role": "assistant", "content": parts}`.

        Parts are `{"type": "text", "text": str}` and at most one
        `{"type": "motion", "motion": FaceMotion, "codes": EncodedMotion}`; once the model opens a motion, only valid
        motion follows, as long as the plan before it says. Text is the likeliest. The result can be appended to
        `messages` as it is. Typed marks such as `<|im_start|>` are plain text.

        Raises:
            FacelmError: no message, a malformed one, or a conversation longer than the context.
        """
        if not messages:
            raise FacelmError('a conversation needs a message, for example {"role": "user", "content": "smile"}')
        seed = secrets.randbelow(2**31) if seed is None else seed
        processor, ids = self.processor, self.processor.ids
        messages = [_with_codes(message) for message in messages]
        for message in messages:
            for part in message.get("content") or ():
                if isinstance(part, Mapping) and isinstance(part.get("motion"), FaceMotion):
                    self.check_heard(part["motion"])
        prompt = processor.encode(messages, True).input_ids
        if len(prompt) + CAPTION_TOKENS > self.decoder.context:
            raise FacelmError(
                f"the conversation has {len(prompt)} tokens and the model's context holds {self.decoder.context}; "
                "start a new one"
            )
        written = self.decoder.text([prompt], [processor.chat_end, ids.motion_start], REPLY_TOKENS, [seed])[0]
        parts: list[dict[str, Any]] = self._text_part(written)
        if written[-1] == ids.motion_start:
            words = (parts[0]["text"].strip().splitlines() if parts else [""])[-1]
            score = self._score(None, words, None, len(prompt))
            prompt = [*prompt, *written]
            steps = -(-score.frames // processor.motion_tokenizer.downsample)
            cues = processor.cues(score.plan, steps)
            codes = EncodedMotion(self.decoder.motion([prompt], [cues], [seed], sampling)[0], score.frames)
            facts = {"generator": f"facelm {__version__}", "prompt": _last_words(messages)}
            facts |= {"plan": score.words, "seed": str(seed)}
            facts |= {"plan_error": score.error} if score.error else {}
            motion = processor.motion_tokenizer.decode(codes).with_metadata(**facts)
            parts.append({"type": "motion", "motion": motion, "codes": codes})
            prompt = [*prompt, *ids.motion(codes.codes, cues).tolist()[1:]]
            if len(prompt) < self.decoder.context:
                parts += self._text_part(self.decoder.text([prompt], [processor.chat_end], REPLY_TOKENS, [seed])[0])
        return {"role": "assistant", "content": parts or [{"type": "text", "text": ""}]}

    def _text_part(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The text of ids without their end mark, as a part; no part where there is none."""
        marks = (self.processor.chat_end, self.processor.ids.motion_start)
        text = str(self.processor.tokenizer.decode([i for i in ids if i not in marks]))
        return [{"type": "text", "text": text}] if text.strip() else []


def _with_codes(message: Message) -> Message:
    """A motion the model made goes back as the very codes it wrote; decoded and encoded again it could differ."""
    content = message.get("content")
    if isinstance(content, str) or not isinstance(content, Sequence):
        return message
    parts = [
        {"type": "motion", "motion": part["codes"]} if isinstance(part, Mapping) and "codes" in part else part
        for part in content
    ]
    return {**message, "content": parts}


def _last_words(messages: Sequence[Message]) -> str:
    """The text of the last message."""
    content = messages[-1].get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
