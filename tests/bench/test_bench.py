"""The benchmarks measure and compare; the figures themselves are not tested."""

from __future__ import annotations

import pytest

from bench import __main__ as bench
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


def test_a_ratio_is_formed_within_each_round() -> None:
    found = {row.name: row for row in bench.rows({"session": [2.0, 6.0], "handshake": [1.0, 2.0], "start-up": [0.6]})}
    ratio = found["session / TLS handshake alone"]
    assert (ratio.samples, ratio.met) == ([2.0, 3.0], False)
    assert "**exceeded**" in str(ratio)
    assert not found["start-up"].met
    assert found["session"].met
