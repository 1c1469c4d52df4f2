"""The schema and example files as package data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Direction = Literal["client", "relay"]
"""The sender of a message."""

CLIENT_TYPES = ("hello", "auth", "tunnel_info", "heartbeat")
"""The types of a client's messages."""

RELAY_TYPES = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")
"""The types of a relay's messages."""

NAMES = (*CLIENT_TYPES, *RELAY_TYPES, "client_message", "relay_message")
"""The names of the schemas: one for each type, and one for all messages of each sender."""


@dataclass(frozen=True)
class Example:
    """One valid or invalid message as text.

    `schema` is the name of its schema, `requirement` the only requirement that an invalid message breaks, and `because`
    a sentence about its purpose.
    """

    name: str
    direction: Direction
    valid: bool
    requirement: str | None
    text: str
    schema: str
    because: str


def _read(*path: str) -> str:
    return files(__package__).joinpath(*path).read_bytes().decode("utf-8")


@cache
def load(name: str) -> dict[str, Any]:
    """Return the schema with a name of NAMES, which callers must not change. Raises ValueError."""
    if name not in NAMES:
        raise ValueError(f"there is no schema {name!r}; there are: {', '.join(NAMES)}")
    schema: dict[str, Any] = json.loads(_read(f"{name}.schema.json"))
    return schema


def examples() -> list[Example]:
    """Return the examples in the order of examples/index.json."""
    return [_example(**row) for row in json.loads(_read("examples", "index.json"))]


def _example(*, file: str, **members: Any) -> Example:  # noqa: ANN401 - the members of a row of the index
    return Example(text=_read("examples", *file.split("/")), **members)


ERROR_CODES: tuple[str, ...] = tuple(load("error")["properties"]["code"]["enum"])
"""The eleven codes of an error, in the specification's order."""
