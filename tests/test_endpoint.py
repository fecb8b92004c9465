"""An endpoint that misbehaves is asked again, an answer is never paid for twice, and what cannot work stops the run."""

from collections.abc import Iterator

import pytest
from loopback import Loopback, loopback

from facelm.endpoint import ATTEMPTS, Asker, Endpoint, Unusable, json_object
from facelm.errors import FacelmError

AGAIN = "That cannot be used: {wrong}."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback(monkeypatch, lambda _: "number", {"number": {"number": 7}}) as made:
        yield made


def number(reply: str) -> int:
    found = json_object(reply).get("number")
    if not isinstance(found, int):
        raise FacelmError('"number" must be a whole number')
    return found


async def ask(asker: Asker, item: int) -> tuple[int, int | str]:
    messages = [{"role": "system", "content": "Numbers."}, {"role": "user", "content": f"Which number is {item}?"}]
    try:
        return item, await asker.ask(messages, number, AGAIN, f"number {item}")
    except Unusable as error:
        return item, str(error)


def endpoint(folder, **options) -> Endpoint:
    return Endpoint("m", folder / "answers.sqlite", **{"timeout": 0.5, "concurrency": 4} | options)


def test_answers_come_from_the_model_once_and_then_from_disk(server, tmp_path):
    assert dict(endpoint(tmp_path).each(range(5), ask)) == dict.fromkeys(range(5), 7)
    assert len(server.requests) == 5
    assert dict(endpoint(tmp_path).each(range(5), ask)) == dict.fromkeys(range(5), 7)
    assert len(server.requests) == 5
    assert dict(Endpoint("another", tmp_path / "answers.sqlite").each([0], ask)) == {0: 7}
    assert len(server.requests) == 6  # another model is asked for itself


@pytest.mark.parametrize("trick", ["429", "500", "503", "slow", "broken", "other", '{"number": "seven"}', "no idea"])
def test_a_misbehaving_endpoint_is_asked_again(server, tmp_path, trick):
    server.tricks = [trick]
    assert dict(endpoint(tmp_path).each([1], ask)) == {1: 7}
    assert len(server.requests) == 2


def test_a_wrong_answer_is_told_back_and_given_up_in_the_end(server, tmp_path):
    server.always = {"number": '{"number": "seven"}'}
    ((_, reason),) = endpoint(tmp_path).each([1], ask)
    assert reason == f'number 1 was still wrong after {ATTEMPTS} tries ("number" must be a whole number)'
    assert len(server.requests) == ATTEMPTS
    last = server.requests[-1][1]
    assert last[2]["content"] == '{"number": "seven"}'
    assert last[3]["content"] == 'That cannot be used: "number" must be a whole number.'
    server.always = {}
    assert dict(endpoint(tmp_path).each([1], ask)) == {1: 7}  # a wrong answer was never stored


@pytest.mark.parametrize(("trick", "sentence"), [("401", "refuses the key"), ("404", "does not know the model 'm'")])
def test_what_can_never_work_stops_the_run(server, tmp_path, trick, sentence):
    server.tricks = [trick] * 50
    with pytest.raises(FacelmError, match=sentence):
        list(endpoint(tmp_path).each(range(50), ask))
    assert len(server.requests) < 12


def test_results_come_while_items_are_still_read(server, tmp_path):
    read = []

    def items() -> Iterator[int]:
        for item in range(30):
            read.append(item)
            yield item

    run = endpoint(tmp_path, concurrency=3).each(items(), ask)
    next(run)
    assert len(read) < 15
    assert len(list(run)) == 29
    assert server.most_at_once <= 3


def test_a_fault_of_the_work_itself_is_not_swallowed(server, tmp_path):
    async def broken(asker: Asker, item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(endpoint(tmp_path).each([1], broken))


def test_what_must_be_set_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with pytest.raises(FacelmError, match="at least one request"):
        endpoint(tmp_path, concurrency=0)
    (tmp_path / "answers.sqlite").write_text("nothing of the kind, but long enough to be looked at " * 30)
    with pytest.raises(FacelmError, match="is no file of answers"):
        endpoint(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(FacelmError, match="OPENAI_API_KEY is not set"):
        endpoint(tmp_path)


@pytest.mark.parametrize("reply", ["", "seven", "[1]", '{"number": 7', "7"])
def test_replies_that_are_no_object_are_refused(reply):
    with pytest.raises(FacelmError, match="not one JSON object"):
        json_object(reply)
    assert json_object('```json\n{"number": 7}\n```') == {"number": 7}
