"""The constraints in a schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cbspec_schemas import load
from tests.schemas.engines import FailedKeyword

_NOT_CONSTRAINTS = {"$schema", "$id", "$comment", "title", "description", "properties", "items", "allOf"}


def constraints(name: str) -> dict[FailedKeyword, str]:
    """Return the constraints of a schema, each with the requirement in its `$comment`; an unknown keyword is one."""
    keywords, blamed = set(_keywords(load(name), "")), dict(_blamed(load(name), ""))
    assert keywords == set(blamed), f"{name}: constraints and comments differ: {keywords ^ set(blamed)}"
    return blamed


def _places(schema: dict[str, Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    yield schema, place
    for member, inner in schema.get("properties", {}).items():
        yield from _places(inner, f"{place}/{member}")
    if "items" in schema:
        yield from _places(schema["items"], f"{place}/*")


def _keywords(schema: dict[str, Any], root: str) -> Iterator[FailedKeyword]:
    for inner, place in _places(schema, root):
        for keyword in inner.keys() - _NOT_CONSTRAINTS - {"required"}:
            yield FailedKeyword(place, keyword)
        for member in inner.get("required", []):
            yield FailedKeyword(f"{place}/{member}", "required")
        if inner.get("type") == "integer":
            yield FailedKeyword(place, "fraction")


def _blamed(schema: dict[str, Any], root: str) -> Iterator[tuple[FailedKeyword, str]]:
    for inner, place in _places(schema, root):
        for part in inner["$comment"].split("; "):
            match = re.fullmatch(r"(\w+(?:, \w+)*): (CB-[A-Z]{3}-\d{3})", part)
            assert match, f"{part!r} is not of the form 'keyword, keyword: requirement'"
            yield from ((FailedKeyword(place, keyword), match[2]) for keyword in match[1].split(", "))
