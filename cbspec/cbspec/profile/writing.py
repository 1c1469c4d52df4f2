"""Write a target profile as TOML: an existing one, or a commented template."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from cbspec.documents import keys, meta, plain_type, write_key, write_pairs, write_value
from cbspec.profile.target import Endpoint, Profile
from cbspec.redact import redact

_WIDTH: Final = 110
MASK: Final = "***"
"""What stands for a secret in the profile of a report."""

_SECRET: Final = ("secret", "ready", "headers", "body", "command", "claims")
_USER_INFO: Final = re.compile(r"(//)[^/@]*@")
_INTRODUCTION: Final = (
    'What the suite may know of a relay. Every key is optional: without it, some requirements are "not exercised", and '
    "the report names the missing key. A line that begins with # and a key, without a space between them, is inactive: "
    "remove the # to set the key."
)


def dump(profile: Profile) -> str:
    """Return a profile as TOML that `load` reads as an equal one.

    The text contains secrets that came from a file or the environment, so its file must be private.
    """
    return _written(_plain(profile))


def dump_public(profile: Profile) -> str:
    """Return a profile as TOML for a report: secrets, ready tokens, commands and the parts of HTTP calls are masked."""
    return _written(_masked(_plain(profile)))


def _written(document: dict[str, Any]) -> str:
    tenants = document.pop("tenants", [])
    lines = [line for name, table in document.items() for line in _table(name, table)]
    for tenant in tenants:
        lines += ["[[tenants]]", *write_pairs(tenant), ""]
    return "\n".join(lines)


def _masked(value: Any, *, secret: bool = False) -> Any:  # noqa: ANN401 - any TOML value
    match value:
        case dict():
            return {name: _masked(inner, secret=secret or name in _SECRET) for name, inner in value.items()}
        case list() if secret and value:
            return [MASK]
        case list():
            return [_masked(inner) for inner in value]
        case str() if secret:
            return MASK
        case str():
            return _USER_INFO.sub(rf"\1{MASK}@", redact(value, MASK))
    return value


def _plain(value: object) -> Any:  # noqa: ANN401 - any TOML value
    """Return a part of a profile as TOML data, without members that are None or empty."""
    match value:
        case Endpoint() | Path():
            return str(value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
    if not is_dataclass(value):
        return value
    members = {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.compare}
    return {name: member for name, member in members.items() if member not in (None, [], {})}


def _table(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Write a table and its tables; deeper tables are inline."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    own = {key: value for key, value in table.items() if key not in inner}
    if own:
        yield from (f"[{name}]", *write_pairs(own), "")
    for key, value in inner.items():
        yield from (f"[{name}.{write_key(key)}]", *write_pairs(value), "")


MINIMAL: Final = """\
# The five keys that most relays need. `cbspec profile check FILE` checks them.
target.address = "relay.example:8080"
tls.ca = "ca.pem"                   # a file next to this one, "development" or "system"
tokens.secret_env = "RELAY_SECRET"  # the environment variable with the secret that verifies tokens (HS256)
tenants = [
  { id = "tenant-001" },                    # a tenant without limits, for the most cases
  { id = "tenant-002", tunnel_limit = 5 },  # another one; a limit lets the suite test it
]
# More keys let the suite test more: the report names the missing key of each requirement that was not exercised. Add
# a key as a line like those above, with the name of its table: metrics.url = "http://127.0.0.1:9090/metrics"
# `cbspec profile init` prints all keys with their meanings.
"""
"""A short profile, to be edited."""


def template() -> str:
    """Return a profile in which every key is explained and none is set."""
    from cbspec.profile.reading import ProfileDocument

    lines = [*_comment(_INTRODUCTION), ""]
    for item, hint in keys(ProfileDocument):
        lines += _explained_table((item.name,), hint)
    return "\n".join(lines)


def _explained_table(place: tuple[str, ...], hint: Any) -> Iterator[str]:  # noqa: ANN401 - a type
    name = ".".join(place)
    repeated = name == "tenants"
    members = keys(plain_type(hint.__origin__.__args__[0] if repeated else hint))
    tables = [(item, inner) for item, inner in members if item.name == "ready" or name == "conditions"]
    yield from _comment(meta(hint, "description") + _exercised(name, exactly=True))
    if repeated:
        yield f"#[[{name}]]"
    elif len(tables) < len(members):
        # A condition's table can't be empty, so it is inactive, too.
        yield f"#[{name}]" if place[0] == "conditions" else f"[{name}]"
    for item, inner in members:
        if (item, inner) not in tables:
            yield from _explained_key(f"{name}.{item.name}", item, inner)
    yield ""
    for item, inner in tables:
        yield from _explained_table((*place, item.name), inner)


def _explained_key(place: str, item: Field[Any], hint: Any) -> Iterator[str]:  # noqa: ANN401 - a type
    yield from _comment(meta(hint, "description") + _exercised(place))
    examples = meta(hint, "examples")
    kind, value = ("example", examples[0]) if examples else ("default", _plain(item.default))
    yield f"#{item.name} = {write_value(value)}  # {kind}"


def _exercised(place: str, *, exactly: bool = False) -> str:
    """Name the requirements that are not exercised without a key."""
    from cbspec.catalogue.requirements import REQUIREMENTS

    def names(need: str) -> bool:
        found = re.findall(r"[a-z_]+(?:\.[a-z_]+)+|^tenants", need)
        return any(key == place or (not exactly and key.startswith(f"{place}.")) for key in found)

    ids = [id_ for id_, requirement in REQUIREMENTS.items() if any(map(names, requirement.needs))]
    return f" For {', '.join(ids)}." if ids else ""


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
