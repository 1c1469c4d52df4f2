"""Faults of meaning, seen on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.faults import meaning
from tests.simulator.faults.probe import ProbedRelay, Show, auth, cases, show, tunnel
from tests.support.messages import BEAT, HELLO

_GREETED: Final = ["hello_response", "auth_response"]


def _met(*bodies: dict[str, Any], end: bool = False) -> Callable[[ProbedRelay, str], list[str]]:
    """Name what comes in answer to these, one after the other, and what ends the connection, if it is to end."""

    def look(relay: ProbedRelay, transport: str) -> list[str]:
        with relay.wire(transport) as wire:
            found = [name for body in bodies for name in wire.names(body)]
            return [*found, wire.end()] if end and len(found) < len(bodies) else found

    return look


def _member(name: str, *bodies: dict[str, Any]) -> Callable[[ProbedRelay, str], object]:
    """Return a member of the last answer."""

    def look(relay: ProbedRelay, transport: str) -> object:
        with relay.wire(transport) as wire:
            return [wire.answers(body)[0] for body in bodies][-1].get(name)

    return look


def _crowd(relay: ProbedRelay, transport: str) -> list[str]:
    """Name what three connections of a tenant's, open together, meet with hello and auth."""
    with relay.wire(transport) as one, relay.wire(transport) as two, relay.wire(transport) as three:
        return [name for wire in (one, two, three) for body in (HELLO, auth()) for name in wire.names(body)]


def _third_tunnel(relay: ProbedRelay, transport: str) -> list[str]:
    """Name what tunnel_infos of two tenants meet in turn."""
    with relay.wire(transport) as one, relay.wire(transport) as two:
        assert one.names(HELLO, auth("a")) == two.names(HELLO, auth("b")) == _GREETED
        return [
            name
            for number in range(4)
            for wire, tenant in ((one, "a"), (two, "b"))
            for name in wire.names(tunnel(str(number), tenant))
        ]


_OPENED: Final = (HELLO, auth(), tunnel("1"), tunnel("2"), tunnel("1"), BEAT)
_ALL: Final = [*_GREETED, *["tunnel_response"] * 3, "heartbeat_response"]

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "error": (
        *(
            Show(
                _met(HELLO, auth(), tunnel(), BEAT),
                [*_GREETED, "tunnel_response", "heartbeat_response"],
                [*_GREETED, code, "heartbeat_response"],
                {"code": code, "when": {"message": "tunnel_info"}},
            )
            for code in (*ErrorCode, "made_up")
        ),
        Show(
            _met(HELLO, auth(), BEAT, BEAT, end=True),
            [*_GREETED, "heartbeat_response", "heartbeat_response"],
            [*_GREETED, "ip_not_allowed", "closed"],
            {"code": "ip_not_allowed", "close": True, "when": {"message": "heartbeat"}},
        ),
        Show(
            _member("message", HELLO, auth(), {"type": "x"}),
            "the message is of no known type",
            "never heard of it",
            {"code": "unknown_message_type", "text": "never heard of it", "when": {"message": "unknown"}},
        ),
        # It has no effect: the tenant's only tunnel can still be opened.
        Show(
            _met(HELLO, auth("one"), tunnel("1", "one"), tunnel("2", "one")),
            [*_GREETED, "tunnel_response", "tenant_limit_exceeded"],
            [*_GREETED, "buffer_pool_exhausted", "tunnel_response"],
            {"code": "buffer_pool_exhausted", "when": {"message": "tunnel_info", "nth": 1}},
        ),
        Show(
            _third_tunnel,
            ["tunnel_response"] * 8,
            [*["tunnel_response"] * 4, "buffer_pool_exhausted", *["tunnel_response"] * 3],
            {"code": "buffer_pool_exhausted", "when": {"message": "tunnel_info", "tenant": "a", "nth": 3}},
        ),
    ),
    "wrong-type": (
        Show(_met(HELLO, auth()), _GREETED, ["hello_response", "heartbeat_response"], {"when": {"answer_to": "auth"}}),
        Show(_met(HELLO), ["hello_response"], ["hi"], {"type": "hi"}),
    ),
    "wrong-id": (
        Show(_member("tunnel_id", HELLO, auth(), tunnel("mine")), "mine", "another-id"),
        Show(_member("client_id", HELLO, auth()), "user123", "him", {"value": "him"}),
    ),
    "wrong-tenant": (
        Show(_member("tenant_id", HELLO, auth()), "a", "another-tenant"),
        Show(_member("tenant_id", HELLO, auth()), "a", "b", {"value": "b"}),
    ),
    "unavailable": (
        Show(_met(HELLO, BEAT, end=True), ["hello_response", "invalid_token"], ["server_unavailable", "closed"]),
        Show(
            _met(HELLO, auth(), tunnel(), BEAT),
            [*_GREETED, "tunnel_response", "heartbeat_response"],
            [*_GREETED, "server_unavailable", "heartbeat_response"],
            {"when": {"after": 2}},
        ),
    ),
    "limits": (
        Show(_met(*_OPENED), _ALL, [*_GREETED, "tunnel_response", "tenant_limit_exceeded", *_ALL[-2:]], {"tunnels": 1}),
        Show(_met(*_OPENED), _ALL, [*_GREETED, "tunnel_response", "buffer_pool_exhausted", *_ALL[-2:]], {"buffers": 1}),
        Show(_crowd, _GREETED * 3, [*_GREETED, *["hello_response", "tenant_limit_exceeded"] * 2], {"connections": 1}),
        Show(_crowd, _GREETED * 3, [*_GREETED * 2, "connection_limit_reached"], {"relay_connections": 2}),
        # Never more than what is configured, and a bad request is still that.
        Show(_met(*_OPENED), _ALL, _ALL, {"tunnels": 2, "buffers": 2}),
        Show(
            _met(HELLO, auth("one"), tunnel("1", "one"), tunnel("2", "one"), tunnel("3", "a")),
            [*_GREETED, "tunnel_response", "tenant_limit_exceeded", "tenant_not_found"],
            [*_GREETED, "tunnel_response", "tenant_limit_exceeded", "tenant_not_found"],
            {"tunnels": 5},
        ),
        Show(
            _met(HELLO, auth("nobody"), auth()),
            ["hello_response", "tenant_not_found", "auth_response"],
            ["hello_response", "tenant_not_found", "tenant_limit_exceeded"],
            {"connections": 0},
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "shown", "transport"), cases(SHOWS))
async def test_each_does_what_it_says(kind: str, shown: Show, transport: str) -> None:
    await show(kind, shown, transport)


def test_each_is_shown() -> None:
    assert list(SHOWS) == [kind.name for kind in meaning.KINDS]
