"""A TCP connection whose waits are bounded, with as few system calls as it takes: a run makes very many of them."""

from __future__ import annotations

import select
import socket
import struct
import time
from math import ceil
from typing import Final

from cbspec.profile.profile import Endpoint

_CHUNK: Final = 64 * 1024
_WINDOW, _SEGMENT, _OUTBOX = 2048, 536, 1024 * 1024  # bytes, of a connection that is narrow one way
_MOMENT: Final = 0.005  # seconds: poll counts whole milliseconds, of which a run would wait for very many
_SELECTABLE: Final = 1024  # select takes descriptors below this only
_USUALLY: Final = 0.2  # seconds in which what is waited for has usually come
_USUAL: Final = struct.pack("@ll", 0, int(_USUALLY * 1_000_000))  # a timeval
_RESET: Final = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER: on, for no time


class Unreachable(Exception):
    """No TCP connection could be made."""


def tcp_connect(endpoint: Endpoint, source: str | None, timeout: float, *, narrow: bool = False) -> socket.socket:
    """Return a connected socket, Nagle's algorithm off; a `narrow` one takes hardly anything that isn't read.

    Raises Unreachable with the system's reason.
    """
    try:
        address, local = (endpoint.host, endpoint.port), (source, 0) if source else None
        sock = _narrow(address, timeout, local) if narrow else socket.create_connection(address, timeout, local)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none
        raise Unreachable(f"{endpoint}: {getattr(error, 'strerror', None) or error}") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _narrow(address: tuple[str, int], timeout: float, local: tuple[str, int] | None) -> socket.socket:
    """Connect with small segments and a small window: the relay's system keeps the less for it, too."""
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
    """A connected socket. Whatever the system reports is an OSError; waits are in seconds."""

    def __init__(self, sock: socket.socket) -> None:
        # The system ends a wait by itself, so that nearly every read is one call: with a time-out of Python's it asks
        # before each, and to change how long is a call, too.
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _USUAL)
        self._sock = sock
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    @property
    def local(self) -> tuple[str, int]:
        """The address and port of this end."""
        host, port, *_ = self._sock.getsockname()
        return str(host), int(port)

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of `data`, if it's any. Raises TimeoutError where the peer doesn't take it in time, and OSError."""
        view = memoryview(data)
        deadline = 0.0
        while view:
            try:
                view = view[self._sock.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                deadline = deadline or time.monotonic() + timeout
                self._await_room(deadline - time.monotonic())

    def _await_room(self, wait: float) -> None:
        writable = select.poll()
        writable.register(self._sock, select.POLLOUT)
        if wait <= 0 or not writable.poll(ceil(wait * 1000)):
            raise TimeoutError("timed out")

    def receive(self, wait: float) -> bytes | None:
        """Return what arrives within `wait` seconds, b"" at the end of what the peer sends, None where nothing came.

        With no wait at all only what lies there is taken.
        """
        if wait > _USUALLY:
            deadline = time.monotonic() + wait
            try:
                return self._sock.recv(_CHUNK)
            except BlockingIOError:
                wait = max(0.0, deadline - time.monotonic())  # the system's own clock of such waits is coarse
        if not self.has_unread(wait):
            return None
        try:
            return self._sock.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def has_unread(self, wait: float) -> bool:
        """Whether anything lies there that was not read, or comes within `wait` seconds."""
        if 0.0 < wait < _MOMENT and self._sock.fileno() < _SELECTABLE:
            return bool(select.select((self._sock,), (), (), wait)[0])
        return bool(self._readable.poll(ceil(wait * 1000)))

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off without a word."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()

    def close(self) -> None:
        """Close; what was sent still goes out."""
        self._sock.close()
