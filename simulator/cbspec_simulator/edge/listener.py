"""Where a relay listens: a port that is shut while a fault refuses connections, and the same when it opens again."""

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
from cbspec_simulator.faults.engine import Faults

log = logging.getLogger("simulator")

_PATIENCE = 1.0  # seconds between attempts to listen again where somebody took the port


class Listener:
    """The listening sockets of a relay.

    Arguments: `meet` makes the protocol of a new connection; `faults` say when it is shut, by `clock`. While it is
    shut its port is held, and nobody listens there: whoever connects is refused.
    """

    def __init__(self, meet: Callable[[], asyncio.Protocol], faults: Faults, clock: Clock) -> None:
        self._meet = meet
        self._faults = faults
        self._clock = clock
        self._places: list[tuple[socket.AddressFamily, Any]] = []
        self._acceptors: list[Acceptor] = []
        self._held: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int) -> None:
        """Listen from now on; raises OSError or OverflowError where that can't be."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        places = dict.fromkeys((family, (address[0], port, *address[2:])) for family, *_, address in found)
        sockets = _listening([place for place in places if _known(place[0])])
        self._places = [(sock.family, sock.getsockname()) for sock in sockets]
        self._acceptors = [Acceptor(sock, self._meet) for sock in sockets]
        self._look()
        self._faults.watch(self._look, lambda _: None)
        self._clock.watch(self._look)

    @property
    def listening(self) -> bool:
        """Whether connections are accepted at the moment."""
        return bool(self._acceptors)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port, of each address of the host, whether anybody listens there at the moment or not."""
        return [address[:2] for _, address in self._places]

    def close(self) -> None:
        """Listen no more."""
        self._places.clear()
        if self._timer is not None:
            self._timer.cancel()
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.close()
        for sock in self._held:
            sock.close()

    def _look(self) -> None:
        """Shut or open as the faults say now, and look again when the time of one begins or ends."""
        if not self._places:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock.monotonic()
        wanted, left = not self._faults.standing("refuse", now), self._faults.turns(now)
        if wanted is not self.listening:
            self._unshut() if wanted else self._shut()
        if wanted and not self.listening:
            left = _PATIENCE
        if left is not None:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)

    def _shut(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors = []
        for family, address in self._places:
            with contextlib.suppress(OSError):  # without it the port is merely free
                self._held.append(_bound(family, address))

    def _unshut(self) -> None:
        while self._held:
            self._held.pop().close()
        try:
            sockets = _listening(self._places)
        except OSError as error:
            log.warning("can't listen on port %d again: %s; trying on", self.addresses[0][1], error.strerror)
            return
        self._acceptors = [Acceptor(sock, self._meet) for sock in sockets]


def _known(family: socket.AddressFamily) -> bool:
    try:
        socket.socket(family).close()
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    return True


def _listening(places: Iterable[tuple[socket.AddressFamily, Any]]) -> list[socket.socket]:
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


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:  # noqa: ANN401 - of any family
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
