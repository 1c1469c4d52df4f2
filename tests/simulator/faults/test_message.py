"""Faults of single messages, on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.simulator.faults import probe
from tests.simulator.faults.probe import BEATEN, GREETED, OPENED, SERVED, ProbedRelay, Show, at, auth, is_late, tunnel
from tests.support.client import PATIENCE
from tests.support.messages import BEAT, HELLO


def _up_to(last: str, *bodies: dict[str, Any]) -> Callable[[ProbedRelay, str], list[str]]:
    """Return a look at the answers to hello, auth and these bodies, up to the answer `last`."""

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
    """Return the text of the answer to a hello."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        (text,) = wire.texts(1)
        return text


def _object(relay: ProbedRelay, transport: str) -> str:
    text = _text(relay, transport)
    try:
        text.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    try:
        return "an object" if isinstance(json.loads(text), dict) else "not an object"
    except ValueError:
        return "not JSON"


def _spelling(relay: ProbedRelay, transport: str) -> tuple[object, ...]:
    """Return the meaning of an answer, and whether it contains escapes and white space."""
    text = _text(relay, transport)
    return sorted(json.loads(text)), b"\\u" in text, b"\t" in text or b" " in text


def _orders(relay: ProbedRelay, transport: str) -> bool:
    """Whether the members of twenty answers come in different orders."""
    with relay.authenticated(transport) as wire:
        return len({tuple(body) for body in wire.answers(*[tunnel()] * 20)}) > 1


def _members(relay: ProbedRelay, transport: str) -> list[str]:
    return sorted(json.loads(_text(relay, transport)))


def _until_released(relay: ProbedRelay, transport: str) -> list[list[str]]:
    """Return the answers before a fault is released, while another connection is served, and those after it."""
    with relay.wire(transport) as wire:
        wire.send(HELLO, auth(), tunnel(), BEAT)
        with relay.wire(transport) as other:
            assert other.names(HELLO, auth("b")) == GREETED
            found = wire.names_so_far()
        relay.release("it")
        return [found, wire.names(number=4 - len(found))]


_UNKNOWN: Final = {"type": "x"}
_ENDS: Final = "unknown_message_type"
_TUNNEL: Final = _up_to(OPENED, tunnel())
_BOTH: Final = _up_to(BEATEN, tunnel(), BEAT)
_HELLO: Final = ["features", "type", "version"]
_PLAIN: Final = (_HELLO, False, False)

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "drop": (
        Show(_BOTH, SERVED, [*GREETED, BEATEN], at(OPENED)),
        Show(_BOTH, SERVED, [*GREETED, BEATEN], at("tunnel_info")),
    ),
    "delay": tuple(Show(is_late, False, True, at(message, seconds=0.2)) for message in (BEATEN, "heartbeat")),
    "duplicate": (
        Show(_BOTH, SERVED, [*GREETED, OPENED, OPENED, OPENED, BEATEN], at(OPENED, copies=3)),
        Show(_BOTH, SERVED, ["hello_response", *SERVED], at("hello")),
    ),
    "reorder": (
        Show(
            _up_to(_ENDS, tunnel(), BEAT, _UNKNOWN),
            [*SERVED, _ENDS],
            [*GREETED, BEATEN, OPENED, _ENDS],
            at(OPENED, seconds=PATIENCE),
        ),
        Show(is_late, False, True, {"seconds": 0.2}),
    ),
    "hold": (
        Show(_until_released, [SERVED, []], [[*GREETED, BEATEN], [OPENED]], at(OPENED)),
        Show(_until_released, [SERVED, []], [GREETED, [OPENED, BEATEN]], at("tunnel_info")),
    ),
    "truncate": (
        Show(lambda relay, how: _text(relay, how)[10:11], b"e", b"", {"bytes": 10}),
        Show(_object, "an object", "not JSON"),
    ),
    "damage-utf-8": (Show(_object, "an object", "not UTF-8"),),
    "damage-json": (
        *(
            Show(_object, "an object", "not JSON", {"how": how})
            for how in ("missing-brace", "trailing-comma", "single-quotes", "missing-quote", "missing-colon", "words")
        ),
        Show(_object, "an object", "not an object", {"how": "array"}),
        Show(lambda relay, how: _object(relay, how) == "an object", True, False),
    ),
    "oversize": (Show(lambda relay, how: len(_text(relay, how)) > 200_000, False, True, {"bytes": 200_000}),),
    "spelling": (
        Show(_spelling, _PLAIN, (_HELLO, True, False)),
        Show(_spelling, _PLAIN, (_HELLO, False, True), {"how": "white-space"}),
        Show(_orders, False, True, {"how": "order"}),
    ),
    "member": (
        Show(_members, _HELLO, [*_HELLO, "x"], {"member": "x", "value": {"y": [1]}}),
        Show(lambda relay, how: json.loads(_text(relay, how))["version"], "1.0", 7, {"member": "version", "value": 7}),
    ),
    "missing-member": (Show(_members, _HELLO, _HELLO[:2], {"member": "version"}),),
    "unsolicited": (
        Show(_TUNNEL, [*GREETED, OPENED], [*GREETED, BEATEN, OPENED], at("auth_response")),
        Show(
            _TUNNEL,
            [*GREETED, OPENED],
            ["hello_response", "made-up", "auth_response", OPENED],
            at("auth_response", body={"type": "made-up"}, place="before"),
        ),
        Show(_TUNNEL, [*GREETED, OPENED], ["hello_response", BEATEN, "auth_response", OPENED], at("auth")),
    ),
}


@pytest.mark.parametrize("kind", SHOWS)
async def test_kinds_on_the_wire(kind: str) -> None:
    await probe.prove(kind, SHOWS[kind])
