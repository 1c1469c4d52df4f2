"""The client with the simulator: whole sessions, and each fault."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Literal

import pytest

from cbspec.profile.identity import development_ca_file
from cbspec_client import Client, ClientError, Timeouts, Transport, connect
from cbspec_simulator import Simulator
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from tests.reference_client.conftest import TIMEOUTS
from tests.simulator.faults.probe import CONFIG, auth
from tests.simulator.faults.test_catalogue import SHOWS
from tests.support.client import PATIENCE

SOON = Timeouts(connect=0.5, answer=0.5, heartbeat=0.5, close=0.2)


def connecting(
    simulator: Simulator, transport: Literal["tcp", "websocket"], timeouts: Timeouts
) -> AbstractAsyncContextManager[Client]:
    return connect(*simulator.address, ca=development_ca_file(), transport=transport, timeouts=timeouts)


async def session(client: Client, tunnel_id: str) -> str:
    """Send each request once; return the tunnel_id of the answer."""
    await client.hello()
    await client.authenticate(auth()["token"])
    tunnel = await client.open_tunnel(tunnel_id, 1, "192.168.1.100", 65535)
    assert await client.heartbeat() >= 0
    return tunnel.tunnel_id


@pytest.mark.parametrize("transport", Transport)
async def test_whole_sessions_at_the_same_time(transport: Transport) -> None:
    async def one(tunnel_id: str) -> str:
        async with connecting(simulator, transport.value, TIMEOUTS) as client:
            return await session(client, tunnel_id)

    names = [f"tünnel {number}\n" for number in range(10)]
    async with Simulator(CONFIG) as simulator:
        assert await asyncio.gather(*map(one, names)) == names


@pytest.mark.parametrize("kind", SHOWS)
async def test_a_session_with_a_fault_succeeds_or_raises_an_exception_of_the_client(kind: str) -> None:
    for shown, transport in itertools.product((SHOWS[kind][0], SHOWS[kind][-1]), KINDS[kind].transports):
        fault = Fault.read({"kind": kind, **shown.fault})
        async with Simulator(replace(CONFIG, faults=(fault,))) as simulator, asyncio.timeout(PATIENCE):
            with contextlib.suppress(ClientError):
                async with connecting(simulator, transport, SOON) as client:
                    await session(client, "t")
