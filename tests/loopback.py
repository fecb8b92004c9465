"""A language model on loopback that misbehaves on demand, for whatever talks to an OpenAI-compatible endpoint."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Loopback:
    """An OpenAI-compatible server on loopback. `tricks` are played one a request before it behaves.

    kind_of: tells what is asked from a request's first question; good: the object to answer each kind with.
    A trick is a status ("429"), "slow", "fenced", "broken" (cut-off JSON), "long", "other" (a list), "empty" (no
    completion), or any other reply as it stands.
    """

    def __init__(self, kind_of: Callable[[str], str], good: dict[str, Any]) -> None:
        self.tricks: list[str] = []
        self.always: dict[str, str] = {}  # the trick of every answer of a kind
        self.requests: list[tuple[str, list[dict[str, str]]]] = []  # (kind, messages)
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with endpoint.lock:
                    endpoint.at_once += 1
                    endpoint.most_at_once = max(endpoint.most_at_once, endpoint.at_once)
                    kind = kind_of(body["messages"][1]["content"])
                    endpoint.requests.append((kind, body["messages"]))
                    trick = endpoint.tricks.pop(0) if endpoint.tricks else endpoint.always.get(kind, "good")
                try:
                    time.sleep(0.01)
                    self.play(trick, kind)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with endpoint.lock:
                        endpoint.at_once -= 1

            def play(self, trick: str, kind: str) -> None:
                if trick == "slow":
                    time.sleep(1.2)
                if trick.isdigit():
                    return self.answer(int(trick), {"error": {"message": "no", "code": None}})
                reply = json.dumps(good[kind])
                if trick == "fenced":
                    reply = f"```json\n{reply}\n```"
                elif trick == "broken":
                    reply = reply[:-4]
                elif trick == "long":
                    reply = json.dumps({"text": "The person smiles " + "and smiles " * 200})
                elif trick == "other":
                    reply = json.dumps(["The person smiles."])
                elif trick not in ("good", "slow", "empty"):
                    reply = trick
                message = {"role": "assistant", "content": reply}
                choices = [] if trick == "empty" else [{"index": 0, "finish_reason": "stop", "message": message}]
                self.answer(
                    200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
                )

            def answer(self, status: int, body: dict[str, object]) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.send_header("retry-after-ms", "20")
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"


@contextmanager
def loopback(
    monkeypatch: pytest.MonkeyPatch, kind_of: Callable[[str], str], good: dict[str, Any]
) -> Iterator[Loopback]:
    """A server that the OpenAI client of this process talks to."""
    made = Loopback(kind_of, good)
    monkeypatch.setenv("OPENAI_BASE_URL", made.url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
