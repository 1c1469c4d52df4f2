"""WebSocket: the opening handshake, frames and closes; and relays with one transport."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Auth
from cbspec.protocol.state import State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import Claims, TokenRejected
from cbspec_simulator.base.state import Attempt, Authority, Refused
from cbspec_simulator.base.steps import Check, IoRequest
from cbspec_simulator.relay.behaviour import identity_before_auth
from cbspec_simulator.variations.answers import over_websocket, unanswered
from cbspec_simulator.variations.changes.arrival import websocket_read_as
from cbspec_simulator.variations.changes.order import served_in
from cbspec_simulator.variations.changes.writing import CLOSE_AFTER_ERROR
from cbspec_simulator.variations.parts import Change, around, both, part, websocket_by
from cbspec_simulator.variations.requests import Verify
from cbspec_simulator.variations.steps import checking, named_tenant

_TEXTS = (Opcode.TEXT, Opcode.CONT)
_INVALID_DATA = 1007
_LATE = 300.0  # seconds


def _opens(answer: Callable[[ServerProtocol, Request], Response | None]) -> Change:
    """Answer a handshake by a function of the protocol and the request; None: as usual."""

    class OpeningProtocol(ServerProtocol):
        def accept(self, request: Request) -> Response:
            return answer(self, request) or super().accept(request)

    return websocket_by(OpeningProtocol)


def _refuses_openings(test: Callable[[Headers], object]) -> Change:
    """Refuse a handshake if `test` is true of its headers."""
    return _opens(
        lambda protocol, request: protocol.reject(HTTPStatus.BAD_REQUEST, "no\n") if test(request.headers) else None
    )


def _spelled(headers: Headers, name: str) -> str:
    """Return the name of a header as it was sent, or nothing."""
    return next((given for given, _ in headers.raw_items() if given.lower() == name.lower()), "")


def _answers_openings(edit: Callable[[Headers], None]) -> Change:
    """Edit the headers of the answer to a handshake."""

    class EditingProtocol(ServerProtocol):
        def accept(self, request: Request) -> Response:
            response = super().accept(request)
            edit(response.headers)
            return response

    return websocket_by(EditingProtocol)


def _wrong_key(headers: Headers) -> None:
    """Send the accept value of another key."""
    if headers.pop("Sec-WebSocket-Accept", None):
        headers["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="


def _late(headers: Headers) -> None:
    """Send the Date of five minutes ago."""
    if headers.pop("Date", None):
        headers["Date"] = formatdate(time.time() - _LATE, usegmt=True)


def _note_forwarded(protocol: ServerProtocol, request: Request) -> None:
    """Keep the address that a proxy's header names."""
    protocol.forwarded = request.headers.get("X-Forwarded-For", "")  # type: ignore[attr-defined]


def _forwarded_allowed(allowed_address: Check, attempt: Attempt) -> IoRequest | None:
    """Believe the address that a proxy's header names."""
    named = getattr(getattr(attempt.connection.framer, "protocol", None), "forwarded", "")
    return None if named and attempt.known.tenant.allows(named) else allowed_address(attempt)


def _other_headers(headers: Headers) -> None:
    """Write header names in lower case, and more headers."""
    pairs = [(name.lower(), value) for name, value in headers.raw_items()]
    headers.clear()
    for name, value in (*pairs, ("server", "relay"), ("x-request-id", "7"), ("set-cookie", "relay=7; Secure")):
        headers[name] = value


def _unasked_extension(headers: Headers) -> None:
    """Name an extension that the client may not have offered."""
    headers["Sec-WebSocket-Extensions"] = "permessage-deflate"


def _sends(serialize: Callable[[Frame], bytes]) -> Change:
    """Serialize frames by a function."""

    class SendingProtocol(ServerProtocol):
        def send_frame(self, frame: Frame) -> None:
            self.writes.append(serialize(frame))

    return websocket_by(SendingProtocol)


def _with_sixteen_bits(frame: Frame) -> bytes:
    data = frame.serialize(mask=False)
    if len(frame.data) > 0xFFFF:
        data = bytes([data[0], 126]) + (len(frame.data) & 0xFFFF).to_bytes(2, "big") + data[10:]
    return data


class _CountingProtocol(ServerProtocol):
    """A protocol with a count for a function of `_receives`."""

    count = 0


def _receives(
    change: Callable[[_CountingProtocol, Frame], Frame | None], framer: type[WebSocketFramer] = WebSocketFramer
) -> Change:
    """Change each frame before it is processed; None drops it."""

    class ReceivingProtocol(_CountingProtocol):
        def recv_frame(self, frame: Frame) -> None:
            if (changed := change(self, frame)) is not None:
                super().recv_frame(changed)

    return websocket_by(ReceivingProtocol, framer)


