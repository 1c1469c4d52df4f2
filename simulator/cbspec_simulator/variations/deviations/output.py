"""Ways to be wrong about what goes out: not UTF-8, not one JSON object, compressed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.compose import Change, answers, put, texts
from cbspec_simulator.variations.deviations.kind import Deviation


def _of(kind: str) -> Callable[[Body, AnswerContext], bool]:
    return lambda body, _: body.get("type") == kind


def _in_message(inserted: bytes) -> Change:
    """Put bytes into the text of every error's message."""
    marker = b'"message":"'
    return texts(lambda text: text.replace(marker, marker + inserted, 1), _of("error"))


def _tunnel(function: Callable[[bytes], bytes | list[bytes]]) -> Change:
    return texts(function, _of("tunnel_response"))


DEVIATIONS = (
    Deviation("output-not-utf8", "CB-MSG-001", "Error texts hold a byte that isn't UTF-8.", _in_message(b"\xff")),
    Deviation("output-latin-1", "CB-MSG-001", "Error texts are written in Latin-1.", _in_message(b"refus\xe9: ")),
    Deviation(
        "output-surrogate",
        "CB-MSG-001",
        "Error texts hold half a surrogate pair in UTF-8.",
        _in_message(b"\xed\xa0\xbd"),
    ),
    Deviation(
        "output-bom",
        "CB-MSG-001",
        "A hello_response begins with a byte order mark.",
        texts(lambda text: b"\xef\xbb\xbf" + text, _of("hello_response")),
    ),
    Deviation(
        "output-utf-16",
        "CB-MSG-001",
        "A tunnel_response is written in UTF-16.",
        _tunnel(lambda text: text.decode().encode("utf-16")),
    ),
    Deviation(
        "output-nan",
        "CB-MSG-002",
        "A tunnel_response has a member whose value is NaN.",
        answers("tunnel_response", put("load", float("nan"))),
    ),
    Deviation(
        "output-trailing-comma",
        "CB-MSG-002",
        "A tunnel_response has a comma behind its last member.",
        _tunnel(lambda text: text[:-1] + b",}"),
    ),
    Deviation(
        "output-single-quotes",
        "CB-MSG-002",
        "A tunnel_response is written with single quotes.",
        _tunnel(lambda text: text.replace(b'"', b"'")),
    ),
    Deviation(
        "output-cut-off", "CB-MSG-002", "A tunnel_response lacks its closing brace.", _tunnel(lambda text: text[:-1])
    ),
    Deviation(
        "output-array",
        "CB-MSG-002",
        "A tunnel_response stands in an array.",
        _tunnel(lambda text: b"[" + text + b"]"),
    ),
    Deviation(
        "output-string",
        "CB-MSG-002",
        "A tunnel_response is a JSON string that holds the object's text.",
        _tunnel(lambda text: json.dumps(text.decode()).encode()),
    ),
    Deviation(
        "output-log-line",
        "CB-MSG-002",
        "A tunnel_response is preceded by a line that isn't JSON.",
        _tunnel(lambda text: [b"opening a tunnel", text]),
    ),
    Deviation(
        "output-gzip",
        "CB-CMP-001",
        "A tunnel_response is compressed with gzip.",
        _tunnel(lambda text: gzip.compress(text)),
    ),
    Deviation("output-deflate", "CB-CMP-001", "A tunnel_response is compressed with zlib.", _tunnel(zlib.compress)),
)
