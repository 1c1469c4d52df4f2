"""The plain data of a relay, of one connection, and of a request that is being checked; none of it does I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import Connection, Framer
from cbspec.protocol.messages import Request
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jws import claimed
from cbspec.tokens.jwt import Claims, SigningKey, Verifier
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.limits import Account, RateLimiters, UsageCounters

Address = IPv4Address | IPv6Address


class Refused(Exception):
    """A request is refused with an error of `code` and `text`; `close` ends the connection after it.

    `by_fault`: a fault refuses it.
    """

    def __init__(self, code: ErrorCode, text: str, *, close: bool = False, by_fault: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.close = close
        self.by_fault = by_fault


@dataclass(frozen=True, slots=True)
class Identity:
    """The subject and tenant of an authenticated connection."""

    subject: str
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Authority:
    """The verifier of tokens, the tenants, and the signing key if the relay holds it (`held`)."""

    verifier: Verifier = field(repr=False)
    tenants: Mapping[str, Tenant]
    held: SigningKey | None = field(repr=False)

    @property
    def key(self) -> SigningKey:
        """The key that signs and verifies."""
        assert self.held is not None, "the relay knows public keys only"  # noqa: S101 - see `Relay`
        return self.held


@dataclass(eq=False, slots=True, weakref_slot=True)
class RelayState:
    """The data that all connections of a relay share.

    `verify` and `rate_holder` are parts of the relay's behaviour. `dials`: the remote end is dialled before a tunnel
    opens; `keys_change`: the issuer's keys can change.
    """

    verify: Callable[[Authority, str, float], Claims]
    rate_holder: Callable[[Attempt], Hashable]
    rates: RateLimiters
    tenants: dict[str, Tenant]
    authority: Authority
    keys_change: bool
    connection_limit: int | None
    buffer_pool: int | None
    dials: bool
    draining: bool
    usage: UsageCounters = field(default_factory=UsageCounters)
    connections: set[ConnectionState] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class ConnectionState:
    """The data of one connection.

    `number` counts the relay's connections from 1. `admitted` is set by the first hello, `identity` by an auth. `sent`
    counts the answers by type. `held` is given back when the connection ends. `shown` is the token of the last auth, or
    the tenant and subject that it names.
    """

    relay: RelayState
    address: Address
    number: int
    framer: Framer
    protocol: Connection
    admitted: bool = False
    identity: Identity | None = None
    tunnels: set[str] = field(default_factory=set)
    sent: Counter[str] = field(default_factory=Counter)
    held: list[Account] = field(default_factory=list)
    shown: tuple[str, str] | str = ""
    names: tuple[str, str] | None = None

    @property
    def transport(self) -> str:
        """The transport's name: tcp or websocket."""
        return "websocket" if isinstance(self.framer, WebSocketFramer) else "tcp"

    @property
    def acts_for(self) -> tuple[str, str]:
        """The tenant and subject of the connection, or else those that the last auth's token names."""
        return self.names or self.claimed

    @property
    def claimed(self) -> tuple[str, str]:
        """The tenant and subject that the last auth's token names, verified or not."""
        return claimed(self.shown) if isinstance(self.shown, str) else self.shown

    @property
    def named_by(self) -> tuple[str, str] | str:
        """As `acts_for`, except that a token is returned undecoded: most readers never need its names."""
        return self.names or self.shown


@dataclass(slots=True)
class Attempt:
    """A request while its steps check it, and their results.

    `request` is None if it wasn't valid. `held` is what the steps took from the usage counters: the connection keeps it
    if the request succeeds, otherwise it is given back.
    """

    connection: ConnectionState
    request: Request | None
    now: Moment
    identity: Identity | None = None
    claims: Claims | None = None
    dialled: bool | None = None
    held: list[Account] = field(default_factory=list)

    @property
    def relay(self) -> RelayState:
        """The state of the relay that received the request."""
        return self.connection.relay

    @property
    def known(self) -> Identity:
        """The identity of the client; raises Refused before an auth."""
        if self.identity is None:
            raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")
        return self.identity
