"""The relay's configuration: what it is told from a file, and what it is when it is told nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cbspec.profile.identity import DEVELOPMENT_SECRET, DEVELOPMENT_TENANTS, is_loopback
from cbspec.profile.target import Tenant
from cbspec.protocol.framing import MAX_MESSAGE
from cbspec.protocol.messages import HelloResponse
from cbspec.protocol.strictjson import MAX_DEPTH
from cbspec.tokens.jwks import KeySet
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.keyring import AddressSource, FileSource, Source


class ConfigError(Exception):
    """The configuration can't be used; each line of the text names one mistake and the way out."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the relay listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True, slots=True)
class Certificate:
    """The relay's certificate: PEM files (`key` None: in the chain's file)."""

    chain: Path
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """By what tokens are judged: one of secret, key file and the two kinds of JWKS, or the development secret.

    `leeway` and `jwks_max_age` are in seconds; the suite mints with `signing_key_file`, and the relay doesn't need it.
    """

    secret: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    leeway: float = 0.0
    issuer: str | None = None
    audience: str | None = None
    jwks_file: Path | None = None
    jwks_url: str | None = None
    jwks_max_age: float = 300.0
    signing_key_file: Path | None = None

    @property
    def development(self) -> bool:
        """Whether anybody can mint tokens: the secret is the published one."""
        return (self.secret, self.key_file, self.jwks_file, self.jwks_url) == (None, None, None, None)

    def claims(self) -> dict[str, object]:
        """Return the claims that a token must have besides subject and tenant."""
        wanted = {"iss": self.issuer, "aud": self.audience}
        return {name: value for name, value in wanted.items() if value is not None}

    @property
    def jwks(self) -> tuple[Path | None, str | None, float]:
        """Which keys of an issuer's are meant: where it is the same as before, those at hand will do."""
        return self.jwks_file, self.jwks_url, self.jwks_max_age

    def source(self) -> Source | None:
        """Return where the issuer's keys come from, if they can change; ValueError where that can't be an address."""
        if self.jwks_file is not None:
            return FileSource(self.jwks_file)
        return AddressSource(self.jwks_url, self.jwks_max_age) if self.jwks_url is not None else None

    def signing_key(self) -> SigningKey | None:
        """Return the key that the suite mints with, where it isn't the relay's own; raises OSError or ValueError."""
        return SigningKey.from_pem(self.signing_key_file) if self.signing_key_file is not None else None

    def check_keys(self) -> None:
        """Raise OSError or ValueError where there are no keys to verify with; an address isn't asked for them."""
        source = self.source()
        if source is None:
            self.key()
        elif self.jwks_file is not None:
            KeySet.read(source.read(0.0))

    def key(self) -> SigningKey:
        """Return the one key that tokens are verified with; raises OSError or ValueError where there is none."""
        if self.key_file is not None:
            return SigningKey.from_pem(self.key_file)
        return SigningKey.hmac(DEVELOPMENT_SECRET if self.secret is None else self.secret)


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Limits and habits of the whole relay; `probe_timeout` in seconds."""

    connection_limit: int | None = None
    buffer_pool: int | None = 100
    features: tuple[str, ...] = HelloResponse().features
    draining: bool = False
    probe: bool = False
    probe_timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one connection may take: bytes of a message, levels of nesting, seconds of handshake and of silence."""

    max_message: int = MAX_MESSAGE
    max_depth: int = MAX_DEPTH
    handshake_timeout: float = 10.0
    idle_timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Whether metrics are served, and on which port of 127.0.0.1 (0: a free one)."""

    enabled: bool = False
    port: int = 9090


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """What happens by itself: so many seconds after the start (`at`), an act of the timeline's (`do`), with `what`."""

    at: float
    do: str
    what: Any


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Where the relay can be controlled over HTTP (`port` None: nowhere, 0: a free one), and by whom."""

    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration.

    `development` lets the development identity serve an address that isn't loopback; `faults` are there from the start,
    `seed` repeats what they leave to chance, and `timeline` says what happens later.
    """

    listen: Listen = Listen()
    certificate: Certificate | None = None
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
        """Raise ConfigError where the development identity would serve an address that others can reach."""
        if is_loopback(self.listen.host) or self.development:
            return
        missing = []
        if self.certificate is None:
            missing.append("[tls] chain")
        if self.tokens.development:
            missing.append("[tokens] secret_env, secret, key_file, jwks_file or jwks_url")
        if missing:
            raise ConfigError(
                f"{self.listen.host} can be reached by others, and the development identity, which everybody knows, "
                f"would serve it: name {' and '.join(missing)}, or say development = true (--development)"
            )
