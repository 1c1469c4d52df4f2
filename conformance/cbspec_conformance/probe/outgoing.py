"""What the suite itself sends: spelt, and checked to be what was meant."""

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
    """Return a message as the suite usually writes it: on one line, without spaces."""
    return _ENCODER.encode(message).encode()


def check_own(request: Mapping[str, Any], text: bytes, invalid: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return what `text` says. Raises KitError where the kit is about to send what it did not mean to."""
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
    """Return what a text put together by hand is: the message that it is after all, or none that resembles one.

    One with a member given twice is none: which of the two counts is the relay's to say.
    """
    with contextlib.suppress(NotStrictJson):
        value = loads(text)
        if isinstance(value, dict) and value.get("type") == like:
            return Decoded(value)
    return Decoded({"type": like} if like else None, fault="not a message")


def frames(parts: list[bytes]) -> list[bytes]:
    """Return the frames, as a client sends them, of a WebSocket's message that comes in these parts."""
    opcodes = [Opcode.TEXT, *[Opcode.CONT] * (len(parts) - 1)]
    last = len(parts) - 1
    return [
        WebSocketFrame(opcode, part, number == last).serialize(mask=True)
        for number, (opcode, part) in enumerate(zip(opcodes, parts, strict=True))
    ]
