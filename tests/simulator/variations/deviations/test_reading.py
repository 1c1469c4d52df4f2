"""What comes in: near misses, other encodings, legal spellings, splits."""

from __future__ import annotations

import gzip
import zlib

import pytest

from cbspec_simulator import DEVIATIONS
from tests.simulator.variations.deviations.probe import Look, Probe, asking, enter, met, show
from tests.simulator.variations.deviations.test_arrival import in_frames, over_websocket
from tests.support.memory import MemoryRelay, tunnel

_bad, _beat, _opened = ["unknown_message_type"], ["heartbeat_response"], ["tunnel_response"]
_PLAIN = b'{"type":"heartbeat"}'


def _near(text: bytes) -> Probe:
    return Probe(asking(text + b"\n"), _bad, _beat)


def _legal(text: bytes) -> Probe:
    return Probe(asking(text + b"\n"), _beat, _bad)


def _port(text: bytes) -> Probe:
    body = (
        b'{"type":"tunnel_info","tunnel_id":"t","tenant_id":"a","local_port":1,"remote_host":"h","remote_port":'
        + text
        + b"}\n"
    )
    return Probe(asking(body), _bad, _opened)


def _unclosed(memory: MemoryRelay) -> list[str]:
    client = enter(memory)
    return met(client, b'{"type":"heartbeat"\n{"type":"heartbeat"}\n')


def _compressed(memory: MemoryRelay) -> list[list[str]]:
    found = []
    for packed in (gzip.compress(_PLAIN, mtime=0), zlib.compress(_PLAIN)):
        answers = met(enter(memory), packed + b"\n")
        found.append(sorted(set(answers)))
    return found


def _split(memory: MemoryRelay) -> list[str]:
    client = enter(memory)
    return [*met(client, _PLAIN[:5]), *met(client, _PLAIN[5:] + b"\n")]


_REPLACED: Look = asking(b'{"type":"heartbeat","x":"\xff"}\n')

PROBES = {
    "input-trailing-comma-accepted": _near(b'{"type":"heartbeat",}'),
    "input-single-quotes-accepted": _near(b"{'type':'heartbeat'}"),
    "input-comments-accepted": _near(b'{"type":/* */"heartbeat"}'),
    "input-nan-accepted": _near(b'{"type":"heartbeat","x":NaN}'),
    "input-bare-names-accepted": _near(b'{type:"heartbeat"}'),
    "input-leading-zero-accepted": _port(b"03389"),
    "input-plus-sign-accepted": _port(b"+3389"),
    "input-hexadecimal-accepted": _port(b"0xd3d"),
    "input-control-character-accepted": _near(b'{"type":"heartbeat","x":"\t"}'),
    "input-missing-brace-accepted": Probe(_unclosed, _bad + _beat, _beat * 2),
    "input-missing-comma-accepted": _near(b'{"type":"heartbeat" "x":1}'),
    "input-foreign-space-accepted": _near("\v\u2003".encode() + _PLAIN),
    "input-behind-nul-accepted": Probe(over_websocket(in_frames(_PLAIN + b"\0 and more")), (0, 1), (1, 0)),
    "input-utf-16-line-accepted": Probe(asking('{"type":"heartbeat"}\n'.encode("utf-16-be")), _bad, _beat),
    "input-not-utf8-accepted": Probe(_REPLACED, _bad, _beat),
    "input-latin-1-accepted": Probe(_REPLACED, _bad, _beat),
    "input-compressed-accepted": Probe(_compressed, [_bad] * 2, [_beat] * 2),
    "input-not-json-unanswered": Probe(asking(b"nonsense\n"), _bad, []),
    "input-escapes-not-understood": _legal(b'{"t\\u0079pe":"heartbeat"}'),
    "input-solidus-not-understood": _legal(b'{"type":"heartbeat","x":"\\/"}'),
    "input-type-must-be-first": _legal(b'{"x":1,"type":"heartbeat"}'),
    "input-space-not-understood": _legal(b'{"type" : "heartbeat"}'),
    "input-cut-at-line-separator": _legal('{"type":"heartbeat","x":"\u2028"}'.encode()),
    "input-lines-not-understood": _legal(b'{\n"type":"heartbeat"\n}'),
    "input-split-not-understood": Probe(_split, _beat, _bad * 2),
    "input-pipelined-lost": Probe(asking(_PLAIN * 2 + b"\n"), _beat * 2, _beat),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


@pytest.mark.parametrize("id_", [id_ for id_ in PROBES if id_.endswith("-accepted")])
def test_what_is_well_written_is_read_as_before(id_: str) -> None:
    memory = MemoryRelay(change=DEVIATIONS[id_].change)
    client = enter(memory)
    assert met(client, b' { "type" : "heartbeat" , "x" : [ 1 , -2.5e3 , "a\\u0062\\n\xc3\xa9" ] }\r\n') == _beat
    assert met(client, tunnel("naïve {'x': NaN, // +1 0x1 'y',}")) == _opened
