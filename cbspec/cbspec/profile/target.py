"""The tables of a target profile as dataclasses: the suite's knowledge of a relay.

The annotations constrain the keys of a profile file and describe them in the output of `cbspec profile init`.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from msgspec import Meta

from cbspec.documents import Count, Seconds, Sourced, Text, parsed, says

DEVELOPMENT: Final = "development"
SYSTEM: Final = "system"
USUAL_SUBJECT: Final = "user123"
"""The subject of a token if nothing gives another."""

Transport = Literal["auto", "tcp", "websocket"]
RateScope = Literal["tenant", "subject", "connection", "address"]
Feature = Literal["tunnel_limit", "connection_limit", "rate", "allowed_addresses"]

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]

_MAX_PORT: Final = 65_535
_PATH: Final = "a path that begins with / and contains no space"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Parse a network or a single address; ValueError gives the reason."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"must be an address or a network, 192.0.2.0/24, not {text!r}") from None
    if "/" in text and network.network_address != ipaddress.ip_interface(text).ip:
        raise ValueError(f"has bits set after its prefix; did you mean {network}?")
    return network


def _network(text: str) -> str:
    parse_network(text)
    return text


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"must be an IPv4 or IPv6 address, not {text!r}") from None
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", text):
        # A URL may contain a password, so it isn't repeated.
        raise ValueError("must be an http:// or https:// address with a host")
    return text


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host and a port, written `host:port`, or `[address]:port` for IPv6."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an endpoint; ValueError gives the reason."""
        host, colon, port = text.rpartition(":")
        if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= _MAX_PORT:
            raise ValueError(f"must be host:port with a port from 1 to {_MAX_PORT}, not {text!r}")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            try:
                ipaddress.IPv6Address(host)
            except ValueError:
                raise ValueError(f"must have an IPv6 address in its brackets, not {text!r}") from None
        elif ":" in host:
            raise ValueError(f"must have an IPv6 address in brackets, [address]:port, not {text!r}")
        elif not re.fullmatch(r"[^\s/@\[\]?#]+", host):
            raise ValueError(f"must be host:port, not {text!r}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


EndpointText = Annotated[Endpoint, parsed(Endpoint.parse)]
HttpUrl = Annotated[str, parsed(_url)]


Token = Annotated[
    str,
    Sourced(),
    says("A token.", {"env": "TOKEN"}, title='a token, { env = "NAME" } or { file = "PATH" }', min_length=1),
]


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """The relay's address and how to reach it; times in seconds."""

    address: Annotated[
        EndpointText | None,
        says(
            "The relay's address, host:port or [address]:port. The option --target takes precedence.", "127.0.0.1:8080"
        ),
    ] = None
    transport: Annotated[
        Transport,
        says("How messages are transported: tcp (one per line), websocket, or auto (the one that the relay answers)."),
    ] = "auto"
    server_name: Annotated[
        Text | None, says("The name in SNI and the certificate. If absent: the host of the address.", "relay.example")
    ] = None
    websocket_path: Annotated[str, says("The path of the WebSocket handshake.", pattern=r"^/[!-~]*\Z", title=_PATH)] = (
        "/"
    )
    timeout: Annotated[
        Seconds, says("The longest time-out of an answer, in seconds. The suite measures a shorter one.")
    ] = 5.0
    timeout_least: Annotated[Seconds, says("The shortest time-out of an answer, in seconds; at most timeout.")] = 2.0
    connections_at_once: Annotated[
        Count | None,
        says(
            "The most connections that the suite may have open at once. If absent: no limit. Cases that need more are "
            "not exercised; pytest-xdist's workers take turns.",
            16,
        ),
    ] = None
    requests_per_second: Annotated[
        Seconds | None,
        says(
            "The most messages that the suite may send, and connections that it may open, in any second. If absent: no "
            "limit. Cases that need more are not exercised.",
            50,
        ),
    ] = None
    source_addresses: Annotated[
        tuple[Annotated[str, parsed(_address)], ...],
        says("Local addresses that the suite may connect from. If absent: the system chooses.", ["127.0.0.1"]),
    ] = ()
    exclusive: Annotated[
        bool, says("Whether the suite is the relay's only client. Limits of the whole relay are tested only then.")
    ] = True
    multi_tenancy: Annotated[
        bool | None, says("Whether the relay has tenants. If absent: as its hello_response says.", True)
    ] = None


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The certificates to trust and to present; with `ca` None, `resolve` decides."""

    ca: Annotated[
        Path | Literal["development", "system"] | None,
        says(
            'A PEM file with the CA\'s certificate (relative to this file), "development" for the development CA or '
            '"system" for the system\'s CAs. If absent: development for a loopback address, system for any other.',
            "system",
        ),
    ] = None
    verify: Annotated[bool, says("Whether the relay's certificate is verified before any token is sent.")] = True
    client_certificate: Annotated[
        Path | None, says("A PEM file with the certificate for a relay that requests one.", "client.pem")
    ] = None
    client_key: Annotated[
        Path | None, says("A PEM file with the key of that certificate, if it is in another file.", "client.key")
    ] = None


@dataclass(frozen=True, slots=True, repr=False)
class ReadyTokens:
    """Ready-made tokens, by purpose, and valid ones by tenant."""

    valid: Annotated[Token | None, says("A valid token.")] = None
    second_tenant: Annotated[Token | None, says("A valid token of another tenant.")] = None
    expired: Annotated[Token | None, says("A token that expired at least ten minutes ago (CB-AUT-005).")] = None
    not_yet_valid: Annotated[Token | None, says("A token that is valid in ten minutes or later (CB-AUT-006).")] = None
    wrong_key: Annotated[Token | None, says("A token signed with a key that isn't the relay's (CB-AUT-009).")] = None
    no_tenant: Annotated[Token | None, says("A token without a tenant_id (CB-TEN-001).")] = None
    unknown_tenant: Annotated[Token | None, says("A token of a tenant unknown to the relay (CB-TEN-002).")] = None
    inactive_tenant: Annotated[Token | None, says("A token of an inactive tenant (CB-TEN-003).")] = None
    tenants: Annotated[
        Mapping[str, Token], says("Valid tokens by the id of their tenant.", {"tenant-001": {"env": "TOKEN_001"}})
    ] = field(default_factory=dict)

    @property
    def valid_ones(self) -> tuple[str, ...]:
        """The genuine tokens, whether or not their tenant is active."""
        named = (self.valid, self.second_tenant, self.inactive_tenant)
        return tuple(token for token in (*named, *self.tenants.values()) if token is not None)

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True, slots=True, repr=False)
class IssuerSettings:
    """How tokens are made: with a secret, a key file or the development secret, or ready-made."""

    secret: Annotated[Text | None, says("The secret with which the relay verifies tokens.", "the relay's secret")] = (
        None
    )
    key_file: Annotated[
        Path | None, says("A PEM file with the private key whose public key verifies the relay's tokens.", "key.pem")
    ] = None
    development: Annotated[bool, says("Whether the development secret signs the tokens.")] = False
    algorithm: Annotated[
        Algorithm | None,
        says("The signature algorithm. If absent: HS256 for a secret, or else the one of the key.", "HS256"),
    ] = None
    subject: Annotated[
        str | None,
        says(
            "The subject (sub) of every token. If absent: in each case of the suite its own, such as cb-tun-005.",
            USUAL_SUBJECT,
        ),
    ] = None
    claims: Annotated[
        Mapping[str, object], says("Claims to add to every token.", {"iss": "https://issuer.example"})
    ] = field(default_factory=dict)
    lifetime: Annotated[Seconds, says("Seconds from now to the expiry of a token.")] = 3600.0
    backdate: Annotated[
        float,
        Meta(ge=0),
        says("Seconds from the issue of a token (iat) to now, for a relay whose clock is a little behind."),
    ] = 30.0
    ready: Annotated[
        ReadyTokens,
        says(
            'Ready-made tokens, for a relay whose key you don\'t have. Each is the token, { env = "NAME" } or '
            '{ file = "PATH" }.'
        ),
    ] = field(default=ReadyTokens())
    key_id: Annotated[
        Text | None, says("The key id (kid) in the header of tokens, for a relay with several keys.", "key-1")
    ] = None

    @property
    def has_key(self) -> bool:
        """Whether tokens can be minted."""
        return self.secret is not None or self.key_file is not None or self.development


@dataclass(frozen=True, slots=True)
class Rate:
    """A tenant's rate limit; `scope` None means not known."""

    per_second: Annotated[Seconds, says("Requests per second.")]
    burst: Annotated[Count, says("Requests at once.")]
    scope: Annotated[RateScope | None, says("Whose requests are counted together.")] = None

    @property
    def own(self) -> bool:
        """Whether the requests of other tenants are certainly counted apart."""
        return self.scope in ("tenant", "subject")


@lru_cache(maxsize=4096)
def _parse_address(text: str) -> _Address:
    return ipaddress.ip_address(text)


@lru_cache(maxsize=4096)
def _networks(allowed: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, allowed))


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that the relay knows; None and an empty list mean that it has no such limit."""

    id: Annotated[Text, says("The tenant's id, as in its tokens.", "tenant-001")]
    active: Annotated[bool, says("Whether the relay serves it.")] = True
    tunnel_limit: Annotated[Count | None, says("How many tunnels it may have open.", 5)] = None
    connection_limit: Annotated[Count | None, says("How many connections it may have open.", 4)] = None
    rate: Annotated[
        Rate | None,
        says(
            "Its rate limit: requests per second, requests at once, and whose requests are counted together (tenant, "
            "subject, connection or address; if absent: not known).",
            {"per_second": 50.0, "burst": 20, "scope": "tenant"},
        ),
    ] = None
    allowed_addresses: Annotated[
        tuple[Annotated[str, parsed(_network)], ...],
        says("The only addresses and networks that its clients may connect from.", ["127.0.0.1/32"], min_length=1),
    ] = ()

    def allows(self, address: str | _Address) -> bool:
        """Return whether the tenant's list allows a client at that address."""
        client = _parse_address(address) if isinstance(address, str) else address
        return not self.allowed_addresses or any(client in network for network in _networks(self.allowed_addresses))

    @property
    def features(self) -> tuple[Feature, ...]:
        """The kinds of limit that it has."""
        names: tuple[Feature, ...] = ("tunnel_limit", "connection_limit", "rate", "allowed_addresses")
        return tuple(name for name in names if getattr(self, name))