def _answers_pings(answer: Callable[[bytes, int], bytes | None]) -> Change:
    """Answer a ping by a function of its payload and its number on the connection, from 1."""

    def change(protocol: _CountingProtocol, frame: Frame) -> Frame | None:
        if frame.opcode is not Opcode.PING:
            return frame
        protocol.count += 1
        if (payload := answer(bytes(frame.data), protocol.count)) is not None:
            protocol.send_frame(Frame(Opcode.PONG, payload))
        return None

    return _receives(change)


def _decoded_alone(_: ServerProtocol, frame: Frame) -> Frame:
    decoded = bytes(frame.data).decode("utf-8", "replace").encode()
    return Frame(frame.opcode, decoded, frame.fin) if frame.opcode in _TEXTS else frame


def _not_empty(_: ServerProtocol, frame: Frame) -> Frame:
    if frame.opcode in _TEXTS and not frame.data:
        raise ProtocolError("an empty fragment")
    return frame


def _two_fragments(protocol: _CountingProtocol, frame: Frame) -> Frame:
    if frame.opcode in _TEXTS:
        protocol.count += 1
        if protocol.count > 2:
            raise ProtocolError("too many fragments")
        protocol.count *= not frame.fin
    return frame


def _no_ping_between(protocol: ServerProtocol, frame: Frame) -> Frame:
    if frame.opcode is Opcode.PING and protocol.current_size is not None:
        raise ProtocolError("a ping between fragments")
    return frame


def _interrupting(protocol: ServerProtocol, frame: Frame) -> Frame:
    """Accept a new message inside another."""
    if frame.opcode is Opcode.TEXT:
        protocol.current_size = None
    return frame


class _InterruptingFramer(WebSocketFramer):
    """Drops a message when another begins inside it."""

    def receive_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self.discard()
        super().receive_frame(frame)


def _unmasked(data: bytes, opened: bool) -> bytes:
    """Mask short frames without a mask."""
    if opened and data[:1] == b"\x81" and data[2:3] == b"{" and data[1] < 126:
        return bytes([data[0], data[1] | 0x80]) + bytes(4) + data[2:]
    return data


def _read_twice(data: bytes, opened: bool) -> bytes:
    """Read a length of 127 in 16 bits as the mark of a length in 64 bits."""
    return data[:1] + b"\xff" + data[4:] if opened and data[:4] == b"\x81\xfe\x00\x7f" else data


class _LineFramer(WebSocketFramer):
    """Waits for a line feed at the end of every message."""

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        return frame if frame is None or frame.text.endswith(b"\n") else self.next_message()


class _Utf8Framer(WebSocketFramer):
    """Fails a WebSocket whose text isn't UTF-8 (Source: RFC 6455, 8.1)."""

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        try:
            if frame is not None and not frame.binary:
                frame.text.decode()
        except UnicodeDecodeError:
            self.protocol.fail(_INVALID_DATA, "text that isn't UTF-8")
            return None
        return frame


def _unverified(valid_token: Check, attempt: Attempt) -> IoRequest | None:
    """Accept any signature over WebSocket."""
    try:
        return valid_token(attempt)
    except Refused:
        token = attempt.request.token if isinstance(attempt.request, Auth) else ""
        if not over_websocket(attempt) or token.count(".") != 2:
            raise
        claims = CompactJws.split(token).claims
        attempt.claims = Claims(str(claims.get("sub")), claims.get("tenant_id"), claims)
        return None


def _verified_late(most: float | None, verify: Verify, authority: Authority, token: str, now: float) -> Claims:
    """Verify a token by a clock that is slow; refuse one that was issued more than `most` seconds later."""
    claims = verify(authority, token, now - _LATE)
    issued = claims.all.get("iat")
    if most is not None and isinstance(issued, int | float) and issued > now - _LATE + most:
        raise TokenRejected("it was issued in the future")
    return claims


def _sending(send: Callable[[Any, bytes], object]) -> Change:
    """Send each message by a function of the protocol object."""

    class SendingFramer(WebSocketFramer):
        __slots__ = ()

        def encode(self, text: bytes) -> bytes:
            send(self.protocol, text)
            return self.data_to_send()

    return websocket_by(ServerProtocol, SendingFramer)


