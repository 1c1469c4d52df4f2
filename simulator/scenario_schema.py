"""The JSON Schema of configurations and scenarios, made of what the reader reads by.

It can't say everything: that names differ, that files and environment variables are there, that a fault's condition
doesn't contradict itself. What it accepts beyond that the reader accepts, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbspec.profile_check import schema as profile_schema
from simulator.config_read import ACTS, SEED, TABLES
from simulator.control.controls import RELAY_LIMITS
from simulator.control.schema import described, fault_schema
from simulator.values import COUNT, FLAG, LATER, Value

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def scenario_schema() -> dict[str, Any]:
    """Return the schema of a configuration's or a scenario's file."""
    tables = {name: _table(keys) for name, keys in TABLES.items()}
    tables["tls"]["dependentRequired"] = {"key": ["chain"]}
    return {
        "$schema": _DIALECT,
        "title": "A configuration or a scenario of the cbspec simulator (TOML)",
        "type": "object",
        "properties": {
            **tables,
            "tenants": profile_schema()["properties"]["tenants"],
            "faults": {"type": "array", "items": {"$ref": "#/$defs/fault"}},
            "timeline": {"type": "array", "items": _act()},
            "seed": described(SEED),
        },
        "additionalProperties": False,
        "$defs": {"fault": fault_schema()},
    }


def _table(keys: Mapping[str, Value]) -> dict[str, Any]:
    properties = {name: described(value) for name, value in keys.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}
