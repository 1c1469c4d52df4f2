"""Two independent validators: jsonschema (Python) and jsonschema-rs (Rust)."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
import jsonschema_rs
from referencing import Registry, Resource

from cbspec_schemas import NAMES, load


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
