"""The changes of `changes.tls13`, which imports this module on first use.

Deviations that show in the client's bytes watch them before OpenSSL reads them; the others replace OpenSSL by
tlslite-ng and one of its decisions.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tlslite.constants import (
    AlertDescription,
    AlertLevel,
    ContentType,
    ExtensionType,
    HandshakeType,
    KeyUpdateMessageType,
)
from tlslite.errors import TLSUnexpectedMessage
from tlslite.extensions import TLSExtension
from tlslite.messages import ClientHello, EncryptedExtensions, Finished, NewSessionTicket, ServerHello
from tlslite.utils.codec import Parser
from tlslite.utils.cryptomath import HKDF_expand_label, secureHMAC

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator.edge.tlslite_layer import (
    FastAead,
    Message,
    Records,
    TlsliteConnection,
    TlsliteLayer,
    tlslite_context,
)
from cbspec_simulator.variations.parts import Change, both, layered, part

_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446, 4.1.3
_TAG = 16  # bytes
_LARGEST: Final = 16 * 1024  # bytes of plain text in a record
_MANY: Final = 100  # KeyUpdates
_FIXED: Final = bytes(range(100, 132))
_MISSING, _ILLEGAL, _UNEXPECTED, _FAILURE = 109, 47, 10, 40  # alerts


class _Watching(TlsLayer):
    """Looks at the client's records before OpenSSL. `watch` returns the alert for a refused record."""

    _seen = b""
    hello: ClientHello | None = None
    changes = 0  # change_cipher_spec records

    def watch(self, record: bytes) -> int | None:
        return None

    def receive_data(self, data: bytes) -> bytes:
        self._seen += data
        while len(self._seen) >= 5 and len(self._seen) >= (size := 5 + int.from_bytes(self._seen[3:5], "big")):
            record, self._seen = self._seen[:size], self._seen[size:]
            if record[0] == ContentType.handshake and record[5:6] == b"\x01":
                whole = 4 + int.from_bytes(record[6:9], "big") == size - 5
                self.hello = ClientHello().parse(Parser(bytearray(record[6:]))) if whole else None
            self.changes += record[0] == ContentType.change_cipher_spec
            if (alert := self.watch(record)) is not None:
                if not self.established:
                    self._outgoing.write(bytes((21, 3, 3, 0, 2, 2, alert)))
                failure = ssl.SSLError(1, "refused")
                failure.reason = "refused"
                self._failure = TlsFailed(failure)
                raise self._failure
        return super().receive_data(data)


def _watching(look: Callable[[_Watching, bytes], int | None]) -> Change:
    return layered(type("WatchingLayer", (_Watching,), {"watch": look}))


def _if_hello(refused: Callable[[ClientHello, bytes], bool], alert: int) -> Change:
    """Refuse some ClientHellos with an alert."""

    def watch(layer: _Watching, record: bytes) -> int | None:
        hello = layer.hello if record[0] == ContentType.handshake else None
        return alert if hello is not None and refused(hello, record) else None

    return _watching(watch)


def _shares(hello: ClientHello) -> list[int]:
    found = hello.getExtension(ExtensionType.key_share)
    return [share.group for share in found.client_shares] if found is not None else []


def _is_grease(number: int) -> bool:
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def _versions(hello: ClientHello) -> list[tuple[int, int]]:
    found = hello.getExtension(ExtensionType.supported_versions)
    return list(found.versions) if found is not None else []


def _split(layer: _Watching, record: bytes) -> int | None:
    return _UNEXPECTED if record[0] == ContentType.handshake and layer.hello is None else None


def _changes_after_retry(layer: _Watching, record: bytes) -> int | None:
    retried = layer.hello is not None and not _shares(layer.hello)
    return _UNEXPECTED if record[0] == ContentType.change_cipher_spec and retried else None


