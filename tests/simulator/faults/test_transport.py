"""Faults of the transport, seen below TLS and record by record."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from cbspec_simulator.faults import transport as kinds
from tests.simulator.faults.probe import ProbedRelay, Show, auth, cases, show, tunnel
from tests.support.client import UPGRADE, RawClient
from tests.support.messages import BEAT, HELLO

_GREETED: Final = ["hello_response", "auth_response"]
_AT_ONCE: Final = {"when": {"direction": "connect"}}
_FIRST: Final = {"when": {"message": "heartbeat_response", "connection": 1}}
_FIRST_REQUEST: Final = {"when": {"message": "heartbeat", "connection": 1}}
_BEHIND: Final = {"when": {"message": "heartbeat_response"}}


def _greeted(relay: ProbedRelay, transport: str, tenant: str = "a") -> RawClient:
    wire = relay.wire(transport)
    assert wire.names(HELLO) + wire.names(auth(tenant)) == _GREETED
    wire.records.clear()
    return wire


def _reached(relay: ProbedRelay, transport: str) -> str:
    """Say what comes of connecting."""
    try:
        with relay.wire(transport) as wire:
            return ", ".join(wire.names(HELLO))
    except ConnectionRefusedError:
        return "refused"


def _answered(relay: ProbedRelay, transport: str) -> tuple[bool, str]:
    """Say whether a first request draws anything before another connection's is answered, and what ends it."""
    with RawClient(relay.address, transport) as wire:
        wire.handshake()
        wire.write(UPGRADE + b"\r\n") if transport == "websocket" else wire.send(HELLO)
        with relay.wire("tcp") as other:
            assert other.names(HELLO) == ["hello_response"]
        return bool(wire.records_so_far()), wire.ended


def _accepted(relay: ProbedRelay, transport: str) -> str:
    """Say what comes in answer to a ClientHello."""
    with RawClient(relay.address, transport) as wire:
        try:
            wire.send_client_hello()
            return "an answer" if wire.socket.recv(1) else "an end"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"


def _end(*bodies: dict[str, Any], goodbye: bool) -> Callable[[ProbedRelay, str], tuple[list[str], str]]:
    """Name what comes in answer, and what ends the connection where less comes; a WebSocket says goodbye by a frame."""

    def look(relay: ProbedRelay, transport: str) -> tuple[list[str], str]:
        with relay.wire(transport) as wire:
            found = [name for body in bodies for name in wire.names(body)]
            end = wire.end() if len(found) < len(bodies) else ""
            framed = any(first == 0x88 for first, _, _ in wire.frames)
            return found, f"{end}, no frame" if goodbye and transport == "websocket" and end and not framed else end

    return look


def _first_bytes(relay: ProbedRelay, transport: str) -> tuple[int, str]:
    """Return how many of the first eleven bytes come in answer to a heartbeat, and what ends the connection then."""
    with _greeted(relay, transport) as wire:
        wire.send(BEAT)
        return len(wire.first_bytes(11)), wire.ended


def _read_on(relay: ProbedRelay, transport: str) -> tuple[str, list[str]]:
    """Say what ends the first connection, and whether it takes the tenant's only tunnel before another can."""
    with _greeted(relay, transport, "one") as wire:
        wire.send(BEAT)
        with _greeted(relay, transport, "one") as other:
            wire.records_so_far()
            with contextlib.suppress(OSError):
                wire.send(tunnel("first", "one"))
            assert other.names(BEAT) == ["heartbeat_response"]
            return wire.ended, other.names(tunnel("second", "one"))


def _late(relay: ProbedRelay, transport: str) -> bool:
    """Say whether no heartbeat is answered quickly."""
    with _greeted(relay, transport) as wire:
        return wire.is_slow(BEAT)


def _uneven(relay: ProbedRelay, transport: str) -> tuple[bool, bool]:
    """Say whether answers are late by very different times, and whether their order is the requests'."""
    with _greeted(relay, transport) as wire:
        times = []
        for _ in range(9):
            began = time.monotonic()
            wire.answers(BEAT)
            times.append(time.monotonic() - began)
        names = [str(number) for number in range(9)]
        tunnels = [body["tunnel_id"] for body in wire.answers(*map(tunnel, names))]
        return statistics.median(times) > 0.05 and max(times) - min(times) > 0.1, tunnels == names


