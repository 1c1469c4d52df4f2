"""What a decoded message breaks, requirement by requirement, as the schemas' `$comment` members have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from cbspec_schemas.store import CLIENT_TYPES, NAMES, RELAY_TYPES, Direction, load

_TYPES = {"client": CLIENT_TYPES, "relay": RELAY_TYPES}
_ECHO = 60  # characters of a value that a text repeats at most

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),  # before int, which it is in Python
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)
_WANTED = {"string": "a string", "integer": "a whole number", "array": "an array", "object": "an object"}


@dataclass(frozen=True)
class SchemaViolation:
    """One member of a message that is not as its schema demands.

    `requirement` is the id in the catalogue, `path` a JSON pointer to the member (where it would be, if it is
    missing; empty for the message itself), `text` a sentence that repeats at most 60 characters of a value, and
    never one of `token`.
    """

    requirement: str
    path: str
    text: str


@dataclass(frozen=True)
class _Breach:
    """One failed keyword at one place: what the schema wants there, what it found, and the place's `$comment`."""

    path: tuple[str | int, ...]
    keyword: str
    wanted: Any
    found: object
    comment: str

    @property
    def rank(self) -> int:
        """How early the `$comment` names the keyword: of several at one place the first is the reason."""
        return list(_blame(self.comment)).index(self.keyword)


def violations(direction: Direction, instance: object) -> list[SchemaViolation]:
    """Return what the decoded message `instance`, coming from a client or a relay, breaks: at most one for a member.

    Source: Message Types; Notes / all fields are required.
    """
    name = _schema_for(direction, instance)
    if _breaks_nothing(name, instance):
        return []
    reasons: dict[tuple[str | int, ...], _Breach] = {}
    for error in _validator(name).iter_errors(instance):
        for breach in _breaches(error):
            known = reasons.setdefault(breach.path, breach)
            if breach.rank < known.rank:
                reasons[breach.path] = breach
    return [_violation(breach) for breach in reasons.values()]


def _violation(breach: _Breach) -> SchemaViolation:
    pointer = "".join(f"/{step}" for step in breach.path)
    return SchemaViolation(_blame(breach.comment)[breach.keyword], pointer, _text(breach))


def _schema_for(direction: Direction, instance: object) -> str:
    # The schema of the type alone says the same as that of the direction, with far less work.
    kind = instance.get("type") if isinstance(instance, dict) else None
    return kind if isinstance(kind, str) and kind in _TYPES[direction] else f"{direction}_message"


def _breaks_nothing(name: str, instance: object) -> bool:
    # Nearly all messages are right, and this validator finds that out a hundred times faster. It can't say which
    # keyword failed for which members, and some values that Python can hold it can't take.
    try:
        return _swift(name).is_valid(instance)
    except ValueError:
        return False


@cache
def _swift(name: str) -> jsonschema_rs.Draft202012Validator:
    registry = jsonschema_rs.Registry([(load(each)["$id"], load(each)) for each in NAMES])
    return jsonschema_rs.Draft202012Validator(load(name), registry=registry, offline=True)


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(load(name), registry=_registry())


@cache
def _registry() -> Registry[Any]:
    # A registry without a way to retrieve: a reference that isn't among our files fails, instead of being fetched.
    documents = [load(name) for name in NAMES]
    return Registry().with_resources((each["$id"], Resource.from_contents(each)) for each in documents)


def _breaches(error: ValidationError) -> Iterator[_Breach]:
    schema: Any = error.schema
    keyword, wanted, found = str(error.validator), cast(Any, error.validator_value), cast(Any, error.instance)
    path = tuple(error.absolute_path)
    if keyword == "required":
        # The validator reports once for each member that is missing, but names it only in its text.
        for member in (each for each in wanted if each not in found):
            yield _Breach((*path, member), keyword, wanted, None, schema["properties"][member]["$comment"])
        return
    if wanted == "integer" and isinstance(found, float):
        keyword = "fraction"
    yield _Breach(path, keyword, wanted, found, schema["$comment"])


@cache
def _blame(comment: str) -> dict[str, str]:
    """Read a `$comment`, as "required, type: CB-TUN-006; minimum: CB-TUN-007", into keyword -> requirement."""
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
            return f"{name} is {_kind(found)}, not {_WANTED[wanted]}"
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


def _kind(value: object) -> str:
    return "null" if value is None else next(text for kind, text in _KINDS if isinstance(value, kind))


def _echo(value: object) -> str:
    # Escaped to ASCII, since texts end in terminals and logs.
    text = json.dumps(value[:_ECHO] if isinstance(value, str) else value)
    return text if len(text) <= _ECHO else text[: _ECHO - 1] + "…"


def _name(path: tuple[str | int, ...]) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else step for step in path)
    return name or "the message"
