"""The servers of the benchmarks serve the load, and the proxy makes them distant."""

from __future__ import annotations

import re
import time

import pytest

from bench.distance import proxied
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


def test_the_proxy_delays_each_way_and_counts(capfd: pytest.CaptureFixture[str]) -> None:
    with simulator() as relay, proxied(*relay.address, ["--round-trip", "0.05"]) as address:
        host, _, port = address.rpartition(":")
        load = Load((host, int(port)))
        load.open(1)
        began = time.monotonic()
        load.heartbeats()
        assert time.monotonic() - began >= 0.05
        load.close()
    assert re.search(r"^ +\d+ connections, at most \d+ at once; \d+ flights", capfd.readouterr().err)
