"""The client against each fault: the session succeeds or raises an exception of the client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import replace

import pytest

from cbspec.profile.identity import development_ca_file
from cbspec_client import ClientError, Timeouts, connect
from cbspec_simulator import Simulator
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from tests.simulator.faults.probe import CONFIG, auth
from tests.simulator.faults.test_catalogue import SHOWS
from tests.support.client import PATIENCE

SOON = Timeouts(connect=1.0, answer=1.0, heartbeat=1.0, close=0.5)


@pytest.mark.parametrize("kind", SHOWS)
async def test_every_fault_ends_in_success_or_an_exception_of_the_client(kind: str) -> None:
    for shown, transport in itertools.product((SHOWS[kind][0], SHOWS[kind][-1]), KINDS[kind].transports):
        await _use(Fault.read({"kind": kind, **shown.fault}), transport)


async def _use(fault: Fault, transport: str) -> None:
    async with Simulator(replace(CONFIG, faults=(fault,))) as simulator, asyncio.timeout(PATIENCE):
        with contextlib.suppress(ClientError):
            async with connect(
                *simulator.address,
                ca=development_ca_file(),
                transport="websocket" if transport == "websocket" else "tcp",
                timeouts=SOON,
            ) as client:
                await client.hello()
                await client.authenticate(auth()["token"])
                await client.open_tunnel("t", 3389, "192.168.1.100", 3389)
                await client.heartbeat()
