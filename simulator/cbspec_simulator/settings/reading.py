"""The configuration read from a TOML file, with every mistake named at once."""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from cbspec.documents import kind
from cbspec.profile.profile import ProfileError, from_mapping
from cbspec_simulator.base.values import (
    COUNT,
    FLAG,
    LATER,
    OBJECT,
    PORT,
    SECONDS,
    SIZE,
    TEXT,
    TEXTS,
    Value,
    number,
    one_of,
)
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.kind import ENDS
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
from cbspec_simulator.settings.keyring import reason

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
        "secret": TEXT.says("the secret of tokens (HS256); without any key it is the development secret"),
        "secret_env": TEXT.says("the environment variable that holds the secret"),
        "key_file": TEXT.says("a PEM file with the private key of tokens (RS256, ES256, EdDSA)"),
        "jwks_file": TEXT.says("a file with the issuer's public keys (JWKS), read again whenever it changed"),
        "jwks_url": TEXT.says("the address of the issuer's public keys: https, on loopback http as well"),
        "jwks_max_age": SECONDS.says(
            "how old the keys of jwks_url may be; for an unknown key id, or by Cache-Control, they are fetched sooner"
        ),
        "signing_key_file": TEXT.says(
            "a private key that goes with the JWKS, for `--profile-out`: the suite mints with it"
        ),
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
    "control": {
        "host": TEXT.says("the address on which the relay can be controlled over HTTP; off loopback only with a token"),
        "port": PORT.says("the port for it, 0 for a free one (left out: it can't be controlled)"),
        "token_env": TEXT.says("the environment variable with the token that is demanded"),
    },
}
"""Every key of the configuration but `tenants`, `faults`, `seed` and `development`, by table."""

TIMELINE_ACTIONS: Final[Mapping[str, Value]] = {
    "add": OBJECT.says("a fault that strikes from then on"),
    "remove": TEXT.says("the name of a fault that is taken away"),
    "release": TEXT.says("the name of a fault that lets go what it holds back"),
    "reset": FLAG.says("true: no faults, no draining, the configured limits"),
    "drain": FLAG.says("whether the relay takes no new work from then on"),
    "limits": OBJECT.says("limits of the whole relay: connection_limit, buffer_pool"),
    "tenant": OBJECT.says("the id of a tenant, and its keys that change"),
    "drop": one_of(*ENDS).says("in which way all connections that are open end"),
}
"""Every key of a timeline's entry beside `at`; each entry has one of them."""

SEED: Final = COUNT.says("what faults leave to chance follows from this number")
DEVELOPMENT: Final = FLAG.says("whether the development identity may serve an address that others can reach")
LIMITS: Final = {name: TABLES["relay"][name] for name in ("connection_limit", "buffer_pool")}
"""What a timeline can change of the whole relay."""

_FILES: Final = {"tls": ("chain", "key"), "tokens": ("key_file", "jwks_file", "signing_key_file")}
_TOP: Final = (*TABLES, "tenants", "faults", "timeline", "seed", "development")