def _by(**parts: Any) -> Change:  # noqa: ANN401 - of the layer
    """Serve by tlslite-ng; `connection` and `records` hold what is replaced of its classes, `layer` of the layer."""
    records = type("OtherRecords", (Records,), parts.get("records", {}))
    connection = type("OtherConnection", (TlsliteConnection,), {"records": records, **parts.get("connection", {})})
    layer = type("OtherLayer", (TlsliteLayer,), {"connection": connection, **parts.get("layer", {})})
    return both(part(tls=tlslite_context), layered(layer))


def _sends(edited: Callable[[TlsliteConnection, Any], Any]) -> Change:
    """Send other messages of the handshake."""
    return _by(connection={"edited": edited})


def _session_id(connection: TlsliteConnection, message: Message) -> Message:
    # OpenSSL sends 32 bytes and would refuse another session id.
    if isinstance(message, ServerHello) and len(message.session_id) not in (0, 32):
        message.session_id = bytearray(message.session_id[::-1] + b"\x01")
    return message


def _retry_session_id(connection: TlsliteConnection, message: Message) -> Message:
    if isinstance(message, ServerHello) and bytes(message.random) == _RETRY:
        message.session_id = bytearray(message.session_id[::-1])
    return message


def _unasked(connection: TlsliteConnection, message: Message) -> Message:
    if isinstance(message, ServerHello):
        connection.with_session_id = bool(message.session_id)
    elif isinstance(message, EncryptedExtensions) and not connection.with_session_id:
        message.extensions.append(TLSExtension(extType=ExtensionType.heartbeat).create(ExtensionType.heartbeat, b"\1"))
    return message


def _same_random(connection: TlsliteConnection, message: Message) -> Message:
    if isinstance(message, ServerHello) and bytes(message.random) != _RETRY:
        message.random = bytearray(_FIXED)
    return message


def _early_ticket(connection: TlsliteConnection, message: Message) -> Message:
    if isinstance(message, NewSessionTicket):
        allowed = (1 << 14).to_bytes(4, "big")
        message.extensions.append(TLSExtension(extType=ExtensionType.early_data).create(42, bytearray(allowed)))
    return message


def _update_unanswered(connection: TlsliteConnection, request: Message) -> Iterator[object]:
    request.message_type = KeyUpdateMessageType.update_not_requested
    yield from TlsliteConnection._handle_keyupdate_request(connection, request)


def _update_refused(connection: TlsliteConnection, request: Message) -> Iterator[object]:
    yield from connection._sendError(AlertDescription.unexpected_message)


def _updates_counted(connection: TlsliteConnection, request: Message) -> Iterator[object]:
    connection.updates = getattr(connection, "updates", 0) + 1
    if connection.updates > _MANY:
        yield from connection._sendError(AlertDescription.unexpected_message)
    yield from TlsliteConnection._handle_keyupdate_request(connection, request)


def _skipping(skipped: Callable[[TlsliteConnection, int, bytes], bool]) -> Change:
    """Skip some messages of the client."""

    def records(connection: TlsliteConnection) -> Iterator[Any]:
        for found in TlsliteConnection._getNextRecord(connection):
            if found in (0, 1) or not skipped(connection, found[0].type, bytes(found[1].bytes)):
                yield found

    return _by(connection={"_getNextRecord": records})


