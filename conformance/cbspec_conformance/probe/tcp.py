"""A TCP connection with bounded waits."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Final

from cbspec.profile.dialling import Dialler
from cbspec.profile.profile import Endpoint
from cbspec_conformance.probe.waits import Events, ready
from cbspec_conformance.record.capture import CapturedConnection, PieceKind, Recorder
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.record.transcript import Transcript

_CHUNK: Final = 64 * 1024
_WINDOW, _SEGMENT, _OUTBOX = 2048, 536, 1024 * 1024  # bytes, for a narrow connection
_RESET: Final = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER: on, for no time


class Unreachable(Exception):
    """No TCP connection could be made."""


DIALLER: Final = Dialler(ready)
"""Knows the address that answered first: all connections of a run go to the same one."""


def tcp_connect(
    endpoint: Endpoint, source: str | None, timeout: float, *, narrow: bool = False, cost: Cost | None = None
) -> socket.socket:
    """Return a connected socket without Nagle's algorithm; a `narrow` one has a very small receive window.

    The connection is added to `cost`. Raises Unreachable with the system's reason.
    """
    began = time.monotonic()
    try:
        sock = DIALLER.connect(endpoint.host, endpoint.port, timeout, source, _narrow if narrow else bool)
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
        raise Unreachable(f"{endpoint}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        if cost is not None:
            cost.connections += 1
            cost.round_trips += 1
            cost.waiting += time.monotonic() - began
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def source_of(sock: socket.socket) -> str:
    """Return the address and port of this end of a connection."""
    host, port, *_ = sock.getsockname()
    return f"{host}:{port}"


def capturing(sock: socket.socket, transcript: Transcript, number: int = 0) -> Recorder | None:
    """Return a recorder for a new connection if the transcript's captures are wanted."""
    if transcript.captures is None:
        return None
    source, target = sock.getsockname()[:2], sock.getpeername()[:2]
    began = transcript.epoch + transcript.now()
    return transcript.captures.begin(
        CapturedConnection(number, source, target, began), lambda: transcript.epoch + transcript.now()
    )


def _narrow(sock: socket.socket) -> None:
    """Choose small segments and a small window, so that the relay's system buffers little."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _OUTBOX)
    if hasattr(socket, "TCP_MAXSEG"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)


class Tcp:
    """A connected socket. Errors of the system are OSErrors; waits are in seconds.

    Arguments: waits and round trips are added to `cost`; `capture` records the bytes.
    """

    def __init__(self, sock: socket.socket, cost: Cost | None = None, capture: Recorder | None = None) -> None:
        sock.setblocking(False)
        self._capture = capture
        self._sock = sock
        self._cost = cost or Cost()
        self._sent = False  # something was sent since data came
        self._readable = {sock.fileno(): select.POLLIN}
        self._writable = {sock.fileno(): select.POLLOUT}

    @property
    def local(self) -> tuple[str, int]:
        """The address and port of this end."""
        host, _, port = self.source.rpartition(":")
        return host, int(port)

    @property
    def source(self) -> str:
        """The address and port of this end, as text."""
        return source_of(self._sock)

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of `data`. Raises TimeoutError if the peer doesn't read it in time, and OSError."""
        view, deadline = memoryview(data), time.monotonic() + timeout
        self._sent = self._sent or bool(data)
        while view:
            try:
                sent = self._sock.send(view)
                self._note(PieceKind.SENT, view[:sent])
                view = view[sent:]
            except BlockingIOError:
                if not self._ready(self._writable, max(0.0, deadline - time.monotonic())):
                    raise TimeoutError("timed out") from None

    def receive(self, wait: float) -> bytes | None:
        """Return data that arrives within `wait` seconds, b"" at the end of the stream, None after a time-out.

        Without a wait, return only data that has arrived already.
        """
        with contextlib.suppress(BlockingIOError):
            if self.has_unread(wait):
                self._cost.round_trips += self._sent
                self._sent = False
                return self._received()
        return None

    def await_end(self, wait: float) -> bool:
        """Drop what arrives within `wait` seconds, and return whether the end of the stream came."""
        deadline = time.monotonic() + wait
        while (remaining := deadline - time.monotonic()) > 0:
            if self.receive(remaining) == b"":
                return True
        return False

    def _received(self) -> bytes:
        try:
            data = self._sock.recv(_CHUNK)
        except ConnectionResetError:
            self._note(PieceKind.RESET_RECEIVED)
            raise
        self._note(PieceKind.RECEIVED if data else PieceKind.FIN_RECEIVED, data)
        return data

    def _note(self, way: PieceKind, data: bytes | memoryview = b"") -> None:
        if self._capture is not None:
            self._capture.add(way, bytes(data))

    def has_unread(self, wait: float) -> bool:
        """Whether unread data is there, or arrives within `wait` seconds."""
        return self._ready(self._readable, wait)

    def _ready(self, events: Events, wait: float) -> bool:
        began = time.monotonic()
        found = bool(ready(events, wait))
        self._cost.waiting += time.monotonic() - began
        return found

    def is_over(self) -> bool:
        """Whether the peer has ended the stream; unread data is dropped."""
        try:
            while (data := self._sock.recv(_CHUNK)) and len(data) == _CHUNK:
                pass
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not data

    def finish(self) -> None:
        """Half-close: no more data will be sent."""
        self._sock.shutdown(socket.SHUT_WR)
        self._note(PieceKind.FIN_SENT)

    def reset(self) -> None:
        """Abort the connection with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()
        self._note(PieceKind.RESET_SENT)

    def close(self) -> None:
        """Close; sent data is still delivered."""
        self._sock.close()
        self._note(PieceKind.FIN_SENT)
