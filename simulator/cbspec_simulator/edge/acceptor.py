"""Who takes the connections of a listening socket, and goes on when the process has no descriptors left for a while.

asyncio's own (3.11) logs a traceback for each place of the backlog then, and begins to listen as many times over.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from cbspec_simulator.edge.socket_transport import SocketTransport

log = logging.getLogger("simulator")

BACKLOG: Final = 1024
"""Connections that the kernel keeps waiting to be accepted."""

_AT_ONCE: Final = 64  # connections before those that are open have their turn
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE: Final = 0.1  # seconds until the next attempt
_SAID_FOR: Final = 60.0  # seconds in which it isn't said again


class Acceptor:
    """Takes connections from a listening socket, which is its own from then on.

    Arguments: `meet` makes the protocol of a new connection.
    """

    def __init__(self, sock: socket.socket, meet: Callable[[], asyncio.Protocol]) -> None:
        self._sock = sock
        self._meet = meet
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        self._said = -_SAID_FOR
        sock.setblocking(False)
        # Connections have it from here: without it a second answer waits for the acknowledgement of the first, 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Listen no more; whoever waited to be accepted is refused."""
        if self._pausing is not None:
            self._pausing.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._pause(error)
                return
            try:
                protocol = self._meet()
            except Exception as error:
                log.error("a connection can't be served: %s", error)  # noqa: TRY400 - one word, as for the backlog
                sock.close()
            else:
                SocketTransport(self._loop, sock, address, protocol)

    def _pause(self, error: OSError) -> None:
        """Leave who waits waiting, and look again in a while: the socket would stay ready all the time."""
        now = self._loop.time()
        if now - self._said >= _SAID_FOR:
            log.error(
                "no more connections can be accepted (%s): they wait until others end (ulimit -n is the limit)",
                error.strerror,
            )
            self._said = now
        self._loop.remove_reader(self._sock)
        self._pausing = self._loop.call_later(_PAUSE, self._loop.add_reader, self._sock, self._accept)
