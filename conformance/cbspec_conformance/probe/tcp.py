"""A TCP connection with bounded waits and few system calls: a run makes very many of them."""

from __future__ import annotations

import select
import socket
import struct
import time
from math import ceil
from typing import Final

from cbspec.profile.profile import Endpoint
from cbspec_conformance.record.transcript import Timekeeper

_CHUNK: Final = 64 * 1024
_WINDOW, _SEGMENT, _OUTBOX = 2048, 536, 1024 * 1024  # bytes, for a narrow connection
_MOMENT: Final = 0.005  # seconds: shorter waits use select, since poll counts whole milliseconds
_SELECTABLE: Final = 1024  # select takes only descriptors below this
_USUALLY: Final = 0.2  # seconds: most answers come sooner
_USUAL: Final = struct.pack("@ll", 0, int(_USUALLY * 1_000_000))  # a timeval
_RESET: Final = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER: on, for no time


class Unreachable(Exception):
    """No TCP connection could be made."""


def tcp_connect(endpoint: Endpoint, source: str | None, timeout: float, *, narrow: bool = False) -> socket.socket:
    """Return a connected socket without Nagle's algorithm; a `narrow` one has a very small receive window.

    Raises Unreachable with the system's reason.
    """
    try:
        address, local = (endpoint.host, endpoint.port), (source, 0) if source else None
        sock = _narrow(address, timeout, local) if narrow else socket.create_connection(address, timeout, local)
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
        raise Unreachable(f"{endpoint}: {getattr(error, 'strerror', None) or error}") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _narrow(address: tuple[str, int], timeout: float, local: tuple[str, int] | None) -> socket.socket:
    """Connect with small segments and a small window, so that the relay's system buffers little."""
    family, kind, protocol, _, found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _OUTBOX)
        if hasattr(socket, "TCP_MAXSEG"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        if local:
            sock.bind(local)
        sock.connect(found)
    except OSError:
        sock.close()
        raise
    return sock


class Tcp:
    """A connected socket. Errors of the system are OSErrors; waits are in seconds."""

    def __init__(self, sock: socket.socket, clock: Timekeeper = time) -> None:
        # A time-out of the system's own makes most reads a single system call. Python's time-out polls before each.
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _USUAL)
        self._sock = sock
        self._clock = clock
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    @property
    def local(self) -> tuple[str, int]:
        """The address and port of this end."""
        host, port, *_ = self._sock.getsockname()
        return str(host), int(port)

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of `data`. Raises TimeoutError if the peer doesn't read it in time, and OSError."""
        view = memoryview(data)
        deadline = 0.0
        while view:
            try:
                view = view[self._sock.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                deadline = deadline or self._clock.monotonic() + timeout
                self._await_room(deadline - self._clock.monotonic())

    def _await_room(self, wait: float) -> None:
        writable = select.poll()
        writable.register(self._sock, select.POLLOUT)
        if wait <= 0 or not writable.poll(ceil(wait * 1000)):
            raise TimeoutError("timed out")

    def receive(self, wait: float) -> bytes | None:
        """Return data that arrives within `wait` seconds, b"" at the end of the stream, None after a time-out.

        Without a wait, return only data that has arrived already.
        """
        if wait > _USUALLY:
            deadline = self._clock.monotonic() + wait
            try:
                return self._sock.recv(_CHUNK)
            except BlockingIOError:
                wait = max(0.0, deadline - self._clock.monotonic())  # the system ends its waits at coarse intervals
        if not self.has_unread(wait):
            return None
        try:
            return self._sock.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def has_unread(self, wait: float) -> bool:
        """Whether unread data is there, or arrives within `wait` seconds."""
        if 0.0 < wait < _MOMENT and self._sock.fileno() < _SELECTABLE:
            return bool(select.select((self._sock,), (), (), wait)[0])
        return bool(self._readable.poll(ceil(wait * 1000)))

    def finish(self) -> None:
        """Half-close: no more data will be sent."""
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Abort the connection with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()

    def close(self) -> None:
        """Close; sent data is still delivered."""
        self._sock.close()
