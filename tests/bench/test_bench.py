"""The servers of the benchmarks serve the load."""

from __future__ import annotations

import pytest

from bench.load import BATCH, Load
from bench.server import peer, simulator


@pytest.mark.parametrize("websocket", [False, True])
def test_relay_and_peers_serve_the_load(websocket: bool) -> None:
    for started, echo in ((simulator(), False), (peer("websockets" if websocket else "echo"), True)):
        with started as server:
            load = Load(server.address, websocket=websocket, echo=echo)
            load.open(BATCH)
            load.heartbeats()
            load.close()
            if not websocket:
                load.handshakes()
            if not echo and not websocket:
                load.sessions()
            assert server.holding().processor > 0
