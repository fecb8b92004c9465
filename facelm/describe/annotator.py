"""Annotations written by a language model behind any OpenAI-compatible endpoint.

    annotator = Annotator("my-model", cache="outputs/annotator.sqlite")   # OPENAI_BASE_URL, OPENAI_API_KEY
    for name, result in annotator.annotate(clips): ...

One question a kind, as in MMHead (supplement A.2: asked separately, faces and heads come out better), with prompts of
our own (annotator_prompts.yaml). Answers are held to the limits of annotations.py and asked for again when they break
them. Every good answer is stored at once under a hash of what was asked, so a run that was stopped goes on where it was
and asks nothing twice. What is sent are measured facts and labels, never motion, sound or names of people.
"""

import asyncio
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from facelm.describe.annotations import SCENARIOS, Annotations, Question, check
from facelm.describe.facts import Fact
from facelm.describe.labels import Labels
from facelm.describe.timeline import Event, Timeline
from facelm.describe.units import UNITS
from facelm.errors import FacelmError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PROMPTS = Path(__file__).with_name("annotator_prompts.yaml")
KINDS = ("action", "emotion", "expression", "head_pose", "scenarios", "summary", "questions")
QUESTIONS = 3
ATTEMPTS = 4  # times one text is asked for before the clip is given up
CHARACTERS_A_TOKEN = 4.0  # of English, about
ANSWER_TOKENS = {"action": 35, "emotion": 20, "expression": 120, "head_pose": 80, "scenarios": 70, "summary": 40}
ANSWER_TOKENS["questions"] = 110
_FENCE = re.compile(r"\A\s*```\w*\s*|\s*```\s*\Z")


@dataclass(frozen=True)
class Clip:
    """What is told about a clip: its name in the results, its facts, and the labels it came with."""

    name: str
    timeline: Timeline
    labels: Labels = Labels()


@dataclass(frozen=True)
class Failure:
    """A clip that has no annotations, and why, in one sentence."""

    reason: str


