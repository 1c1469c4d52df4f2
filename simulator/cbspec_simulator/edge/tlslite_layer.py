"""TLS 1.3 by tlslite-ng: unlike OpenSSL, its decisions can be replaced one by one.

It takes the place of the usual layer for deviations that OpenSSL can't be made to show.
"""

from __future__ import annotations

import errno
import os
import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from cbspec.keylog import log_key
from cbspec.protocol.tls import TlsAgreement, TlsFailed, TlsLayer
from cbspec.protocol.tls_alerts import ALERTS
from cbspec.tls_contexts import server_context

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.11 warns of a module that tlslite-ng imports
    from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
    from tlslite.constants import AlertDescription, AlertLevel
    from tlslite.errors import BaseTLSException, TLSAlert, TLSClosedConnectionError, TLSRemoteAlert
    from tlslite.messages import Alert, ApplicationData
    from tlslite.recordlayer import RecordLayer

Message = Any
"""A message of tlslite-ng, which has no types."""

_MATERIAL: WeakKeyDictionary[ssl.SSLContext, tuple[Any, Any]] = WeakKeyDictionary()
_CIPHERS: Final = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
}
_TICKET_KEY: Final = os.urandom(32)


def tlslite_context(chain: Path, key: Path | None) -> ssl.SSLContext:
    """Return a usual context whose certificate and key `TlsliteLayer` can use, too."""
    context = server_context(chain, key)
    certificates = X509CertChain()
    certificates.parsePemList(chain.read_text())
    _MATERIAL[context] = certificates, parsePEMKey((key or chain).read_text(), private=True)
    return context


class FastAead:
    """A cipher of the library `cryptography`, as tlslite-ng uses ciphers; its own are slow."""

    isBlockCipher, isAEAD, nonceLength, tagLength = False, True, 12, 16  # noqa: N815 - tlslite-ng's names
    implementation = "cryptography"

    def __init__(self, key: bytes, chacha: bool) -> None:
        self.name = "chacha20-poly1305" if chacha else f"aes{8 * len(key)}gcm"
        self._cipher: AESGCM | ChaCha20Poly1305 = (ChaCha20Poly1305 if chacha else AESGCM)(bytes(key))

    def seal(self, nonce: bytes, plain: bytes, data: bytes) -> bytearray:
        """Encrypt."""
        return bytearray(self._cipher.encrypt(bytes(nonce), bytes(plain), bytes(data)))

    def open(self, nonce: bytes, sealed: bytes, data: bytes) -> bytearray | None:
        """Decrypt; None for a wrong tag."""
        try:
            return bytearray(self._cipher.decrypt(bytes(nonce), bytes(sealed), bytes(data)))
        except InvalidTag:
            return None


class Records(RecordLayer):  # type: ignore[misc] # tlslite-ng has no types
    """Protects records by fast ciphers, and logs their keys. `client_random` is that of the ClientHello."""

    cipher: Callable[[bytes, bool], FastAead] = FastAead
    client_random = b""
    _label = "HANDSHAKE_TRAFFIC_SECRET"

    def calcTLS1_3PendingState(  # noqa: N802 - tlslite-ng's name
        self, suite: int, client: bytearray, server: bytearray, implementations: object
    ) -> None:
        """Use other secrets: those of the handshake, then those of application data."""
        for side, secret in (("CLIENT", client), ("SERVER", server)):
            log_key(f"{side}_{self._label}", self.client_random, bytes(secret))
        self._label = "TRAFFIC_SECRET_0"
        super().calcTLS1_3PendingState(suite, client, server, implementations)

    def _getCipherSettings(self, suite: int) -> tuple[int, int, Callable[..., FastAead]]:  # noqa: N802 - tlslite-ng's
        chacha = suite == 0x1303
        return 16 if suite == 0x1301 else 32, 12, lambda key, implementations: self.cipher(key, chacha)


class TlsliteConnection(TLSConnection):  # type: ignore[misc] # tlslite-ng has no types
    """A server's end. Subclasses replace decisions; `records` is the class of its record layer."""

    records: type[Records] = Records

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        self._recordLayer = self.records(self.sock)
        self._recordLayer.client = False
        self.closeSocket = False
        self.leaving = False

    def _serverTLS13Handshake(self, settings: object, hello: Message, *rest: object) -> Iterator[object]:  # noqa: N802
        self._recordLayer.client_random = bytes(hello.random)
        yield from super()._serverTLS13Handshake(settings, hello, *rest)

    def _sendMsg(self, msg: Message, *how: bool, **others: bool) -> Iterator[int]:  # noqa: N802 - tlslite-ng's name
        """Send a message, except a close_notify in answer to the client's: answers may still follow."""
        if isinstance(msg, Alert) and msg.description == AlertDescription.close_notify and not self.leaving:
            return
        yield from super()._sendMsg(self.edited(msg), *how, **others)

    def _queue_message(self, msg: Message) -> None:
        super()._queue_message(self.edited(msg))

    def edited(self, msg: Message) -> Message:
        """Return a message as it is sent."""
        return msg

    def _shutdown(self, resumable: bool) -> None:
        """Stop reading; the keys stay valid for answers."""
        self.closed = True


