"""What goes out, byte for byte."""

from __future__ import annotations

import gzip
import zlib

import pytest

from tests.simulator.variations.deviations.probe import Look, Probe, enter, show
from tests.support.memory import Body, MemoryRelay, tunnel

_OPENED = b'{"type":"tunnel_response","status":"ok","tunnel_id":"t"}'
_REFUSED = b'{"type":"error","code":"unknown_message_type","message":"the message is of no known type"}\n'


def _bytes(data: Body) -> Look:
    def look(memory: MemoryRelay) -> bytes:
        client = enter(memory)
        client.send(data)
        return client.raw

    return look


def _start(memory: MemoryRelay) -> bytes:
    client = memory.client()
    client.send({"type": "hello", "version": "1.0", "features": []})
    return client.raw[:8]


def _unpacked(unpack: object) -> Look:
    def look(memory: MemoryRelay) -> bytes:
        raw = _bytes(tunnel())(memory)
        assert isinstance(raw, bytes)
        try:
            found: bytes = unpack(raw[:-1])  # type: ignore[operator]
        except (OSError, zlib.error):
            return b"not packed"
        return found

    return look


def _error(inserted: bytes) -> Probe:
    return Probe(_bytes({"type": "x"}), _REFUSED, _REFUSED.replace(b'"the', b'"' + inserted + b"the"))


def _opened(wrong: bytes) -> Probe:
    return Probe(_bytes(tunnel()), _OPENED + b"\n", wrong + b"\n")


PROBES = {
    "output-not-utf8": _error(b"\xff"),
    "output-latin-1": _error(b"refus\xe9: "),
    "output-surrogate": _error(b"\xed\xa0\xbd"),
    "output-bom": Probe(_start, b'{"type":', b'\xef\xbb\xbf{"typ'),
    "output-utf-16": _opened(_OPENED.decode().encode("utf-16")),
    "output-nan": _opened(_OPENED[:-1] + b',"load":NaN}'),
    "output-trailing-comma": _opened(_OPENED[:-1] + b",}"),
    "output-single-quotes": _opened(_OPENED.replace(b'"', b"'")),
    "output-cut-off": _opened(_OPENED[:-1]),
    "output-array": _opened(b"[" + _OPENED + b"]"),
    "output-string": _opened(b'"' + _OPENED.replace(b'"', b'\\"') + b'"'),
    "output-log-line": _opened(b"opening a tunnel\n" + _OPENED),
    "output-gzip": Probe(_unpacked(gzip.decompress), b"not packed", _OPENED),
    "output-deflate": Probe(_unpacked(zlib.decompress), b"not packed", _OPENED),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
