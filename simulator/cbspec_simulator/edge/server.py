"""A relay on listening sockets: it accepts connections, drops them, and ends them all when it closes."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.edge.listener import Listener
from cbspec_simulator.edge.peer import Edge, Peer
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.relay.events import EndedBy
from cbspec_simulator.relay.relay import Relay


class RelayServer:
    """Serves a relay on its listening sockets from `open` to `close`; `edge` holds the open connections."""

    def __init__(self, relay: Relay, contexts: Contexts, clock: Clock) -> None:
        self.edge = Edge(relay, contexts, clock)
        self._clock = clock
        self._listener = Listener(partial(Peer, self.edge), relay.faults, clock, self._refuse_handshakes)
        relay.faults.watch(lambda: None, self._release)
        clock.watch(self._clock_moved)

    async def open(self, host: str, port: int) -> None:
        """Listen; raises OSError or OverflowError."""
        await self._listener.open(host, port)

    @property
    def address(self) -> tuple[str, int]:
        """The first listening host and port."""
        return self._listener.addresses[0]

    def use(self, contexts: Contexts) -> None:
        """Serve new connections with other TLS contexts."""
        self.edge.contexts = contexts

    def drop(self, number: int, how: ConnectionEnd) -> bool:
        """End a connection by its number; return whether it was open."""
        peer = self.edge.peers.get(number)
        if peer is not None:
            # None includes the WebSocket's closing handshake.
            peer.finish(None if how is ConnectionEnd.CLOSE else how, EndedBy.CONTROL)
        return peer is not None

    @property
    def connections(self) -> tuple[int, ...]:
        """The numbers of the open connections, also of those in their handshake."""
        return tuple(self.edge.peers)

    async def emptied(self, seconds: float) -> None:
        """Wait until no connection is open, at most `seconds`."""
        if self.edge.peers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.edge.empty.wait()

    async def close(self, grace: float) -> None:
        """Stop listening and close every connection; abort those that are open after `grace` seconds."""
        self._listener.close()
        for peer in tuple(self.edge.peers.values()):
            peer.finish(by=EndedBy.CONTROL)
        await self.emptied(grace)
        for peer in tuple(self.edge.peers.values()):
            peer.abort()
        if self.edge.peers:
            await self.edge.empty.wait()

    def _refuse_handshakes(self) -> None:
        """End the connections that are still in their handshake: a `refuse` fault has begun."""
        faults, now = self.edge.relay.faults, self._clock.monotonic()
        for peer in tuple(self.edge.peers.values()):
            if peer.in_handshake:
                faults.strike_standing("refuse", now, peer.number)
                peer.finish(ConnectionEnd.RESET, EndedBy.FAULT)

    def _release(self, gate: str) -> None:
        for peer in tuple(self.edge.peers.values()):
            peer.released(gate)

    def _clock_moved(self) -> None:
        for peer in tuple(self.edge.peers.values()):
            peer.clock_moved()
