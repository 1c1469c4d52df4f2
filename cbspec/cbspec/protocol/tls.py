"""TLS over memory buffers: bytes in, plain text out, bytes to send; no socket.

asyncio's TLS closes without an alert after a failed handshake, and needs fifteen times the memory. Here an alert is in
`data_to_send()` like any other bytes. Source: Notes / TLS 1.3.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cbspec.protocol.tls_alerts import alert_due, alert_received

_CHUNK = 16 * 1024  # bytes of the largest TLS record

_UNEXPECTED_MESSAGE, _ILLEGAL_PARAMETER, _PROTOCOL_VERSION = 10, 47, 70
# The alerts of RFC 8446 for failures after which OpenSSL sends none or another one, by OpenSSL's reason.
_ALERTS = {
    "HTTP_REQUEST": _UNEXPECTED_MESSAGE,  # 5.1: not the beginning of a record, like the next two
    "HTTPS_PROXY_REQUEST": _UNEXPECTED_MESSAGE,
    "WRONG_VERSION_NUMBER": _UNEXPECTED_MESSAGE,
    "VERSION_TOO_LOW": _PROTOCOL_VERSION,  # D.5: SSL 3.0, for which OpenSSL sends handshake_failure
    "NO_COMPRESSION_SPECIFIED": _ILLEGAL_PARAMETER,  # 4.1.2: the null method is missing
}
_SHORT: Final = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}
_PLAIN_ALERT = 7  # bytes of an alert's record before encryption


class TlsFailed(Exception):
    """The handshake or the session failed; `data_to_send()` may contain an alert.

    `reason` is OpenSSL's, in words. `unverified` is True if the peer's certificate was rejected. `alert_received` is
    the peer's alert that ended the session, `alert_due` the alert that OpenSSL sends for its reason; "" without one.
    """

    def __init__(self, error: ssl.SSLError) -> None:
        self.alert_received = alert_received(error)
        self.alert_due = "" if self.alert_received else alert_due(error)
        self.unverified = isinstance(error, ssl.SSLCertVerificationError)
        self.reason = str(getattr(error, "verify_message", "") or error.reason or error)
        super().__init__(self.reason.lower().replace("_", " "))


class TlsAgreement(NamedTuple):
    """The facts of a completed handshake; `version` is "" without TLS, `certificate` the subject of the peer's."""

    version: str
    cipher: str
    protocol: str = ""
    certificate: str = ""
    resumed: bool = False


class TlsLayer:
    """One end of a TLS connection over memory buffers.

    A client passes the server's name in `server_name`, a server passes None. `resume` is the session of an earlier
    connection with the same context. A client's ClientHello is in `data_to_send()` at once. `ended` is True after the
    peer's close_notify. `ssl_object` has the facts of the handshake, such as its version.
    """

    __slots__ = ("_failure", "_incoming", "_outgoing", "_unsent", "ended", "established", "ssl_object")

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        resume: ssl.SSLSession | None = None,
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_side, server_name, resume)
        self._unsent = bytearray()
        self._failure: TlsFailed | None = None
        self.established = False
        self.ended = False
        if not server_side:
            self._advance()

    def receive_data(self, data: bytes) -> bytes:
        """Return the plain text in bytes from the peer; bytes after its close_notify are ignored. Raises TlsFailed."""
        if self.ended:
            return b""
        self._incoming.write(data)
        return self._advance()

    def agreement(self) -> TlsAgreement:
        """Return the facts of the completed handshake; a peer's certificate is known only if it was verified."""
        tls = self.ssl_object
        if (version := tls.version()) is None:
            return TlsAgreement("", "")
        cipher, certificate = tls.cipher() or ("",), tls.getpeercert() or {}
        protocol = tls.selected_alpn_protocol() or ""
        return TlsAgreement(version, cipher[0], protocol, _subject(certificate), bool(tls.session_reused))

    def check(self) -> None:
        """Raise TlsFailed if the session failed after the last plain text."""
        if self._failure is not None:
            raise self._failure

    def receive_eof(self) -> bytes:
        """Record the end of the transport; return plain text that is still unread: none."""
        self._incoming.write_eof()
        return b""

    def send(self, data: bytes) -> None:
        """Encrypt `data`, during the handshake after its end."""
        if self.established:
            self.ssl_object.write(data)
        else:
            self._unsent += data

    def close(self) -> None:
        """Send close_notify; the peer's data can still be read afterwards."""
        if self.established:
            try:
                self.ssl_object.unwrap()
            except ssl.SSLError:
                return  # the peer need not answer with its own

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the peer."""
        return self._outgoing.read()

    def _advance(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        plain: list[bytes] = []
        try:
            if not self.established:
                self.ssl_object.do_handshake()
                self.established = True
                if self._unsent:
                    self.ssl_object.write(bytes(self._unsent))
                    self._unsent.clear()
            # A read takes a complete record. A read without data would raise an exception, which costs more than a
            # small read.
            while self._incoming.pending:
                if not (chunk := self.ssl_object.read(_CHUNK)):
                    self.ended = True
                    break
                plain.append(chunk)
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self._failure = TlsFailed(error)
            self._correct_alert(_ALERTS.get(error.reason))
            if not plain:  # plain text before the failure is returned first
                raise self._failure from None
        return b"".join(plain)

    def _correct_alert(self, alert: int | None) -> None:
        """Replace a missing or different unencrypted alert of OpenSSL."""
        if alert is None or self.established or self._outgoing.pending not in (0, _PLAIN_ALERT):
            return
        self._outgoing.read()
        self._outgoing.write(bytes((21, 3, 3, 0, 2, 2, alert)))


def _subject(certificate: Mapping[str, Any]) -> str:
    """Return the subject of a certificate in the form of RFC 4514, its first attribute first."""
    attributes = (attribute for names in certificate.get("subject", ()) for attribute in names)
    return ",".join(f"{_SHORT.get(name, name)}={value}" for name, value in attributes)
