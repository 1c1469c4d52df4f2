"""Read the configuration from TOML files, with every mistake reported at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

from cbspec.documents import (
    DocumentError,
    DocumentReader,
    Finish,
    Place,
    Text,
    keys,
    load_toml,
    plain_type,
    says,
)
from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.reading import finishes as profile_finishes
from cbspec.profile.target import Tenant
from cbspec_simulator.base.values import HostName, Natural, Port
from cbspec_simulator.faults.fault import Fault, FaultTable
from cbspec_simulator.faults.when import unknown_tenant
from cbspec_simulator.settings.config import (
    Certificate,
    Config,
    ConfigError,
    ControlSettings,
    LimitSettings,
    Listen,
    MetricsSettings,
    RelaySettings,
    TimelineEntry,
    TokenSettings,
)

KEY_SOURCES: Final = ("secret", "secret_env", "key_file", "jwks_file", "jwks_url")
"""The keys of the table `tokens` that exclude each other."""


@dataclass(frozen=True, slots=True)
class CertificateTable:
    """The table `tls`."""

    chain: Annotated[Path | None, says("PEM file with the certificate (if absent: one of the development CA)")] = None
    key: Annotated[Path | None, says("PEM file with the certificate's key, if it isn't in the same file")] = None
    names: Annotated[
        tuple[HostName, ...], says("additional names and addresses in the certificate of the development CA")
    ] = ()

    def __post_init__(self) -> None:
        if self.key and not self.chain:
            raise ValueError("lacks chain, the PEM file with the certificate")


@dataclass(frozen=True, slots=True)
class ControlTable:
    """The table `control`."""

    host: Annotated[Text, says("address of the HTTP controls; only loopback needs no token")] = "127.0.0.1"
    port: Annotated[Port | None, says("port of the HTTP controls, 0 for a free one (if absent: no controls)")] = None
    token_env: Annotated[Text | None, says("environment variable with the token that clients must send")] = None


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """The tables and keys of a configuration file; every key is optional."""

    listen: Listen = field(default=Listen())
    tls: CertificateTable = field(default=CertificateTable())
    tokens: TokenSettings = field(default=TokenSettings())
    tenants: Annotated[
        tuple[Tenant, ...],
        says("the relay's tenants (if absent: the development tenants)", title="an array of tables, [[tenants]]"),
    ] = DEVELOPMENT_TENANTS
    relay: RelaySettings = field(default=RelaySettings())
    limits: LimitSettings = field(default=LimitSettings())
    metrics: MetricsSettings = field(default=MetricsSettings())
    control: ControlTable = field(default=ControlTable())
    faults: Annotated[
        tuple[FaultTable, ...],
        says("faults that are active from the start", title="an array of tables, [[faults]]"),
    ] = ()
    timeline: Annotated[
        tuple[TimelineEntry, ...], says("actions at later times", title="an array of tables, [[timeline]]")
    ] = ()
    seed: Annotated[Natural, says("seed of the faults' random choices")] = 0
    development: Annotated[
        bool, says("whether the development identity may be used on an address that isn't loopback")
    ] = False


def load_config(*sources: str | Path | Mapping[str, Any]) -> Config:
    """Return the configuration in TOML files, or in mappings with the content of such a file.

    Keys of a later source override those of an earlier one; faults and timelines are concatenated. Files that a source
    names are relative to it, or to the working directory for a mapping. Raises ConfigError with one line for each
    mistake, which names file, key and remedy.
    """
    problems: list[str] = []
    names, read, configs = [], [], []
    for source in sources:
        name, base = ("config", Path()) if isinstance(source, Mapping) else (str(source), Path(source).parent)
        try:
            data = source if isinstance(source, Mapping) else load_toml(Path(source))
        except DocumentError as error:
            raise ConfigError(str(error)) from None
        data = _absolute(data, base)
        try:
            configs.append(_read(data))
        except DocumentError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
        names.append(name)
        read.append(data)
    if problems:
        raise ConfigError("\n".join(problems))
    source = " and ".join(names)
    try:
        config = configs[0] if len(configs) == 1 else _read(functools.reduce(_overridden, read, {}))
    except DocumentError as error:
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in error.problems)) from None
    if unknown := list(_unknown_tenants(config)):
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in unknown))
    return config


def _unknown_tenants(config: Config) -> Iterator[str]:
    """Yield a problem for each fault whose condition names a tenant that doesn't exist."""
    added = {
        f"timeline[{index}].add": Fault.read(entry.add)
        for index, entry in enumerate(config.timeline)
        if entry.add is not None
    }
    faults = {f"faults[{index}]": fault for index, fault in enumerate(config.faults)} | added
    tenants = [tenant.id for tenant in config.tenants]
    for place, fault in faults.items():
        if problem := unknown_tenant(fault.when, tenants):
            yield f"{place}.when.tenant: {problem}"


def _read(data: Mapping[str, Any]) -> Config:
    finish: Mapping[type, Finish] = {
        Tenant: profile_finishes()[Tenant],
        TokenSettings: _finish_tokens,
        ControlTable: _finish_control,
        ConfigDocument: _finish,
    }
    config: Config = DocumentReader(Path(), finish).read(data, ConfigDocument)
    return config


def _absolute(data: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return a file's data with absolute paths."""
    made = dict(data)
    for item, hint in keys(ConfigDocument):
        table = data.get(item.name)
        if is_dataclass(plain_type(hint)) and isinstance(table, Mapping):
            paths = [key.name for key, type_ in keys(plain_type(hint)) if plain_type(type_) is Path]
            made[item.name] = {
                key: str((base / value).absolute()) if key in paths and value and isinstance(value, str) else value
                for key, value in table.items()
            }
    return made


def _overridden(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of two files, of which the second takes precedence."""
    made = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping):
            made[key] = {**below.get(key, {}), **value}
        else:
            made[key] = [*below.get(key, ()), *value] if key in ("faults", "timeline") else value
    return made


def _finish_tokens(table: TokenSettings, place: Place, reader: DocumentReader) -> TokenSettings:
    given = [key for key in KEY_SOURCES if getattr(table, key) is not None]
    if len(given) > 1:
        reader.report(place, f"{' and '.join(given)} exclude each other; keep one")
    if table.signing_key_file and not (table.jwks_file or table.jwks_url):
        reader.report((*place, "signing_key_file"), "needs jwks_file or jwks_url")
    tokens = table
    if table.secret_env:
        tokens = replace(table, secret=reader.variable((*place, "secret_env"), table.secret_env))
    key = given[0] if given else "secret"
    with reader.blaming((*place, key), table.key_file or table.jwks_file):
        tokens.check_keys()
    with reader.blaming((*place, "signing_key_file"), table.signing_key_file):
        tokens.signing_key()
    return tokens


def _finish_control(table: ControlTable, place: Place, reader: DocumentReader) -> ControlSettings:
    token = reader.variable((*place, "token_env"), table.token_env) if table.token_env else None
    return ControlSettings(table.host, table.port, token)


def _finish(document: ConfigDocument, place: Place, reader: DocumentReader) -> Config:
    seen: set[str] = set()
    for index, fault in enumerate(document.faults):
        if fault.name in seen:
            reader.report(("faults", index, "name"), f"two faults are named {fault.name}; rename one")
        seen |= {fault.name} - {""}
    given = {item.name: getattr(document, item.name) for item in fields(document)}
    given = {item.name: given[item.name] for item in fields(document) if given[item.name] is not item.default}
    tls = given.pop("tls", CertificateTable())
    return Config(**given, certificate=Certificate(tls.chain, tls.key) if tls.chain else None, names=tls.names)
