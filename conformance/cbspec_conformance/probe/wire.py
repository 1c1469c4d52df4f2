"""A blocking TLS connection that records every byte.

TLS runs over memory buffers (`cbspec.protocol.tls`): alerts are visible as bytes, and a refusal by the local library
differs from one by the relay. All received data is read before an end is reported.
"""

from __future__ import annotations

import contextlib
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final

from cbspec.profile.profile import Endpoint
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_conformance.probe.key_update import request_key_update
from cbspec_conformance.probe.tcp import Tcp, capturing, tcp_connect
from cbspec_conformance.record.cost import Timekeeper
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended, Failed, Opened, Transcript

_KEPT = 4096  # bytes of a failed handshake
_MOST_LINGERING = 64

_ALERTS = {alert.value: alert.name.removeprefix("ALERT_DESCRIPTION_").lower() for alert in ssl.AlertDescription} | {
    86: "inappropriate_fallback",
    109: "missing_extension",
    116: "certificate_required",
    120: "no_application_protocol",
}


@dataclass(eq=False)  # neither frozen nor with slots: an exception is written to while it travels
class HandshakeFailure(Exception):
    """A TLS handshake failed on a TCP connection.

    `alert` is the relay's alert, if any; `received` the beginning of its raw bytes; `unverified` is True if its
    certificate was not accepted, `hello_left` if our ClientHello was sent, `timed_out` if nothing was received.
    """

    reason: str
    alert: str = ""
    received: bytes = b""
    unverified: bool = False
    hello_left: bool = True
    timed_out: bool = False

    def __str__(self) -> str:
        return self.reason


def alert_text(number: int) -> str:
    """Return the name of a TLS alert."""
    return _ALERTS.get(number, f"alert {number}")


def alert_name(data: bytes | bytearray) -> str:
    """Return the name of the unencrypted TLS alert at the end of `data`, or ""."""
    at = 0
    name = ""
    while at + 5 <= len(data):
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] == 21 and size == 2 and at + 7 <= len(data):
            name = alert_text(data[at + 6])
        at += 5 + size
    return name


def open_wire(
    number: int,
    transcript: Transcript,
    endpoint: Endpoint,
    context: ssl.SSLContext,
    *,
    timeout: float,
    name: str,
    source: str | None = None,
    transport: str = "tcp",
    resume: ssl.SSLSession | None = None,
    narrow: bool = False,
    preface: bytes = b"",
) -> Wire:
    """Connect, complete the TLS handshake, and return the connection.

    `number` identifies it in the transcript; `timeout` (seconds) bounds connecting, the handshake and each send;
    `resume` is the TLS session of an earlier connection. A `narrow` connection has a very small receive window (see
    `tcp_connect`). `preface` is sent before the handshake. Raises Unreachable or HandshakeFailure.
    """
    sock = tcp_connect(endpoint, source, timeout, narrow=narrow, cost=transcript.cost)
    tcp = Tcp(sock, transcript.cost, capturing(sock, transcript, number))
    tls = TlsLayer(context, server_side=False, server_name=name, resume=resume)
    try:
        if preface:
            tcp.send(preface, timeout)
        early = _handshake(tcp, tls, transcript.clock.monotonic() + timeout, transcript.clock)
    except HandshakeFailure as failure:
        at, source = transcript.now(), tcp.source
        with contextlib.suppress(OSError):
            tcp.finish()
        tcp.close()
        failed = Failed(at, number, str(endpoint), failure.reason, failure.alert, failure.hello_left, source)
        transcript.add(failed)
        transcript.add(Ended(at, number, End.OURS))
        raise
    except BaseException:  # the run's time is up, or it was interrupted
        tcp.close()
        raise
    at = transcript.now()
    version, cipher = tls.ssl_object.version() or "", (tls.ssl_object.cipher() or ("",))[0]
    transcript.add(Opened(at, number, str(endpoint), tcp.source, transport, version, cipher))
    return Wire(number, transcript, tcp, tls, timeout, early)


def _handshake(tcp: Tcp, tls: TlsLayer, deadline: float, clock: Timekeeper) -> bytes:
    """Complete the handshake and return plain data received with it."""
    hello = tls.data_to_send()
    received, early = bytearray(), b""

    def failure(reason: str, **facts: bool) -> HandshakeFailure:
        hello_left = hello[:1] == b"\x16"
        return HandshakeFailure(reason, alert_name(received), bytes(received), hello_left=hello_left, **facts)

    def remaining() -> float:
        return max(deadline - clock.monotonic(), 0.001)

    try:
        tcp.send(hello, remaining())
        while not tls.established:
            data = tcp.receive(remaining())
            if data is None:
                raise failure("the relay didn't answer the TLS handshake in time", timed_out=True)
            if not data:
                raise failure("the relay closed the connection during the TLS handshake")
            received += data[: max(0, _KEPT - len(received))]
            early += tls.receive_data(data)
            tcp.send(tls.data_to_send(), remaining())
    except TlsFailed as failed:
        with contextlib.suppress(OSError):
            tcp.send(tls.data_to_send(), remaining())
        raise failure(str(failed), unverified=failed.unverified) from None
    except OSError as error:
        raise failure(f"the TLS handshake was cut off: {error.strerror or error}") from None
    return early