@dataclass(frozen=True, slots=True)
class RelayCapabilities:
    """Limits of the whole relay; None if not known."""

    connection_limit: Annotated[Count | None, says("How many connections it serves.", 100)] = None
    buffer_pool: Annotated[Count | None, says("For how many tunnels it has buffers.", 100)] = None


@dataclass(frozen=True, slots=True)
class RemoteEnds:
    """Remote ends that a tunnel can name."""

    reachable: Annotated[EndpointText, says("host:port that every valid tunnel names.")] = Endpoint(
        "192.168.1.100", 3389
    )
    unreachable: Annotated[EndpointText | None, says("host:port that can't be reached.", "127.0.0.1:9")] = None
    dialled: Annotated[bool, says("Whether the relay dials the remote end before it answers.")] = False


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """The relay's metrics."""

    url: Annotated[HttpUrl | None, says("The URL of the Prometheus endpoint.", "http://127.0.0.1:9090/metrics")] = None


@dataclass(frozen=True, slots=True)
class HttpCall:
    """An HTTP call that changes a relay's condition; its status must be from 200 to 299."""

    url: HttpUrl
    method: Annotated[str, Meta(pattern=r"^[A-Z]+\Z", title="an HTTP method in capitals")] = "POST"
    body: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Action:
    """A change of a relay's condition: a command (program and arguments, no shell) or an HTTP call."""

    command: Annotated[tuple[Text, ...], Meta(min_length=1)] = ()
    http: HttpCall | None = None

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.http):
            raise ValueError("must be { command = [...] } or { http = {...} }")


