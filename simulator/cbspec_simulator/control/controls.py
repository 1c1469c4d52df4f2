"""What can be done to a relay while it runs; the HTTP API, the fixture and the timeline all do it by this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from cbspec.profile.profile import ProfileError, from_mapping
from cbspec.profile.target import Endpoint
from cbspec.redact import hide
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.steps import TENANT_CONNECTIONS
from cbspec_simulator.base.values import COUNT
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.kind import ENDS, ConnectionEnd
from cbspec_simulator.observe.transcript import RelayTranscript, TranscriptEntry
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.settings.config import Config

RELAY_LIMITS: Final = ("connection_limit", "buffer_pool")
_NOTHING: Final[Mapping[str, Any]] = {
    "tunnel_limit": None,
    "connection_limit": None,
    "rate": None,
    "allowed_addresses": (),
}
"""What null stands for, of a tenant's keys that can be without a value."""


class Controllable(Protocol):
    """The simulator, as far as it is controlled."""

    config: Config
    clock: Clock

    @property
    def relay(self) -> Relay:
        """The relay without I/O."""

    @property
    def transcript(self) -> RelayTranscript:
        """The transcript so far."""

    @property
    def endpoint(self) -> Endpoint:
        """The address for clients on this machine."""

    def drop(self, number: int, how: ConnectionEnd) -> bool:
        """ConnectionEnd a connection by its number; return whether it was open."""


class ControlError(Exception):
    """What is wanted can't be done; `status` is the HTTP status that says so."""

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


