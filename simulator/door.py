"""Where a relay listens: a port that is shut while a fault refuses connections, and the same when it opens again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

from simulator.clock import Clock
from simulator.faults.engine import Faults

log = logging.getLogger("simulator")

_BACKLOG = 1024
_PATIENCE = 1.0  # seconds between attempts to listen again where somebody took the port


class Door:
    """The listening sockets of a relay.

    Arguments: `meet` makes the protocol of a new connection; `faults` say when it is shut, by `clock`. While it is
    shut its port is held, and nobody listens there: whoever connects is refused.
    """

    def __init__(self, meet: Callable[[], asyncio.Protocol], faults: Faults, clock: Clock) -> None:
        self._meet = meet
        self._faults = faults
        self._clock = clock
        self._places: list[tuple[socket.AddressFamily, Any]] = []
        self._servers: list[asyncio.Server] = []
        self._held: list[socket.socket] = []
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._open = False

    async def open(self, host: str, port: int) -> None:
        """Listen from now on; raises OSError or OverflowError where that can't be."""
        server = await asyncio.get_running_loop().create_server(self._meet, host, port, backlog=_BACKLOG)
        self._servers = [server]
        self._places = [(sock.family, sock.getsockname()) for sock in server.sockets]
        self._open = True
        self._look()
        self._faults.watch(self._look, lambda _: None)
        self._clock.watch(self._look)

    @property
    def listening(self) -> bool:
        """Whether connections are accepted at the moment."""
        return self._open

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port, of each address of the host, whether anybody listens there at the moment or not."""
        return [address[:2] for _, address in self._places]

    async def close(self) -> None:
        """Listen no more."""
        self._places.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._opening is not None:
            await self._opening
        for server in self._servers:
            server.close()
        for sock in self._held:
            sock.close()

    async def wait_closed(self) -> None:
        """Wait until the connections are gone as well."""
        for server in self._servers:
            await server.wait_closed()

    def _look(self) -> None:
        """Shut or open as the faults say now, and look again when the time of one begins or ends."""
        if not self._places:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock.monotonic()
        wanted, left = not self._faults.standing("refuse", now), self._faults.turns(now)
        if wanted is not self._open and self._opening is None:
            self._unshut() if wanted else self._shut()
        if wanted and not self._open:
            left = _PATIENCE
        if left is not None:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)

    def _shut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []
        self._open = False
        for family, address in self._places:
            with contextlib.suppress(OSError):  # without it the port is merely free
                self._held.append(_bound(family, address))

    def _unshut(self) -> None:
        while self._held:
            self._held.pop().close()
        sockets: list[socket.socket] = []
        try:
            for family, address in self._places:
                sockets.append(_bound(family, address))
                sockets[-1].listen(_BACKLOG)
        except OSError as error:
            for sock in sockets:
                sock.close()
            log.warning("can't listen on port %d again: %s; trying on", self.addresses[0][1], error.strerror)
            return
        self._open = True
        self._opening = asyncio.get_running_loop().create_task(self._serve(sockets))

    async def _serve(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        self._servers = [await loop.create_server(self._meet, sock=sock, backlog=_BACKLOG) for sock in sockets]
        self._opening = None
        self._look()


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:  # noqa: ANN401 - of any family
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
