"""The occasions that a connection reports: direction, message, answered request, tenant and subject."""

from __future__ import annotations

from typing import Any, Final

from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.events import Decided
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel
from tests.support.messages import line


def _pair(message: str, answer: str, tenant: str = "", subject: str = "") -> list[Occasion]:
    return [
        Occasion(MessageDirection.REQUEST, 1, "tcp", tenant, subject, message),
        Occasion(MessageDirection.ANSWER, 1, "tcp", tenant, subject, answer, message),
    ]


_PAIRS: Final = (("auth", "auth_response"), ("tunnel_info", "tunnel_response"), ("heartbeat", "heartbeat_response"))
_ME: Final = ("a", "user123")
_HELLO: Final = _pair("hello", "hello_response")
_DIALOGUES: Final[tuple[tuple[list[Any], list[Occasion]], ...]] = (
    ([HELLO, auth(), tunnel(), BEAT], [*_HELLO, *(each for pair in _PAIRS for each in _pair(*pair, *_ME))]),
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


def test_occasions_of_dialogues() -> None:
    for sent, expected in _DIALOGUES:
        lines = [body if isinstance(body, bytes) else line(body) for body in sent]
        for chunks in (lines, [b"".join(lines)]):
            memory, occasions = MemoryRelay(), list[Occasion]()
            for direction in ("request", "answer"):
                fault = {"kind": "drop", "when": {"direction": direction, "probability": 0.0}}
                memory.relay.faults.add(Fault.read(fault), 0.0)
            memory.relay.tell.add(
                lambda event, seen=occasions: (
                    seen.append(event.decision.occasion)  # type: ignore[misc]
                    if isinstance(event, Decided)
                    else None
                )
            )
            client = memory.client()
            for chunk in chunks:
                client.send(chunk)
            assert occasions == expected
