"""Streams: however bytes are split, the layers read the same from them, and TLS fails in one way with an alert."""

from __future__ import annotations

import contextlib
import re
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import trustme

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tls_contexts import server_context
from tests.fuzz.target import Choices, pieces, same_however_split
from tests.hostile.client_hello import HELLO_RECORD, record
from tests.support.client import UPGRADE

_LIMITS: Final = ((1 << 20, 64), (1 << 20, 3), (40, 64), (7, 2))  # bytes, depth
_LARGEST: Final = 300
_DATE: Final = re.compile(rb"Date: [^\r]*\r\n")
_ALERT, _DATA = 21, 23


def framing(data: bytes) -> None:
    """Read messages with some limits; each text is an object or marked broken."""
    choices = Choices(data)
    limits, size = _LIMITS[choices.below(len(_LIMITS))], 1 + choices.below(9)

    def read(stream: bytes, size: int) -> list[RawMessage]:
        framer, found = StreamFramer(max_message=limits[0], max_depth=limits[1]), []
        try:
            for piece in pieces(stream, size):
                framer.feed(piece)
                while (frame := framer.next_message()) is not None:
                    found.append(frame)
        except MessageTooLarge:
            return [*found, RawMessage(b"", "too large")]
        return [*found, RawMessage(framer.pending.strip(b" \t\r\n"), "pending")]

    stream, place = choices.rest, 0
    for frame in same_however_split(read, stream, size)[:-1]:
        place = stream.index(frame.text, place) + len(frame.text)
        if not frame.broken:
            assert frame.text.startswith(b"{")
            assert len(frame.text) <= limits[0]
            assert read(StreamFramer.encode(frame.text), size) == [frame, RawMessage(b"", "pending")]
        elif limits[1] == 64:
            with contextlib.suppress(NotStrictJson):
                assert not isinstance(loads(frame.text), dict)


def websocket(data: bytes) -> None:
    """Read WebSocket frames with or without a handshake request."""
    choices = Choices(data)
    mode, size = choices.below(2), 1 + choices.below(20)
    same_however_split(_frames, (UPGRADE + b"\r\n" if mode else b"") + choices.rest, size)


def _frames(stream: bytes, size: int) -> tuple[list[RawMessage], bytes, bytes, str, bool, bool]:
    """Return messages, unread bytes, bytes to send, kind of failure, opened, ended."""
    framer = WebSocketFramer.server(max_message=_LARGEST)
    sent, found = b"", []
    for piece in pieces(stream, size):
        framer.feed(piece)
        while (frame := framer.next_message()) is not None:
            found.append(frame)
        sent += framer.data_to_send()
    assert all(len(frame.text) <= _LARGEST for frame in found)
    assert len(framer.pending) <= _LARGEST
    failure = type(framer.failure).__name__
    return found, framer.pending, _DATE.sub(b"", sent), failure, framer.opened, framer.ended


def tls(data: bytes) -> None:
    """Receive any bytes, bytes after a ClientHello, or a changed ClientHello."""
    choices = Choices(data)
    mode, size = choices.below(3), 1 + choices.below(60)
    stream = choices.rest if mode == 0 else HELLO_RECORD + choices.rest if mode == 1 else _changed_hello(choices)
    same_however_split(_records, stream, size)


@cache
def _context() -> ssl.SSLContext:
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder, "chain.pem")
        issued.private_key_and_cert_chain_pem.write_to_path(chain)
        return server_context(chain)


def _records(stream: bytes, size: int) -> tuple[bytes, bool, str, list[int], bytes]:
    """Return plain text, whether there is a session, the failure, the types of the records sent, and the alerts."""
    relay, plain, failure = TlsLayer(_context(), server_side=True), b"", ""
    for piece in pieces(stream, size):
        try:
            plain += relay.receive_data(piece)
        except TlsFailed as error:
            failure = error.reason
            break
    sent, records = relay.data_to_send(), list[tuple[int, bytes]]()
    while sent:
        end = 5 + int.from_bytes(sent[3:5], "big")
        assert len(sent) >= end, "an incomplete record"
        records.append((sent[0], sent[5:end]))
        sent = sent[end:]
    if failure:
        kind, alert = records[-1]
        assert kind == (_ALERT if alert[:1] == b"\x02" and len(alert) == 2 else _DATA), failure
        try:
            relay.receive_data(b"more")
        except TlsFailed as error:
            assert error.reason == failure
        else:
            raise AssertionError("the failure is forgotten")
    alerts = b"".join(body for kind, body in records if kind == _ALERT)
    return plain, relay.established, failure, [kind for kind, _ in records], alerts


def _changed_hello(choices: Choices) -> bytes:
    """Return a ClientHello with some bytes changed, in records of any size."""
    message = bytearray(HELLO_RECORD[5:])
    for _ in range(1 + choices.below(4)):
        message[int.from_bytes(choices.bytes(2), "big") % len(message)] ^= choices.byte()
    return b"".join(record(piece) for piece in pieces(bytes(message), 1 + choices.byte())) + choices.rest
