"""Language models behind any OpenAI-compatible endpoint, for whatever asks them many small questions.

    endpoint = Endpoint("my-model", cache="outputs/answers.sqlite")   # OPENAI_BASE_URL, OPENAI_API_KEY

    async def work(asker: Asker, clip: Clip) -> str:
        return await asker.ask(messages_of(clip), parse, again="That cannot be used: {wrong}.", what="the title")

    for title in endpoint.each(clips, work): ...

Every good answer is stored at once under a hash of model and messages, so a run that was stopped goes on where it was
and asks nothing twice. An answer that cannot be read is shown to the model again with what is wrong with it.
"""

import asyncio
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from facelm.errors import FacelmError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ATTEMPTS = 4  # times one answer is asked for before it is given up
_FENCE = re.compile(r"\A\s*```\w*\s*|\s*```\s*\Z")

Messages = list[dict[str, str]]
T = TypeVar("T")
R = TypeVar("R")


class Unusable(Exception):
    """An answer that does not come or stays wrong, and why: what it was for fails, the run goes on."""


class Endpoint:
    """A model at the endpoint OPENAI_BASE_URL (without it, OpenAI's own) with the key OPENAI_API_KEY.

    Args:
        model: its name at the endpoint.
        cache: file of the answers, made where it is missing.
        concurrency: requests at the same time.
        timeout: seconds one request may take.
        retries: of a request that fails in transit (429, 5xx, time-outs), with growing pauses or as long as the
            endpoint asks for.

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
        self._answers = _Answers(Path(cache))

    def stored(self, messages: Messages) -> Any:
        """The answer on disk, None where there is none."""
        return self._answers.get(self.model, messages)

    def store(self, messages: Messages, answer: Any) -> None:
        """Put an answer (anything JSON holds) on disk."""
        self._answers.put(self.model, messages, answer)

    def each(self, items: Iterable[T], work: "Callable[[Asker, T], Awaitable[R]]") -> Iterator[R]:
        """What `work` makes of each item, as it is completed; `concurrency` items are worked on at a time and are read
        as they are needed. Raises FacelmError when nothing will work: the endpoint cannot be reached, refuses the key
        or does not know the model. What was answered until then is kept.
        """
        with asyncio.Runner() as runner:
            session = _Session(self, iter(items), work)
            runner.run(session.start())
            try:
                while (result := runner.run(session.next())) is not None:
                    yield result[0]
            finally:
                runner.run(session.stop())


class Asker:
    """Asks an endpoint's model within one run of `Endpoint.each`."""

    def __init__(self, endpoint: Endpoint) -> None:
        from openai import AsyncOpenAI

        self.endpoint = endpoint
        self.client = AsyncOpenAI(max_retries=endpoint.retries, timeout=endpoint.timeout)
        self.places = asyncio.Semaphore(endpoint.concurrency)

    async def ask(self, messages: Messages, parse: Callable[[str], Any], again: str, what: str) -> Any:
        """What `parse` makes of the reply, from the cache or the model.

        Args:
            parse: raises FacelmError that says what is wrong with a reply; its result is what is stored, as JSON.
            again: what the model is told with its wrong reply, {wrong} standing for what is wrong.
            what: the answer, named in errors.

        Raises Unusable when the answer stays wrong or does not come, FacelmError when no answer ever will.
        """
        stored = self.endpoint.stored(messages)
        if stored is not None:
            return stored
        asked, wrong = list(messages), ""
        for _ in range(ATTEMPTS):
            async with self.places:
                reply = await _send(self.client, self.endpoint.model, asked)
            try:
                answer = parse(reply)
            except FacelmError as error:
                wrong = str(error)
                told = again.format(wrong=wrong.rstrip(".")).strip()
                asked = [*messages, {"role": "assistant", "content": reply}, {"role": "user", "content": told}]
            else:
                self.endpoint.store(messages, answer)
                return answer
        raise Unusable(f"{what} was still wrong after {ATTEMPTS} tries ({wrong})")


def json_object(reply: str) -> dict[str, Any]:
    """The JSON object of a reply, whose Markdown fence is taken off. Raises FacelmError where it is none."""
    try:
        data = json.loads(_FENCE.sub("", reply))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise FacelmError("it is not one JSON object")
    return data


class _Session(Generic[T, R]):
    """One run: workers that take item after item, and a queue of results."""

    def __init__(self, endpoint: Endpoint, items: Iterator[T], work: Callable[[Asker, T], Awaitable[R]]) -> None:
        self.endpoint, self.items, self.work = endpoint, items, work
        self.workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.asker = Asker(self.endpoint)
        self.results: asyncio.Queue[tuple[R] | BaseException | None] = asyncio.Queue(self.endpoint.concurrency)
        self.workers = [asyncio.create_task(self._work()) for _ in range(self.endpoint.concurrency)]
        self.running = len(self.workers)

    async def next(self) -> tuple[R] | None:
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
        await self.asker.client.close()

    async def _work(self) -> None:
        try:
            for item in self.items:
                await self.results.put((await self.work(self.asker, item),))
            await self.results.put(None)
        except Exception as error:
            await self.results.put(error)


async def _send(client: "AsyncOpenAI", model: str, messages: Messages) -> str:
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
        raise Unusable("the endpoint did not answer in time, again and again") from error
    except openai.APIConnectionError as error:
        raise FacelmError(f"the endpoint {client.base_url} cannot be reached; check OPENAI_BASE_URL") from error
    except openai.APIStatusError as error:
        raise Unusable(f"the endpoint answers with status {error.status_code}: {error.message[:200]}") from error
    except (openai.OpenAIError, ValueError) as error:  # a body that is no completion
        raise Unusable("the endpoint's answer is no chat completion") from error
    choices = getattr(completion, "choices", None)
    if not choices:
        raise Unusable("the endpoint's answer is no chat completion")
    return choices[0].message.content or ""


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

    def get(self, model: str, messages: Messages) -> Any:
        row = self.file.execute("SELECT answer FROM answers WHERE key = ?", (_key(model, messages),)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, model: str, messages: Messages, answer: Any) -> None:
        self.file.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?)",
            (_key(model, messages), json.dumps(answer, ensure_ascii=False)),
        )


def _key(model: str, messages: Messages) -> str:
    return hashlib.sha256(json.dumps([model, messages]).encode()).hexdigest()
