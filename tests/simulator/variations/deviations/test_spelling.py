"""An error that isn't one JSON object in UTF-8, byte for byte."""

from __future__ import annotations

import base64
import zlib

import pytest

from tests.simulator.variations.deviations.probe import Probe, enter, show
from tests.support.memory import MemoryRelay

_REFUSED = b'{"type":"error","code":"unknown_message_type","message":"the message is of no known type"}'


def _bytes(memory: MemoryRelay) -> bytes:
    client = enter(memory)
    client.send({"type": "x"})
    return client.raw


def _deflated() -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(_REFUSED) + compressor.flush()


def _with(member: bytes) -> bytes:
    return _REFUSED[:-1] + b"," + member + b"}"


SPELT = {
    "overlong": _with(b'"x":"\xc0\xaf"'),
    "cesu-8": _with(b'"x":"\xed\xa0\xbd\xed\xb8\x80"'),
    "cut-character": _with(b'"x":"\xe2\x82"'),
    "bom-behind-hello": b"\xef\xbb\xbf" + _REFUSED,
    "utf-32": _REFUSED.decode().encode("utf-32"),
    "nul-terminated": _REFUSED + b"\0",
    "garbage-behind": _REFUSED + b";",
    "guarded": b")]}'" + _REFUSED,
    "with-length": b"90 " + _REFUSED,
    "as-event": b"data: " + _REFUSED,
    "control-character": _with(b'"x":"a\tb"'),
    "infinity": _with(b'"x":Infinity'),
    "leading-zero": _with(b'"x":007'),
    "capital-true": _with(b'"x":True'),
    "unknown-escape": _with(b'"x":"\\x41"'),
    "comment": _REFUSED[:-1] + b" /* refused */}",
    "bare-name": _REFUSED.replace(b'"code"', b"code"),
    "missing-comma": _REFUSED.replace(b',"code"', b' "code"'),
    "empty-members": _REFUSED.replace(b",", b",,", 1),
    "number": b"90",
    "null": b"null",
    "words": b"OK",
    "xml": b"<error><code>unknown_message_type</code></error>",
    "yaml": b"type: error",
    "base64": base64.b64encode(_REFUSED),
    "raw-deflate": _deflated(),
}

PROBES = {f"output-{name}": Probe(_bytes, _REFUSED + b"\n", text + b"\n") for name, text in SPELT.items()}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
