"""The requirements that a decoded message breaks, from the `$comment` members of the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import jsonschema_rs

from cbspec_schemas.store import CLIENT_TYPES, NAMES, RELAY_TYPES, Direction, load

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_TYPES = {"client": CLIENT_TYPES, "relay": RELAY_TYPES}
_ECHO = 60  # most characters of a value in a text

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_WANTED = {"string": "a string", "integer": "a whole number", "array": "an array", "object": "an object"}


@dataclass(frozen=True)
class SchemaViolation:
    """One wrong or missing member of a message.

    `requirement` is the id in the catalogue, and `path` the JSON pointer of the member (empty for the message itself).
    `text` is a sentence with at most 60 characters of a value, and none of `token`.
    """

    requirement: str
    path: str
    text: str


@dataclass(frozen=True)
class _Breach:
    """A failed keyword, with its value, the value in the message, and the `$comment` of the place."""

    path: tuple[str | int, ...]
    keyword: str
    wanted: Any
    found: object
    comment: str

    @property
    def rank(self) -> int:
        """The position of the keyword in the `$comment`; of several failures at one place, the first counts."""
        return list(_blame(self.comment)).index(self.keyword)


def violations(direction: Direction, instance: object) -> list[SchemaViolation]:
    """Return the violations of a decoded message, at most one for each member.

    Source: Message Types; Notes / all fields are required.
    """
    name = _schema_for(direction, instance)
    if _is_valid(name, instance):
        return []
    reasons: dict[tuple[str | int, ...], _Breach] = {}
    for error in python_validator(name).iter_errors(instance):
        for breach in _breaches(error):
            if breach.rank < reasons.setdefault(breach.path, breach).rank:
                reasons[breach.path] = breach
    return [
        SchemaViolation(_blame(breach.comment)[breach.keyword], "".join(f"/{step}" for step in path), _text(breach))
        for path, breach in reasons.items()
    ]


def _schema_for(direction: Direction, instance: object) -> str:
    # The schema of the type has the same result as the one of the direction, and is faster.
    kind = instance.get("type") if isinstance(instance, dict) else None
    return kind if isinstance(kind, str) and kind in _TYPES[direction] else f"{direction}_message"


def _is_valid(name: str, instance: object) -> bool:
    # Most messages are valid, and this validator accepts them a hundred times faster. Its errors don't contain all
    # members, and it rejects some values of Python.
    try:
        return rust_validator(name).is_valid(instance)
    except ValueError:
        return False


@cache
def rust_validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """Return the fast validator of a schema."""
    registry = jsonschema_rs.Registry([(load(each)["$id"], load(each)) for each in NAMES])
    return jsonschema_rs.Draft202012Validator(load(name), registry=registry, offline=True)


@cache
def python_validator(name: str) -> Draft202012Validator:
    """Return the validator of a schema whose errors are complete; it can't download other documents."""
    from jsonschema import Draft202012Validator  # takes a tenth of a second, and most runs see no invalid message
    from referencing import Registry, Resource

    documents = [load(name) for name in NAMES]
    registry = Registry[Any]().with_resources((each["$id"], Resource.from_contents(each)) for each in documents)
    return Draft202012Validator(load(name), registry=registry)


def _breaches(error: ValidationError) -> Iterator[_Breach]:
    schema: Any = error.schema
    keyword, wanted, found = str(error.validator), cast(Any, error.validator_value), cast(Any, error.instance)
    path = tuple(error.absolute_path)
    if keyword == "required":
        # The error names the missing members only in its text.
        for member in (each for each in wanted if each not in found):
            yield _Breach((*path, member), keyword, wanted, None, schema["properties"][member]["$comment"])
        return
    if wanted == "integer" and isinstance(found, float):
        keyword = "fraction"
    yield _Breach(path, keyword, wanted, found, schema["$comment"])


@cache
def _blame(comment: str) -> dict[str, str]:
    """Return the requirement of each keyword in a `$comment`, "required, type: CB-TUN-006; minimum: CB-TUN-007"."""
    blame = {}
    for part in comment.split(";"):
        keywords, requirement = part.split(":")
        blame.update(dict.fromkeys((each.strip() for each in keywords.split(",")), requirement.strip()))
    return blame


def _text(breach: _Breach) -> str:
    name, wanted, found = _name(breach.path), breach.wanted, breach.found
    match breach.keyword:
        case "required":
            return f"{name} is missing"
        case "type":
            kind = next(text for type_, text in _KINDS.items() if isinstance(found, type_))
            return f"{name} is {kind}, not {_WANTED[wanted]}"
        case "minLength":
            return f"{name} is empty"
        case "fraction":
            return f"{name} is {_echo(found)}, not a whole number"
        case "minimum":
            return f"{name} is {_echo(found)}, less than {wanted}"
        case "maximum":
            return f"{name} is {_echo(found)}, more than {wanted}"
        case "not":
            return f"{name} is {_echo(found)}, which only a relay sends"
        case _:
            return f"{name} is {_echo(found)}, not one of {', '.join(wanted)}"


def _echo(value: object) -> str:
    # Escaped to ASCII for terminals and logs.
    text = json.dumps(value[:_ECHO] if isinstance(value, str) else value)
    return text if len(text) <= _ECHO else text[: _ECHO - 1] + "…"


def _name(path: tuple[str | int, ...]) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else step for step in path)
    return name or "the message"
