"""A target profile written as TOML: one that exists, or a commented one to start from."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.profile.checking import follow, schema, write_key, write_text
from cbspec.profile.target import Endpoint, Profile

_WIDTH: Final = 110
_HOW_TO_USE: Final = (
    "A line that begins with # and a key, without a space between, is not in force: take the # away to set the key."
)


def dump(profile: Profile) -> str:
    """Write a profile that `load` reads back as an equal one.

    Secrets that came from a file or the environment are in the text, so whoever stores it keeps it private.
    """
    document = _plain(profile)
    tenants = document.pop("tenants", [])
    lines = [line for name, table in document.items() for line in _table(name, table)]
    for tenant in tenants:
        lines += ["[[tenants]]", *_pairs(tenant), ""]
    return "\n".join(lines)


def _plain(value: object) -> Any:  # noqa: ANN401 - any TOML value
    """Turn a profile's part into what TOML knows; what is None or empty is left out."""
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
    """Write a table and the tables in it; what is deeper stands on one line."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    own = {key: value for key, value in table.items() if key not in inner}
    if own:
        yield from (f"[{name}]", *_pairs(own), "")
    for key, value in inner.items():
        yield from (f"[{name}.{write_key(key)}]", *_pairs(value), "")


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{write_key(key)} = {write_value(value)}" for key, value in table.items())


def write_value(value: object) -> str:
    """Write a value as TOML does, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return write_text(value)
        case list():
            return f"[{', '.join(write_value(item) for item in value)}]"
        case dict():
            return f"{{ {', '.join(_pairs(value))} }}" if value else "{}"
    return repr(value)


def template() -> str:
    """Write a profile in which every key is explained and none is in force, made of the schema."""
    lines = [*_comment(f"{schema()['description']} {_HOW_TO_USE}"), ""]
    for name, part in schema()["properties"].items():
        lines += _explained_table((name,), follow(part))
    return "\n".join(lines)


def _explained_table(place: tuple[str, ...], part: Mapping[str, Any]) -> Iterator[str]:
    name = ".".join(place)
    repeated = part["type"] == "array"
    keys = {key: follow(inner) for key, inner in (part["items"] if repeated else part)["properties"].items()}
    tables = {key: inner for key, inner in keys.items() if key == "ready" or name == "conditions"}
    yield from _comment(part["description"] + _exercised(name, exactly=True))
    if repeated:
        yield f"#[[{name}]]"
    elif not tables or keys.keys() != tables.keys():
        # A condition's table can't be empty, so it isn't in force either.
        yield f"#[{name}]" if place[0] == "conditions" else f"[{name}]"
    for key, inner in keys.items():
        if key not in tables:
            yield from _explained_key(f"{name}.{key}", key, inner)
    yield ""
    for key, inner in tables.items():
        yield from _explained_table((*place, key), inner)


def _explained_key(place: str, key: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield from _comment(part["description"] + _exercised(place))
    kind, value = ("default", part["default"]) if "default" in part else ("example", part["examples"][0])
    yield f"#{key} = {write_value(value)}  # {kind}"


def _exercised(place: str, *, exactly: bool = False) -> str:
    """Name the requirements that can't be exercised without a key."""

    def names(need: str) -> bool:
        keys = re.findall(r"[a-z_]+(?:\.[a-z_]+)+|^tenants", need)
        return any(key == place or (not exactly and key.startswith(f"{place}.")) for key in keys)

    ids = [id_ for id_, requirement in REQUIREMENTS.items() if any(map(names, requirement.needs))]
    return f" For {', '.join(ids)}." if ids else ""


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
