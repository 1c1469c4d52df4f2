"""A target profile held against its schema, with what is wrong in words that a person can act on."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, cast
from urllib.parse import urlsplit

import jsonschema

from cbspec.profile.target import Endpoint

_TYPES: Final = {
    "object": "a table",
    "array": "an array",
    "string": "a string",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
}
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (type(None), "null"),
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "a table"),
    (object, "a date or time"),
)
_SECTION_DEPTH: Final = 2
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")

Place = Sequence[str | int]


@cache
def schema() -> Mapping[str, Any]:
    """Read profile.schema.json."""
    text = resources.files("cbspec.profile").joinpath("profile.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def follow(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put what a part of the schema refers to under what it says itself."""
    while "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        own = {key: value for key, value in part.items() if key != "$ref"}
        part = {**schema()["$defs"][name], **own}
    return part


def write_key(key: str) -> str:
    """Write a key as TOML does: bare where it can be."""
    return key if _BARE_KEY.fullmatch(key) else write_text(key)


def write_text(text: str) -> str:
    """Write a string as TOML does: JSON's escapes are TOML's too, but JSON lets the character DEL stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_place(place: Place) -> str:
    """Write where in a profile something is: `tenants[0].id`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{write_key(step)}"
    return text.removeprefix(".")


def check(data: Mapping[str, object]) -> dict[str, list[str]]:
    """Hold a profile against the schema: complaints, in the order of the document, by top-level key."""
    found: dict[str, list[str]] = {}
    errors = sorted(_validator().iter_errors(data), key=lambda error: _order(data, error.absolute_path))
    complaints = [(tuple(error.absolute_path), text) for error in errors for text in _say(error)]
    for place, text in dict.fromkeys([*complaints, *_not_finite(data, ())]):
        found.setdefault(str(place[0]) if place else "", []).append(text)
    return found


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read a network or a single address; ValueError says what is wrong."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"must be an address or a network, 192.0.2.0/24, not {text!r}") from None
    if "/" in text and network.network_address != ipaddress.ip_interface(text).ip:
        raise ValueError(f"has bits set behind its prefix; did you mean {network}?")
    return network


def _parse_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"must be an IPv4 or IPv6 address, not {text!r}") from None


def _parse_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", text):
        # A URL may hold a password, so it isn't repeated.
        raise ValueError("must be an http:// or https:// address with a host")


@cache
def _validator() -> jsonschema.Draft202012Validator:
    formats = jsonschema.FormatChecker(formats=())
    checks = {"endpoint": Endpoint.parse, "network": parse_network, "address": _parse_address, "http-url": _parse_url}
    for name, parse in checks.items():
        formats.checks(name, raises=ValueError)(_for_strings(parse))
    return jsonschema.Draft202012Validator(schema(), format_checker=formats)


def _for_strings(parse: Callable[[str], object]) -> Callable[[object], bool]:
    """Make a format's check of a parser: what isn't a string is the business of another rule."""

    def conforms(value: object) -> bool:
        if isinstance(value, str):
            parse(value)
        return True

    return conforms


def _order(data: Any, place: Iterable[str | int]) -> list[int]:  # noqa: ANN401 - any TOML value
    """Give the position of a place in the document, so that complaints come in the reader's order."""
    positions = []
    for step in place:
        positions.append(step if isinstance(step, int) else list(data).index(step))
        data = data[step]
    return positions


def _say(error: jsonschema.ValidationError) -> Iterator[str]:
    place = tuple(error.absolute_path)
    part = cast(Mapping[str, Any], error.schema)
    table: Any = error.instance
    match error.validator:
        case "additionalProperties":
            known = list(part["properties"])
            for key in table:
                if key not in known:
                    yield f"{write_place((*place, key))}: unknown key{_hint(key, known, place)}"
        case "required":
            missing = [key for key in part["required"] if key not in table]
            yield f"{write_place(place)}: lacks {' and '.join(missing)}"
        case "format":
            yield f"{write_place(place)}: {error.cause}"
        case _:
            yield f"{write_place(place)}: must be {_expected(error, part)}"


def _expected(error: jsonschema.ValidationError, part: Mapping[str, Any]) -> str:
    value, limit = error.instance, error.validator_value
    match error.validator:
        case "type":
            wanted = part.get("title") or _TYPES[str(limit)]
            seen = str(value) if limit == "integer" and isinstance(value, float) else kind(value)
            return f"{wanted}, not {seen}"
        case "enum":
            choices = ", ".join(part["enum"])
            if not isinstance(value, str):
                return f"one of {choices}, not {kind(value)}"
            return f"one of {choices}, not {value!r}{_hint(value, part['enum'], ())}"
        case "minimum":
            return f"{limit} or more, not {value}"
        case "exclusiveMinimum":
            return f"more than {limit}, not {value}"
        case "minLength" | "minItems":
            return f"{_TYPES[part['type']] if isinstance(part['type'], str) else 'a string'} that is not empty"
        case _:
            return str(part["title"])


def kind(value: object) -> str:
    """Name the kind of a TOML or JSON value."""
    return next(name for type_, name in _KINDS if isinstance(value, type_))


def _hint(key: str, known: Sequence[str], place: Place) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    homes = [name for name, part in schema()["properties"].items() if key in part.get("properties", {})]
    if homes and len(place) < _SECTION_DEPTH:
        return f"; it belongs in [{homes[0]}]"
    return f"; known are {', '.join(known)}"


def _not_finite(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    match value:
        case float() if not math.isfinite(value):
            yield place, f"{write_place(place)}: must be a finite number, not {value}"
        case dict():
            for key, inner in value.items():
                yield from _not_finite(inner, (*place, key))
        case list():
            for index, inner in enumerate(value):
                yield from _not_finite(inner, (*place, index))