_CALL: Final = {"method": "POST", "url": "http://127.0.0.1:9091/end", "body": "", "headers": {}}


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """A condition that clients can't cause.

    It already holds at `target`, or `begin` causes it and `end` ends it, each within `settle` seconds.
    """

    target: Annotated[
        EndpointText | None, says("host:port of a relay for which the condition holds.", "127.0.0.1:8081")
    ] = None
    begin: Annotated[
        Action | None,
        says("The action that causes it: { command = [...] } or { http = {...} }.", {"command": ["./begin", "now"]}),
    ] = None
    end: Annotated[Action | None, says("The action that ends it.", {"http": _CALL})] = None
    settle: Annotated[float, says("Seconds within which a change takes effect.", ge=0)] = 5.0


@dataclass(frozen=True, slots=True)
class Condition(ConditionChange):
    """A condition with the facts that some conditions have.

    `limit` is the relay's limit while it holds. `dialled` (transfer_failed only) means that the relay at `target` dials
    the remote end, so that only transfers to unreachable ends fail.
    """

    limit: int | None = None
    dialled: bool | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that the suite may know of a relay; each part is optional."""

    target: Annotated[TargetSettings, says("The relay's address and how to reach it.")] = TargetSettings()
    tls: Annotated[TlsSettings, says("The certificates to trust and to present.")] = TlsSettings()
    tokens: IssuerSettings = IssuerSettings()
    tenants: Annotated[
        tuple[Tenant, ...],
        says(
            "The tenants that the relay knows, one table each. If absent: the development tenants if the development "
            "secret signs the tokens, the tenants of ready-made tokens, or else tenant-001 alone.",
            title="an array of tables, [[tenants]]",
        ),
    ] = ()
    relay: Annotated[RelayCapabilities, says("Limits of the whole relay.")] = RelayCapabilities()
    remote: Annotated[RemoteEnds, says("Remote ends that a tunnel can name.")] = RemoteEnds()
    metrics: Annotated[MetricsEndpoint, says("The relay's metrics.")] = MetricsEndpoint()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)

    @property
    def main_tenant(self) -> Tenant | None:
        """The active tenant with the fewest and widest limits."""
        return self._ranked(0)

    @property
    def second_tenant(self) -> Tenant | None:
        """Another active tenant, chosen like the main one."""
        return self._ranked(1)

    @property
    def inactive_tenant(self) -> Tenant | None:
        """A tenant that the relay knows and doesn't serve."""
        return next((tenant for tenant in self.tenants if not tenant.active), None)

    def tenants_with(self, feature: Feature) -> tuple[Tenant, ...]:
        """Return the active tenants with a kind of limit, first those with the fewest other limits."""
        found = [tenant for tenant in self.tenants if tenant.active and feature in tenant.features]
        return tuple(sorted(found, key=lambda tenant: len(tenant.features)))

    def tenant(self, id_: str) -> Tenant | None:
        """Return the tenant with that id."""
        return next((tenant for tenant in self.tenants if tenant.id == id_), None)

    def _ranked(self, rank: int) -> Tenant | None:
        ranked = _ranked(self.tenants)
        return ranked[rank] if rank < len(ranked) else None


@lru_cache(maxsize=16)  # each case asks for the main tenant several times
def _ranked(tenants: tuple[Tenant, ...]) -> list[Tenant]:
    return sorted((tenant for tenant in tenants if tenant.active), key=_narrowness)


def _narrowness(tenant: Tenant) -> tuple[bool, int, float, float]:
    """Rank a tenant for ordinary work: an address list is worst, then many limits, then narrow ones."""
    limits = [limit for limit in (tenant.tunnel_limit, tenant.connection_limit) if limit is not None]
    return (
        bool(tenant.allowed_addresses),
        len(tenant.features),
        -min(limits, default=math.inf),
        -(tenant.rate.per_second if tenant.rate else math.inf),
    )
