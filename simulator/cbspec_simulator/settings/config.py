"""The relay's configuration as data; annotations constrain and describe the keys of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cbspec.documents import INVALID, Converted, Count, DocumentReader, Place, Seconds, Text, keys, says
from cbspec.profile.identity import DEVELOPMENT_SECRET, DEVELOPMENT_TENANTS, is_loopback
from cbspec.profile.target import Tenant
from cbspec.protocol.framing import MAX_MESSAGE
from cbspec.protocol.messages import HelloResponse
from cbspec.protocol.strictjson import MAX_DEPTH
from cbspec.tokens.jwks import KeySet
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.base.values import Delay, HostName, Natural, Port
from cbspec_simulator.faults.fault import Fault, FaultTable
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.faults.when import EventName
from cbspec_simulator.settings.keyring import AddressSource, FileSource, Source


class ConfigError(Exception):
    """The configuration can't be used; each line of the text names one mistake and its remedy."""


@dataclass(frozen=True, slots=True)
class Listen:
    """The relay's address."""

    host: Annotated[Text, says("address to listen on")] = "127.0.0.1"
    port: Annotated[Port, says("port to listen on; 0 takes a free one")] = 8080


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files with the relay's certificate chain and its key (None: in the same file)."""

    chain: Path
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """How tokens are verified: with a secret, a key file or a JWKS; without any of them, with the development secret.

    `leeway` and `jwks_max_age` are in seconds. `secret_env` only says where `secret` comes from. The relay itself needs
    no `signing_key_file`: tokens for clients and for the suite are signed with it.
    """

    secret: Annotated[Text | None, says("secret of the tokens (HS256)")] = field(default=None, repr=False)
    key_file: Annotated[Path | None, says("PEM file with the private key of the tokens (RS256, ES256, EdDSA)")] = None
    leeway: Annotated[Delay, says("seconds by which a token may be expired or not yet valid")] = 0.0
    issuer: Annotated[Text | None, says("required value of the claim iss")] = None
    audience: Annotated[Text | None, says("required value of the claim aud")] = None
    jwks_file: Annotated[Path | None, says("file with the issuer's public keys (JWKS), read after each change")] = None
    jwks_url: Annotated[Text | None, says("URL of the issuer's public keys: https, or http on loopback")] = None
    jwks_max_age: Annotated[
        Seconds, says("longest age in seconds of the keys of jwks_url; they are also fetched for an unknown key id")
    ] = 300.0
    signing_key_file: Annotated[
        Path | None, says("PEM file with a private key, to sign tokens for clients and the suite")
    ] = None
    secret_env: Annotated[Text | None, says("environment variable with the secret")] = None

    @property
    def development(self) -> bool:
        """Whether the development secret verifies tokens, so that anyone can sign them."""
        return (self.secret, self.key_file, self.jwks_file, self.jwks_url) == (None, None, None, None)

    def claims(self) -> dict[str, object]:
        """Return the claims that a token must have in addition to subject and tenant."""
        wanted = {"iss": self.issuer, "aud": self.audience}
        return {name: value for name, value in wanted.items() if value is not None}

    @property
    def jwks(self) -> tuple[Path | None, str | None, float]:
        """The settings of the key set; if they are equal, the loaded keys stay valid."""
        return self.jwks_file, self.jwks_url, self.jwks_max_age

    def source(self) -> Source | None:
        """Return the source of the issuer's keys, if they can change; ValueError if the URL can't be used."""
        if self.jwks_file is not None:
            return FileSource(self.jwks_file)
        return AddressSource(self.jwks_url, self.jwks_max_age) if self.jwks_url is not None else None

    def signing_key(self) -> SigningKey | None:
        """Return the key of `signing_key_file`; raises OSError or ValueError."""
        return SigningKey.from_pem(self.signing_key_file) if self.signing_key_file is not None else None

    def check_keys(self) -> None:
        """Raise OSError or ValueError if there are no keys to verify tokens with; a URL is not fetched."""
        source = self.source()
        if source is None:
            self.key()
        elif self.jwks_file is not None:
            KeySet.read(source.read(0.0))

    def key(self) -> SigningKey:
        """Return the secret or key that verifies tokens; raises OSError or ValueError."""
        if self.key_file is not None:
            return SigningKey.from_pem(self.key_file)
        return SigningKey.hmac(DEVELOPMENT_SECRET if self.secret is None else self.secret)


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Limits of the whole relay that can change while it runs; None means no limit."""

    connection_limit: Annotated[Natural | None, says("most connections of the relay (if absent: no limit)")] = None
    buffer_pool: Annotated[Natural | None, says("most open tunnels of the relay, each of which needs a buffer")] = 100


@dataclass(frozen=True, slots=True)
class RelaySettings(RelayLimits):
    """Limits and behaviour of the whole relay."""

    features: Annotated[tuple[str, ...], says("features in the hello_response")] = HelloResponse().features
    draining: Annotated[bool, says("whether the relay refuses new work")] = False
    probe: Annotated[bool, says("whether the remote end is dialled before a tunnel is opened")] = False
    probe_timeout: Annotated[Seconds, says("time-out of the dial in seconds")] = 5.0


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Limits of one connection."""

    max_message: Annotated[Count, says("longest message in bytes")] = MAX_MESSAGE
    max_depth: Annotated[Count, says("deepest nesting of a message in levels")] = MAX_DEPTH
    handshake_timeout: Annotated[Seconds, says("time-out of the TLS handshake in seconds")] = 10.0
    idle_timeout: Annotated[Seconds, says("seconds after which a connection without input is closed")] = 300.0


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Whether and on which port of 127.0.0.1 metrics are served."""

    enabled: Annotated[bool, says("whether metrics are served at /metrics")] = False
    port: Annotated[Port, says("port on 127.0.0.1 for the metrics; 0 takes a free one")] = 9090


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The address of the HTTP controls (`port` None: no controls) and the required token."""

    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = field(default=None, repr=False)


def _as_written(type_: Any, reference: str) -> Converted:  # noqa: ANN401 - a type
    """Return the annotation of a table that is checked against a type and kept as written."""

    def convert(value: object, place: Place, reader: DocumentReader) -> object:
        return INVALID if reader.convert(value, type_, place) is INVALID else value

    return Converted(convert, {"$ref": f"#/$defs/{reference}"})


@dataclass(frozen=True, slots=True)
class _TenantChange(Tenant):
    """A tenant in a timeline, which may be one of the configured tenants."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One action of the timeline, `at` seconds after the relay was ready, or after the first event `after`."""

    at: Annotated[Delay, says("seconds after the relay was ready, or after the event, by the simulator's clock")]
    add: Annotated[Any, _as_written(FaultTable, "fault"), says("fault to add", title="a fault")] = None
    remove: Annotated[Text | None, says("name of the fault to remove")] = None
    release: Annotated[Text | None, says("name of the fault to release")] = None
    reset: Annotated[bool | None, says("removes all faults, ends draining and restores the configured limits")] = None
    drain: Annotated[bool | None, says("whether the relay refuses new work from then on")] = None
    limits: Annotated[
        Any,
        _as_written(RelayLimits, "limits"),
        says("new limits of the whole relay: connection_limit, buffer_pool", title="a table"),
    ] = None
    tenant: Annotated[
        Any, _as_written(_TenantChange, "tenant"), says("id of a tenant, and its new limits", title="a table")
    ] = None
    drop: Annotated[ConnectionEnd | None, says("how all open connections end")] = None
    after: Annotated[EventName | None, says("the event from which `at` counts")] = None

    def __post_init__(self) -> None:
        if len(self._actions()) != 1:
            raise ValueError(f"must have at and one action, {', '.join(timeline_actions())}")

    @property
    def action(self) -> tuple[str, Any]:
        """The action's name and its argument."""
        ((name, argument),) = self._actions().items()
        return name, argument

    def _actions(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in timeline_actions()}
        return {name: argument for name, argument in found.items() if argument is not None}


def timeline_actions() -> Mapping[str, Any]:
    """Return the actions of a timeline by their keys, with their types."""
    return {item.name: hint for item, hint in keys(TimelineEntry) if item.name not in ("at", "after")}


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration.

    `names` are additional names in the development certificate. `development` allows the development identity on an
    address that isn't loopback. `faults` are active from the start,
    `seed` determines their random choices, and `timeline` has later actions.
    """

    listen: Listen = Listen()
    certificate: Certificate | None = None
    names: tuple[HostName, ...] = ()
    tokens: TokenSettings = TokenSettings()
    tenants: tuple[Tenant, ...] = DEVELOPMENT_TENANTS
    relay: RelaySettings = RelaySettings()
    limits: LimitSettings = LimitSettings()
    metrics: MetricsSettings = MetricsSettings()
    control: ControlSettings = ControlSettings()
    development: bool = False
    faults: tuple[Fault, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    seed: int = 0

    def check(self) -> None:
        """Raise ConfigError if the development identity would be used on an address that isn't loopback.

        The same holds for names for a development certificate that isn't used.
        """
        if self.names and self.certificate is not None:
            raise ConfigError(
                "[tls] names (--name): the certificate of [tls] chain has its own names; remove one of them"
            )
        if is_loopback(self.listen.host) or self.development:
            return
        missing = []
        if self.certificate is None:
            missing.append("[tls] chain")
        if self.tokens.development:
            missing.append("[tokens] secret_env, secret, key_file, jwks_file or jwks_url")
        if missing:
            raise ConfigError(
                f"{self.listen.host} can be reached from other machines, and the development identity is public: "
                f"set {' and '.join(missing)}, or allow it with development = true (--development)"
            )
