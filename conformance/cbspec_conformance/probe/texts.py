"""The texts of requests: how they are spelled, and that they mean what was intended."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

import cbspec_schemas
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.judging.errors import KitError
from cbspec_conformance.record.decoding import Decoded

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_DECODER: Final = json.JSONDecoder()


def spell(message: object) -> bytes:
    """Return the usual encoding of a message: one line, without spaces."""
    return _ENCODER.encode(message).encode()


def check_own(request: Mapping[str, Any], text: bytes, invalid: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of `text`. Raises KitError if the text is not the intended request."""
    value = _DECODER.decode(text.decode())
    if value != request:
        raise KitError(f"the spelling of a {request.get('type')!r} changed its meaning")
    wrong = cbspec_schemas.violations("client", dict(request))
    if wrong and not invalid:
        raise KitError(f"a request that was meant to be valid is not: {wrong[0].text}")
    if b"\n" in text and not invalid:
        raise KitError("a request that was meant to be one line is not")
    return value


def intended(text: bytes, like: str) -> Decoded:
    """Return the message that a handmade text is, or a malformed one of the type `like`.

    A message with a duplicate member is malformed: the specification doesn't say which of the two counts.
    """
    with contextlib.suppress(NotStrictJson):
        value = loads(text)
        if isinstance(value, dict) and value.get("type") == like:
            return Decoded(value)
    return Decoded({"type": like} if like else None, fault="not a message")


def frames(parts: list[bytes]) -> list[bytes]:
    """Return a client's WebSocket frames for a message in these fragments."""
    opcodes = [Opcode.TEXT, *[Opcode.CONT] * (len(parts) - 1)]
    last = len(parts) - 1
    return [
        WebSocketFrame(opcode, part, number == last).serialize(mask=True)
        for number, (opcode, part) in enumerate(zip(opcodes, parts, strict=True))
    ]