class _Matching(bytearray):
    """Is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None


def _any_finished(connection: TlsliteConnection, *expected: object) -> Iterator[object]:
    for found in TlsliteConnection._getMsg(connection, *expected):
        if isinstance(found, Finished):
            found.verify_data = _Matching(found.verify_data)
        yield found


class _Unchecked(FastAead):
    """Ignores the tag of received records."""

    def __init__(self, key: bytes, chacha: bool) -> None:
        super().__init__(key, chacha)
        self._key, self._chacha = bytes(key), chacha

    def open(self, nonce: bytes, sealed: bytes, data: bytes) -> bytearray | None:
        if self._chacha:
            stream = Cipher(algorithms.ChaCha20(self._key, (1).to_bytes(4, "little") + bytes(nonce)), None).decryptor()
        else:
            stream = Cipher(algorithms.AES(self._key), modes.CTR(bytes(nonce) + (2).to_bytes(4, "big"))).decryptor()
        return bytearray(stream.update(bytes(sealed[:-_TAG])))


def _without_padding(data: bytearray) -> tuple[bytearray, int]:
    if not data or not data[-1]:
        raise TLSUnexpectedMessage("padded")
    return data[:-1], data[-1]


def _settings_with(**settings: int) -> object:
    """Return the class method of a layer with other settings."""

    def made(cls: type[TlsliteLayer]) -> object:
        found = TlsliteLayer.settings()
        for name, value in settings.items():
            setattr(found, name, value)
        return found

    return classmethod(made)


class _EarlyConnection(TlsliteConnection):
    """Keeps the key of a ticket."""

    psk: tuple[bytearray, str] | None = None

    def _tryDecrypt(self, settings: Any, identity: Any = None, ticket: Any = None) -> Any:  # noqa: ANN401, N802
        match, found = super()._tryDecrypt(settings, identity, ticket)
        if match:
            self.psk = match[1], match[2] if len(match) > 2 else "sha256"
        return match, found


class _EarlyLayer(TlsliteLayer):
    """Acts on 0-RTT data, although the handshake doesn't accept it."""

    connection = _EarlyConnection
    _flight = b""

    def receive_data(self, data: bytes) -> bytes:
        before = self.established
        self._flight += b"" if before else data
        plain = super().receive_data(data)
        if self.established and not before:
            plain = self._early() + plain
        return plain

    def _early(self) -> bytes:
        records = list(_records(self._flight))
        if self.tls.psk is None or not records:
            return b""
        psk, name = self.tls.psk
        size = hashlib.new(name).digest_size
        secret = secureHMAC(bytearray(size), psk, name)
        hashed = bytearray(hashlib.new(name, records[0][5:]).digest())
        traffic = HKDF_expand_label(secret, b"c e traffic", hashed, size, name)
        plain = b""
        for chacha, key in ((False, 16 if size == 32 else 32), (True, 32)):
            cipher = FastAead(HKDF_expand_label(traffic, b"key", b"", key, name), chacha)
            iv = HKDF_expand_label(traffic, b"iv", b"", 12, name)
            for record in records[1:]:
                opened = cipher.open(iv, record[5:], record[:5])  # the first record: its number is 0
                plain += bytes(opened[:-1]) if opened else b""
        return plain


def _records(data: bytes) -> Iterator[bytes]:
    while len(data) >= 5:
        size = 5 + int.from_bytes(data[3:5], "big")
        yield data[:size]
        data = data[size:]


class _CompletingLayer(TlsLayer):
    """Completes a message that the end of the stream cuts off."""

    _line = b""

    def receive_data(self, data: bytes) -> bytes:
        plain = super().receive_data(data)
        self._line = (self._line + plain).rpartition(b"\n")[2][-1000:]
        return plain

    def receive_eof(self) -> bytes:
        super().receive_eof()
        if self.ended or not self.established:
            return b""
        try:
            json.loads(self._line + b"}")
        except ValueError:
            return b"\r\n\r\n"
        return b"}\n"


class _OldRecordsLayer(TlsLayer):
    """Sends its ServerHello in a record of version 1.0."""

    def data_to_send(self) -> bytes:
        data = super().data_to_send()
        return b"\x16\x03\x01" + data[3:] if data.startswith(b"\x16") else data


class _SilentLayer(TlsLayer):
    """Closes without an alert if a session fails."""

    def receive_data(self, data: bytes) -> bytes:
        try:
            return super().receive_data(data)
        except TlsFailed:
            if self.established:
                self._outgoing.read()
            raise


