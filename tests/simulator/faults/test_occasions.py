"""What a connection gives faults to decide on: where, on which message, in answer to what, and for whom."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from cbspec_simulator.base.clock import Moment
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.session import SendAction
from tests.support.memory import BEAT, HELLO, NOW, MemoryRelay, auth, tunnel

NEVER: Final = Fault.read({"kind": "drop", "when": {"tenant": "nobody"}})


class _Noting(Faults):
    """Decides on nothing, and keeps what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Occasion] = []
        self.add(NEVER, 0.0)

    def at(self, occasion: Occasion, now: float) -> tuple[Strike, ...]:
        """Take note of an occasion."""
        self.asked.append(occasion)
        return super().at(occasion, now)


def _request(message: str, tenant: str = "", subject: str = "") -> Occasion:
    return Occasion(MessageDirection.REQUEST, 1, "tcp", tenant, subject, message)


def _answer(message: str, answer_to: str, tenant: str = "", subject: str = "") -> Occasion:
    return Occasion(MessageDirection.ANSWER, 1, "tcp", tenant, subject, message, answer_to)


_ME: Final = ("a", "user123")
DIALOGUES: Final[dict[str, tuple[list[Any], list[Occasion]]]] = {
    "a session": (
        [HELLO, auth(), tunnel(), BEAT],
        [
            _request("hello"),
            _answer("hello_response", "hello"),
            _request("auth", *_ME),
            _answer("auth_response", "auth", *_ME),
            _request("tunnel_info", *_ME),
            _answer("tunnel_response", "tunnel_info", *_ME),
            _request("heartbeat", *_ME),
            _answer("heartbeat_response", "heartbeat", *_ME),
        ],
    ),
    "refusals": (
        [b"no JSON\n", {"type": "teapot"}, {"type": "error", "code": "x", "message": ""}, BEAT],
        [
            *(each for _ in range(3) for each in (_request("unknown"), _answer("error", "unknown"))),
            _request("heartbeat"),
            _answer("error", "heartbeat"),
        ],
    ),
    "a token that isn't accepted names somebody all the same": (
        [HELLO, auth("nowhere", sub="me"), BEAT],
        [
            _request("hello"),
            _answer("hello_response", "hello"),
            _request("auth", "nowhere", "me"),
            _answer("error", "auth", "nowhere", "me"),
            _request("heartbeat", "nowhere", "me"),
            _answer("error", "heartbeat", "nowhere", "me"),
        ],
    ),
    "a token that is none names nobody": (
        [HELLO, {"type": "auth", "token": "x"}],
        [
            _request("hello"),
            _answer("hello_response", "hello"),
            _request("auth"),
            _answer("error", "auth"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("in_one", [False, True])
def test_what_is_asked_about(name: str, in_one: bool) -> None:
    said, expected = DIALOGUES[name]
    memory, noting = MemoryRelay(), _Noting()
    memory.relay.faults = noting
    client = memory.client()
    if in_one:
        client.send(b"".join(_line(body) for body in said))
    else:
        for body in said:
            client.send(_line(body))
    assert noting.asked == expected


def _line(body: Any) -> bytes:  # noqa: ANN401 - bytes or an object
    return body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"


def test_what_nobody_asked_for_answers_nothing() -> None:
    memory, noting = MemoryRelay(), _Noting()
    memory.relay.faults = noting
    client = memory.client()
    client.send(b"{" + b" " * 2_000_000)
    assert noting.asked == [_answer("error", "unknown")]
    assert client.closed


def test_connections_are_told_apart_by_their_number() -> None:
    memory, noting = MemoryRelay(), _Noting()
    memory.relay.faults = noting
    for _ in range(3):
        memory.client().send(HELLO)
    assert [occasion.connection for occasion in noting.asked] == [1, 1, 2, 2, 3, 3]


def test_nobody_is_asked_where_there_are_no_faults() -> None:
    memory, noting = MemoryRelay(), _Noting()
    noting.reset()
    memory.relay.faults = noting
    memory.authenticated()
    assert noting.asked == []


@pytest.mark.parametrize("data", [
    {"kind": "delay", "seconds": 5},
    {"kind": "hold", "name": "it"},
])  # fmt: skip
def test_a_request_that_waits_keeps_its_place(data: dict[str, Any]) -> None:
    memory = MemoryRelay()
    client = memory.authenticated()
    memory.relay.faults.add(Fault.read({**data, "when": {"message": "tunnel_info"}}), 0.0)
    assert client.send(tunnel("1")) == []
    assert client.send(tunnel("2")) == []
    assert client.send(BEAT) == []
    memory.relay.faults.reset()
    now = Moment(5.0, NOW + 5.0)
    actions = client.session.resume(now)
    sent = b"".join(action.data for action in actions if isinstance(action, SendAction))
    assert [line.split(b'"')[3] for line in sent.splitlines()] == [
        b"tunnel_response", b"tunnel_response", b"heartbeat_response"
    ]  # fmt: skip
    assert client.session.resume(now) == []
