"""Transport faults, seen below TLS and record by record."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.simulator.faults.probe import GREETED, ProbedRelay, Show, auth, is_late, prove, tunnel
from tests.support.client import UPGRADE, RawClient
from tests.support.messages import BEAT, HELLO

_CONNECT: Final = {"when": {"direction": "connect"}}
_FIRST: Final = {"when": {"message": "heartbeat_response", "connection": 1}}
_FIRST_REQUEST: Final = {"when": {"message": "heartbeat", "connection": 1}}
_BEATS: Final = {"when": {"message": "heartbeat_response"}}


def _connected(relay: ProbedRelay, transport: str) -> str:
    try:
        with relay.wire(transport) as wire:
            return ", ".join(wire.names(HELLO))
    except ConnectionRefusedError:
        return "refused"


def _answered(relay: ProbedRelay, transport: str) -> tuple[bool, str]:
    """Return whether a first request is answered before that of another connection, and the end of the connection."""
    with RawClient(relay.address, transport) as wire:
        wire.handshake()
        wire.write(UPGRADE + b"\r\n") if transport == "websocket" else wire.send(HELLO)
        with relay.wire("tcp") as other:
            assert other.names(HELLO) == ["hello_response"]
        return bool(wire.records_so_far()), wire.ended


def _accepted(relay: ProbedRelay, transport: str) -> str:
    """Return the reaction to a ClientHello."""
    with RawClient(relay.address, transport) as wire:
        try:
            wire.send_client_hello()
            return "an answer" if wire.socket.recv(1) else "an end"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"


def _end(*bodies: dict[str, Any], close_frame: bool) -> Callable[[ProbedRelay, str], tuple[list[str], str]]:
    """Return a look at the answers and, if some are missing, at the end, with or without a WebSocket close frame."""

    def look(relay: ProbedRelay, transport: str) -> tuple[list[str], str]:
        with relay.wire(transport) as wire:
            found = [name for body in bodies for name in wire.names(body)]
            end = wire.end() if len(found) < len(bodies) else ""
            framed = any(first == 0x88 for first, _, _ in wire.frames)
            return found, f"{end}, no frame" if close_frame and transport == "websocket" and end and not framed else end

    return look


def _first_bytes(relay: ProbedRelay, transport: str) -> tuple[int, str]:
    """Return how many of the first eleven bytes answer a heartbeat, and the end of the connection."""
    with relay.authenticated(transport) as wire:
        wire.send(BEAT)
        return len(wire.first_bytes(11)), wire.ended


def _still_read(relay: ProbedRelay, transport: str) -> tuple[str, list[str]]:
    """Return the end of the first connection, and whether another one can have the tunnel that the first asks for."""
    with relay.authenticated(transport, "one") as wire:
        wire.send(BEAT)
        with relay.authenticated(transport, "one") as other:
            wire.records_so_far()
            with contextlib.suppress(OSError):
                wire.send(tunnel("first", "one"))
            assert other.names(BEAT) == ["heartbeat_response"]
            return wire.ended, other.names(tunnel("second", "one"))


def _jitter(relay: ProbedRelay, transport: str) -> tuple[bool, bool]:
    """Return whether delays differ, and whether the answers keep the order of the requests."""
    with relay.authenticated(transport) as wire:
        times = []
        for _ in range(9):
            began = time.monotonic()
            wire.answers(BEAT)
            times.append(time.monotonic() - began)
        names = [str(number) for number in range(9)]
        tunnels = [body["tunnel_id"] for body in wire.answers(*map(tunnel, names))]
        return statistics.median(times) > 0.05 and max(times) - min(times) > 0.1, tunnels == names


def _records(beats: int) -> Callable[[ProbedRelay, str], list[int]]:
    """Return a look at the sizes of the TLS records, except the last one, that answer heartbeats sent at once."""

    def look(relay: ProbedRelay, transport: str) -> list[int]:
        with relay.authenticated(transport) as wire:
            assert wire.names(*[BEAT] * beats) == ["heartbeat_response"] * beats
            return [len(record) for record in wire.records][:-1]

    return look


def _ends(how: str, at_once: str, *, close_frame: bool = False) -> tuple[Show, ...]:
    """Return the proofs of a kind that ends connections."""
    asked = _end(HELLO, auth(), BEAT, close_frame=close_frame)
    three = ([*GREETED, "heartbeat_response"], "")
    return (
        Show(_accepted, "an answer", at_once, _CONNECT),
        Show(asked, three, (GREETED, how), {"when": {"message": "heartbeat"}}),
        Show(asked, three, (GREETED, how), {"when": {"message": "auth_response"}}),
        Show(_first_bytes, (11, ""), (10, how), {"bytes": 10, **_BEATS}),
        Show(_first_bytes, (11, ""), (0, how), {"bytes": 0, **_BEATS}),
    )


_READ: Final = ["tenant_limit_exceeded"]  # the first connection has the tunnel
_UNREAD: Final = ["tunnel_response"]

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "refuse": (Show(_connected, "hello_response", "refused"),),
    "silent": (Show(_answered, (True, ""), (False, ""), {"when": {"connection": 1}}),),
    "reset": _ends("reset", "reset"),
    "close": (
        *_ends("closed", "an end", close_frame=True),
        *(Show(_still_read, ("", _READ), ("closed", _UNREAD), when) for when in (_FIRST, _FIRST_REQUEST)),
    ),
    "close-without-notify": _ends("cut", "an end"),
    "half-close": (
        *_ends("closed", "an end"),
        *(Show(_still_read, ("", _READ), ("closed", _READ), when) for when in (_FIRST, _FIRST_REQUEST)),
    ),
    "latency": (
        Show(is_late, False, True, {"seconds": 0.2}),
        Show(_jitter, (False, True), (True, True), {"seconds": 0.15, "jitter": 0.15}),
    ),
    "bandwidth": (
        Show(is_late, False, True, {"bytes_per_second": 100, **_BEATS}),
        Show(_records(1), [], [7] * 4, {"bytes_per_second": 140, **_BEATS}),
    ),
    "dribble": (Show(_records(1), [], [4] * 7, {"bytes": 4}), Show(is_late, False, True, {"seconds": 0.01})),
    "split": (
        Show(_records(1), [], [3, 6], {"at": [9, 3, 3, 1000]}),
        Show(is_late, False, True, {"at": [1], "seconds": 0.2, **_BEATS}),
    ),
    "merge": (
        Show(lambda relay, how: len(_records(3)(relay, how)), 2, 0, {"messages": 3, **_BEATS}),
        Show(lambda relay, how: len(_records(3)(relay, how)), 2, 1, _BEATS),
        Show(is_late, False, True, {"seconds": 0.2}),
    ),
}


@pytest.mark.parametrize("kind", SHOWS)
async def test_kinds_on_the_wire(kind: str) -> None:
    await prove(kind, SHOWS[kind])
