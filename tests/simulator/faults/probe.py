"""What a fault changes on the wire, seen by a client that shares no code with the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from cbspec.profile.target import Tenant
from cbspec_simulator import Config, Simulator
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.config import Listen
from tests.support import messages
from tests.support.client import RawClient
from tests.support.messages import Body

CONFIG = Config(listen=Listen(port=0), tenants=(Tenant("a"), Tenant("b"), Tenant("one", tunnel_limit=1)))


def auth(tenant: str = "a", subject: str = "user123") -> Body:
    """Return an auth."""
    return messages.auth(tenant, sub=subject)


def tunnel(name: str = "t", tenant: str = "a") -> Body:
    """Return a tunnel_info."""
    return messages.tunnel(name, tenant)


class ProbedRelay:
    """A simulator as a probe reaches it: by its address; and the test's own hand on its faults, from another thread."""

    def __init__(self, simulator: Simulator) -> None:
        self.address = simulator.address
        self._faults = simulator.relay.faults
        self._loop = asyncio.get_running_loop()

    def release(self, name: str) -> None:
        """Let go what a fault holds back."""
        self._loop.call_soon_threadsafe(self._faults.release, name)

    def wire(self, transport: str) -> RawClient:
        """Connect, up to where messages can be exchanged."""
        return RawClient(self.address, transport).handshake().upgraded()


class Show(NamedTuple):
    """How a kind shows: `look` sees `clean` on a relay without faults, and `wrong` with this one.

    `fault` holds parameters and condition, `config` the relay's configuration.
    """

    look: Callable[[ProbedRelay, str], object]
    clean: object
    wrong: object
    fault: Mapping[str, Any] = {}
    config: Config = CONFIG


def cases(shows: Mapping[str, tuple[Show, ...]]) -> list[Any]:
    """Return kind, show and transport of each, as parameters of a test."""
    return [
        pytest.param(kind, shown, transport, id=f"{kind}-{number}-{transport}")
        for kind, several in shows.items()
        for number, shown in enumerate(several, 1)
        for transport in KINDS[kind].transports
    ]


async def show(kind: str, shown: Show, transport: str) -> None:
    """Assert that a fault does what it says, and that nothing of it is to be seen without it."""
    fault = Fault.read({"kind": kind, "name": "it", **shown.fault})
    with _no_errors():
        await _show(fault, shown, transport)


@contextlib.contextmanager
def _no_errors() -> Iterator[None]:
    """Fail where the relay's own code failed: then it closes the connection, which may look as if it were meant."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert found == []


async def _show(fault: Fault, shown: Show, transport: str) -> None:
    for faults, expected in (((), shown.clean), ((fault,), shown.wrong)):
        async with Simulator(replace(shown.config, faults=faults)) as simulator:
            seen = await asyncio.to_thread(shown.look, ProbedRelay(simulator), transport)
            assert seen == expected, seen
