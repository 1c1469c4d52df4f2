"""What the connections of a relay share: configuration, behaviour, tenants, and what is in use."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Protocol

from cbspec.codes import ErrorCode
from cbspec.tokens import Verifier
from simulator.behaviour import Authority, Behaviour
from simulator.config import Config
from simulator.limits import Account, Ledger, Meters
from simulator.session import Session
from simulator.steps import BUFFERS, TENANT_TUNNELS, Address


class Observer(Protocol):
    """What is told of the relay's work, for counting."""

    def connected(self) -> None:
        """Take note of a connection whose first bytes arrived."""

    def received(self, message: str) -> None:
        """Take note of a message from a client: its type, or "unknown"."""

    def refused(self, code: ErrorCode) -> None:
        """Take note of an error that went out."""


class Unobserved:
    """Counts nothing."""

    def connected(self) -> None:
        """Do nothing."""

    def received(self, message: str) -> None:
        """Do nothing."""

    def refused(self, code: ErrorCode) -> None:
        """Do nothing."""


class Relay:
    """What all connections share: configuration, behaviour, tenants, and what is in use.

    Set `draining` to have new work refused while what is open goes on; `connected` counts the connections so far.
    """

    def __init__(self, config: Config, behaviour: Behaviour | None = None, observer: Observer | None = None) -> None:
        self.config: Config = config
        self.behaviour: Behaviour = behaviour or Behaviour()
        self.observer: Observer = observer or Unobserved()
        self.tenants = {tenant.id: tenant for tenant in config.tenants}
        key, rules = config.tokens.key(), config.tokens
        leeway = rules.leeway if self.behaviour.leeway is None else self.behaviour.leeway
        verifier = Verifier(key, leeway=leeway, issuer=rules.issuer, audience=rules.audience)
        self.authority = Authority(key, verifier, self.tenants)
        self.draining = config.relay.draining
        self.ledger = Ledger()
        self.meters = Meters(self.behaviour.meter)
        self.sessions: set[Session] = set()
        self.connected = 0

    def connect(self, address: str, *, websocket: bool = False) -> Session:
        """Return the session of a new connection from an address."""
        self.connected += 1
        behaviour, limits = self.behaviour, self.config.limits
        framer = behaviour.websocket(limits) if websocket else behaviour.stream(limits)
        session = Session(self, plain_address(address), self.connected, framer)
        self.sessions.add(session)
        self.observer.connected()
        return session

    def tunnels(self, tenant_id: str) -> int:
        """Return how many tunnels a tenant has open."""
        return self.ledger.used(Account(TENANT_TUNNELS.name, tenant_id))

    @property
    def buffers(self) -> int:
        """How many buffers are in use: one for each open tunnel."""
        return self.ledger.used(Account(BUFFERS.name, None))


def plain_address(text: str) -> Address:
    """Return a peer's address; an IPv4 address in IPv6 clothes as what it is, a zone left out."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
