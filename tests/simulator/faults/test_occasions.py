"""The occasions that a connection reports: direction, message, what it answers, tenant and subject."""

from __future__ import annotations

import json
from typing import Any, Final

from cbspec_simulator.base.clock import Moment
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.session import SendAction
from tests.support.memory import BEAT, HELLO, NOW, Body, MemoryRelay, auth, tunnel


class _Recorder(Faults):
    """Records the occasions; its only fault never strikes."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Occasion] = []
        self.add(Fault.read({"kind": "drop", "when": {"tenant": "nobody"}}), 0.0)

    def at(self, occasion: Occasion, now: float) -> tuple[Strike, ...]:
        """Record an occasion."""
        self.asked.append(occasion)
        return super().at(occasion, now)


def _recorded() -> tuple[MemoryRelay, _Recorder]:
    memory, recorder = MemoryRelay(), _Recorder()
    memory.relay.faults = recorder
    return memory, recorder


def _pair(message: str, answer: str, tenant: str = "", subject: str = "") -> list[Occasion]:
    return [
        Occasion(MessageDirection.REQUEST, 1, "tcp", tenant, subject, message),
        Occasion(MessageDirection.ANSWER, 1, "tcp", tenant, subject, answer, message),
    ]


_ME: Final = ("a", "user123")
_HELLO: Final = _pair("hello", "hello_response")
DIALOGUES: Final[tuple[tuple[list[Any], list[Occasion]], ...]] = (
    (
        [HELLO, auth(), tunnel(), BEAT],
        [
            *_HELLO,
            *_pair("auth", "auth_response", *_ME),
            *_pair("tunnel_info", "tunnel_response", *_ME),
            *_pair("heartbeat", "heartbeat_response", *_ME),
        ],
    ),
    (
        [b"no JSON\n", {"type": "teapot"}, {"type": "error", "code": "x", "message": ""}, BEAT],
        [*_pair("unknown", "error") * 3, *_pair("heartbeat", "error")],
    ),
    # A rejected token names a tenant and a subject all the same.
    (
        [HELLO, auth("nowhere", sub="me"), BEAT],
        [*_HELLO, *_pair("auth", "error", "nowhere", "me"), *_pair("heartbeat", "error", "nowhere", "me")],
    ),
    ([HELLO, {"type": "auth", "token": "x"}], [*_HELLO, *_pair("auth", "error")]),
)


def _line(body: bytes | Body) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"


def test_occasions_of_whole_dialogues() -> None:
    for sent, expected in DIALOGUES:
        for chunks in ([_line(body) for body in sent], [b"".join(map(_line, sent))]):
            memory, recorder = _recorded()
            client = memory.client()
            for chunk in chunks:
                client.send(chunk)
            assert recorder.asked == expected


def test_an_oversized_message_is_only_answered() -> None:
    memory, recorder = _recorded()
    client = memory.client()
    client.send(b"{" + b" " * 2_000_000)
    assert recorder.asked == _pair("unknown", "error")[1:]
    assert client.closed


def test_connections_are_numbered() -> None:
    memory, recorder = _recorded()
    for _ in range(3):
        memory.client().send(HELLO)
    assert [occasion.connection for occasion in recorder.asked] == [1, 1, 2, 2, 3, 3]


def test_without_faults_no_occasion_is_reported() -> None:
    memory, recorder = _recorded()
    recorder.reset()
    memory.authenticated()
    assert recorder.asked == []


def test_later_requests_wait_for_a_delayed_one() -> None:
    for data in ({"kind": "delay", "seconds": 5}, {"kind": "hold", "name": "it"}):
        memory = MemoryRelay()
        client = memory.authenticated()
        memory.relay.faults.add(Fault.read({**data, "when": {"message": "tunnel_info"}}), 0.0)
        assert [client.send(body) for body in (tunnel("1"), tunnel("2"), BEAT)] == [[], [], []]
        memory.relay.faults.reset()
        now = Moment(5.0, NOW + 5.0)
        actions = client.session.resume(now)
        sent = b"".join(action.data for action in actions if isinstance(action, SendAction))
        assert [json.loads(line)["type"] for line in sent.splitlines()] == [
            "tunnel_response",
            "tunnel_response",
            "heartbeat_response",
        ]
        assert client.session.resume(now) == []
