"""Faults of single messages, seen on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from cbspec_simulator.faults import message
from tests.simulator.faults.probe import ProbedRelay, Show, auth, cases, show, tunnel
from tests.support.client import PATIENCE
from tests.support.messages import BEAT, HELLO

_GREETED: Final = ["hello_response", "auth_response"]


def _up_to(last: str, *bodies: dict[str, Any]) -> Callable[[ProbedRelay, str], list[str]]:
    """Name what comes back for hello, auth and these, up to what comes last."""

    def look(relay: ProbedRelay, transport: str) -> list[str]:
        with relay.wire(transport) as wire:
            wire.send(HELLO, auth(), *bodies)
            found: list[str] = []
            while not found or found[-1] != last:
                more = wire.names(number=1)
                assert more, found
                found += more
            return found

    return look


def _text(relay: ProbedRelay, transport: str) -> bytes:
    """Return the text of a hello's answer."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        (text,) = wire.texts(1)
        return text


def _object(relay: ProbedRelay, transport: str) -> str:
    """Say whether a hello's answer is a JSON object."""
    text = _text(relay, transport)
    try:
        text.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    try:
        return "an object" if isinstance(json.loads(text), dict) else "not an object"
    except ValueError:
        return "not JSON"


def _how(relay: ProbedRelay, transport: str) -> tuple[object, ...]:
    """Return what an answer means, and whether white space and escapes are in it."""
    text = _text(relay, transport)
    body = json.loads(text)
    return sorted(body), body["type"], b"\\u" in text, b"\t" in text or b" " in text


def _order(relay: ProbedRelay, transport: str) -> set[tuple[str, ...]]:
    """Return the orders in which the members of twenty answers come."""
    with relay.wire(transport) as wire:
        assert wire.names(HELLO, auth()) == _GREETED
        return {tuple(body) for body in wire.answers(*(tunnel(str(number)) for number in range(20)))}


def _members(relay: ProbedRelay, transport: str) -> list[str]:
    return sorted(json.loads(_text(relay, transport)))


def _size(relay: ProbedRelay, transport: str) -> bool:
    return len(_text(relay, transport)) > 200_000


def _late(relay: ProbedRelay, transport: str) -> bool:
    """Say whether no heartbeat is answered quickly."""
    with relay.wire(transport) as wire:
        assert wire.names(HELLO) + wire.names(auth()) == _GREETED
        return wire.is_slow(BEAT)


def _until_released(relay: ProbedRelay, transport: str) -> list[list[str]]:
    """Name what comes before a fault is released, seen through a second connection, and behind it."""
    with relay.wire(transport) as wire:
        wire.send(HELLO, auth(), tunnel(), BEAT)
        with relay.wire(transport) as other:
            assert other.names(HELLO, auth("b")) == _GREETED
            found = wire.names_so_far()
        relay.release("it")
        return [found, wire.names(number=4 - len(found))]


