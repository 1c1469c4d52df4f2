"""Proofs of faults on the wire, by a client that shares no code with the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cbspec.profile.target import Tenant
from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen
from tests.support import messages
from tests.support.client import RawClient
from tests.support.messages import HELLO, Body

CONFIG = Config(listen=Listen(port=0), tenants=(Tenant("a"), Tenant("b"), Tenant("one", tunnel_limit=1)))
GREETED = ["hello_response", "auth_response"]

NEEDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "error": {"code": "x"}, "delay": {"seconds": 1}, "latency": {"seconds": 1}, "bandwidth": {"bytes_per_second": 9},
    "split": {"at": [3]}, "member": {"member": "x"}, "missing-member": {"member": "type"}, "limits": {"tunnels": 1},
}  # fmt: skip
"""The parameters that kinds require."""


def auth(tenant: str = "a", subject: str = "user123") -> Body:
    return messages.auth(tenant, sub=subject)


def tunnel(name: str = "t", tenant: str = "a") -> Body:
    return messages.tunnel(name, tenant)


class ProbedRelay:
    """The address of a simulator, a transport, and access to its faults from another thread."""

    def __init__(self, simulator: Simulator, transport: str) -> None:
        self.transport = transport
        self._address = simulator.address
        self._faults = simulator.relay.faults
        self._loop = asyncio.get_running_loop()

    def release(self, name: str) -> None:
        """Release the messages that a fault holds."""
        self._loop.call_soon_threadsafe(self._faults.release, name)

    def connected(self) -> RawClient:
        """Connect, without the handshakes."""
        return RawClient(self._address, self.transport)

    def wire(self) -> RawClient:
        """Connect, with the handshakes of TLS and WebSocket."""
        return self.connected().handshake().upgraded()

    def authenticated(self, tenant: str = "a") -> RawClient:
        """Connect and authenticate; `records` begins after that."""
        wire = self.wire()
        assert wire.names(HELLO) + wire.names(auth(tenant)) == GREETED
        wire.records.clear()
        return wire

    def serve_another(self) -> None:
        """Let the relay serve another connection, so that its pending work is done."""
        with self.wire() as other:
            assert other.names(HELLO, auth("b")) == GREETED


class Show(NamedTuple):
    """A proof of a kind: `look` returns `clean` on a relay without faults and `wrong` with this one.

    `fault` holds the parameters and the condition.
    """

    look: Callable[[ProbedRelay], object]
    clean: object
    wrong: object
    fault: Mapping[str, Any] = {}
