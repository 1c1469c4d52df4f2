"""The listening sockets of a relay, closed while a fault refuses connections.

Accepting pauses while the process has no file descriptors left: asyncio (3.11) logs a traceback for each connection in
the backlog then, and starts to listen as many times.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.socket_transport import SocketTransport
from cbspec_simulator.edge.timer import Timer
from cbspec_simulator.faults.engine import Faults

log = logging.getLogger("simulator")

BACKLOG: Final = 1024
"""Connections that the kernel queues until they are accepted."""

_BATCH: Final = 64  # connections accepted before open ones have their turn
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE: Final = 0.1  # seconds until the next attempt
_LOG_INTERVAL: Final = 60.0  # seconds between two log entries
_RETRY: Final = 1.0  # seconds between attempts to listen again if another process took the port

_Place = tuple[socket.AddressFamily, Any]


class Acceptor:
    """Accepts the connections of a listening socket, which it owns; `factory` makes protocols by addresses."""

    def __init__(self, sock: socket.socket, factory: Callable[[str], asyncio.Protocol]) -> None:
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
                protocol = self._factory(address[0])
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


class Listener:
    """Accepts connections, unless a `refuse` fault stands at the time of `clock`.

    `factory` makes the protocol of a connection by its address. `refuses` is called when the port is closed. While
    connections are refused, a socket that doesn't listen holds the port.
    """

    def __init__(
        self,
        factory: Callable[[str], asyncio.Protocol],
        faults: Faults,
        clock: Clock,
        refuses: Callable[[], None] = lambda: None,
    ) -> None:
        self._factory = factory
        self._refuses = refuses
        self._faults = faults
        self._clock = clock
        self._places: list[_Place] = []
        self._acceptors: list[Acceptor] = []
        self._held: list[socket.socket] = []
        self._timer = Timer()

    async def open(self, host: str, port: int) -> None:
        """Start to listen; raises OSError or OverflowError."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        places = dict.fromkeys((family, (address[0], port, *address[2:])) for family, *_, address in found)
        sockets = _listening([place for place in places if _supported(place[0])])
        self._places = [(sock.family, sock.getsockname()) for sock in sockets]
        self._acceptors = [Acceptor(sock, self._factory) for sock in sockets]
        self._update()
        self._faults.watch(self._update, lambda _: None)
        self._clock.watch(self._update)

    @property
    def listening(self) -> bool:
        """Whether connections are accepted now."""
        return bool(self._acceptors)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each address, also while connections are refused."""
        return [address[:2] for _, address in self._places]

    def close(self) -> None:
        """Stop listening."""
        self._places.clear()
        self._timer.cancel()
        self._close_sockets()

    def _update(self) -> None:
        """Listen or refuse as the faults demand now; schedule the next change."""
        if not self._places:
            return
        now = self._clock.monotonic()
        wanted, left = not self._faults.standing("refuse", now), self._faults.turns(now)
        if wanted is not self.listening:
            self._close_sockets()
            if wanted:
                self._listen()
            else:
                self._hold()
                self._faults.strike_standing("refuse", now)
                self._refuses()
        if wanted and not self.listening:
            left = _RETRY
        self._timer.cancel()
        if left is not None:
            self._timer.start(left, self._update)

    def _close_sockets(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        for sock in self._held:
            sock.close()
        self._acceptors, self._held = [], []

    def _hold(self) -> None:
        for family, address in self._places:
            with contextlib.suppress(OSError):  # connections are refused all the same
                self._held.append(_bound(family, address))

    def _listen(self) -> None:
        try:
            sockets = _listening(self._places)
        except OSError as error:
            log.warning("can't listen on port %d again: %s; retrying", self.addresses[0][1], error.strerror)
            return
        self._acceptors = [Acceptor(sock, self._factory) for sock in sockets]


def _supported(family: socket.AddressFamily) -> bool:
    try:
        socket.socket(family).close()
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    return True


def _listening(places: Iterable[_Place]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address in places:
            sockets.append(_bound(family, address))
            sockets[-1].listen(BACKLOG)
    except (OSError, OverflowError):
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:  # noqa: ANN401 - depends on the family
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock
