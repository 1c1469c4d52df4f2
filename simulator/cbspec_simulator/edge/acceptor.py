"""Accepting connections, with a pause while the process has no file descriptors left.

asyncio (3.11) logs a traceback for each connection in the backlog then, and starts to listen as many times.
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
"""Connections that the kernel queues until they are accepted."""

_BATCH: Final = 64  # connections accepted before open ones have their turn
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE: Final = 0.1  # seconds until the next attempt
_LOG_INTERVAL: Final = 60.0  # seconds between two log entries


class Acceptor:
    """Accepts the connections of a listening socket, which it owns; `factory` makes the protocol of each."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        self._sock = sock
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        self._logged = -_LOG_INTERVAL
        sock.setblocking(False)
        # Connections inherit it. Without it, a second answer waits for the acknowledgement of the first, 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Stop listening; connections in the backlog are refused."""
        if self._pausing is not None:
            self._pausing.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_BATCH):
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
                protocol = self._factory()
            except Exception as error:
                log.error("a connection can't be served: %s", error)  # noqa: TRY400 - short, as for the backlog
                sock.close()
            else:
                SocketTransport(self._loop, sock, address, protocol)

    def _pause(self, error: OSError) -> None:
        """Pause accepting until file descriptors are free: the socket would stay ready all the time."""
        now = self._loop.time()
        if now - self._logged >= _LOG_INTERVAL:
            text = "no more connections can be accepted (%s): they wait until others end (ulimit -n is the limit)"
            log.error(text, error.strerror)
            self._logged = now
        self._loop.remove_reader(self._sock)
        self._pausing = self._loop.call_later(_PAUSE, self._loop.add_reader, self._sock, self._accept)
