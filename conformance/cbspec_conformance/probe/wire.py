"""A blocking TLS connection that records every byte.

TLS runs over memory buffers (`cbspec.protocol.tls`): alerts are visible as bytes, and a refusal by the local library
can be told from one by the relay. All received data is read before an end is reported.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass

from cbspec.profile.profile import Endpoint
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_conformance.probe.tcp import Tcp, tcp_connect
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended, Failed, Opened, Transcript

_ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    109: "missing_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}


@dataclass(eq=False)  # neither frozen nor with slots: an exception is written to while it travels
class HandshakeFailure(Exception):
    """A TLS handshake failed on a TCP connection.

    `alert` is the relay's alert, if it sent one; `received` its raw bytes (at most 4 KiB); `unverified` is True if the
    relay's certificate was not accepted, `hello_left` if our ClientHello was sent, `timed_out` if nothing was received.
    """

    reason: str
    alert: str = ""
    received: bytes = b""
    unverified: bool = False
    hello_left: bool = True
    timed_out: bool = False

    def __str__(self) -> str:
        return self.reason


def alert_name(data: bytes | bytearray) -> str:
    """Return the name of the unencrypted TLS alert at the end of `data`, or ""."""
    at = 0
    name = ""
    while at + 5 <= len(data):
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] == 21 and size == 2 and at + 7 <= len(data):
            name = _ALERTS.get(data[at + 6], f"alert {data[at + 6]}")
        at += 5 + size
    return name


class Wire:
    """One connection.

    Arguments: `number` identifies it in the transcript; `timeout` (seconds) bounds connecting, the handshake and each
    send.
    """

    def __init__(self, number: int, transcript: Transcript, timeout: float) -> None:
        self.number = number
        self.ended: Ended | None = None
        self._transcript = transcript
        self._clock = transcript.clock
        self._timeout = timeout
        self._tcp: Tcp | None = None
        self._tls: TlsLayer | None = None
        self._early = b""
        self._lost = ""

    def open(
        self,
        endpoint: Endpoint,
        context: ssl.SSLContext,
        *,
        name: str,
        source: str | None,
        transport: str,
        resume: ssl.SSLSession | None = None,
        narrow: bool = False,
    ) -> None:
        """Connect and complete the TLS handshake; `resume` is the TLS session of an earlier connection.

        A `narrow` connection has a very small receive window (see `tcp_connect`). Raises Unreachable or
        HandshakeFailure.
        """
        tcp = self._tcp = Tcp(tcp_connect(endpoint, source, self._timeout, narrow=narrow), self._clock)
        tls = self._tls = TlsLayer(context, server_side=False, server_name=name, resume=resume)
        try:
            self._handshake(tcp, tls)
        except HandshakeFailure as failure:
            now, where = self._transcript.now(), str(endpoint)
            record = Failed(now, self.number, where, failure.reason, failure.alert, failure.hello_left)
            self._transcript.add(record)
            self.close()
            raise
        host, port = tcp.local
        self._transcript.add(
            Opened(
                self._transcript.now(),
                self.number,
                str(endpoint),
                f"{host}:{port}",
                transport,
                tls.version or "",
                tls.cipher or "",
            )
        )

    def _handshake(self, tcp: Tcp, tls: TlsLayer) -> None:
        deadline = self._clock.monotonic() + self._timeout
        hello = tls.data_to_send()
        hello_left = hello[:1] == b"\x16"
        received = bytearray()
        try:
            tcp.send(hello, self._timeout)
            while not tls.established:
                data = tcp.receive(max(deadline - self._clock.monotonic(), 0.001))
                if data is None:
                    raise HandshakeFailure(
                        "the relay didn't answer the TLS handshake in time",
                        "",
                        bytes(received),
                        hello_left=hello_left,
                        timed_out=True,
                    )
                if not data:
                    raise HandshakeFailure(
                        "the relay closed the connection during the TLS handshake",
                        alert_name(received),
                        bytes(received[:4096]),
                        hello_left=hello_left,
                    )
                received += data[: max(0, 4096 - len(received))]
                self._early += tls.receive_data(data)
                tcp.send(tls.data_to_send(), self._timeout)
        except TlsFailed as failed:
            with contextlib.suppress(OSError):
                tcp.send(tls.data_to_send(), self._timeout)
            raise HandshakeFailure(
                str(failed), alert_name(received), bytes(received), failed.unverified, hello_left
            ) from None
        except OSError as error:
            raise HandshakeFailure(
                f"the TLS handshake was cut off: {error.strerror or error}",
                alert_name(received),
                bytes(received),
                hello_left=hello_left,
            ) from None

    @property
    def closed(self) -> bool:
        """Whether the local socket is closed."""
        return self._tcp is None

    @property
    def version(self) -> str:
        """The negotiated TLS version."""
        return (self._tls.version if self._tls else None) or ""

    @property
    def local_address(self) -> str:
        """The local address, without its port."""
        return self._tcp.local[0] if self._tcp is not None else ""

    @property
    def certificate(self) -> bytes | None:
        """The relay's certificate, DER."""
        return self._tls.certificate if self._tls else None

    @property
    def alpn(self) -> str:
        """The protocol negotiated by ALPN, or ""."""
        return (self._tls.alpn if self._tls else None) or ""

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """The TLS session for resumption by another connection, or None if the relay sent no ticket."""
        return self._tls.session if self._tls is not None and self._tls.has_ticket else None

    @property
    def resumed(self) -> bool:
        """Whether the connection resumed an earlier TLS session."""
        return self._tls is not None and self._tls.resumed

    @property
    def has_ticket(self) -> bool:
        """Whether the relay sent a session ticket."""
        return self._tls is not None and self._tls.has_ticket

    def finish_sending(self) -> None:
        """Send close_notify; the relay's data can still be read."""
        if self._tls is not None and self.ended is None:
            self._tls.close()
            self._flush()

    def send(self, data: bytes) -> None:
        """Send plain bytes. After the relay has ended the connection, this does nothing: reading reports the end."""
        if self._tcp is None or self._tls is None or self.ended:
            return
        self._transcript.add(Bytes(self._transcript.now(), self.number, Direction.SENT, data))
        self._tls.send(data)
        self._flush()

    def send_quietly(self, data: bytes) -> None:
        """Send bytes that belong to no message, without a record: pongs and closing frames."""
        if data and self._tls is not None and self.ended is None:
            self._tls.send(data)
            self._flush()

    def send_raw(self, data: bytes) -> None:
        """Send bytes on the socket, without TLS."""
        if self._tcp is not None:
            with contextlib.suppress(OSError):
                self._tcp.send(data, self._timeout)

    def finish(self, how: End, detail: str = "") -> None:
        """Record that the transport above ended the connection, and close it."""
        self._end(how, detail)
        self._close_tcp()

    def receive(self, wait: float) -> bytes:
        """Return data that arrives within `wait` seconds; b"" after a time-out or the end (see `ended`).

        Without a wait, return only data that has arrived already.
        """
        if self._early:
            data, self._early = self._early, b""
            return self._took(data)
        deadline = self._clock.monotonic() + wait
        looked = False
        while self.ended is None and self._tcp is not None and self._tls is not None:
            if looked and self._clock.monotonic() > deadline:
                return b""  # a peer may send records without plain text forever
            looked = True
            try:
                came = self._tcp.receive(max(deadline - self._clock.monotonic(), 1e-4) if wait else 0.0)
            except OSError as error:
                self._end(End.RESET, error.strerror or str(error))
                return b""
            if came is None:
                return b""
            if plain := self._decrypt(self._tls, came):
                return plain
        return b""

    def has_unread(self, wait: float) -> bool:
        """Whether unread data is there, or arrives within `wait` seconds."""
        return self._tcp is not None and self._tcp.has_unread(wait)

    def _decrypt(self, tls: TlsLayer, data: bytes) -> bytes:
        if not data:  # after send() reports ECONNRESET, recv() returns the end of the stream
            self._end(*((End.RESET, self._lost) if self._lost else (End.EOF, "")))
            return b""
        plain = b""
        try:
            plain = tls.receive_data(data)
            if plain:
                self._took(plain)
                tls.check()  # raises a failure that came right after the text
        except TlsFailed as failed:
            self._flush()
            self._end(End.TLS_ALERT, str(failed))
            return plain
        self._flush()
        if tls.ended:
            self._end(End.CLOSE_NOTIFY)
        return plain

    def _took(self, data: bytes) -> bytes:
        self._transcript.add(Bytes(self._transcript.now(), self.number, Direction.RECEIVED, data))
        return data

    def _flush(self) -> None:
        if self._tcp is None or self._tls is None:
            return
        if data := self._tls.data_to_send():
            try:
                self._tcp.send(data, self._timeout)
            except TimeoutError:
                pass
            except OSError as error:  # the peer may have sent data before: reading reports the end
                self._lost = error.strerror or str(error)

    def _end(self, how: End, detail: str = "") -> None:
        if self.ended is None:
            self.ended = Ended(self._transcript.now(), self.number, how, detail)
            self._transcript.add(self.ended)

    def reset(self) -> None:
        """Abort the connection with a TCP reset."""
        self._end(End.OURS, "reset")
        if self._tcp is not None:
            self._tcp.reset()
            self._tcp = None

    def close(self, wait: float = 0.0) -> bool:
        """Send close_notify and close; wait some seconds for the relay to close its side; return whether it did."""
        noticed = True
        if self._tcp is not None and self._tls is not None and self.ended is None:
            self._tls.close()
            self._flush()
            with contextlib.suppress(OSError):
                self._tcp.finish()
            noticed = self._await_eof(self._tcp, wait)
        self._end(End.OURS)
        self._close_tcp()
        return noticed

    def _await_eof(self, tcp: Tcp, wait: float) -> bool:
        deadline = self._clock.monotonic() + wait
        with contextlib.suppress(OSError):
            while (remaining := deadline - self._clock.monotonic()) > 0:
                if tcp.receive(remaining) == b"":
                    return True
        return False

    def _close_tcp(self) -> None:
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None
