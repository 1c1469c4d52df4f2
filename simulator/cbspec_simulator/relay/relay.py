"""The relay: configuration, behaviour, faults, and the state that its connections share."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address

from cbspec.profile.target import Tenant
from cbspec.tokens.jwt import Verifier
from cbspec_simulator.base.limits import Account, RateLimiters
from cbspec_simulator.base.state import Address, Authority, RelayState
from cbspec_simulator.base.steps import BUFFERS, TENANT_TUNNELS
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.relay.behaviour import Behaviour, verify
from cbspec_simulator.relay.events import Decided, Subscribers
from cbspec_simulator.relay.reading import Reading
from cbspec_simulator.settings.config import Config, TokenSettings
from cbspec_simulator.settings.keyring import Keyring


class Relay:
    """A relay without I/O; `session.connect` returns the session of a new connection.

    `tell` publishes events. `connected` counts the connections so far. Set `timed` to publish when answers are sent.
    """

    def __init__(self, config: Config, behaviour: Behaviour | None = None) -> None:
        self.config: Config = config
        self.behaviour: Behaviour = behaviour or Behaviour()
        self.plain = self.behaviour.plain
        self.tell = Subscribers()
        self.timed = False
        self.faults = Faults(config.seed, lambda decision: self.tell(Decided(decision)))
        self.keyring = _keyring(config.tokens, self.behaviour)
        tenants = {tenant.id: tenant for tenant in config.tenants}
        self.state = RelayState(
            verify=self.behaviour.verify,
            rate_holder=self.behaviour.rate_holder,
            rates=RateLimiters(self.behaviour.rate_limiter),
            tenants=tenants,
            authority=self._authority(config.tokens, self.keyring, tenants),
            keys_change=self.keyring is not None,
            connection_limit=config.relay.connection_limit,
            buffer_pool=config.relay.buffer_pool,
            dials=config.relay.probe,
            draining=config.relay.draining,
        )
        self.reading = Reading(self.behaviour, config.limits.max_depth)
        self.connected = 0

    def _authority(self, tokens: TokenSettings, keyring: Keyring | None, tenants: dict[str, Tenant]) -> Authority:
        leeway = tokens.leeway if self.behaviour.leeway is None else self.behaviour.leeway
        verifier = partial(Verifier, leeway=leeway, issuer=tokens.issuer, audience=tokens.audience)
        if keyring is not None:
            return Authority(verifier(keyring.choose), tenants, None)
        key = tokens.key()
        return Authority(verifier(key), tenants, key)

    def reconfigure(self, config: Config) -> None:
        """Apply another configuration; open connections continue under its limits. Raises as the constructor does."""
        same = config.tokens.jwks == self.config.tokens.jwks
        keyring = self.keyring if same else _keyring(config.tokens, self.behaviour)
        self.state.authority = self._authority(config.tokens, keyring, self.state.tenants)
        self.config, self.keyring = config, keyring
        self.state.keys_change = keyring is not None
        self.state.dials = config.relay.probe
        self.limit(connection_limit=config.relay.connection_limit, buffer_pool=config.relay.buffer_pool)
        self.reading = Reading(self.behaviour, config.limits.max_depth)
        for tenant_id in self.state.tenants.keys() - {tenant.id for tenant in config.tenants}:
            del self.state.tenants[tenant_id]
        for tenant in config.tenants:
            self.put_tenant(tenant)

    def drain(self, draining: bool = True) -> None:
        """Refuse new work, or accept it again; open connections continue."""
        self.state.draining = draining

    def limit(self, **limits: int | None) -> None:
        """Change `connection_limit` or `buffer_pool` (None: no limit)."""
        for name, value in limits.items():
            setattr(self.state, name, value)

    def reset_rates(self) -> None:
        """Forget all requests that count against a rate."""
        self.state.rates = RateLimiters(self.behaviour.rate_limiter)

    def put_tenant(self, tenant: Tenant) -> None:
        """Add a tenant, or change its limits."""
        self.state.tenants[tenant.id] = tenant
        for connection in self.state.connections:
            if connection.identity is not None and connection.identity.tenant.id == tenant.id:
                connection.identity = replace(connection.identity, tenant=tenant)

    def accept(self) -> int:
        """Return the number of a new connection, from 1 on."""
        self.connected += 1
        return self.connected

    def release(self, held: list[Account]) -> None:
        """Return units to the usage counters, unless the behaviour keeps them."""
        for account in filter(self.behaviour.releases, held):
            self.state.usage.give(account)
        held.clear()

    def tunnels(self, tenant_id: str) -> int:
        """Return the number of a tenant's open tunnels."""
        return self.state.usage.used(Account(TENANT_TUNNELS.name, tenant_id))

    @property
    def buffers(self) -> int:
        """The number of buffers in use: one for each open tunnel."""
        return self.state.usage.used(Account(BUFFERS.name, None))


def _keyring(tokens: TokenSettings, behaviour: Behaviour) -> Keyring | None:
    """Return the issuer's keys if they can change; raises ValueError if the behaviour needs the signing key."""
    source = tokens.source()
    if source is None:
        return None
    if behaviour.verify is not verify:
        raise ValueError("a deviation in tokens needs the key that signs them: secret or key_file, not a JWKS")
    return Keyring(source)


@lru_cache(maxsize=4096)
def plain_address(text: str) -> Address:
    """Return a peer's address without its zone; an IPv4-mapped IPv6 address becomes IPv4."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
