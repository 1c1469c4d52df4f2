"""The client with the simulator and each of its faults."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from cbspec.profile.identity import development_ca_file
from cbspec_client import ClientError, Timeouts, Transport, connect
from cbspec_simulator import Simulator
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from tests.simulator.faults.probe import CONFIG, auth
from tests.simulator.faults.test_kinds import SHOWS
from tests.support.client import PATIENCE

SOON = Timeouts(connect=0.5, answer=0.5, heartbeat=0.5, close=0.2)


@pytest.mark.parametrize("kind", SHOWS)
async def test_a_session_with_a_fault_succeeds_or_raises_an_exception_of_the_client(kind: str) -> None:
    fault = Fault.read({"kind": kind, **SHOWS[kind][-1].fault})
    for transport in KINDS[kind].transports:
        async with Simulator(replace(CONFIG, faults=(fault,))) as simulator, asyncio.timeout(PATIENCE):
            with contextlib.suppress(ClientError):
                ca, wire = development_ca_file(), Transport(transport)
                async with connect(*simulator.address, ca=ca, transport=wire, timeouts=SOON) as fresh:
                    session = await (await fresh.hello()).authenticate(auth()["token"])
                    await session.open_tunnel("t", 1, "192.168.1.100", 65535)
                    await session.heartbeat()
