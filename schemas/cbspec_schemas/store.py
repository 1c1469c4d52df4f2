"""The files of this folder, read as package data: in a checkout and from a wheel alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Direction = Literal["client", "relay"]
"""Who sends a message."""

CLIENT_TYPES = ("hello", "auth", "tunnel_info", "heartbeat")
"""The types of message that a client sends."""

RELAY_TYPES = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")
"""The types of message that a relay sends."""

NAMES = (*CLIENT_TYPES, *RELAY_TYPES, "client_message", "relay_message")
"""The names of all schemas: one for each type, and one for any message of a direction."""


@dataclass(frozen=True)
class Example:
    """One message as text, right or wrong.

    `schema` names the schema that it is an example of, `requirement` the one requirement that a wrong message breaks
    (None for a right one), `because` says in a sentence what it shows.
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
    """Return the schema called `name`, one of NAMES; it is shared, so leave it as it is.

    Raises ValueError for any other name.
    """
    if name not in NAMES:
        raise ValueError(f"there is no schema {name!r}; there are: {', '.join(NAMES)}")
    schema: dict[str, Any] = json.loads(_read(f"{name}.schema.json"))
    return schema


def examples() -> list[Example]:
    """Return every example in examples/index.json, in its order."""
    return [_example(**row) for row in json.loads(_read("examples", "index.json"))]


def _example(*, file: str, **members: Any) -> Example:  # noqa: ANN401 - the members of a row of the index
    return Example(text=_read("examples", *file.split("/")), **members)


ERROR_CODES: tuple[str, ...] = tuple(load("error")["properties"]["code"]["enum"])
"""The eleven codes of an error, in the specification's order."""
