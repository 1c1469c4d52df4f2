"""What the profile and the preflight give a case: tenants, addresses, room. What is missing makes it not exercised."""

from __future__ import annotations

import contextlib

from cbspec.profile.profile import Endpoint, Profile, Tenant
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.session import Session
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.locks import Locks

ODD_LETTERS = '/é"\\☃😀'


_LONGER_THAN_WORDS = 16


def secrets_of(profile: Profile, own: str) -> tuple[str, ...]:
    """Return what no error text may hold that is meant for a client of the tenant `own`: the secret, other tenants."""
    others = [tenant.id for tenant in profile.tenants if tenant.id != own and _is_no_word(tenant.id)]
    return (*([profile.tokens.secret] if profile.tokens.secret else []), *others)


def _is_no_word(identifier: str) -> bool:
    """Whether an identifier isn't one that may stand in any text by chance, as "slow" may."""
    return not identifier.isalpha() or len(identifier) >= _LONGER_THAN_WORDS


class Given:
    """What a case has to work with.

    Arguments: `profile` and `facts` are what is known of the relay; `locks` keep other processes from what this one
    counts on.
    """

    def __init__(self, profile: Profile, facts: Facts, locks: Locks) -> None:
        self.profile = profile
        self.facts = facts
        self._main, self._second = profile.main_tenant, profile.second_tenant
        self._locks = locks
        self._used: set[str] = set()
        self._sessions: list[Session] = []
        self._stack = contextlib.ExitStack()
        self.secrets = secrets_of(profile, getattr(self._main, "id", ""))

    @property
    def endpoint(self) -> Endpoint:
        """The relay's address."""
        address = self.profile.target.address
        if address is None:
            raise NotExercised("give target.address")
        return address

    @property
    def server_name(self) -> str:
        """The name in SNI and certificate."""
        return self.profile.target.server_name or self.endpoint.host

    @property
    def source(self) -> str | None:
        """The local address to connect from, or None for the system's choice."""
        return next(iter(self.profile.target.source_addresses), None)

    @property
    def tenant(self) -> Tenant:
        """The tenant that cases use when it doesn't matter which."""
        if self._main is None:
            raise NotExercised("give tenants (an active one)")
        return self._main

    @property
    def second_tenant(self) -> Tenant:
        """Another active tenant."""
        if self._second is None:
            raise NotExercised("give tenants (a second active one)")
        return self._second

    @property
    def odd_letters(self) -> str:
        """Letters that are hard to spell, for a tunnel_id; none where the relay takes no such identifiers."""
        return ODD_LETTERS if self.facts.odd_identifiers else ""

    def needs(self, request: str) -> None:
        """Say that the case means something only where requests of a type are served at all."""
        if reason := self.facts.why_not(request):
            raise Inconclusive(f"{request} is never served on this relay: {reason}")

    @property
    def tenancy(self) -> bool:
        """Whether the relay offers multi_tenancy."""
        declared = self.profile.target.multi_tenancy
        return "multi_tenancy" in self.facts.features if declared is None else declared

    def needs_tenancy(self) -> None:
        """Say that the case applies only where the relay offers multi_tenancy."""
        if not self.tenancy:
            raise NotExercised("the relay doesn't offer multi_tenancy (set target.multi_tenancy = true if it does)")

    def needs_websocket(self) -> None:
        """Say that the case applies only where the relay opens WebSockets."""
        if not self.facts.websocket:
            raise NotExercised("the relay opens no WebSocket (target.transport, target.websocket_path)")

    def needs_stream(self) -> None:
        """Say that the case applies only to messages in a plain stream."""
        if self.facts.transport != "tcp":
            raise NotExercised("the cases speak WebSocket (target.transport)")

    def use(self, tenant: Tenant, *, connections: int = 0) -> None:
        """Count on `tenant`: its limits are this case's alone, and there must be room for so many connections more."""
        if (tenant.tunnel_limit or tenant.connection_limit) and tenant.id not in self._used:
            self._stack.enter_context(self._locks.limits())
            self._used.add(tenant.id)
        wanted = connections + sum(session.tenant == tenant.id for session in self.open_sessions)
        if connections and tenant.connection_limit is not None and wanted > tenant.connection_limit:
            raise NotExercised(f"tenants.connection_limit of {tenant.id} leaves no room for {wanted}")

    def count_connection(self) -> None:
        """See that the relay's own limit has room for a connection more, so that it isn't met by accident."""
        limit, wanted = self.profile.relay.connection_limit, len(self.open_sessions) + 1
        if limit is not None and wanted > limit:
            raise NotExercised(f"relay.connection_limit leaves no room for {wanted}")

    def has_room(self) -> bool:
        """Whether the profile lets the suite hold one more connection open."""
        most = self.profile.target.connections_at_once
        return most is None or len(self.open_sessions) < most

    def count_tunnel(self, tenant_id: str) -> None:
        """See that there is room for a tunnel more, so that no limit is met by accident."""
        tenant = self.profile.tenant(tenant_id)
        limit = tenant.tunnel_limit if tenant else None
        wanted = 1 + sum(session.tunnels for session in self.open_sessions if session.tenant == tenant_id)
        if limit is not None and wanted > limit:
            raise NotExercised(f"tenants.tunnel_limit of {tenant_id} leaves no room for {wanted}")
        pool, in_use = self.profile.relay.buffer_pool, sum(session.tunnels for session in self.open_sessions)
        if pool is not None and in_use + 1 > pool:
            raise NotExercised(f"relay.buffer_pool leaves no room for {in_use + 1}")

    @property
    def open_sessions(self) -> list[Session]:
        """The case's sessions that haven't ended."""
        # What is closed is forgotten: a property of many examples would look through more and more of it.
        self._sessions = [session for session in self._sessions if not session.wire.closed]
        return [session for session in self._sessions if session.ended is None]

    def tunnel_room(self, most: int) -> int:
        """Return how many tunnels a session of the main tenant may hold, up to `most`, within what is declared."""
        limits = [limit for limit in (self.tenant.tunnel_limit, self.profile.relay.buffer_pool) if limit is not None]
        return max(1, min([most, *limits]))

    def give_back(self) -> None:
        """Count on nothing any more."""
        self._used.clear()
        self._stack.close()