class Pipe:
    """A socket in memory."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False

    def recv(self, size: int) -> bytes:
        """Return received bytes."""
        if not self.incoming and not self.ended:
            raise OSError(errno.EWOULDBLOCK, "nothing yet")
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def send(self, data: bytes) -> int:
        """Take bytes to send."""
        self.outgoing += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Take bytes to send."""
        self.outgoing += data


class TlsliteLayer(TlsLayer):
    """A relay's end of a TLS connection; subclasses replace the class `connection`, or `settings`."""

    __slots__ = ("_input", "_pipe", "tls")
    connection: type[TlsliteConnection] = TlsliteConnection

    def __init__(self, context: ssl.SSLContext, *, server_side: bool = True) -> None:
        self._pipe = Pipe()
        self.tls = self.connection(self._pipe)
        self._unsent = bytearray()
        self._failure = None
        self.established = self.ended = False
        self._input = self._run(*_MATERIAL[context])

    @classmethod
    def settings(cls) -> HandshakeSettings:
        """Return tlslite-ng's settings."""
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = (3, 4)
        settings.dhGroups = []
        settings.cipherNames = ["aes128gcm", "aes256gcm", "chacha20-poly1305"]
        settings.eccCurves = settings.keyShares = ["x25519", "secp256r1", "secp384r1"]
        settings.ticketKeys = [_TICKET_KEY]
        settings.ticket_count = 1
        settings.use_heartbeat_extension = False
        settings.record_size_limit = None
        return settings

    def receive_data(self, data: bytes) -> bytes:
        """Return the plain text in bytes from the peer. Raises TlsFailed."""
        if self.ended:
            return b""
        if self._failure is not None:
            raise self._failure
        self._pipe.incoming += data
        plain = bytearray()
        try:
            for piece in self._input:
                if piece is None:
                    break
                plain += piece
            else:
                self.ended = True
        except (BaseTLSException, ValueError, AssertionError, IndexError) as error:
            reason = ssl.SSLError(1, str(error))
            reason.reason = f"tlslite-ng: {error}"
            self._failure = TlsFailed(reason)
            if isinstance(error, TLSAlert):
                kind = "alert_received" if isinstance(error, TLSRemoteAlert) else "alert_due"
                setattr(self._failure, kind, ALERTS.get(error.description, ""))
            if not plain:
                raise self._failure from None
        return bytes(plain)

    def _run(self, chain: object, key: object) -> Iterator[bytes | None]:
        """Yield plain text; None if more input is needed."""
        steps = self.tls.handshakeServerAsync(certChain=chain, privateKey=key, settings=self.settings())
        for _ in steps:
            yield None
        self.established = True
        self.after_handshake()
        if self._unsent:
            self.send(bytes(self._unsent))
        while not self.tls.closed:
            for read in self.tls.readAsync(min=1):
                yield None if read in (0, 1) else bytes(read)

    def agreement(self) -> TlsAgreement:
        """Return the facts of the completed handshake."""
        cipher = _CIPHERS.get(self.tls.session.cipherSuite, "")
        return TlsAgreement(self.tls.getVersionName().replace(" ", "v"), cipher, resumed=bool(self.tls.resumed))

    def after_handshake(self) -> None:
        """Do what follows the handshake: nothing."""

    def receive_eof(self) -> bytes:
        """Record the end of the transport."""
        self._pipe.ended = True
        return b""

    def send(self, data: bytes) -> None:
        """Encrypt `data`, during the handshake after its end."""
        if not self.established:
            self._unsent += data
            return
        for _ in self.tls._sendMsg(ApplicationData().create(bytearray(data))):
            raise TLSClosedConnectionError

    def close(self) -> None:
        """Send close_notify."""
        if self.established and self._failure is None and not self.tls.leaving:
            self.tls.leaving = True
            for _ in self.tls._sendMsg(Alert().create(AlertDescription.close_notify, AlertLevel.warning)):
                raise TLSClosedConnectionError

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the peer."""
        data = bytes(self._pipe.outgoing)
        self._pipe.outgoing.clear()
        return data
