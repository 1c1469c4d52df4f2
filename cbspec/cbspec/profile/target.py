"""What the suite may know of a relay, as data: the target profile's tables."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, Self

DEVELOPMENT: Final = "development"
SYSTEM: Final = "system"

Transport = Literal["auto", "tcp", "websocket"]
RateScope = Literal["tenant", "subject", "connection", "address"]
Feature = Literal["tunnel_limit", "connection_limit", "rate", "allowed_addresses"]

_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host and a port; written `host:port`, or `[address]:port` for IPv6."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an endpoint; ValueError says what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= _MAX_PORT:
            raise ValueError(f"must be host:port with a port from 1 to {_MAX_PORT}, not {text!r}")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            try:
                ipaddress.IPv6Address(host)
            except ValueError:
                raise ValueError(f"must hold an IPv6 address between its brackets, not {text!r}") from None
        elif ":" in host:
            raise ValueError(f"must put an IPv6 address in brackets, [address]:port, not {text!r}")
        elif not re.fullmatch(r"[^\s/@\[\]?#]+", host):
            raise ValueError(f"must be host:port, not {text!r}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the relay is and how it is reached; times in seconds.

    `timeout` and `timeout_least` bound the calibrated time-out of an answer; `connections_at_once` and
    `requests_per_second` what the suite may ask of the relay (None: no bound).
    """

    address: Endpoint | None = None
    transport: Transport = "auto"
    server_name: str | None = None
    websocket_path: str = "/"
    timeout: float = 5.0
    timeout_least: float = 2.0
    connections_at_once: int | None = None
    requests_per_second: float | None = None
    source_addresses: tuple[str, ...] = ()
    exclusive: bool = True
    multi_tenancy: bool | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust: `ca` is a file, "development", "system", or None where nobody has decided yet.

    `client_certificate` is a PEM file that the suite shows, its key in it or in `client_key`.
    """

    ca: Path | str | None = None
    verify: bool = True
    client_certificate: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Ready-made tokens, each for one purpose, and valid ones by tenant."""

    valid: str | None = field(default=None, repr=False)
    second_tenant: str | None = field(default=None, repr=False)
    expired: str | None = field(default=None, repr=False)
    not_yet_valid: str | None = field(default=None, repr=False)
    wrong_key: str | None = field(default=None, repr=False)
    no_tenant: str | None = field(default=None, repr=False)
    unknown_tenant: str | None = field(default=None, repr=False)
    inactive_tenant: str | None = field(default=None, repr=False)
    tenants: Mapping[str, str] = field(default_factory=dict, repr=False)

    def purpose(self, name: str) -> str | None:
        """Give the token for a purpose, by the profile's key."""
        token: str | None = getattr(self, name)
        return token

    @property
    def valid_ones(self) -> tuple[str, ...]:
        """The tokens that are genuine, whether or not their tenant is active."""
        named = (self.valid, self.second_tenant, self.inactive_tenant)
        return tuple(token for token in (*named, *self.tenants.values()) if token is not None)

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True, slots=True)
class Tokens:
    """How tokens are made: with a secret, a key file or the development secret; `lifetime` in seconds.

    `key_id` is what their header says of the key (kid).
    """

    secret: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    development: bool = False
    algorithm: str | None = None
    subject: str = "user123"
    claims: Mapping[str, object] = field(default_factory=dict, repr=False)
    lifetime: float = 3600.0
    ready: Ready = field(default=Ready())
    key_id: str | None = None

    @property
    def has_key(self) -> bool:
        """Whether tokens can be minted."""
        return self.secret is not None or self.key_file is not None or self.development


@dataclass(frozen=True, slots=True)
class Rate:
    """A tenant's rate limit: requests per second, how many at once, and whom it counts for (None: not known)."""

    per_second: float
    burst: int
    scope: RateScope | None = None


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=4096)
def _address(text: str) -> _Address:
    return ipaddress.ip_address(text)


