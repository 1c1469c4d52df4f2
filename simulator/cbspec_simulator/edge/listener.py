"""The listening sockets of a relay, closed while a fault refuses connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.acceptor import BACKLOG, Acceptor
from cbspec_simulator.edge.timer import Timer
from cbspec_simulator.faults.engine import Faults

log = logging.getLogger("simulator")

_RETRY = 1.0  # seconds between attempts to listen again if another process took the port

_Place = tuple[socket.AddressFamily, Any]


class Listener:
    """Accepts connections, unless a `refuse` fault stands at the time of `clock`; `factory` makes their protocols.

    While it refuses, a socket that doesn't listen holds the port.
    """

    def __init__(self, factory: Callable[[], asyncio.Protocol], faults: Faults, clock: Clock) -> None:
        self._factory = factory
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
            self._listen() if wanted else self._hold()
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
