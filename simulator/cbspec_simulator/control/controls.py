"""The controls of a running relay; the HTTP API, the fixture and the timeline use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from cbspec.documents import DocumentError, DocumentReader, keys
from cbspec.profile.target import Endpoint, Tenant
from cbspec.redact import redact
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.steps import TENANT_CONNECTIONS
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.faults.when import When, unknown_tenant
from cbspec_simulator.observe.transcript import RelayTranscript, TranscriptEntry
from cbspec_simulator.relay.events import Controlled
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.settings.config import Config, RelayLimits, TimelineEntry

RELAY_LIMITS: Final = tuple(item.name for item, _ in keys(RelayLimits))
_NO_LIMIT: Final[Mapping[str, Any]] = {
    **dict.fromkeys((*RELAY_LIMITS, "tunnel_limit", "rate")),
    "allowed_addresses": (),
}
"""The keys that can be null, with the value that means no limit."""


class Controllable(Protocol):
    """The parts of a simulator that the controls use."""

    config: Config
    clock: Clock

    @property
    def relay(self) -> Relay:
        """The relay without I/O."""

    @property
    def transcript(self) -> RelayTranscript:
        """The transcript so far."""

    @property
    def actions_left(self) -> Sequence[TimelineEntry]:
        """The actions of the timeline that weren't reached yet."""

    @property
    def connections(self) -> Sequence[int]:
        """The numbers of the open connections."""

    @property
    def endpoint(self) -> Endpoint:
        """The address for clients on this machine."""

    def drop(self, number: int, how: ConnectionEnd) -> bool:
        """End a connection by its number; return whether it was open."""


class ControlError(Exception):
    """A call of the controls failed; `status` is the HTTP status for it."""

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


