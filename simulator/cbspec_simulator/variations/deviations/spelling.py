"""More that goes out: ways in which the error for an unknown type is not one JSON object in UTF-8."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.compose import Change, texts
from cbspec_simulator.variations.deviations.kind import Deviation


def _of_unknown_type(body: Body, exchange: AnswerContext) -> bool:
    return body.get("type") == "error" and exchange.requirement == "CB-UNK-001"


def _extra(member: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b"," + member + b"}"


def _raw_deflate(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush()


def _cesu_8(text: bytes) -> bytes:
    """Write characters beyond U+FFFF as two halves in UTF-8, where there are any; else begin with such a pair."""
    string = text.decode()[:-1] + ',"x":"\U0001f600"}'
    halves = string.encode("utf-16-be", "surrogatepass")
    units = (halves[at : at + 2] for at in range(0, len(halves), 2))
    return b"".join(chr(int.from_bytes(unit, "big")).encode("utf-8", "surrogatepass") for unit in units)


SPELT: tuple[tuple[str, str, str, Callable[[bytes], bytes | list[bytes]]], ...] = (
    ("overlong", "CB-MSG-001", "holds an overlong slash", _extra(b'"x":"\xc0\xaf"')),
    ("cesu-8", "CB-MSG-001", "has a smile in two halves", _cesu_8),
    ("cut-character", "CB-MSG-001", "holds a character without its last byte", _extra(b'"x":"\xe2\x82"')),
    ("bom-behind-hello", "CB-MSG-001", "begins with a byte order mark", lambda text: b"\xef\xbb\xbf" + text),
    ("utf-32", "CB-MSG-001", "is written in UTF-32", lambda text: text.decode().encode("utf-32")),
    ("nul-terminated", "CB-MSG-002", "ends with a NUL byte", lambda text: text + b"\0"),
    ("garbage-behind", "CB-MSG-002", "ends with a semicolon", lambda text: text + b";"),
    ("guarded", "CB-MSG-002", "begins with )]}'", lambda text: b")]}'" + text),
    ("with-length", "CB-MSG-002", "begins with its length", lambda text: str(len(text)).encode() + b" " + text),
    ("as-event", "CB-MSG-002", "begins with data:", lambda text: b"data: " + text),
    ("control-character", "CB-MSG-002", "holds a tab in a string", _extra(b'"x":"a\tb"')),
    ("infinity", "CB-MSG-002", "has a member that is Infinity", _extra(b'"x":Infinity')),
    ("leading-zero", "CB-MSG-002", "has a number with a leading zero", _extra(b'"x":007')),
    ("capital-true", "CB-MSG-002", "has a member that is True", _extra(b'"x":True')),
    ("unknown-escape", "CB-MSG-002", "holds an escape that JSON lacks", _extra(b'"x":"\\x41"')),
    ("comment", "CB-MSG-002", "holds a comment", lambda text: text[:-1] + b" /* refused */}"),
    (
        "bare-name",
        "CB-MSG-002",
        "has a member's name without quotes",
        lambda text: text.replace(b'"code"', b"code"),
    ),
    ("missing-comma", "CB-MSG-002", "lacks a comma", lambda text: text.replace(b',"code"', b' "code"')),
    ("empty-members", "CB-MSG-002", "has two commas in a row", lambda text: text.replace(b",", b",,", 1)),
    ("number", "CB-MSG-002", "is a number", lambda text: str(len(text)).encode()),
    ("null", "CB-MSG-002", "is null", lambda _: b"null"),
    ("words", "CB-MSG-002", "is OK", lambda _: b"OK"),
    ("xml", "CB-MSG-002", "is XML", lambda _: b"<error><code>unknown_message_type</code></error>"),
    ("yaml", "CB-MSG-002", "is YAML", lambda _: b"type: error"),
    ("base64", "CB-MSG-002", "is written in Base64", base64.b64encode),
    ("raw-deflate", "CB-CMP-001", "is compressed with raw deflate", _raw_deflate),
)
"""End of the id, the requirement, how the error is, and what makes it so."""


def _change(function: Callable[[bytes], bytes | list[bytes]]) -> Change:
    return texts(function, _of_unknown_type)


DEVIATIONS = tuple(
    Deviation(f"output-{name}", requirement, f"The error for an unknown type {how}.", _change(function))
    for name, requirement, how, function in SPELT
)