class _Lingering:
    """Half-closed connections whose peers may still close their side: a close at once could reset them."""

    def __init__(self) -> None:
        self._held: deque[Tcp] = deque()

    def add(self, tcp: Tcp) -> None:
        """Keep a connection until its peer has closed it, or many others came after it."""
        self._held.append(tcp)
        for _ in range(len(self._held)):
            each = self._held.popleft()
            if each.is_over() or len(self._held) >= _MOST_LINGERING:
                each.close()
            else:
                self._held.append(each)

    def close(self) -> None:
        """Close all."""
        while self._held:
            self._held.popleft().close()


LINGERING: Final = _Lingering()
"""The closed connections of this process whose relay has not closed its side yet."""


class Wire:
    """One connection after its TLS handshake.

    Arguments: see `open_wire`; `early` is plain data received with the handshake.
    """

    def __init__(
        self, number: int, transcript: Transcript, tcp: Tcp, tls: TlsLayer, timeout: float, early: bytes = b""
    ) -> None:
        self.number = number
        self.tcp = tcp
        self.tls = tls
        self.ended: Ended | None = None
        self.closed = False
        self._transcript = transcript
        self._clock = transcript.clock
        self._timeout = timeout
        self._early = early
        self._lost = ""

    def finish_sending(self) -> None:
        """Send close_notify; the relay's data can still be read."""
        if self.ended is None:
            self.tls.close()
            self._flush()

    def send(self, data: bytes) -> None:
        """Send plain bytes. After the relay has ended the connection, this does nothing: reading reports the end."""
        if self.ended is None:
            self._transcript.add(Bytes(self._transcript.now(), self.number, Direction.SENT, data))
            self.send_quietly(data)

    def send_quietly(self, data: bytes) -> None:
        """Send bytes that belong to no message, without a record: pongs and closing frames."""
        if data and self.ended is None:
            self.tls.send(data)
            self._flush()

    def update_keys(self) -> None:
        """Send a TLS 1.3 KeyUpdate that asks for one of the relay, if the local library can (see `key_update_call`)."""
        if self.ended is None and request_key_update(self.tls.ssl_object):
            self._flush()

    def send_raw(self, data: bytes) -> None:
        """Send bytes on the socket, without TLS."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self.tcp.send(data, self._timeout)

    def finish(self, how: End, detail: str = "") -> None:
        """Record that the transport above ended the connection, and close it."""
        self._end(how, detail)
        if not self.closed:
            self.closed = True
            self.tcp.close()

    def receive(self, wait: float) -> bytes:
        """Return data that arrives within `wait` seconds; b"" after a time-out or the end (see `ended`).

        Without a wait, return only data that has arrived already.
        """
        if self._early:
            early, self._early = self._early, b""
            return self._record(early)
        deadline = self._clock.monotonic() + wait
        while self.ended is None:
            try:
                data = self.tcp.receive(max(deadline - self._clock.monotonic(), 1e-4) if wait else 0.0)
            except OSError as error:
                self._end(End.RESET, error.strerror or str(error))
                break
            if data is None:
                break
            # A peer may send records without plain text forever.
            if (plain := self._decrypt(data)) or self._clock.monotonic() > deadline:
                return plain
        return b""

    def has_unread(self, wait: float) -> bool:
        """Whether unread data is there, or arrives within `wait` seconds."""
        return not self.closed and self.tcp.has_unread(wait)

    def _decrypt(self, data: bytes) -> bytes:
        if not data:  # after send() reports ECONNRESET, recv() returns the end of the stream
            self._end(*((End.RESET, self._lost) if self._lost else (End.EOF, "")))
            return b""
        plain = b""
        try:
            plain = self.tls.receive_data(data)
            if plain:
                self._record(plain)
                self.tls.check()  # raises a failure received right after the text
        except TlsFailed as failed:
            self._flush()
            self._end(End.TLS_ALERT, str(failed))
            return plain
        self._flush()
        if self.tls.ended:
            self._end(End.CLOSE_NOTIFY)
        return plain

    def _record(self, data: bytes) -> bytes:
        self._transcript.add(Bytes(self._transcript.now(), self.number, Direction.RECEIVED, data))
        return data

    def _flush(self) -> None:
        if not self.closed and (data := self.tls.data_to_send()):
            try:
                self.tcp.send(data, self._timeout)
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
        if not self.closed:
            self.closed = True
            self.tcp.reset()

    def close(self, wait: float | None = 0.0) -> bool:
        """Send close_notify and close; wait some seconds for the relay to close its side; return whether it did.

        Without a wait (None), the socket is closed later, when the relay has closed its side.
        """
        noticed = True
        if self.ended is None:
            self.finish_sending()
            with contextlib.suppress(OSError):
                self.tcp.finish()
            if wait is None:
                self._end(End.OURS)
                self.closed = True
                LINGERING.add(self.tcp)
                return True
            noticed = False
            with contextlib.suppress(OSError):
                noticed = self.tcp.await_end(wait)
        self.finish(End.OURS)
        return noticed
