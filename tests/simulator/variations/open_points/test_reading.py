"""What is understood and what is added, seen on the wire."""

from __future__ import annotations

import json

import pytest

from cbspec_simulator.variations.open_points import reading
from tests.simulator.variations.deviations.probe import Probe, asking, enter, met
from tests.simulator.variations.open_points.probe import serving, show
from tests.support.client import HELLO as HELLO_LINE
from tests.support.client import AsyncWebSocket, auth
from tests.support.memory import BEAT, MemoryRelay, tunnel

_UNKNOWN, _BEAT = "unknown_message_type", "heartbeat_response"
_LINE = b'{"type":"heartbeat"}'


def _id_of(memory: MemoryRelay) -> object:
    text = json.dumps(tunnel("first"))[:-1] + ', "tunnel_id": "second"}\n'
    (answer,) = enter(memory).send(text.encode())
    return answer.get("tunnel_id", answer.get("code"))


def _at_an_array(memory: MemoryRelay) -> object:
    client = enter(memory)
    return met(client, b"[1, 2]\n"), client.closed


def _in_a_row(*parts: bytes) -> Probe:
    def look(memory: MemoryRelay) -> list[list[str]]:
        client = enter(memory)
        return [met(client, part) for part in parts]

    return Probe(look, None, None)


PROBES = {
    "byte-order-mark-passed-over": Probe(asking(b"\xef\xbb\xbf" + _LINE + b"\n"), [_UNKNOWN], [_BEAT]),
    "array-of-one-accepted": Probe(asking(b"[" + _LINE + b"]\n"), [_UNKNOWN], [_BEAT]),
    "other-values-close": Probe(_at_an_array, ([_UNKNOWN], False), ([], True)),
    "last-of-two-members-counts": Probe(_id_of, _UNKNOWN, "second"),
    "first-of-two-members-counts": Probe(_id_of, _UNKNOWN, "first"),
    "one-message-a-line": _in_a_row(_LINE + _LINE + b"\n", _LINE, b"\n")._replace(
        clean=[[_BEAT, _BEAT], [_BEAT], []], wrong=[[_UNKNOWN], [], [_BEAT]]
    ),
    "empty-line-refused": _in_a_row(b"\n" + _LINE + b"\n", _LINE + b"\n", _LINE, b"\n")._replace(
        clean=[[_BEAT], [_BEAT], [_BEAT], []], wrong=[[_UNKNOWN, _BEAT], [_BEAT], [_BEAT], []]
    ),
    "unknown-members-refused": Probe(asking({**BEAT, "x": 1}), [_BEAT], [_UNKNOWN]),
    "member-names-in-any-case": Probe(asking({"Type": "heartbeat"}), [_UNKNOWN], [_BEAT]),
    "types-in-capitals": Probe(asking({"type": "HEARTBEAT"}), [_UNKNOWN], [_BEAT]),
    "tunnel-response-names-tenant": Probe(lambda memory: enter(memory).send(tunnel())[0].get("tenant_id"), None, "a"),
    "errors-carry-details": Probe(lambda memory: enter(memory).send({"type": "x"})[0].get("retryable"), None, False),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {point.id for point in reading.OPEN_POINTS} == {*PROBES, "binary-frames-refused"}


async def test_binary_frames() -> None:
    for ids, kind in (((), b"heartbeat_response"), (("binary-frames-refused",), b"unknown_message_type")):
        async with serving(*ids) as simulator, AsyncWebSocket(simulator.address) as wire:
            await wire.open()
            for request in (HELLO_LINE, auth()):
                await wire.say(request.strip())
            wire.frame(_LINE, opcode=2)
            assert kind in (await wire.next())[1]