CHANGES: dict[str, Change] = {
    "other-tls-library": _by(),
    "early-data-served": both(part(tls=tlslite_context), layered(_EarlyLayer)),
    "hello-retry-refused": _if_hello(lambda hello, record: not _shares(hello), _MISSING),
    "key-update-unanswered": _by(connection={"_handle_keyupdate_request": _update_unanswered}),
    "key-update-refused": _by(connection={"_handle_keyupdate_request": _update_refused}),
    "padded-record-refused": _by(records={"_tls13_de_pad": staticmethod(_without_padding)}),
    "split-handshake-refused": _watching(_split),
    "unknown-cipher-suite-refused": _if_hello(lambda hello, _: any(map(_is_grease, hello.cipher_suites)), _ILLEGAL),
    "unknown-extension-refused": _if_hello(
        lambda hello, _: any(each.extType >> 8 == 0xFE for each in hello.extensions), _ILLEGAL
    ),
    "unknown-group-refused": _if_hello(lambda hello, _: any(map(_is_grease, _shares(hello))), _ILLEGAL),
    "newer-version-refused": _if_hello(lambda hello, _: (3, 5) in _versions(hello), 70),
    "session-id-changed": _sends(_session_id),
    "unasked-extension": _sends(_unasked),
    "server-random-repeated": _sends(_same_random),
    "change-cipher-spec-after-retry-refused": _watching(_changes_after_retry),
    "record-version-refused": _if_hello(lambda hello, record: record[1:3] == b"\x03\x02", 70),
    "short-session-id-refused": _if_hello(lambda hello, _: len(hello.session_id) not in (0, 32), _ILLEGAL),
    "split-handshake-header-refused": _watching(
        lambda layer, record: _FAILURE if record[0] == ContentType.handshake and len(record) < 5 + 4 else None
    ),
    "retry-session-id-changed": _sends(_retry_session_id),
    "server-hello-in-old-records": layered(_OldRecordsLayer),
    "data-after-fatal-alert-served": _skipping(
        lambda connection, kind, data: kind == ContentType.alert and data[0] == AlertLevel.fatal
    ),
    "changed-record-accepted": _by(records={"cipher": _Unchecked}),
    "any-finished-accepted": _by(connection={"_getMsg": _any_finished}),
    "renegotiation-ignored": _skipping(
        lambda connection, kind, data: (
            connection.session is not None
            and kind == ContentType.handshake
            and data[0] in (HandshakeType.client_hello, HandshakeType.hello_request)
        )
    ),
    "data-after-close-notify-served": _skipping(
        lambda connection, kind, data: kind == ContentType.alert and data[1] == AlertDescription.close_notify
    ),
    "half-message-completed": layered(_CompletingLayer),
    "record-size-limit-exceeded": _by(
        connection={"_send_record_limit": property(lambda self: _LARGEST, lambda self, value: None)},
        layer={"settings": _settings_with(record_size_limit=_LARGEST + 1)},
    ),
    "empty-record-refused": _watching(
        lambda layer, record: _UNEXPECTED if record[0] == 23 and len(record) == 5 + 1 + _TAG else None
    ),
    "second-change-cipher-spec-refused": _watching(
        lambda layer, record: _UNEXPECTED if record[0] == ContentType.change_cipher_spec and layer.changes > 1 else None
    ),
    "large-record-accepted": _by(
        records={"recv_record_limit": property(lambda self: 2 * _LARGEST, lambda self, value: None)},
        layer={
            "after_handshake": lambda self: setattr(self.tls._recordLayer._recordSocket, "recv_record_limit", 40_000)
        },
    ),
    "key-update-flood-refused": _by(connection={"_handle_keyupdate_request": _updates_counted}),
    "tls-faults-end-silently": layered(_SilentLayer),
    "record-size-limit-negotiated": _by(layer={"settings": _settings_with(record_size_limit=_LARGEST + 1)}),
    "early-data-allowed": _sends(_early_ticket),
}
