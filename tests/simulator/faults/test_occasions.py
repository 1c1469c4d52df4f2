"""The occasions that a connection reports: direction, message, answered request, tenant and subject."""

from __future__ import annotations

import json
from typing import Any, Final

from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.when import MessageDirection, Occasion
from tests.support.memory import BEAT, HELLO, Body, MemoryRelay, auth, tunnel


class _Recorder(Faults):
    """Records the occasions; its only fault never strikes."""

    def __init__(self) -> None:
        super().__init__()
        self.occasions: list[Occasion] = []
        self.add(Fault.read({"kind": "drop", "when": {"tenant": "nobody"}}), 0.0)

    def at(self, occasion: Occasion, now: float) -> tuple[Strike, ...]:
        """Record an occasion."""
        self.occasions.append(occasion)
        return super().at(occasion, now)


def _pair(message: str, answer: str, tenant: str = "", subject: str = "") -> list[Occasion]:
    return [
        Occasion(MessageDirection.REQUEST, 1, "tcp", tenant, subject, message),
        Occasion(MessageDirection.ANSWER, 1, "tcp", tenant, subject, answer, message),
    ]


_ME: Final = ("a", "user123")
_HELLO: Final = _pair("hello", "hello_response")
_DIALOGUES: Final[tuple[tuple[list[Any], list[Occasion]], ...]] = (
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
    ([b"{" + b" " * 2_000_000], _pair("unknown", "error")[1:]),  # too long to be a request
)


def _line(body: bytes | Body) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"


def test_occasions_of_dialogues() -> None:
    for sent, expected in _DIALOGUES:
        for chunks in ([_line(body) for body in sent], [b"".join(map(_line, sent))]):
            memory, recorder = MemoryRelay(), _Recorder()
            memory.relay.faults = recorder
            client = memory.client()
            for chunk in chunks:
                client.send(chunk)
            assert recorder.occasions == expected