_ALL: Final = [*_GREETED, "tunnel_response", "heartbeat_response"]
_HOLD_ANSWER: Final = {"when": {"message": "tunnel_response", "tenant": "a"}}
_HOLD_REQUEST: Final = {"when": {"message": "tunnel_info", "tenant": "a"}}

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "drop": (
        Show(
            _up_to("heartbeat_response", tunnel(), BEAT),
            _ALL,
            [*_GREETED, "heartbeat_response"],
            {"when": {"message": "tunnel_response"}},
        ),
        Show(
            _up_to("heartbeat_response", tunnel("t", "b"), BEAT),
            [*_GREETED, "tenant_not_found", "heartbeat_response"],
            [*_GREETED, "heartbeat_response"],
            {"when": {"message": "tunnel_info"}},
        ),
        # Heartbeats that stay unanswered from the second on.
        Show(
            _up_to("tunnel_response", BEAT, BEAT, BEAT, tunnel()),
            [*_GREETED, *["heartbeat_response"] * 3, "tunnel_response"],
            [*_GREETED, "heartbeat_response", "tunnel_response"],
            {"when": {"message": "heartbeat", "after": 1}},
        ),
    ),
    "delay": (
        Show(_late, False, True, {"seconds": 0.2, "when": {"message": "heartbeat_response"}}),
        Show(_late, False, True, {"seconds": 0.2, "when": {"message": "heartbeat"}}),
    ),
    "duplicate": (
        Show(
            _up_to("tunnel_response", BEAT, tunnel()),
            [*_GREETED, "heartbeat_response", "tunnel_response"],
            [*_GREETED, *["heartbeat_response"] * 3, "tunnel_response"],
            {"copies": 3, "when": {"message": "heartbeat_response"}},
        ),
        Show(
            _up_to("heartbeat_response", BEAT),
            [*_GREETED, "heartbeat_response"],
            ["hello_response", *_GREETED, "heartbeat_response"],
            {"when": {"message": "hello"}},
        ),
    ),
    "reorder": (
        Show(
            _up_to("unknown_message_type", tunnel(), BEAT, {"type": "x"}),
            [*_ALL, "unknown_message_type"],
            [*_GREETED, "heartbeat_response", "tunnel_response", "unknown_message_type"],
            {"seconds": PATIENCE, "when": {"message": "tunnel_response"}},
        ),
        Show(_late, False, True, {"seconds": 0.2}),
    ),
    "hold": (
        Show(_until_released, [_ALL, []], [[*_GREETED, "heartbeat_response"], ["tunnel_response"]], _HOLD_ANSWER),
        Show(_until_released, [_ALL, []], [_GREETED, ["tunnel_response", "heartbeat_response"]], _HOLD_REQUEST),
    ),
    "truncate": (
        Show(lambda relay, how: _text(relay, how)[10:11], b"e", b"", {"bytes": 10}),
        Show(_object, "an object", "not JSON"),
    ),
    "damage-utf-8": (Show(_object, "an object", "not UTF-8"),),
    "damage-json": (
        Show(_object, "an object", "not JSON", {"how": "missing-brace"}),
        Show(_object, "an object", "not JSON", {"how": "trailing-comma"}),
        Show(_object, "an object", "not JSON", {"how": "single-quotes"}),
        Show(_object, "an object", "not JSON", {"how": "missing-quote"}),
        Show(_object, "an object", "not JSON", {"how": "missing-colon"}),
        Show(_object, "an object", "not an object", {"how": "array"}),
        Show(_object, "an object", "not JSON", {"how": "words"}),
        Show(lambda relay, how: _object(relay, how) == "an object", True, False),
    ),
    "oversize": (Show(_size, False, True, {"bytes": 200_000}),),
    "spelling": (
        Show(
            _how,
            (["features", "type", "version"], "hello_response", False, False),
            (["features", "type", "version"], "hello_response", True, False),
        ),
        Show(
            _how,
            (["features", "type", "version"], "hello_response", False, False),
            (["features", "type", "version"], "hello_response", False, True),
            {"how": "white-space"},
        ),
        Show(lambda relay, how: len(_order(relay, how)) > 1, False, True, {"how": "order"}),
    ),
    "member": (
        Show(
            _members,
            ["features", "type", "version"],
            ["features", "type", "version", "x"],
            {"member": "x", "value": {"y": [1]}},
        ),
        Show(
            lambda relay, how: json.loads(_text(relay, how))["version"],
            "1.0",
            7,
            {"member": "version", "value": 7},
        ),
    ),
    "missing-member": (Show(_members, ["features", "type", "version"], ["features", "type"], {"member": "version"}),),
    "unsolicited": (
        Show(
            _up_to("tunnel_response", tunnel()),
            [*_GREETED, "tunnel_response"],
            ["hello_response", "auth_response", "heartbeat_response", "tunnel_response"],
            {"when": {"message": "auth_response"}},
        ),
        Show(
            _up_to("tunnel_response", tunnel()),
            [*_GREETED, "tunnel_response"],
            ["hello_response", "made-up", "auth_response", "tunnel_response"],
            {"body": {"type": "made-up"}, "place": "before", "when": {"message": "auth_response"}},
        ),
        Show(
            _up_to("tunnel_response", tunnel()),
            [*_GREETED, "tunnel_response"],
            ["hello_response", "heartbeat_response", "auth_response", "tunnel_response"],
            {"when": {"message": "auth"}},
        ),
    ),
}


@pytest.mark.parametrize(("kind", "shown", "transport"), cases(SHOWS))
async def test_each_does_what_it_says(kind: str, shown: Show, transport: str) -> None:
    await show(kind, shown, transport)


def test_each_is_shown() -> None:
    assert list(SHOWS) == [kind.name for kind in message.KINDS]
