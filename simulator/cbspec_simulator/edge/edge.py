"""What the connections of one listening socket share: the relay, its TLS contexts and clock, and who is there."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.edge.turns import Crowd
from cbspec_simulator.relay.relay import Relay

if TYPE_CHECKING:
    from cbspec_simulator.edge.peer import Peer


@dataclass(eq=False, slots=True)
class Edge:
    """What the connections of one listening socket share; `peers` are those that are open, by their number."""

    relay: Relay
    contexts: Contexts
    clock: Clock
    peers: dict[int, Peer] = field(default_factory=dict)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    crowd: Crowd = field(default_factory=Crowd)

    def released(self, gate: str) -> None:
        """Let go what a fault held back on any connection."""
        for peer in tuple(self.peers.values()):
            peer.released(gate)

    def clock_moved(self) -> None:
        """Do what has become due since the clock was moved."""
        for peer in tuple(self.peers.values()):
            peer.clock_moved()

    async def emptied(self, seconds: float) -> None:
        """Wait until no connection is open, at most so long."""
        if self.peers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.empty.wait()

    def lost(self, peer: Peer) -> None:
        """Take note that a connection is gone."""
        self.peers.pop(peer.number, None)
        if not self.peers:
            self.empty.set()
