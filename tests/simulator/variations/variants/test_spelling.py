"""The same messages, written in another way."""

from __future__ import annotations

import pytest

from cbspec_simulator.variations.variants import spelling
from tests.simulator.variations.deviations.probe import Look, Probe, enter
from tests.simulator.variations.variants.probe import show
from tests.support.memory import HELLO, MemoryRelay, tunnel

_OBJECT = b'{"type":"heartbeat_response"}'


def _raw(memory: MemoryRelay) -> bytes:
    client = enter(memory)
    client.send({"type": "heartbeat"})
    return client.raw


def _start(size: int) -> Look:
    def look(memory: MemoryRelay) -> bytes:
        client = memory.client()
        client.send(HELLO)
        return client.raw[:size]

    return look


def _slash(memory: MemoryRelay) -> bytes:
    client = enter(memory)
    client.send(tunnel("a/b"))
    return client.raw.partition(b'"tunnel_id":')[2]


PROBES = {
    "member-order": Probe(_start(12), b'{"type":"hel', b'{"features":'),
    "indented": Probe(_start(12), b'{"type":"hel', b'{\r\n  "type":'),
    "escapes": Probe(_start(12), b'{"type":"hel', b'{ "\\u0074\\u0'),
    "escaped-slashes": Probe(_slash, b'"a/b"}\n', b'"a\\/b"}\n'),
    "padded": Probe(_raw, _OBJECT + b"\n", b" \t" + _OBJECT + b"  \n"),
    "crlf": Probe(_raw, _OBJECT + b"\n", _OBJECT + b"\r\n"),
    "blank-lines": Probe(_raw, _OBJECT + b"\n", b"\n \r\n" + _OBJECT + b"\n\n\n"),
    "unseparated": Probe(_raw, _OBJECT + b"\n", _OBJECT),
    "separated-before": Probe(_raw, _OBJECT + b"\n", b"\n" + _OBJECT),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {variant.id for variant in spelling.VARIANTS} == set(PROBES)
