"""The declared limits of the relay and its tenants: no case hits one by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from zlib import crc32

from cbspec.profile.profile import Profile, Tenant
from cbspec.profile.target import Feature
from cbspec_conformance.judging.errors import KitError, NeedsAlone, NotExercised
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.waits import at_once

_WIDE = 50
"""The least size of a buffer pool that connections closed a moment ago never exhaust."""

_TOGETHER = 4  # connections: a relay may have limits that the profile does not declare

_SALT = b"s144"
"""Of 200 values, the one whose simulated run at 50 ms takes the shortest time: 18 s; the longest takes twice that."""


SPARE: Final = 7
"""The number of a tenant whose rate no case exceeds, or of the tenant without a number if the profile has too few."""


def assigned(profile: Profile, key: Feature, case: str) -> tuple[Tenant, ...]:
    """Return the tenant with a limit that a case uses, if the profile has one.

    Several tenants with the same features are shared out among the cases, which then run at the same time. A case gets
    the same tenant in each run.
    """
    found = profile.tenants_with(key)
    alike = [tenant for tenant in found if len(tenant.features) == len(found[0].features)]
    return (alike[crc32(_SALT + case.encode()) % len(alike)],) if alike else ()


def rated(profile: Profile, number: int | None) -> Tenant:
    """Return the tenant with a rate for the case of a number: a different one, if the profile has several.

    No case exceeds the rate of the tenant without a number (None), if there are several: recovery is only a SHOULD. The
    cases with numbers below SPARE do. Raises NotExercised if no tenant has a rate.
    """
    tenants = profile.tenants_with("rate")
    if not tenants:
        raise NotExercised("give tenants.rate (for a tenant of its own)")
    others = len(tenants) - 1
    return tenants[0 if number is None or not others or number == SPARE >= others else 1 + number % others]


class Room:
    """The open sessions of a case, counted against the declared limits.

    `reserved` are the names of the tenants that no other case uses meanwhile (None: all), `bound` is the number of
    connections that the suite may have open at once (None: any), and `connections` the case's part of it. Other cases
    run at the same time if `shared`. A `patient` case waits for the relay to close its side of a closed connection,
    since the relay may count it until then.
    """

    def __init__(self, profile: Profile, pacer: Pacer) -> None:
        self._profile = profile
        self._pacer = pacer
        self._sessions: list[ProbeSession] = []
        self._connecting = 0
        self.reserved: frozenset[str] | None = None
        self.bound = self.connections = profile.target.connections_at_once
        self.shared = False
        self.patient = True

    def within(self, bound: int | None) -> None:
        """Set the number of connections that the suite may have open at once."""
        self.bound = self.connections = bound

    @property
    def is_narrow(self) -> bool:
        """Whether connections of other tenants, or closed a moment ago, may keep the relay from serving another."""
        relay = self._profile.relay
        counted = (relay.connection_limit, self.bound) != (None, None)
        return counted or (relay.buffer_pool is not None and relay.buffer_pool < _WIDE)

    def add(self, session: ProbeSession) -> None:
        """Count a session until it ends."""
        self._sessions.append(session)

    @property
    def open_sessions(self) -> list[ProbeSession]:
        """The case's sessions that haven't ended."""
        # Closed sessions are dropped: a property with many examples would otherwise look through ever more of them.
        self._sessions = [session for session in self._sessions if not session.wire.closed]
        return [session for session in self._sessions if session.ended is None]

    @property
    def together(self) -> int:
        """The number of connections that a case may use at the same time without a need to."""
        return 1 if self.is_narrow else _TOGETHER

    def use(self, tenant: Tenant, *, connections: int = 0) -> None:
        """Check that a tenant's limits are this case's own, with room for so many more connections."""
        limited = tenant.tunnel_limit or tenant.connection_limit
        if limited and self.reserved is not None and tenant.id not in self.reserved:
            if tenant == self._profile.second_tenant:  # few cases use it, and it seldom has a limit
                raise NeedsAlone(f"the limits of {tenant.id}")
            raise KitError(f"the case uses the limits of {tenant.id} without a mark: see runner.marks.limits")
        if connections:
            wanted = connections + sum(session.tenant == tenant.id for session in self.open_sessions)
            _check(tenant.connection_limit, wanted, f"tenants.connection_limit of {tenant.id}")

    def for_connection(self) -> None:
        """Raise NotExercised unless the relay's own limit allows another connection."""
        wanted = len(self.open_sessions) + self._connecting + 1
        _check(self._profile.relay.connection_limit, wanted, "relay.connection_limit")

    def for_tunnel(self, tenant_id: str) -> None:
        """Raise NotExercised unless the declared limits allow another tunnel of a tenant."""
        tenant = self._profile.tenant(tenant_id)
        theirs = sum(session.tunnels for session in self.open_sessions if session.tenant == tenant_id)
        _check(tenant.tunnel_limit if tenant else None, theirs + 1, f"tenants.tunnel_limit of {tenant_id}")
        in_use = sum(session.tunnels for session in self.open_sessions)
        _check(self._profile.relay.buffer_pool, in_use + 1, "relay.buffer_pool")

    def tunnels(self, most: int) -> int:
        """Return the number of tunnels that a session of the main tenant may hold, at most `most`."""
        main = self._profile.main_tenant
        limits = (main.tunnel_limit if main else None, self._profile.relay.buffer_pool)
        return max(1, min([most, *(limit for limit in limits if limit is not None)]))

    @property
    def may_connect(self) -> bool:
        """Whether the bound allows another connection."""
        return self.connections is None or len(self.open_sessions) < self.connections

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Wait for the turn of another connection, and count it until the end of the block.

        Raises NotExercised if the bound allows none.
        """
        wanted = len(self.open_sessions) + self._connecting + 1
        if wanted == self.connections:  # the relay may count those that it has ended itself until we close them, too
            at_once([session.close for session in self._sessions if session.ended])
        if self.shared and self.connections is not None and wanted > self.connections:
            raise NeedsAlone(f"{wanted} connections at once")
        _check(self.connections, wanted, "target.connections_at_once (or what the relay serves)")
        self._connecting += 1
        try:
            self._pacer.take()
            yield
        finally:
            self._connecting -= 1

    def take_connection(self) -> None:
        """Wait for the turn of a connection that is no session."""
        with self.connecting():
            pass

    def close_sessions(self) -> None:
        """Close every session and give the relay time to notice."""
        at_once([session.close for session in self._sessions])
        self._sessions.clear()


def _check(limit: int | None, wanted: int, key: str) -> None:
    if limit is not None and wanted > limit:
        raise NotExercised(f"{key} leaves no room for {wanted}")