@dataclass(frozen=True)
class Estimate:
    """What a run would ask for: clips, requests not answered yet, and about how many tokens go in and come out."""

    clips: int
    requests: int
    tokens_in: int
    tokens_out: int

    def cost(self, price_in: float, price_out: float) -> float:
        """In the currency of the prices, which are for a million tokens."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6


class Annotator:
    """Asks a model for annotations.

    Args:
        model: its name at the endpoint.
        cache: file of the answers, made where it is missing.
        concurrency: requests at the same time.
        timeout: seconds one request may take.
        retries: of a request that fails in transit (429, 5xx, time-outs), with growing pauses or as long as the
            endpoint asks for.

    The endpoint is OPENAI_BASE_URL (without it, OpenAI's own) and the key OPENAI_API_KEY.

    Raises FacelmError when no key is set, or the cache is not one.
    """

    def __init__(
        self, model: str, cache: str | os.PathLike[str], concurrency: int = 8, timeout: float = 60.0, retries: int = 6
    ) -> None:
        if concurrency < 1:
            raise FacelmError(f"concurrency is {concurrency}; at least one request at a time is needed")
        if not os.environ.get("OPENAI_API_KEY"):
            raise FacelmError(
                "OPENAI_API_KEY is not set; export the key of your endpoint (any word for a local server that needs "
                "none) and OPENAI_BASE_URL for an endpoint other than OpenAI's"
            )
        self.model, self.concurrency, self.timeout, self.retries = model, concurrency, timeout, retries
        self.answers = _Answers(Path(cache))

    def estimate(self, clips: Iterable[Clip]) -> Estimate:
        """What `annotate` would still ask for; nothing is sent. Answers that build on others count as unknown."""
        count, asked, tokens_in, tokens_out = 0, 0, 0, 0
        stand_in = {kind: "x" * int(ANSWER_TOKENS[kind] * CHARACTERS_A_TOKEN) for kind in KINDS}
        for clip in clips:
            count += 1
            known: dict[str, Any] = {}
            for kind in KINDS:
                after = _prompts()["kinds"][kind].get("after", ())
                messages = _messages(kind, clip, {**stand_in, **known})
                answer = self.answers.get(self.model, messages) if all(name in known for name in after) else None
                if answer is not None:
                    known[kind] = answer
                    continue
                asked += 1
                tokens_in += int(sum(len(message["content"]) for message in messages) / CHARACTERS_A_TOKEN)
                tokens_out += ANSWER_TOKENS[kind]
        return Estimate(count, asked, tokens_in, tokens_out)

    def annotate(self, clips: Iterable[Clip]) -> Iterator[tuple[str, Annotations | Failure]]:
        """The annotations of each clip by name, as they are completed; a clip whose texts stay wrong is a Failure.

        Clips are read as they are needed. Raises FacelmError when nothing will work: the endpoint cannot be reached,
        refuses the key or does not know the model. What was answered until then is kept.
        """
        with asyncio.Runner() as runner:
            session = _Session(self, clips)
            runner.run(session.start())
            try:
                while (result := runner.run(session.next())) is not None:
                    yield result
            finally:
                runner.run(session.stop())


class _Session:
    """One run: workers that take clip after clip, and a queue of results."""

    def __init__(self, annotator: Annotator, clips: Iterable[Clip]) -> None:
        self.annotator = annotator
        self.clips = iter(clips)
        self.workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        from openai import AsyncOpenAI

        self.client = AsyncOpenAI(max_retries=self.annotator.retries, timeout=self.annotator.timeout)
        self.results: asyncio.Queue[tuple[str, Annotations | Failure] | BaseException | None] = asyncio.Queue(
            self.annotator.concurrency
        )
        self.places = asyncio.Semaphore(self.annotator.concurrency)
        self.workers = [asyncio.create_task(self._work()) for _ in range(self.annotator.concurrency)]
        self.running = len(self.workers)

    async def next(self) -> tuple[str, Annotations | Failure] | None:
        while self.running:
            result = await self.results.get()
            if isinstance(result, BaseException):
                raise result
            if result is not None:
                return result
            self.running -= 1
        return None

    async def stop(self) -> None:
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)
        await self.client.close()

    async def _work(self) -> None:
        try:
            for clip in self.clips:
                await self.results.put((clip.name, await self._clip(clip)))
            await self.results.put(None)
        except Exception as error:
            await self.results.put(error)

    async def _clip(self, clip: Clip) -> Annotations | Failure:
        known: dict[str, Any] = {}
        kinds = _prompts()["kinds"]
        first = [kind for kind in KINDS if "after" not in kinds[kind]]
        try:
            for stage in (first, [kind for kind in KINDS if kind not in first]):
                answers = await asyncio.gather(*(self._answer(kind, clip, dict(known)) for kind in stage))
                known.update(zip(stage, answers, strict=True))
            questions = tuple(Question(q["question"], q["answer"]) for q in known.pop("questions"))
            return Annotations(**{**known, "scenarios": tuple(known["scenarios"])}, questions=questions)
        except _Unusable as error:
            return Failure(f"{clip.name}: {error}")

    async def _answer(self, kind: str, clip: Clip, known: dict[str, Any]) -> Any:
        """One text that keeps its limits, from the cache or the model."""
        asked = _messages(kind, clip, known)
        stored = self.annotator.answers.get(self.annotator.model, asked)
        if stored is not None:
            return stored
        messages, wrong = list(asked), ""
        for _ in range(ATTEMPTS):
            async with self.places:
                reply = await _send(self.client, self.annotator.model, messages)
            try:
                answer = parse(kind, reply)
            except FacelmError as error:
                wrong = str(error)
                again = _prompts()["again"].format(wrong=wrong.rstrip(".")).strip()
                messages = [*asked, {"role": "assistant", "content": reply}, {"role": "user", "content": again}]
            else:
                self.annotator.answers.put(self.annotator.model, asked, answer)
                return answer
        raise _Unusable(f"{kind} was still wrong after {ATTEMPTS} tries ({wrong})")


class _Unusable(Exception):
    """An answer that stays wrong; the clip fails, the run goes on."""


async def _send(client: "AsyncOpenAI", model: str, messages: list[dict[str, str]]) -> str:
    """The model's reply; its client waits and retries by itself."""
    import openai

    try:
        completion = await client.chat.completions.create(model=model, messages=messages)  # type: ignore[arg-type]
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise FacelmError("the endpoint refuses the key in OPENAI_API_KEY; check it and OPENAI_BASE_URL") from error
    except openai.NotFoundError as error:
        raise FacelmError(
            f"the endpoint {client.base_url} does not know the model {model!r}; check --model and OPENAI_BASE_URL"
        ) from error
    except openai.APITimeoutError as error:
        raise _Unusable("the endpoint did not answer in time, again and again") from error
    except openai.APIConnectionError as error:
        raise FacelmError(f"the endpoint {client.base_url} cannot be reached; check OPENAI_BASE_URL") from error
    except openai.APIStatusError as error:
        raise _Unusable(f"the endpoint answers with status {error.status_code}: {error.message[:200]}") from error
    except (openai.OpenAIError, ValueError) as error:  # a body that is no completion
        raise _Unusable("the endpoint's answer is no chat completion") from error
    choices = getattr(completion, "choices", None)
    if not choices:
        raise _Unusable("the endpoint's answer is no chat completion")
    return choices[0].message.content or ""


def parse(kind: str, reply: str) -> Any:
    """The text, the three scenarios, or the questions in a model's reply of that kind.

    A Markdown fence around the JSON is taken off. Raises FacelmError that says what is wrong with the reply.
    """
    try:
        data = json.loads(_FENCE.sub("", reply))
    except ValueError:
        raise FacelmError("it is not one JSON object") from None
    key = kind if kind in ("scenarios", "questions") else "text"
    value = data.get(key) if isinstance(data, dict) else None
    if value is None:
        raise FacelmError(f'the JSON object has no "{key}"')
    if kind == "questions":
        pairs = [
            {"question": " ".join(q["question"].split()), "answer": " ".join(q["answer"].split())}
            for q in (value if isinstance(value, list) else [])
            if isinstance(q, dict) and isinstance(q.get("question"), str) and isinstance(q.get("answer"), str)
        ]
        if len(pairs) < QUESTIONS or not all(q["question"] and q["answer"] for q in pairs):
            raise FacelmError(f'"questions" must be a list of {QUESTIONS} objects with "question" and "answer"')
        return pairs[:QUESTIONS]
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts) or (kind == "scenarios") != isinstance(value, list):
        raise FacelmError(f'"{key}" must be ' + ("a list of texts" if kind == "scenarios" else "a text"))
    if kind == "scenarios" and len(texts) != SCENARIOS:
        raise FacelmError(f'"scenarios" has {len(texts)} texts; {SCENARIOS} are needed')
    texts = [" ".join(text.split()) for text in texts]
    if wrong := [sentence for text in texts for sentence in check(kind, text)]:
        raise FacelmError("; ".join(wrong))
    return texts if kind == "scenarios" else texts[0]