class Controls:
    """The controls of one simulator, which has been started.

    Everything that is wrong with an argument raises ControlError with a text for people.
    """

    def __init__(self, simulator: Controllable) -> None:
        self._simulator = simulator
        self._relay = simulator.relay

    # Faults.

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults with what they have done so far."""
        return [active.to_json() for active in self._relay.faults.all()]

    def add_fault(self, data: object) -> dict[str, Any]:
        """Let a fault strike from now on; return it."""
        try:
            name = self._relay.faults.add(Fault.read(data), self._simulator.clock.monotonic())
        except FaultError as error:
            raise ControlError(str(error)) from None
        return self.fault(name)

    def fault(self, name: str) -> dict[str, Any]:
        """Return one fault with what it has done so far."""
        for active in self._relay.faults.all():
            if active.fault.name == name:
                return active.to_json()
        raise self._no_fault(name)

    def remove_fault(self, name: str) -> dict[str, Any]:
        """Take a fault away; return it with what it has done."""
        try:
            return self._relay.faults.remove(name).to_json()
        except KeyError:
            raise self._no_fault(name) from None

    def release(self, name: str) -> dict[str, Any]:
        """Let go what a fault holds back; return the fault."""
        found = self.fault(name)
        self._relay.faults.release(name)
        return found

    def reset(self) -> None:
        """Take all faults away, take work again, and give everybody the limits of the configuration."""
        self._relay.faults.reset()
        self._relay.drain(self._simulator.config.relay.draining)
        self._relay.reconfigure(self._simulator.config)

    # The relay.

    def drain(self, *, draining: bool = True) -> None:
        """Take no new work from now on, or take it again; what is open goes on."""
        self._relay.drain(draining)

    def limit(self, limits: Mapping[str, Any]) -> dict[str, Any]:
        """Change limits of the whole relay (None: no limit); return all of them."""
        for name, value in limits.items():
            if name not in RELAY_LIMITS:
                raise ControlError(f"{name}: unknown limit; known are {', '.join(RELAY_LIMITS)}")
            if value is not None and not COUNT.good(value):
                raise ControlError(f"{name}: must be {COUNT.wanted}, or null for no limit")
        self._relay.limit(**limits)
        return self.state()["limits"]  # type: ignore[no-any-return] # a part of what is built below

    def limit_tenant(self, tenant_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change a tenant's keys, as a configuration has them; return the tenant."""
        tenant = self._relay.state.tenants.get(tenant_id)
        if tenant is None:
            raise ControlError(f"there is no tenant {tenant_id}", 404)
        if "id" in changes:
            raise ControlError("id: a tenant keeps its id")
        cleared = {name: _NOTHING.get(name) for name, value in changes.items() if value is None}
        given = {name: value for name, value in changes.items() if value is not None}
        try:
            read = from_mapping({"tenants": [{"id": tenant_id, **given}]}, Path()).tenants[0]
        except ProfileError as error:
            raise ControlError("\n".join(problem.removeprefix("tenants[0].") for problem in error.problems)) from None
        for name in cleared:
            if name not in _NOTHING:
                raise ControlError(f"{name}: can't be null; what can is {', '.join(_NOTHING)}")
        plain = {name: getattr(read, name) for name in given} | cleared
        self._relay.put_tenant(replace(tenant, **plain))
        return self._tenant(tenant_id)

    def advance(self, seconds: object) -> dict[str, Any]:
        """Move the simulator's clock forward; return what time it is."""
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e10:
            raise ControlError("seconds: must be a number of seconds, 0 or more: time goes forward only")
        self._simulator.clock.advance(float(seconds))
        return self.time()

    def time(self) -> dict[str, Any]:
        """Return what time it is by the simulator's clock, and by how many seconds it was moved."""
        clock = self._simulator.clock
        return {"now": clock.epoch(), "ahead": clock.ahead}

    # What is open.

    def connections(self) -> list[dict[str, Any]]:
        """Return the connections that are open."""
        return [
            {
                "number": connection.number,
                "transport": connection.transport,
                "address": str(connection.address),
                "state": connection.protocol.state.value,
                "tenant": connection.identity.tenant.id if connection.identity else None,
                "subject": hide(connection.identity.subject) if connection.identity else None,
                "tunnels": [hide(tunnel) for tunnel in sorted(connection.tunnels)],
            }
            for connection in sorted(self._relay.state.connections, key=lambda connection: connection.number)
        ]

    def drop(self, number: int, how: str = "reset") -> None:
        """ConnectionEnd one connection."""
        if not self._simulator.drop(number, _end(how)):
            raise ControlError(f"there is no open connection {number}", 404)

    def drop_all(self, how: str = "reset") -> None:
        """ConnectionEnd every connection that has said something."""
        end = _end(how)
        for connection in tuple(self._relay.state.connections):
            self._simulator.drop(connection.number, end)

    def tenants(self) -> list[dict[str, Any]]:
        """Return the tenants with their limits and what they use of them."""
        return [self._tenant(tenant_id) for tenant_id in self._relay.state.tenants]

    def state(self) -> dict[str, Any]:
        """Return what the relay is doing."""
        relay = self._relay
        return {
            "address": str(self._simulator.endpoint),
            "status": "draining" if relay.state.draining else "serving",
            "connections": len(relay.state.connections),
            "connections_so_far": relay.connected,
            "buffers": relay.buffers,
            "limits": {name: getattr(relay.state, name) for name in RELAY_LIMITS},
            "seed": relay.faults.seed,
            "faults": len(relay.faults.all()),
            "started": self._simulator.transcript.began,
            "entries": self._simulator.transcript.number,
            "time": self.time(),
        }

    def transcript(self, since: int = 0) -> list[dict[str, Any]]:
        """Return what was taken down behind the so-manieth entry."""
        return [entry.to_json() for entry in self._simulator.transcript.entries(since)]

    def follow(self, follower: Callable[[TranscriptEntry], None]) -> Callable[[], None]:
        """Have somebody told of each new entry of the transcript; return what ends it."""
        return self._simulator.transcript.follow(follower)

    def _tenant(self, tenant_id: str) -> dict[str, Any]:
        tenant, ledger = self._relay.state.tenants[tenant_id], self._relay.state.usage
        rate = tenant.rate
        return {
            "id": tenant_id,
            "active": tenant.active,
            "tunnels": self._relay.tunnels(tenant_id),
            "tunnel_limit": tenant.tunnel_limit,
            "connections": ledger.used(Account(TENANT_CONNECTIONS.name, tenant_id)),
            "connection_limit": tenant.connection_limit,
            "rate": {"per_second": rate.per_second, "burst": rate.burst, "scope": rate.scope} if rate else None,
            "allowed_addresses": list(tenant.allowed_addresses),
        }

    def _no_fault(self, name: str) -> ControlError:
        names = ", ".join(active.fault.name for active in self._relay.faults.all())
        return ControlError(f"there is no fault {name}; there {'are ' + names if names else 'is none'}", 404)


def _end(how: str) -> ConnectionEnd:
    if how not in ENDS:
        raise ControlError(f"how: must be one of {', '.join(ENDS)}")
    return ENDS[how]
