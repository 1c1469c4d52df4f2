"""Faults of meaning, on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from cbspec.protocol.codes import ErrorCode
from tests.simulator.faults.probe import BEATEN, GREETED, OPENED, SERVED, ProbedRelay, Show, at, auth, prove, tunnel
from tests.support.messages import BEAT, HELLO


def _met(*bodies: dict[str, Any], end: bool = False) -> Callable[[ProbedRelay, str], list[str]]:
    """Return a look at the answers to these bodies, one by one, and, with `end`, at the end of the connection."""

    def look(relay: ProbedRelay, transport: str) -> list[str]:
        with relay.wire(transport) as wire:
            found = [name for body in bodies for name in wire.names(body)]
            return [*found, wire.end()] if end and len(found) < len(bodies) else found

    return look


def _member(name: str, *bodies: dict[str, Any]) -> Callable[[ProbedRelay, str], object]:
    """Return a look at a member of the last answer."""

    def look(relay: ProbedRelay, transport: str) -> object:
        with relay.wire(transport) as wire:
            return [wire.answers(body)[0] for body in bodies][-1].get(name)

    return look


def _three_connections(relay: ProbedRelay, transport: str) -> list[str]:
    """Return the answers to hello and auth on three connections of a tenant that are open together."""
    with relay.wire(transport) as one, relay.wire(transport) as two, relay.wire(transport) as three:
        return [name for wire in (one, two, three) for body in (HELLO, auth()) for name in wire.names(body)]


_OPENING: Final = (HELLO, auth(), tunnel("1"), tunnel("2"), tunnel("1"), BEAT)
_ALL: Final = [*GREETED, OPENED, OPENED, OPENED, BEATEN]
_DIALOGUE: Final = _met(HELLO, auth(), tunnel(), BEAT)
_THIRD: Final = _met(HELLO, auth("one"), tunnel("1", "one"), tunnel("2", "one"), tunnel("3", "a"))
_THIRD_ANSWERS: Final = [*GREETED, OPENED, "tenant_limit_exceeded", "tenant_not_found"]

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "error": (
        *(
            Show(_DIALOGUE, SERVED, [*GREETED, code, BEATEN], at("tunnel_info", code=code))
            for code in (*ErrorCode, "made_up")
        ),
        Show(
            _met(HELLO, auth(), BEAT, BEAT, end=True),
            [*GREETED, BEATEN, BEATEN],
            [*GREETED, "ip_not_allowed", "closed"],
            at("heartbeat", code="ip_not_allowed", close=True),
        ),
        Show(
            lambda relay, how: _member("message", HELLO, auth(), {"type": "x"})(relay, how) == "never heard of it",
            False,
            True,
            at("unknown", code="unknown_message_type", text="never heard of it"),
        ),
        # A refused request has no effect: the tenant's only tunnel can still be opened.
        Show(
            _met(HELLO, auth("one"), tunnel("1", "one"), tunnel("2", "one")),
            [*GREETED, OPENED, "tenant_limit_exceeded"],
            [*GREETED, "buffer_pool_exhausted", OPENED],
            {"code": "buffer_pool_exhausted", "when": {"message": "tunnel_info", "nth": 1}},
        ),
    ),
    "wrong-type": (Show(_met(HELLO), ["hello_response"], ["hi"], {"type": "hi"}),),
    "wrong-id": (
        Show(_member("tunnel_id", HELLO, auth(), tunnel("mine")), "mine", "another-id"),
        Show(_member("client_id", HELLO, auth()), "user123", "him", {"value": "him"}),
    ),
    "wrong-tenant": (Show(_member("tenant_id", HELLO, auth()), "a", "b", {"value": "b"}),),
    "unavailable": (
        Show(_met(HELLO, BEAT, end=True), ["hello_response", "invalid_token"], ["server_unavailable", "closed"]),
        Show(_DIALOGUE, SERVED, [*GREETED, "server_unavailable", BEATEN], {"when": {"after": 2}}),
    ),
    "limits": (
        Show(_met(*_OPENING), _ALL, [*GREETED, OPENED, "tenant_limit_exceeded", *_ALL[-2:]], {"tunnels": 1}),
        Show(_met(*_OPENING), _ALL, [*GREETED, OPENED, "buffer_pool_exhausted", *_ALL[-2:]], {"buffers": 1}),
        Show(
            _three_connections,
            GREETED * 3,
            [*GREETED, *["hello_response", "tenant_limit_exceeded"] * 2],
            {"connections": 1},
        ),
        Show(_three_connections, GREETED * 3, [*GREETED * 2, "connection_limit_reached"], {"relay_connections": 2}),
        # The configured limits stay in force, and other errors take precedence.
        Show(_THIRD, _THIRD_ANSWERS, _THIRD_ANSWERS, {"tunnels": 5}),
    ),
}


@pytest.mark.parametrize("kind", SHOWS)
async def test_kinds_on_the_wire(kind: str) -> None:
    await prove(kind, SHOWS[kind])
