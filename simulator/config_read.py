"""The configuration read from a TOML file, with every mistake named at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from cbspec.profile import ProfileError, from_mapping
from cbspec.profile_check import kind
from simulator.config import Certificate, Config, ConfigError, Limits, Listen, MetricsRules, RelayRules, TokenRules
from simulator.values import COUNT, FLAG, LATER, PORT, SECONDS, SIZE, TEXT, TEXTS, Value, number

TABLES: Final[Mapping[str, Mapping[str, Value]]] = {
    "listen": {
        "host": TEXT.says("the address to listen on"),
        "port": PORT.says("the port to listen on; 0 takes a free one"),
    },
    "tls": {
        "chain": TEXT.says("a PEM file with the relay's certificate (left out: one of the development CA's)"),
        "key": TEXT.says("a PEM file with its key, where it isn't in the same file"),
    },
    "tokens": {
        "secret": TEXT.says("the secret of tokens (HS256); without a secret or key file it is the development secret"),
        "secret_env": TEXT.says("the environment variable that holds the secret"),
        "key_file": TEXT.says("a PEM file with the public or private key of tokens (RS256, ES256, EdDSA)"),
        "leeway": LATER.says("how long a token is good after its expiry and before its time"),
        "issuer": TEXT.says("the iss claim that a token must have"),
        "audience": TEXT.says("the aud claim that a token must have"),
    },
    "relay": {
        "connection_limit": COUNT.says("how many connections the whole relay serves (left out: any number)"),
        "buffer_pool": COUNT.says("how many tunnels the whole relay has buffers for"),
        "features": TEXTS.says("what the hello_response lists"),
        "draining": FLAG.says("whether the relay takes no new work"),
        "probe": FLAG.says("whether the remote end is dialled before a tunnel is opened"),
        "probe_timeout": SECONDS.says("how long dialling may take"),
    },
    "limits": {
        "max_message": SIZE.says("bytes of one message"),
        "max_depth": SIZE.says("levels of nesting in one message"),
        "handshake_timeout": SECONDS.says("how long the TLS handshake may take"),
        "idle_timeout": SECONDS.says("how long a connection may be silent"),
    },
    "metrics": {
        "enabled": FLAG.says("whether metrics are served, at /metrics"),
        "port": PORT.says("the port of 127.0.0.1 that they are served on; 0 takes a free one"),
    },
}
"""Every key of the configuration but `tenants` and `development`, by table."""

_TOP: Final = (*TABLES, "tenants", "development")


def load_config(path: str | Path) -> Config:
    """Return the configuration in a TOML file; files that it names are relative to it.

    Raises ConfigError with one line for each mistake, naming file, key and, for an unknown one, the nearest right one.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8, at byte {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    reader = _Reader(path.parent)
    config = reader.read(data)
    if reader.problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in reader.problems))
    return config


class _Reader:
    """Reads one configuration; what is wrong with it ends in `problems`."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.problems: list[str] = []

    def read(self, data: Mapping[str, Any]) -> Config:
        self._unknown("", data, _TOP)
        tables = {name: self._table(name, data.get(name, {})) for name in TABLES}
        parts: dict[str, Any] = {}
        if "tenants" in data:
            try:
                parts["tenants"] = from_mapping({"tenants": data["tenants"]}, self._base).tenants
            except ProfileError as error:
                self.problems += error.problems
        if not FLAG.good(development := data.get("development", False)):
            self.problems.append(f"development: must be {FLAG.wanted}, not {kind(development)}")
        features = tables["relay"].pop("features", None)
        if features is not None:
            tables["relay"]["features"] = tuple(features)
        return Config(
            listen=Listen(**tables["listen"]),
            certificate=self._certificate(tables["tls"]),
            tokens=self._tokens(tables["tokens"]),
            relay=RelayRules(**tables["relay"]),
            limits=Limits(**tables["limits"]),
            metrics=MetricsRules(**tables["metrics"]),
            development=development is True,
            **parts,
        )

    def _table(self, name: str, table: object) -> dict[str, Any]:
        """Return what is right in a table."""
        if not isinstance(table, dict):
            self.problems.append(f"{name}: must be a table, not {kind(table)}")
            return {}
        known = TABLES[name]
        self._unknown(f"{name}.", table, tuple(known))
        right = {}
        for key, value in table.items():
            if key in known and known[key].good(value):
                right[key] = value
            elif key in known:
                seen = f"{value}" if number(value) else kind(value)
                self.problems.append(f"{name}.{key}: must be {known[key].wanted}, not {seen}")
        return right

    def _unknown(self, prefix: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key in known:
                continue
            near = get_close_matches(key, known, n=1)
            home = next((f"[{name}] {key}" for name, keys in TABLES.items() if key in keys), None)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            self.problems.append(f"{prefix}{key}: unknown key; {f'did you mean {home}?' if home else hint}")

    def _certificate(self, table: Mapping[str, Any]) -> Certificate | None:
        if not table:
            return None
        if "chain" not in table:
            self.problems.append("tls: lacks the key chain, the certificate's PEM file")
            return None
        return Certificate(self._path(table["chain"]), self._path(table["key"]) if "key" in table else None)

    def _tokens(self, table: dict[str, Any]) -> TokenRules:
        sources = [key for key in ("secret", "secret_env", "key_file") if key in table]
        if len(sources) > 1:
            self.problems.append(f"tokens: {' and '.join(sources)} exclude each other; keep one")
        if variable := table.pop("secret_env", None):
            table["secret"] = os.environ.get(variable) or None
            if table["secret"] is None:
                self.problems.append(f"tokens.secret_env: the environment variable {variable} is not set or empty")
        if "key_file" in table:
            table["key_file"] = self._path(table["key_file"])
        rules = TokenRules(**table)
        try:
            rules.key()
        except (OSError, ValueError) as error:
            self.problems.append(f"tokens.{sources[0]}: {getattr(error, 'strerror', None) or error}")
        return rules

    def _path(self, name: str) -> Path:
        return (self._base / name).absolute()
