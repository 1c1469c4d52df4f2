"""TLS as a layer like the others: bytes in, plain text out, bytes to send; no socket.

asyncio's own TLS closes without an alert when a handshake fails and keeps fifteen times the memory. Here an alert is in
`data_to_send()` like any other byte. Source: Notes / TLS 1.3.
"""

from __future__ import annotations

import ssl

_CHUNK = 16 * 1024  # the most that one TLS record holds

_UNEXPECTED_MESSAGE, _ILLEGAL_PARAMETER, _PROTOCOL_VERSION = 10, 47, 70
# Where OpenSSL gives up without an alert, or with another one than RFC 8446 asks for, by its name of the failure.
_ALERTS = {
    "HTTP_REQUEST": _UNEXPECTED_MESSAGE,  # 5.1: no record begins so; nor the next two
    "HTTPS_PROXY_REQUEST": _UNEXPECTED_MESSAGE,
    "WRONG_VERSION_NUMBER": _UNEXPECTED_MESSAGE,
    "VERSION_TOO_LOW": _PROTOCOL_VERSION,  # D.5: SSL 3.0, in whose own words OpenSSL says handshake_failure
    "NO_COMPRESSION_SPECIFIED": _ILLEGAL_PARAMETER,  # 4.1.2: anything but the one null method
}
_PLAIN_ALERT = 7  # bytes of an alert's record before there are keys


class TlsFailed(Exception):
    """The handshake or the session failed; what is in `data_to_send()` (an alert) still wants to go out.

    `reason` is OpenSSL's own, in words; `unverified` is True where the peer's certificate was not accepted here.
    """

    def __init__(self, error: ssl.SSLError) -> None:
        self.unverified = isinstance(error, ssl.SSLCertVerificationError)
        self.reason = str(getattr(error, "verify_message", "") or error.reason or error)
        super().__init__(self.reason.lower().replace("_", " "))


class TlsLayer:
    """One end of a TLS connection over memory buffers.

    Arguments: `context` says what is offered and trusted; a client names the server in `server_name`, a server gives
    None. `resume` is an earlier connection's `session`, of the same context, that a client goes on with. A client's
    ClientHello is in `data_to_send()` at once.
    """

    __slots__ = ("_failure", "_incoming", "_outgoing", "_tls", "_unsent", "ended", "established")

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
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_name, resume)
        self._unsent = bytearray()
        self._failure: TlsFailed | None = None
        self.established = False
        self.ended = False  # the peer said close_notify: it will send nothing more
        if not server_side:
            self._advance()

    @property
    def version(self) -> str | None:
        """The version that was agreed, for example "TLSv1.3"."""
        return self._tls.version()

    @property
    def cipher(self) -> str | None:
        """The cipher suite that was agreed."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher else None

    @property
    def certificate(self) -> bytes | None:
        """The peer's certificate, DER."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed by ALPN, if one was."""
        return self._tls.selected_alpn_protocol()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What another connection can resume, once a ticket has come."""
        return self._tls.session

    @property
    def resumed(self) -> bool:
        """Whether the session of an earlier connection goes on."""
        return bool(self._tls.session_reused)

    @property
    def has_ticket(self) -> bool:
        """Whether a ticket to resume the session with has come, among what was read so far."""
        return self._tls.session is not None and self._tls.session.has_ticket

    def receive_data(self, data: bytes) -> bytes:
        """Take bytes from the peer; return the plain text that they hold. What follows its close_notify is nothing.

        Raises TlsFailed where the peer, or what it offers, can't be accepted.
        """
        if self.ended:
            return b""
        self._incoming.write(data)
        return self._advance()

    def check(self) -> None:
        """Raise TlsFailed where a failure came behind the last plain text that was given."""
        if self._failure is not None:
            raise self._failure

    def receive_eof(self) -> None:
        """Take note that the transport ended."""
        self._incoming.write_eof()

    def send(self, data: bytes) -> None:
        """Encrypt `data`; before the handshake is done it waits."""
        if self.established:
            self._tls.write(data)
        else:
            self._unsent += data

    def close(self) -> None:
        """Say close_notify. Nothing can be sent after it; what the peer still sends can be read."""
        if self.established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                return  # the peer hasn't answered with its own yet, and needn't

    def data_to_send(self) -> bytes:
        """Return the bytes that want to go to the peer."""
        return self._outgoing.read()

    def _advance(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        plain: list[bytes] = []
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
                if self._unsent:
                    self._tls.write(bytes(self._unsent))
                    self._unsent.clear()
            # To find out by reading that there is nothing more costs an exception, which is most of a small read. A
            # read takes a whole record, so nothing is left of one that was read.
            while self._incoming.pending:
                if not (chunk := self._tls.read(_CHUNK)):
                    self.ended = True
                    break
                plain.append(chunk)
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self._failure = TlsFailed(error)
            self._set_right(_ALERTS.get(error.reason))
            if not plain:  # what came before the failure is given first
                raise self._failure from None
        return b"".join(plain)

    def _set_right(self, alert: int | None) -> None:
        """Say this alert, where OpenSSL says none in plain text or another one."""
        if alert is None or self.established or self._outgoing.pending not in (0, _PLAIN_ALERT):
            return
        self._outgoing.read()
        self._outgoing.write(bytes((21, 3, 3, 0, 2, 2, alert)))
