"""A target profile made of what TOML gives, secrets and files looked up on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from cbspec.profile.checking import check
from cbspec.profile.target import (
    DEVELOPMENT,
    SYSTEM,
    Action,
    Condition,
    Endpoint,
    HttpCall,
    Metrics,
    Profile,
    Rate,
    Ready,
    Relay,
    Remote,
    Target,
    Tenant,
    Tls,
    Tokens,
)
from cbspec.tokens.jwt import SigningKey

Table = Mapping[str, Any]

_KEY_SOURCES: Final = ("secret", "secret_env", "secret_file", "key_file", "development")
_FLOATS: Final = ("timeout", "timeout_least", "requests_per_second")
_OWN_CLAIMS: Final = ("sub", "tenant_id", "iat", "exp", "jti")


class Reader:
    """Reads one profile; everything that is wrong with it ends in `problems`, file by file and key by key.

    Paths in the profile are relative to `base`.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self.problems: list[str] = []

    def read(self, data: Table) -> Profile:
        """Read a profile; it is of use only where `problems` stays empty."""
        wrong = check(data)
        parts: dict[str, Any] = {}
        sections: Mapping[str, Callable[[Any], object]] = {
            "target": self._target,
            "tls": self._tls,
            "tokens": self._tokens,
            "tenants": self._tenants,
            "relay": lambda table: Relay(**_whole_numbers(table)),
            "remote": self._remote,
            "metrics": lambda table: Metrics(**table),
            "conditions": self._conditions,
        }
        for name in data:
            if name in wrong:
                self.problems += wrong.pop(name)
            elif name in sections:
                parts[name] = sections[name](data[name])
        for rest in wrong.values():
            self.problems += rest
        return Profile(**parts)

    def _target(self, table: Table) -> Target:
        known: dict[str, Any] = dict(table)
        if "address" in table:
            known["address"] = Endpoint.parse(table["address"])
        known |= {key: float(table[key]) for key in _FLOATS if key in table}
        if "connections_at_once" in table:
            known["connections_at_once"] = int(table["connections_at_once"])
        known["source_addresses"] = tuple(table.get("source_addresses", ()))
        return Target(**known)

    def _tls(self, table: Table) -> Tls:
        known: dict[str, Any] = dict(table)
        if table.get("ca") not in {None, DEVELOPMENT, SYSTEM}:
            known["ca"] = self._certificates("tls.ca", table["ca"])
        if "client_certificate" in table:
            known["client_certificate"] = self._certificates("tls.client_certificate", table["client_certificate"])
        if "client_key" in table:
            known["client_key"] = self._path(table["client_key"])
        return Tls(**known)

    def _certificates(self, key: str, name: str) -> Path:
        path = self._path(name)
        with self._blaming(key, path):
            data = path.read_bytes()
            try:
                x509.load_pem_x509_certificates(data)
            except ValueError:
                raise ValueError("holds no certificate in PEM form") from None
        return path

    def _tokens(self, table: Table) -> Tokens:
        named = [key for key in _KEY_SOURCES if table.get(key)]
        if len(named) > 1:
            self.problems.append(f"tokens: {' and '.join(named)} exclude each other; keep one")
        known = {key: table[key] for key in ("development", "algorithm", "key_id", "subject", "claims") if key in table}
        for claim in _OWN_CLAIMS:
            if claim in known.get("claims", {}):
                self.problems.append(f"tokens.claims.{claim}: the suite sets this claim itself")
        if "lifetime" in table:
            known["lifetime"] = float(table["lifetime"])
        return Tokens(**known, **self._key(table), ready=self._ready(table.get("ready", {})))

    def _key(self, table: Table) -> dict[str, Any]:
        algorithm = table.get("algorithm")
        if "key_file" in table:
            path = self._path(table["key_file"])
            with self._blaming("tokens.key_file", path):
                SigningKey.from_pem(path, algorithm)
            return {"key_file": path}
        secret, place = self._secret(table)
        if secret is not None or algorithm is not None:
            with self._blaming(place):
                SigningKey.hmac(secret or DEVELOPMENT, algorithm or "HS256")
        return {"secret": secret}

    def _secret(self, table: Table) -> tuple[str | None, str]:
        """Find the secret, and say which key gave it."""
        if "secret_env" in table:
            place = "tokens.secret_env"
            return self._variable(place, table["secret_env"]), place
        if "secret_file" in table:
            place = "tokens.secret_file"
            return self._text_file(place, table["secret_file"]), place
        return table.get("secret"), "tokens.secret" if "secret" in table else "tokens.algorithm"

    def _ready(self, table: Table) -> Ready:
        named = {key: self._token(f"tokens.ready.{key}", value) for key, value in table.items() if key != "tenants"}
        tenants = {
            id_: self._token(f"tokens.ready.tenants.{id_}", value) for id_, value in table.get("tenants", {}).items()
        }
        return Ready(**named, tenants={id_: token for id_, token in tenants.items() if token is not None})

    def _token(self, place: str, value: str | Table) -> str | None:
        if isinstance(value, str):
            return value
        if "env" in value:
            return self._variable(f"{place}.env", value["env"])
        return self._text_file(f"{place}.file", value["file"])

    def _tenants(self, tables: list[Table]) -> tuple[Tenant, ...]:
        seen: dict[str, int] = {}
        for index, table in enumerate(tables):
            if (first := seen.setdefault(table["id"], index)) != index:
                self.problems.append(f"tenants[{index}].id: tenants[{first}] has the same id")
        return tuple(_tenant(table) for table in tables)

    def _remote(self, table: Table) -> Remote:
        ends = {key: Endpoint.parse(table[key]) for key in ("reachable", "unreachable") if key in table}
        return Remote(**ends, dialled=table.get("dialled", False))

    def _conditions(self, table: Table) -> dict[str, Condition]:
        for name, inner in table.items():
            place = f"conditions.{name}"
            if "target" not in inner and "begin" not in inner:
                self.problems.append(f"{place}: needs target, where it holds already, or begin, which brings it about")
            if "target" in inner and ("begin" in inner or "end" in inner):
                self.problems.append(f"{place}: target excludes begin and end; keep one way")
            elif "end" in inner and "begin" not in inner:
                self.problems.append(f"{place}: end needs begin")
        return {name: _condition(inner) for name, inner in table.items()}

    def _path(self, text: str) -> Path:
        return (self._base / text).absolute()

    def _variable(self, place: str, name: str) -> str | None:
        value = os.environ.get(name)
        if not value:
            self.problems.append(f"{place}: the environment variable {name} is {'empty' if value == '' else 'not set'}")
        return value or None

    def _text_file(self, place: str, name: str) -> str | None:
        path = self._path(name)
        with self._blaming(place, path):
            text = path.read_text(encoding="utf-8").rstrip("\r\n")
            if not text:
                raise ValueError("is empty")
            return text
        return None

    @contextmanager
    def _blaming(self, place: str, path: Path | None = None) -> Iterator[None]:
        """Turn what goes wrong inside into a problem of a key, and of a file where there is one."""
        where = f"{place}: {path}:" if path else f"{place}:"
        try:
            yield
        except OSError as error:
            self.problems.append(f"{where} can't be read: {error.strerror or error}")
        except UnicodeDecodeError:
            self.problems.append(f"{where} is not UTF-8")
        except ValueError as error:
            self.problems.append(f"{where} {error}")


def _whole_numbers(table: Table) -> dict[str, int]:
    return {key: int(value) for key, value in table.items()}


def _tenant(table: Table) -> Tenant:
    limits = _whole_numbers({key: table[key] for key in ("tunnel_limit", "connection_limit") if key in table})
    rate = table.get("rate")
    return Tenant(
        id=table["id"],
        active=table.get("active", True),
        rate=Rate(float(rate["per_second"]), int(rate["burst"]), rate.get("scope")) if rate else None,
        allowed_addresses=tuple(table.get("allowed_addresses", ())),
        **limits,
    )


def _condition(table: Table) -> Condition:
    known: dict[str, Any] = {}
    if "target" in table:
        known["target"] = Endpoint.parse(table["target"])
    if "limit" in table:
        known["limit"] = int(table["limit"])
    if "dialled" in table:
        known["dialled"] = table["dialled"]
    if "settle" in table:
        known["settle"] = float(table["settle"])
    for key in ("begin", "end"):
        if key in table:
            known[key] = _action(table[key])
    return Condition(**known)


def _action(table: Table) -> Action:
    if "http" in table:
        return Action(http=HttpCall(**table["http"]))
    return Action(command=tuple(table["command"]))