@lru_cache(maxsize=4096)
def _networks(allowed: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, allowed))


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that the relay knows; None and an empty list mean that there is no such limit."""

    id: str
    active: bool = True
    tunnel_limit: int | None = None
    connection_limit: int | None = None
    rate: Rate | None = None
    allowed_addresses: tuple[str, ...] = ()

    def allows(self, address: str | _Address) -> bool:
        """Whether a client at that address may come, as far as the tenant's list goes."""
        client = _address(address) if isinstance(address, str) else address
        return not self.allowed_addresses or any(client in network for network in _networks(self.allowed_addresses))

    @property
    def features(self) -> tuple[Feature, ...]:
        """Which limits it has."""
        names: tuple[Feature, ...] = ("tunnel_limit", "connection_limit", "rate", "allowed_addresses")
        return tuple(name for name in names if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Relay:
    """Limits of the whole relay; None where not known."""

    connection_limit: int | None = None
    buffer_pool: int | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """Remote ends that a tunnel may name; `dialled` says that the relay dials them before it answers."""

    reachable: Endpoint = Endpoint("192.168.1.100", 3389)
    unreachable: Endpoint | None = None
    dialled: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where the relay's metrics are."""

    url: str | None = None


@dataclass(frozen=True, slots=True)
class HttpCall:
    """An HTTP call that changes a relay's condition."""

    url: str
    method: str = "POST"
    body: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Action:
    """What changes a relay's condition: a command (program and arguments, no shell) or an HTTP call."""

    command: tuple[str, ...] = ()
    http: HttpCall | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that the wire can't bring about.

    It holds already at `target`, or `begin` brings it about and `end` takes it away, each within `settle` seconds.
    `dialled` (transfer_failed only): the relay at `target` dials the remote end, so it fails for unreachable ones only.
    """

    target: Endpoint | None = None
    limit: int | None = None
    begin: Action | None = None
    end: Action | None = None
    settle: float = 5.0
    dialled: bool | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that the suite may know of a relay; each part is optional."""

    target: Target = Target()
    tls: Tls = Tls()
    tokens: Tokens = Tokens()
    tenants: tuple[Tenant, ...] = ()
    relay: Relay = Relay()
    remote: Remote = Remote()
    metrics: Metrics = Metrics()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)

    @property
    def main_tenant(self) -> Tenant | None:
        """The active tenant with the most room: without limits where there is one, or else with the widest."""
        return self._roomy(0)

    @property
    def second_tenant(self) -> Tenant | None:
        """Another active tenant, chosen like the main one."""
        return self._roomy(1)

    @property
    def inactive_tenant(self) -> Tenant | None:
        """A tenant that the relay knows and doesn't serve."""
        return next((tenant for tenant in self.tenants if not tenant.active), None)

    def tenants_with(self, feature: Feature) -> tuple[Tenant, ...]:
        """Give the active tenants with a limit of one kind, those with the fewest others first."""
        found = [tenant for tenant in self._active if feature in tenant.features]
        return tuple(sorted(found, key=lambda tenant: len(tenant.features)))

    def tenant(self, id_: str) -> Tenant | None:
        """Give the tenant of that id."""
        return next((tenant for tenant in self.tenants if tenant.id == id_), None)

    @property
    def _active(self) -> list[Tenant]:
        return [tenant for tenant in self.tenants if tenant.active]

    def _roomy(self, place: int) -> Tenant | None:
        ranked = sorted(self._active, key=_narrowness)
        return ranked[place] if place < len(ranked) else None


def _narrowness(tenant: Tenant) -> tuple[bool, int, float, float]:
    """Rank a tenant for ordinary work: an address list is worst, then many limits, then narrow ones."""
    limits = [limit for limit in (tenant.tunnel_limit, tenant.connection_limit) if limit is not None]
    return (
        bool(tenant.allowed_addresses),
        len(tenant.features),
        -min(limits, default=math.inf),
        -(tenant.rate.per_second if tenant.rate else math.inf),
    )