def _fragments(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(text[:7], fin=False)
    protocol.send_continuation(text[7:8], fin=False)
    protocol.send_continuation(text[8:], fin=True)


def _empty_fragments(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(b"", fin=False)
    protocol.send_continuation(text, fin=False)
    protocol.send_continuation(b"", fin=True)


def _ping_between(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(text[:9], fin=False)
    protocol.send_ping(b"")
    protocol.send_continuation(text[9:], fin=True)


def _closing(status: int) -> Change:
    """Close with a status after every error."""

    class ClosingFramer(WebSocketFramer):
        __slots__ = ()

        def close(self, code: int = status) -> None:
            super().close(code)

    return both(CLOSE_AFTER_ERROR, websocket_by(ServerProtocol, ClosingFramer))


CHANGES: dict[str, Change] = {
    "websocket-wrong-accept": _answers_openings(_wrong_key),
    "forwarded-for-believed": both(_opens(_note_forwarded), checking("allowed-address", _forwarded_allowed)),
    "clock-behind": both(_answers_openings(_late), around("verify", partial(_verified_late, None))),
    "clock-behind-and-strict": both(_answers_openings(_late), around("verify", partial(_verified_late, 0.0))),
    "websocket-upgrade-in-lower-case-only": _refuses_openings(lambda headers: headers.get("Upgrade") != "websocket"),
    "websocket-connection-in-one-case": _refuses_openings(
        lambda headers: "Upgrade" not in ", ".join(headers.get_all("Connection"))
    ),
    "websocket-connection-compared-whole": _refuses_openings(
        lambda headers: any("," in value for value in headers.get_all("Connection"))
    ),
    "second-connection-header-refused": _refuses_openings(lambda headers: len(headers.get_all("Connection")) > 1),
    "websocket-header-names-in-one-case": _refuses_openings(lambda headers: _spelled(headers, "upgrade") != "Upgrade"),
    "websocket-extensions-refused": _refuses_openings(lambda headers: "Sec-WebSocket-Extensions" in headers),
    "websocket-long-header-refused": _refuses_openings(
        lambda headers: any(len(value) > 500 for _, value in headers.raw_items())
    ),
    "foreign-origin-refused": _refuses_openings(lambda headers: "Origin" in headers),
    "query-refused": _opens(
        lambda protocol, request: protocol.reject(HTTPStatus.NOT_FOUND, "no\n") if "?" in request.path else None
    ),
    "websocket-masked": _sends(lambda frame: frame.serialize(mask=True)),
    "websocket-length-over-64-kib": _sends(_with_sixteen_bits),
    "websocket-fragments-apart": _receives(
        lambda _, frame: Frame(Opcode.TEXT, frame.data) if frame.opcode in (*_TEXTS, Opcode.BINARY) else frame
    ),
    "websocket-fragments-decoded-apart": _receives(_decoded_alone),
    "websocket-empty-fragment-refused": _receives(_not_empty),
    "websocket-third-fragment-refused": _receives(_two_fragments),
    "websocket-ping-unanswered": _answers_pings(lambda *_: None),
    "websocket-pong-empty": _answers_pings(lambda *_: b""),
    "websocket-pong-cut": _answers_pings(lambda data, _: data[:64]),
    "websocket-empty-ping-unanswered": _answers_pings(lambda data, _: data or None),
    "websocket-second-ping-unanswered": _answers_pings(lambda data, number: data if number == 1 else None),
    "websocket-ping-between-fragments": _receives(_no_ping_between),
    "websocket-binary": _sending(lambda protocol, text: protocol.send_binary(text)),
    "websocket-heartbeat-unanswered": unanswered("heartbeat_response", over_websocket),
    "websocket-tunnel-unanswered": unanswered("tunnel_response", over_websocket),
    "websocket-needs-line-feed": websocket_by(ServerProtocol, _LineFramer),
    "websocket-token-unverified": checking("valid-token", _unverified),
    "websocket-needs-no-auth": served_in(
        State.GREETED,
        lambda attempt: (named_tenant if over_websocket(attempt) else identity_before_auth)(attempt),
    ),
    "websocket-unmasked-accepted": websocket_read_as(_unmasked),
    "websocket-length-127-read-twice": websocket_read_as(_read_twice),
    "websocket-reserved-bit-accepted": websocket_read_as(
        lambda data, opened: b"\x81" + data[1:] if opened and data[:1] == b"\xa1" else data
    ),
    "websocket-messages-inside-others": _receives(_interrupting, _InterruptingFramer),
    "websocket-deflate-accepted": websocket_by(ServerProtocol, extensions=[ServerPerMessageDeflateFactory()]),
    "websocket-deflate-unasked": _answers_openings(_unasked_extension),
    "websocket-text-checked": websocket_by(ServerProtocol, _Utf8Framer),
    "tcp-only": part(is_websocket=lambda _: False),
    "websocket-only": part(is_websocket=lambda _: True),
    "fragments": _sending(_fragments),
    "empty-fragments": _sending(_empty_fragments),
    "pings": _sending(lambda protocol, text: (protocol.send_ping(b"are you there?"), protocol.send_text(text))),
    "pings-between-fragments": _sending(_ping_between),
    "pongs": _sending(lambda protocol, text: (protocol.send_pong(b"unsolicited"), protocol.send_text(text))),
    "upgrade-headers": _answers_openings(_other_headers),
    "subprotocol-chosen": websocket_by(ServerProtocol, select_subprotocol=lambda _, offered: next(iter(offered), None)),
    "one-path": _opens(
        lambda protocol, request: None if request.path == "/" else protocol.reject(HTTPStatus.NOT_FOUND, "not found\n")
    ),
    "plain-request-answered-204": _opens(
        lambda _, request: None if "Upgrade" in request.headers else Response(204, "No Content", Headers())
    ),
    **{f"close-{status}": _closing(status) for status in (1001, 1008, 1011)},
}
