"""Deviations of the messages that the relay sends: encoding, JSON, types and number."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.answers import answers, refused_by, texts
from cbspec_simulator.variations.parts import Change

_TUNNEL = "tunnel_response"


def _of(kind: str) -> Callable[[Body, AnswerContext], bool]:
    return lambda body, _: body.get("type") == kind


def _of_unknown_type(body: Body, exchange: AnswerContext) -> bool:
    return body.get("type") == "error" and exchange.requirement == "CB-UNK-001"


def _with_heartbeat(body: Body, _: AnswerContext) -> list[Body]:
    return [body, {"type": "heartbeat_response"}]


def _extra(member: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b"," + member + b"}"


def _tunnel(function: Callable[[bytes], bytes | list[bytes]]) -> Change:
    return texts(function, _of(_TUNNEL))


def _raw_deflate(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush()


CHANGES: dict[str, Change] = {
    "output-not-utf8": texts(_extra(b'"x":"\xff"'), _of("error")),
    "output-utf-16": _tunnel(lambda text: text.decode().encode("utf-16")),
    "output-bom": texts(lambda text: b"\xef\xbb\xbf" + text, _of("hello_response")),
    "output-cut-off": _tunnel(lambda text: text[:-1]),
    "output-log-line": _tunnel(lambda text: [b"opening a tunnel", text]),
    "output-gzip": _tunnel(lambda text: gzip.compress(text, mtime=0)),
    "output-raw-deflate": texts(_raw_deflate, _of_unknown_type),
    "heartbeat-unasked": answers(_TUNNEL, _with_heartbeat),
    "error-and-success": answers("error:invalid_tunnel_info", _with_heartbeat, refused_by("CB-TUN-007")),
}
