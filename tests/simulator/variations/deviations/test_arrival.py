"""More that comes in: near misses, encodings, legal spellings, pieces and bunches."""

from __future__ import annotations

import json

import pytest

from cbspec_simulator import DEVIATIONS
from tests.simulator.variations.deviations.probe import TENANTS, Look, Probe, asking, enter, met, show
from tests.support.memory import HELLO, Body, MemoryRelay, auth, tunnel

_bad, _beat, _opened = ["unknown_message_type"], ["heartbeat_response"], ["tunnel_response"]
_PLAIN = b'{"type":"heartbeat"}'


def _near(text: bytes, clean: list[str] = _bad, wrong: list[str] = _beat) -> Probe:
    return Probe(asking(text + b"\n"), clean, wrong)


def _wide(encoding: str) -> Look:
    """Say whether a heartbeat in a wide encoding is answered."""
    return lambda memory: "heartbeat_response" in met(enter(memory), _PLAIN.decode().encode(encoding) + b"\n")


def _reads(*pieces: bytes) -> Look:
    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory)
        return [one for piece in pieces for one in met(client, piece)]

    return look


def in_frames(*messages: bytes, masked: bytes = b"\0\0\0\0") -> bytes:
    """Return text messages as masked frames; the mask of zeros leaves them as they are."""
    return b"".join(bytes([0x81, 0x80 | len(text)]) + masked + text for text in messages)


SHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def over_websocket(*reads: bytes) -> Look:
    """Say how many heartbeat_responses and errors come over a WebSocket."""

    def look(memory: MemoryRelay) -> tuple[int, int]:
        client = memory.client(websocket=True)
        client.send(SHAKE)
        for body in (dict(HELLO), auth()):
            client.send(in_a_frame(body))
        raw = b""
        for data in reads:
            client.send(data)
            raw += client.raw
        return raw.count(b"heartbeat_response"), raw.count(b'"error"')

    return look


def _text(body: Body) -> bytes:
    return json.dumps(body).encode()


def in_a_frame(body: Body) -> bytes:
    """Return a message as a masked frame; the mask of zeros leaves it as it is."""
    text = _text(body)
    return in_frames(text) if len(text) < 126 else _long(text)


def _long(text: bytes) -> bytes:
    return bytes([0x81, 0xFE]) + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text


def _port(value: bytes) -> bytes:
    body = b'{"type":"tunnel_info","tunnel_id":"t","tenant_id":"a","local_port":1,"remote_host":"h","remote_port":'
    return body + value + b"}"


def _names(memory: MemoryRelay) -> list[object]:
    data = b"".join(_line(name) for name in ("x", "y")) + _PLAIN
    return [body.get("tunnel_id", body["type"]) for body in enter(memory).send(data)]


def _line(name: str) -> bytes:
    return _text(tunnel(name)).replace(b": ", b":").replace(b", ", b",") + b"\n"


def _split_name(memory: MemoryRelay) -> list[object]:
    client = enter(memory)
    data = _port(b"1").replace(b'"t"', '"\u2603"'.encode()) + b"\n"
    at = data.index(b"\x98")
    return [body["tunnel_id"] for piece in (data[:at], data[at:]) for body in client.send(piece)]


def _shaken_in_two(memory: MemoryRelay) -> bool:
    client = memory.client(websocket=True)
    client.send(SHAKE[:20])
    client.send(SHAKE[20:])
    return b" 101 " in client.raw


def _with_auth(memory: MemoryRelay) -> list[str]:
    client = memory.client()
    client.send(HELLO)
    return met(client, _text(auth()) + b"\n" + _PLAIN + b"\n")