class Controls:
    """The controls of a started simulator; wrong arguments raise ControlError."""

    def __init__(self, simulator: Controllable) -> None:
        self._simulator = simulator
        self._relay = simulator.relay

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults with their counts."""
        return [active.to_json() for active in self._relay.faults.all()]

    def never_struck(self) -> dict[str, Any]:
        """Return the faults that never struck, also removed ones, and the timeline's actions that weren't reached."""
        return {
            "faults": [active.to_json() for active in self._relay.faults.never_struck()],
            "timeline": [
                {"at": entry.at, "after": entry.after or "ready", "do": entry.action[0]}
                for entry in self._simulator.actions_left
            ],
        }

    def add_fault(self, data: object) -> dict[str, Any]:
        """Add a fault, and return it."""
        try:
            fault = Fault.read(data)
            self._check(fault.when)
            name = self._relay.faults.add(fault, self._simulator.clock.monotonic())
        except FaultError as error:
            raise ControlError(str(error)) from None
        added = self.fault(name)
        self._tell("add", json.dumps(self._relay.faults.active[name].fault.to_json()))
        return added

    def fault(self, name: str) -> dict[str, Any]:
        """Return one fault with its counts."""
        for active in self._relay.faults.all():
            if active.fault.name == name:
                return active.to_json()
        names = ", ".join(active.fault.name for active in self._relay.faults.all())
        raise ControlError(f"there is no fault {name}; there {'are ' + names if names else 'is none'}", 404)

    def remove_fault(self, name: str) -> dict[str, Any]:
        """Remove a fault, and return it with its counts."""
        found = self.fault(name)
        self._tell("remove", name)
        self._relay.faults.remove(name)
        return found

    def release(self, name: str) -> dict[str, Any]:
        """Release the messages that a fault holds, and return the fault."""
        found = self.fault(name)
        self._tell("release", name)
        self._relay.faults.release(name)
        return found

    def reset(self) -> None:
        """Remove all faults, end draining, and restore the configured limits."""
        self._tell("reset")
        self._relay.faults.reset()
        self._relay.drain(self._simulator.config.relay.draining)
        self._relay.reconfigure(self._simulator.config)

    def drain(self, *, draining: bool = True) -> None:
        """Refuse new work, or accept it again; open connections continue."""
        self._tell("drain" if draining else "undrain")
        self._relay.drain(draining)

    def limit(self, limits: Mapping[str, Any]) -> dict[str, Any]:
        """Change limits of the whole relay (None: no limit), and return all of them."""
        self._relay.limit(**_changes(RelayLimits, limits))
        self._tell("limits", json.dumps(dict(limits)))
        return self._limits()

    def limit_tenant(self, tenant_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change keys of a tenant (None: no limit), and return the tenant."""
        tenant = self._relay.state.tenants.get(tenant_id)
        if tenant is None:
            raise ControlError(f"there is no tenant {tenant_id}", 404)
        if "id" in changes:
            raise ControlError("id: can't be changed")
        self._relay.put_tenant(replace(tenant, **_changes(Tenant, changes, id=tenant_id)))
        self._tell("tenant", json.dumps({"id": tenant_id, **changes}))
        return self._tenant(tenant_id)

    def mint(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mint a valid or a bad token (`minting.TokenRequest`), and return it with its description."""
        from cbspec_simulator.control.minting import mint_token  # imports every kind of bad token

        try:
            return mint_token(data, self._relay, self._simulator.clock.epoch)
        except ValueError as error:
            raise ControlError(str(error)) from None

    def advance(self, seconds: object) -> dict[str, Any]:
        """Move the simulator's clock forward, and return the time."""
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e10:
            raise ControlError("seconds: must be a number of seconds, 0 or more: time goes forward only")
        self._tell("advance", f"{seconds:g} s")
        self._simulator.clock.advance(float(seconds))
        return self.time()

    def time(self) -> dict[str, Any]:
        """Return the time of the simulator's clock, and the seconds by which it was moved forward."""
        clock = self._simulator.clock
        return {"now": clock.epoch(), "ahead": clock.ahead}

    def connections(self) -> list[dict[str, Any]]:
        """Return the open connections."""
        return [
            {
                "number": connection.number,
                "transport": connection.transport,
                "address": str(connection.address),
                "state": connection.protocol.state.value,
                "tenant": connection.identity.tenant.id if connection.identity else None,
                "subject": redact(connection.identity.subject) if connection.identity else None,
                "tunnels": [redact(tunnel) for tunnel in sorted(connection.tunnels)],
            }
            for connection in sorted(self._relay.state.connections, key=lambda connection: connection.number)
        ]

    def drop(self, number: int, how: str = "reset") -> None:
        """End a connection."""
        if not self._simulator.drop(number, _end(how)):
            raise ControlError(f"there is no open connection {number}", 404)

    def drop_all(self, how: str = "reset") -> None:
        """End every connection, also those in their handshake."""
        end = _end(how)
        for number in self._simulator.connections:
            self._simulator.drop(number, end)

    def tenants(self) -> list[dict[str, Any]]:
        """Return the tenants with their limits and usage."""
        return [self._tenant(tenant_id) for tenant_id in self._relay.state.tenants]

    def state(self) -> dict[str, Any]:
        """Return the state of the relay."""
        relay = self._relay
        return {
            "address": str(self._simulator.endpoint),
            "status": "draining" if relay.state.draining else "serving",
            "connections": len(relay.state.connections),
            "connections_so_far": relay.connected,
            "buffers": relay.buffers,
            "limits": self._limits(),
            "seed": relay.faults.seed,
            "faults": len(relay.faults.all()),
            "never_struck": len(relay.faults.never_struck()),
            "started": self._simulator.transcript.began,
            "entries": self._simulator.transcript.number,
            "time": self.time(),
        }

    def transcript(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the transcript entries after entry `since`."""
        return [entry.to_json() for entry in self._simulator.transcript.entries(since)]

    def follow(self, follower: Callable[[TranscriptEntry], None]) -> Callable[[], None]:
        """Call `follower` with each new transcript entry; return the function that stops this."""
        return self._simulator.transcript.follow(follower)

    def _check(self, when: When) -> None:
        """Raise ControlError if the tenant or the connection of a condition can't occur."""
        if problem := unknown_tenant(when, self._relay.state.tenants):
            raise ControlError(f"when.tenant: {problem}")
        past = when.connection is not None and when.connection <= self._relay.connected
        if past and when.connection not in self._simulator.connections:
            raise ControlError(
                f"when.connection: {when.connection} has ended; the next one is {self._relay.connected + 1}"
            )

    def _tell(self, action: str, text: str = "") -> None:
        self._relay.tell(Controlled(action, text))

    def _limits(self) -> dict[str, Any]:
        return {name: getattr(self._relay.state, name) for name in RELAY_LIMITS}

    def _tenant(self, tenant_id: str) -> dict[str, Any]:
        tenant, usage = self._relay.state.tenants[tenant_id], self._relay.state.usage
        rate = tenant.rate
        return {
            "id": tenant_id,
            "active": tenant.active,
            "tunnels": self._relay.tunnels(tenant_id),
            "tunnel_limit": tenant.tunnel_limit,
            "connections": usage.used(Account(TENANT_CONNECTIONS.name, tenant_id)),
            "connection_limit": tenant.connection_limit,
            "rate": {"per_second": rate.per_second, "burst": rate.burst, "scope": rate.scope} if rate else None,
            "allowed_addresses": list(tenant.allowed_addresses),
        }


def unused(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each fault and action in the result of `Controls.never_struck`."""
    for fault in found["faults"]:
        kind = fault.get("kind") or " then ".join(part["kind"] for part in fault["sequence"])
        matched = f"it matched {fault['matched']} times" if fault["matched"] else "nothing matched its condition"
        yield f"the fault {fault['name']} ({kind}) never struck: {matched}"
    for entry in found["timeline"]:
        yield f"the timeline's action {entry['do']}, {entry['at']:g} s after {entry['after']}, was never reached"


def _changes(table: type, changes: Mapping[str, Any], **known: str) -> dict[str, Any]:
    """Return the new values of keys of a table; None stands for no limit."""
    nullable = [item.name for item, _ in keys(table) if item.name in _NO_LIMIT]
    given = {name: value for name, value in changes.items() if value is not None or name not in nullable}
    try:
        read = DocumentReader(Path()).read({**known, **given}, table)
    except DocumentError as error:
        raise ControlError(str(error)) from None
    return {name: getattr(read, name) if name in given else _NO_LIMIT[name] for name in changes}


def _end(how: str) -> ConnectionEnd:
    try:
        return ConnectionEnd(how)
    except ValueError:
        raise ControlError(f"how: must be one of {', '.join(ConnectionEnd)}") from None
