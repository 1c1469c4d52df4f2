"""The state that the connections of one server share: relay, TLS contexts, clock and the open connections."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.edge.read_throttle import Crowd
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.relay.behaviour import OtherConnection
from cbspec_simulator.relay.relay import Relay


class OpenPeer(OtherConnection, Protocol):
    """An open connection for the edge."""

    number: int

    def released(self, gate: str) -> None:
        """Release everything that a fault holds back under this name."""

    def clock_moved(self) -> None:
        """Do everything that became due when the clock was moved."""

    def finish(self, how: ConnectionEnd | None = None) -> None:
        """Close the connection in the relay's usual way or in another one."""


@dataclass(eq=False, slots=True)
class Edge:
    """The state that the connections of one server share; `peers` are the open connections by number."""

    relay: Relay
    contexts: Contexts
    clock: Clock
    peers: dict[int, OpenPeer] = field(default_factory=dict)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    crowd: Crowd = field(default_factory=Crowd)

    def released(self, gate: str) -> None:
        """Release everything that a fault holds back on any connection."""
        for peer in tuple(self.peers.values()):
            peer.released(gate)

    def clock_moved(self) -> None:
        """Do everything that became due when the clock was moved."""
        for peer in tuple(self.peers.values()):
            peer.clock_moved()

    async def emptied(self, seconds: float) -> None:
        """Wait until no connection is open, at most `seconds`."""
        if self.peers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.empty.wait()

    def added(self, peer: OpenPeer) -> None:
        """Register a new connection."""
        self.peers[peer.number] = peer
        self.empty.clear()

    def lost(self, peer: OpenPeer) -> None:
        """Remove a connection that ended."""
        self.peers.pop(peer.number, None)
        if not self.peers:
            self.empty.set()