_FRAME = in_frames(_PLAIN)
PROBES: dict[str, Probe] = {
    "input-garbage-before-accepted": _near(b"x" + _PLAIN),
    "input-garbage-behind-accepted": Probe(over_websocket(in_frames(_PLAIN + b"x")), (0, 1), (1, 0)),
    "input-line-comments-accepted": Probe(over_websocket(in_frames(b'{ // x\n"type":"heartbeat"}')), (0, 1), (1, 0)),
    "input-leading-comma-accepted": _near(b'{,"type":"heartbeat"}'),
    "input-equals-sign-accepted": _near(b'{"type"="heartbeat"}'),
    "input-missing-colon-accepted": _near(b'{"type" "heartbeat"}'),
    "input-bare-point-accepted": _near(b'{"type":"heartbeat","x":1.}'),
    "input-undefined-accepted": _near(b'{"type":"heartbeat","x":undefined}'),
    "input-capital-literals-accepted": _near(b'{"type":"heartbeat","x":True}'),
    "input-unknown-escapes-accepted": _near(b'{"type":"heartbeat","x":"\\x41"}'),
    "input-odd-space-accepted": _near(b'{\f"type":"heartbeat"}'),
    "input-overlong-accepted": _near(b'{"type":"heartbeat","x":"\xc0\xaf"}'),
    "input-surrogates-accepted": _near(b'{"type":"heartbeat","x":"\xed\xa0\x80"}'),
    "input-beyond-unicode-accepted": _near(b'{"type":"heartbeat","x":"\xf4\x90\x80\x80"}'),
    "input-bytes-dropped-accepted": _near(b'{"type":"heartbeat","x":"\xff"}'),
    "input-utf-16-accepted": Probe(_wide("utf-16-le"), False, True),
    "input-utf-32-accepted": Probe(_wide("utf-32-le"), False, True),
    "input-surrogate-pairs-not-understood": _near(b'{"type":"heartbeat","x":"\\ud83d\\ude00"}', _beat, _bad),
    "input-upper-case-escapes-not-understood": _near(b'{"type":"heartbeat","x":"\\u00E9"}', _beat, _bad),
    "input-tabs-not-understood": _near(b'{\t"type":"heartbeat"}', _beat, _bad),
    "input-space-before-not-understood": Probe(over_websocket(in_frames(b" " + _PLAIN)), (1, 0), (0, 1)),
    "input-escaped-names-not-understood": _near(b'{"t\\u0079pe":"heartbeat"}', _beat, _bad),
    "input-space-in-arrays-not-understood": _near(b'{"type":"heartbeat","x":[ 1]}', _beat, _bad),
    "input-brace-in-string-not-understood": _near(b'{"type":"heartbeat","x":"{"}', _beat, _bad),
    "input-brackets-in-string-not-understood": _near(b'{"type":"heartbeat","x":"' + b"[" * 40 + b'"}', _beat, _bad),
    "input-other-member-order-not-understood": _near(
        b'{"tenant_id":"a",' + _port(b"1")[1:].replace(b'"tenant_id":"a",', b""), _opened, _bad
    ),
    "input-split-character-mangled": Probe(_split_name, ["\u2603"], ["\ufffd" * 3]),
    "input-split-handshake-refused": Probe(_shaken_in_two, True, False),
    "input-single-bytes-lost": Probe(_reads(_PLAIN[:1], _PLAIN[1:] + b"\n"), _beat, _bad),
    "input-half-behind-whole-lost": Probe(_reads(_PLAIN + _PLAIN[:9], _PLAIN[9:] + b"\n"), _beat * 2, _beat + _bad),
    "input-split-websocket-frame-lost": Probe(
        over_websocket(*(_FRAME[at : at + 1] for at in range(len(_FRAME)))), (1, 0), (0, 0)
    ),
    "input-pipelined-beyond-eight-lost": Probe(_reads(_PLAIN * 10), _beat * 10, _beat * 8),
    "input-pipelined-behind-auth-lost": Probe(_with_auth, ["auth_response", *_beat], ["auth_response"]),
    "input-pipelined-behind-refused-lost": Probe(
        _reads(_port(b"0") + b"\n" + _PLAIN), ["invalid_tunnel_info", *_beat], ["invalid_tunnel_info"]
    ),
    "input-pipelined-websocket-lost": Probe(over_websocket(_FRAME * 3), (3, 0), (1, 0)),
    "input-pipelined-heartbeats-first": Probe(
        _names, ["x", "y", "heartbeat_response"], ["heartbeat_response", "x", "y"]
    ),
    "input-pipelined-last-tunnel-first": Probe(
        _names, ["x", "y", "heartbeat_response"], ["y", "x", "heartbeat_response"]
    ),
    "input-not-utf8-unanswered": Probe(asking(b'{"x":"\xff"}\n'), _bad, []),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


@pytest.mark.parametrize("id_", [id_ for id_ in PROBES if id_.endswith("-accepted")])
def test_what_is_well_written_is_read_as_before(id_: str) -> None:
    client = enter(MemoryRelay(*TENANTS, change=DEVIATIONS[id_].change))
    assert met(client, b' { "type" : "heartbeat" , "x" : [ 1 , -2.5e3 , "a\\u0062\\n\xc3\xa9" ] }\r\n') == _beat
    assert met(client, tunnel("na\u00efve {'x': NaN, // +1 0x1 'y',}")) == _opened
