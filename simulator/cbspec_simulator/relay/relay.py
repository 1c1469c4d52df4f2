"""What the connections of a relay share: configuration, behaviour, tenants, and what is in use."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address

from cbspec.profile.target import Tenant
from cbspec.tokens.jwt import Verifier
from cbspec_simulator.base.events import Connected, Decided, Listeners
from cbspec_simulator.base.limits import Account, Ledger, Meters
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.relay.behaviour import Authority, Behaviour, verify
from cbspec_simulator.relay.reading import Reading
from cbspec_simulator.relay.session import Session
from cbspec_simulator.relay.steps import BUFFERS, TENANT_TUNNELS, Address
from cbspec_simulator.settings.config import Config, TokenRules
from cbspec_simulator.settings.keyring import Keyring


class Relay:
    """What all connections share: configuration, behaviour, tenants, and what is in use.

    Set `draining` to have new work refused while what is open goes on; `connected` counts the connections so far.
    `tell` is told of everything that happens, with `timed` also of when answers are out; `faults` say what goes wrong.
    """

    def __init__(self, config: Config, behaviour: Behaviour | None = None) -> None:
        self.config: Config = config
        self.behaviour: Behaviour = behaviour or Behaviour()
        self.straight = self.behaviour.straight
        self.tell = Listeners()
        self.timed = False
        self.faults = Faults(config.seed, lambda decision: self.tell(Decided(decision)))
        self.tenants = {tenant.id: tenant for tenant in config.tenants}
        self.keyring = _keyring(config.tokens, self.behaviour)
        self.authority = self._authority(config.tokens, self.keyring)
        self.draining = config.relay.draining
        self.ledger = Ledger()
        self.meters = Meters(self.behaviour.meter)
        self.reading = Reading(self.behaviour, config.limits.max_depth)
        self.sessions: set[Session] = set()
        self.connected = 0

    def _authority(self, rules: TokenRules, keyring: Keyring | None) -> Authority:
        leeway = rules.leeway if self.behaviour.leeway is None else self.behaviour.leeway
        verifier = partial(Verifier, leeway=leeway, issuer=rules.issuer, audience=rules.audience)
        if keyring is not None:
            return Authority(verifier(keyring.choose), self.tenants, None)
        key = rules.key()
        return Authority(verifier(key), self.tenants, key)

    def reconfigure(self, config: Config) -> None:
        """Go on by another configuration; what is open stays, by its limits. Raises as the construction does."""
        same = config.tokens.jwks == self.config.tokens.jwks
        keyring = self.keyring if same else _keyring(config.tokens, self.behaviour)
        self.authority = self._authority(config.tokens, keyring)
        self.config, self.keyring = config, keyring
        self.reading = Reading(self.behaviour, config.limits.max_depth)
        for tenant_id in self.tenants.keys() - {tenant.id for tenant in config.tenants}:
            del self.tenants[tenant_id]
        for tenant in config.tenants:
            self.put_tenant(tenant)

    def put_tenant(self, tenant: Tenant) -> None:
        """Serve a tenant, or serve it by other limits from now on."""
        self.tenants[tenant.id] = tenant
        for session in self.sessions:
            if session.identity is not None and session.identity.tenant.id == tenant.id:
                session.identity = replace(session.identity, tenant=tenant)

    def accept(self) -> int:
        """Return the number of a new connection, from 1 on."""
        self.connected += 1
        return self.connected

    def connect(self, address: str, *, websocket: bool = False, number: int | None = None) -> Session:
        """Return the session of a new connection from an address; it has a number where it was accepted before."""
        behaviour, limits = self.behaviour, self.config.limits
        framer = behaviour.websocket(limits) if websocket else behaviour.stream(limits)
        session = Session(self, plain_address(address), number or self.accept(), framer)
        self.sessions.add(session)
        self.tell(Connected(session))
        return session

    def tunnels(self, tenant_id: str) -> int:
        """Return how many tunnels a tenant has open."""
        return self.ledger.used(Account(TENANT_TUNNELS.name, tenant_id))

    @property
    def buffers(self) -> int:
        """How many buffers are in use: one for each open tunnel."""
        return self.ledger.used(Account(BUFFERS.name, None))


def _keyring(rules: TokenRules, behaviour: Behaviour) -> Keyring | None:
    """Return the issuer's keys where they can change; ValueError where the behaviour needs the key that signs."""
    source = rules.source()
    if source is None:
        return None
    if behaviour.verify is not verify:
        raise ValueError("what is to go wrong with tokens needs the key that signs them: secret or key_file, no JWKS")
    return Keyring(source)


@lru_cache(maxsize=4096)
def plain_address(text: str) -> Address:
    """Return a peer's address; an IPv4 address in IPv6 clothes as what it is, a zone left out."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