def _sizes(*bodies: dict[str, Any]) -> Callable[[ProbedRelay, str], list[int]]:
    """Return what each TLS record holds that comes in answer to requests sent at once, the last one left out."""

    def look(relay: ProbedRelay, transport: str) -> list[int]:
        with _greeted(relay, transport) as wire:
            assert wire.names(*bodies) == ["heartbeat_response"] * len(bodies)
            return [len(record) for record in wire.records][:-1]

    return look


def _ends(how: str, at_once: str, *, goodbye: bool = False) -> tuple[Show, ...]:
    """Return how a kind shows that ends connections, with a WebSocket's goodbye or without."""
    asked = _end(HELLO, auth(), BEAT, goodbye=goodbye)
    three = ([*_GREETED, "heartbeat_response"], "")
    return (
        Show(_accepted, "an answer", at_once, _AT_ONCE),
        Show(asked, three, (_GREETED, how), {"when": {"message": "heartbeat"}}),
        Show(asked, three, (_GREETED, how), {"when": {"message": "auth_response"}}),
        Show(_first_bytes, (11, ""), (10, how), {"bytes": 10, **_BEHIND}),
        Show(_first_bytes, (11, ""), (0, how), {"bytes": 0, **_BEHIND}),
    )


SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "refuse": (Show(_reached, "hello_response", "refused"),),
    "silent": (Show(_answered, (True, ""), (False, ""), {"when": {"connection": 1}}),),
    "reset": _ends("reset", "reset"),
    "close": (
        *_ends("closed", "an end", goodbye=True),
        Show(_read_on, ("", ["tenant_limit_exceeded"]), ("closed", ["tunnel_response"]), _FIRST),
        Show(_read_on, ("", ["tenant_limit_exceeded"]), ("closed", ["tunnel_response"]), _FIRST_REQUEST),
    ),
    "close-without-notify": _ends("cut", "an end"),
    "half-close": (
        *_ends("closed", "an end"),
        Show(_read_on, ("", ["tenant_limit_exceeded"]), ("closed", ["tenant_limit_exceeded"]), _FIRST),
        Show(_read_on, ("", ["tenant_limit_exceeded"]), ("closed", ["tenant_limit_exceeded"]), _FIRST_REQUEST),
    ),
    "latency": (
        Show(_late, False, True, {"seconds": 0.2}),
        Show(_uneven, (False, True), (True, True), {"seconds": 0.15, "jitter": 0.15}),
    ),
    "bandwidth": (
        Show(_late, False, True, {"bytes_per_second": 100, **_BEHIND}),
        Show(_sizes(BEAT), [], [7] * 4, {"bytes_per_second": 140, **_BEHIND}),
    ),
    "dribble": (
        Show(_sizes(BEAT), [], [4] * 7, {"bytes": 4}),
        Show(_late, False, True, {"seconds": 0.01}),
    ),
    "split": (
        Show(_sizes(BEAT), [], [3, 6], {"at": [9, 3, 3, 1000]}),
        Show(_late, False, True, {"at": [1], "seconds": 0.2, **_BEHIND}),
    ),
    "merge": (
        Show(lambda relay, how: len(_sizes(BEAT, BEAT, BEAT)(relay, how)), 2, 0, {"messages": 3, **_BEHIND}),
        Show(lambda relay, how: len(_sizes(BEAT, BEAT, BEAT)(relay, how)), 2, 1, _BEHIND),
        Show(_late, False, True, {"seconds": 0.2}),
    ),
}


@pytest.mark.parametrize(("kind", "shown", "transport"), cases(SHOWS))
async def test_each_does_what_it_says(kind: str, shown: Show, transport: str) -> None:
    await show(kind, shown, transport)


def test_each_is_shown() -> None:
    assert list(SHOWS) == [kind.name for kind in kinds.KINDS]