def load_config(*sources: str | Path | Mapping[str, Any]) -> Config:
    """Return the configuration in TOML files, or in mappings that hold what a file would.

    What a later one says counts, faults and timelines of all add up. Files that one names are relative to it, or to the
    working directory for a mapping. Raises ConfigError with one line for each mistake, naming file, key and, for an
    unknown one, the nearest right one.
    """
    read: list[tuple[str, dict[str, Any]]] = []
    problems: list[str] = []
    for source in sources:
        name, base = ("config", Path()) if isinstance(source, Mapping) else (str(source), Path(source).parent)
        data = _with_paths(dict(source) if isinstance(source, Mapping) else _toml(Path(source)), base)
        reader = _Reader(base)
        reader.read(data)
        problems += [f"{name}: {problem}" for problem in reader.problems]
        read.append((name, data))
    if problems:
        raise ConfigError("\n".join(problems))
    reader = _Reader(Path())
    config = reader.read(functools.reduce(_laid_over, (data for _, data in read), {}))
    if reader.problems:
        names = " and ".join(name for name, _ in read)
        raise ConfigError("\n".join(f"{names}: {problem}" for problem in reader.problems))
    return config


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8, at byte {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    except ValueError:
        raise ConfigError(f"{path}: holds a number of too many digits") from None


def _with_paths(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Return a file's data with the files that it names made absolute."""
    made = dict(data)
    for table, keys in _FILES.items():
        if isinstance(data.get(table), dict):
            files = {
                key: str((base / name).absolute())
                for key, name in data[table].items()
                if key in keys and TEXT.good(name)
            }
            made[table] = {**data[table], **files}
    return made


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for key, value in above.items():
        if key in TABLES and isinstance(below.get(key), dict):
            made[key] = {**below[key], **value}
        elif key in ("faults", "timeline"):
            made[key] = [*below.get(key, ()), *value]
        else:
            made[key] = value
    return made


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
        if not DEVELOPMENT.good(development := data.get("development", False)):
            self.problems.append(f"development: must be {DEVELOPMENT.wanted}, not {kind(development)}")
        features = tables["relay"].pop("features", None)
        if features is not None:
            tables["relay"]["features"] = tuple(features)
        return Config(
            listen=Listen(**tables["listen"]),
            certificate=self._certificate(tables["tls"]),
            tokens=self._tokens(tables["tokens"]),
            relay=RelaySettings(**tables["relay"]),
            limits=LimitSettings(**tables["limits"]),
            metrics=MetricsSettings(**tables["metrics"]),
            control=self._control(tables["control"]),
            faults=self._faults(data.get("faults", [])),
            timeline=self._timeline(data.get("timeline", [])),
            seed=self._seed(data.get("seed", 0)),
            development=development is True,
            **parts,
        )

    def _control(self, table: dict[str, Any]) -> ControlSettings:
        if variable := table.pop("token_env", None):
            table["token"] = os.environ.get(variable) or None
            if table["token"] is None:
                self.problems.append(f"control.token_env: the environment variable {variable} is not set or empty")
        return ControlSettings(**table)

    def _faults(self, items: object) -> tuple[Fault, ...]:
        if not isinstance(items, list):
            self.problems.append(f"faults: must be an array of tables, [[faults]], not {kind(items)}")
            return ()
        faults: list[Fault] = []
        for number_, item in enumerate(items, 1):
            try:
                faults.append(Fault.read(item))
            except FaultError as error:
                self.problems += [f"faults {number_}: {problem}" for problem in error.problems]
        names = [fault.name for fault in faults if fault.name]
        twice = sorted({name for name in names if names.count(name) > 1})
        self.problems += [f"faults: two are called {name}; give one another name" for name in twice]
        return tuple(faults)

    def _timeline(self, items: object) -> tuple[TimelineEntry, ...]:
        if not isinstance(items, list):
            self.problems.append(f"timeline: must be an array of tables, [[timeline]], not {kind(items)}")
            return ()
        acts = (self._act(f"timeline {number_}", item) for number_, item in enumerate(items, 1))
        return tuple(act for act in acts if act is not None)

    def _act(self, where: str, item: object) -> TimelineEntry | None:
        if not isinstance(item, dict) or not LATER.good(item.get("at")):
            self.problems.append(f"{where}: must be a table with at, {LATER.wanted} since the start")
            return None
        done = [key for key in item if key != "at"]
        if len(done) != 1 or done[0] not in TIMELINE_ACTIONS:
            self.problems.append(
                f"{where}: must do one thing of {', '.join(TIMELINE_ACTIONS)}, not {' and '.join(done) or 'none'}"
            )
            return None
        do, what = done[0], item[done[0]]
        if not TIMELINE_ACTIONS[do].good(what):
            self.problems.append(f"{where}: {do} must be {TIMELINE_ACTIONS[do].wanted}, not {kind(what)}")
            return None
        self.problems += [f"{where}: {do}: {problem}" for problem in _wrong_with(do, what)]
        return TimelineEntry(float(item["at"]), do, what)

    def _seed(self, value: object) -> int:
        if not SEED.good(value):
            self.problems.append(f"seed: must be {SEED.wanted}, not {kind(value)}")
            return 0
        return int(str(value))

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

    def _tokens(self, table: dict[str, Any]) -> TokenSettings:
        sources = [key for key in ("secret", "secret_env", "key_file", "jwks_file", "jwks_url") if key in table]
        if len(sources) > 1:
            self.problems.append(f"tokens: {' and '.join(sources)} exclude each other; keep one")
        if variable := table.pop("secret_env", None):
            table["secret"] = os.environ.get(variable) or None
            if table["secret"] is None:
                self.problems.append(f"tokens.secret_env: the environment variable {variable} is not set or empty")
        if "signing_key_file" in table and not {"jwks_file", "jwks_url"} & table.keys():
            self.problems.append("tokens.signing_key_file: goes with jwks_file or jwks_url, and neither is there")
        table |= {key: self._path(table[key]) for key in _FILES["tokens"] if key in table}
        rules = TokenSettings(**table)
        for key, look in (((*sources, "secret")[0], rules.check_keys), ("signing_key_file", rules.signing_key)):
            try:
                look()
            except (OSError, ValueError) as error:
                file = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
                self.problems.append(f"tokens.{key}: {file}{reason(error)}")
        return rules

    def _path(self, name: str) -> Path:
        return (self._base / name).absolute()


def _wrong_with(do: str, what: Any) -> Iterable[str]:  # noqa: ANN401 - any TOML value
    """Give the mistakes in what a timeline's act is about."""
    match do:
        case "add":
            try:
                Fault.read(what)
            except FaultError as error:
                yield from error.problems
        case "limits":
            yield from (f"{name}: unknown limit; known are {', '.join(LIMITS)}" for name in what if name not in LIMITS)
            yield from (
                f"{name}: must be {LIMITS[name].wanted}, not {kind(value)}"
                for name, value in what.items()
                if name in LIMITS and not LIMITS[name].good(value)
            )
        case "tenant":
            try:
                from_mapping({"tenants": [what]}, Path())
            except ProfileError as error:
                yield from (problem.removeprefix("tenants[0]").lstrip(".: ") for problem in error.problems)
