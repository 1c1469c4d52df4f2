"""The JSON Schema of configurations and scenarios, made of what the reader reads by.

It can't say everything: that names differ, that files and environment variables are there, that a condition doesn't
contradict itself. Beyond that the reader takes what it accepts, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cbspec.documents import json_schema
from cbspec.profile.target import Tenant
from cbspec_simulator.base.values import LATER, Value
from cbspec_simulator.control.schema import described, fault_schema, when_schema
from cbspec_simulator.settings.reading import DEVELOPMENT, LIMITS, SEED, TABLES, TIMELINE_ACTIONS

_AT: Final = LATER.says("so many seconds since the start, by the simulator's clock")
_KEYS: Final = ("secret", "secret_env", "key_file", "jwks_file", "jwks_url")


def scenario_schema() -> dict[str, Any]:
    """Return the schema of the file of a configuration or a scenario."""
    tables = {name: _object(keys) for name, keys in TABLES.items()}
    tables["tls"] |= {"dependentRequired": {"key": ["chain"]}}
    tables["tokens"] |= {"oneOf": [{"not": {"anyOf": [_with(key) for key in _KEYS]}}, *map(_with, _KEYS)]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration or a scenario of the cbspec simulator, in TOML",
        "type": "object",
        "properties": {
            **tables,
            "tenants": {"type": "array", "items": {"$ref": "#/$defs/tenant"}},
            "faults": {"type": "array", "items": {"$ref": "#/$defs/fault"}},
            "timeline": {
                "type": "array",
                "items": {"oneOf": [_act(name, value) for name, value in TIMELINE_ACTIONS.items()]},
            },
            "seed": described(SEED),
            "development": described(DEVELOPMENT),
        },
        "additionalProperties": False,
        "$defs": {
            "fault": _fault(),
            "when": when_schema(),
            "tenant": json_schema(Tenant),
            "limits": _object(LIMITS),
        },
    }


def _fault() -> dict[str, Any]:
    """Return the schema of a fault; the condition, which is the same for all kinds, is written once."""
    fault = fault_schema()
    for one in fault["oneOf"]:
        one["properties"]["when"] = {"$ref": "#/$defs/when"}
    return fault


_WHOLE: Final = {"add": "fault", "tenant": "tenant", "limits": "limits"}
"""The acts that are about something with a form of its own."""


def _act(name: str, value: Value) -> dict[str, Any]:
    what = described(value)
    if name in _WHOLE:
        what = {"$ref": f"#/$defs/{_WHOLE[name]}", "description": value.meaning}
    properties = {"at": described(_AT), name: what}
    return {"type": "object", "properties": properties, "required": ["at", name], "additionalProperties": False}


def _object(keys: Mapping[str, Value]) -> dict[str, Any]:
    properties = {name: described(value) for name, value in keys.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _with(key: str) -> dict[str, Any]:
    return {"required": [key]}
