"""Two independent validators: jsonschema (Python) and jsonschema-rs (Rust)."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import jsonschema
import jsonschema_rs
from referencing import Registry, Resource

from cbspec_schemas import NAMES, load


class FailedKeyword(NamedTuple):
    """A failed keyword and its place in the message, with "*" for any item of an array."""

    place: str
    keyword: str


@cache
def python_engine(name: str) -> jsonschema.Draft202012Validator:
    registry: Registry[Any] = Registry().with_resources(
        (load(each)["$id"], Resource.from_contents(load(each))) for each in NAMES
    )
    return jsonschema.Draft202012Validator(load(name), registry=registry)


@cache
def rust_engine(name: str) -> jsonschema_rs.Draft202012Validator:
    registry = jsonschema_rs.Registry([(load(each)["$id"], load(each)) for each in NAMES])
    return jsonschema_rs.Draft202012Validator(load(name), registry=registry, offline=True)


def failed_keywords(name: str, instance: Any) -> set[FailedKeyword]:  # noqa: ANN401 - any JSON value
    """Return the failed keywords according to the Rust engine."""
    found = set()
    for error in rust_engine(name).iter_errors(instance):
        path, keyword = error.instance_path, str(error.schema_path[-1])
        if keyword == "required":
            path = [*path, error.kind.as_dict()["property"]]
        if keyword == "type" and error.kind.as_dict()["types"] == ["integer"] and isinstance(error.instance, float):
            keyword = "fraction"
        found.add(FailedKeyword("".join("/*" if isinstance(step, int) else f"/{step}" for step in path), keyword))
    return found
