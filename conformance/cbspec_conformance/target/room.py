"""The declared limits of the relay and its tenants: no case hits one by accident."""

from __future__ import annotations

import contextlib

from cbspec.profile.profile import Profile, Tenant
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.locks import Locks


class Room:
    """The open sessions of a case, counted against the declared limits."""

    def __init__(self, profile: Profile, locks: Locks, pacer: Pacer) -> None:
        self._profile = profile
        self._locks = locks
        self._pacer = pacer
        self._sessions: list[ProbeSession] = []
        self._used: set[str] = set()
        self._stack = contextlib.ExitStack()

    def add(self, session: ProbeSession) -> None:
        """Count a session until it ends."""
        self._sessions.append(session)

    @property
    def open_sessions(self) -> list[ProbeSession]:
        """The case's sessions that haven't ended."""
        # Closed sessions are dropped: a property with many examples would otherwise look through ever more of them.
        self._sessions = [session for session in self._sessions if not session.wire.closed]
        return [session for session in self._sessions if session.ended is None]

    def use(self, tenant: Tenant, *, connections: int = 0) -> None:
        """Reserve a tenant's limits for this case, with room for so many more connections."""
        if (tenant.tunnel_limit or tenant.connection_limit) and tenant.id not in self._used:
            self._stack.enter_context(self._locks.limits())
            self._used.add(tenant.id)
        if connections:
            wanted = connections + sum(session.tenant == tenant.id for session in self.open_sessions)
            _check(tenant.connection_limit, wanted, f"tenants.connection_limit of {tenant.id}")

    def for_connection(self) -> None:
        """Raise NotExercised unless the relay's own limit allows another connection."""
        _check(self._profile.relay.connection_limit, len(self.open_sessions) + 1, "relay.connection_limit")

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
        """Whether target.connections_at_once allows another connection."""
        most = self._profile.target.connections_at_once
        return most is None or len(self.open_sessions) < most

    def take_connection(self) -> None:
        """Wait for the turn of another connection. Raises NotExercised if the profile allows none."""
        _check(self._profile.target.connections_at_once, len(self.open_sessions) + 1, "target.connections_at_once")
        self._pacer.take()

    def close_sessions(self) -> None:
        """Close every session and give the relay time to notice; reserved limits stay reserved."""
        for session in self._sessions:
            session.close()
        self._sessions.clear()

    def close(self) -> None:
        """Close every session and release reserved limits."""
        self.close_sessions()
        self._used.clear()
        self._stack.close()


def _check(limit: int | None, wanted: int, key: str) -> None:
    if limit is not None and wanted > limit:
        raise NotExercised(f"{key} leaves no room for {wanted}")