# ---------------------------------------------------------------- what is asked


@remembered
def _prompts() -> dict[str, Any]:
    return dict(yaml.safe_load(PROMPTS.read_text(encoding="utf-8")))


def _messages(kind: str, clip: Clip, known: dict[str, Any]) -> list[dict[str, str]]:
    ask = _prompts()["kinds"][kind]["ask"].format(
        labels=_labels(clip.labels), facts=notes(clip.timeline), head=notes(clip.timeline, head=True), **known
    )
    return [{"role": "system", "content": _prompts()["system"].strip()}, {"role": "user", "content": ask.strip()}]


def _labels(labels: Labels) -> str:
    told = []
    if labels.actions:
        told.append(f"Deeds: {', '.join(action.replace('_', ' ') for action in labels.actions)}.")
    if labels.emotions:
        strength = f" ({labels.intensity.replace('_', ' ')})" if labels.intensity else ""
        told.append(f"Emotions in order: {', '.join(labels.emotions)}{strength}.")
    if labels.transcript:
        told.append(f"What is said: {labels.transcript}")
    return "\n".join(told) or "Nothing is listed for this recording."


def notes(timeline: Timeline, head: bool = False) -> str:
    """The facts of a clip in lines for a language model: what, how strong (0 to 1; head: radians), and when.

    head: the movements of the head alone; otherwise everything, those of the head too.
    """
    lines = [f"Length {timeline.seconds:.1f} s."]
    if not head:
        lines += [f"{begin:.1f}-{end:.1f} s: talks" for begin, end in timeline.talking]
        lines += [f"{span.begin:.1f}-{span.end:.1f} s: looks {span.name}" for span in timeline.emotions]
        lines += [_line(event) for event in timeline.expressive]
    else:
        lines += [_line(event) for event in timeline.events if event.fact.name.startswith("head")]
    return "\n".join(lines) if len(lines) > 1 else f"{lines[0]} Nothing moves."


def _line(event: Event) -> str:
    strength = f"{event.intensity:.2f}{' rad' if event.fact.name.startswith('head') else ''}"
    return f"{event.onset:.1f}-{event.offset:.1f} s: {_words(event.fact)} {strength}, most at {event.apex:.1f} s"


def _words(fact: Fact) -> str:
    both = fact.name in UNITS and fact.side == "both"
    return f"{fact.words} on both sides" if both else fact.words


# ---------------------------------------------------------------- answers on disk


class _Answers:
    """Answers by a hash of model and messages, in an SQLite file; each is on disk when `put` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.file = sqlite3.connect(path, isolation_level=None)
            self.file.execute("PRAGMA journal_mode=WAL")
            self.file.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)")
        except sqlite3.DatabaseError as error:
            raise FacelmError(f"{path} is no file of answers ({error}); name another") from error

    def get(self, model: str, messages: list[dict[str, str]]) -> Any:
        row = self.file.execute("SELECT answer FROM answers WHERE key = ?", (_key(model, messages),)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, model: str, messages: list[dict[str, str]], answer: Any) -> None:
        self.file.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?)",
            (_key(model, messages), json.dumps(answer, ensure_ascii=False)),
        )


def _key(model: str, messages: list[dict[str, str]]) -> str:
    return hashlib.sha256(json.dumps([model, messages]).encode()).hexdigest()
