"""The JSON Schema of faults, made of the catalogue of kinds."""

from __future__ import annotations

from typing import Any

from cbspec_simulator.base.values import FLAG, NAME, Value
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import THROUGH
from cbspec_simulator.faults.kind import FaultKind
from cbspec_simulator.faults.when import CONDITIONS


def fault_schema() -> dict[str, Any]:
    """Return the schema of one fault: of one kind, or a sequence of kinds."""
    name = {"name": described(NAME.says("what the fault is called (left out: it gets a number)"))}
    when = {"when": when_schema()}
    repeat = described(FLAG.says("whether the sequence begins anew (left out: it doesn't)"))
    parts = [_part(kind) for kind in KINDS.values()]
    through = {"type": "object", "properties": {"kind": {"const": THROUGH}}, "required": ["kind"]}
    sequence = {
        "type": "array",
        "minItems": 1,
        "items": {"oneOf": [*parts, {**through, "additionalProperties": False}]},
    }
    one = [_part(kind, {**name, **when}) for kind in KINDS.values()]
    several = {
        "type": "object",
        "title": "sequence",
        "properties": {**name, **when, "sequence": sequence, "repeat": repeat},
        "required": ["sequence"],
        "additionalProperties": False,
    }
    return {"oneOf": [*one, several]}


def when_schema() -> dict[str, Any]:
    """Return the schema of a fault's condition."""
    properties = {name: described(value) for name, value in CONDITIONS.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def described(value: Value) -> dict[str, Any]:
    """Return a value's schema with what it means."""
    return {**value.schema, "description": value.meaning} if value.meaning else dict(value.schema)


def _part(kind: FaultKind, more: dict[str, Any] | None = None) -> dict[str, Any]:
    properties: dict[str, Any] = {"kind": {"const": kind.name}}
    for name, param in kind.params.items():
        properties[name] = described(param.value)
        if param.default is not None:
            properties[name]["default"] = param.default
    some = {"anyOf": [{"required": [name]} for name in kind.params]} if kind.some else {}
    return {
        "type": "object",
        "title": kind.name,
        "x-layer": kind.layer,
        "description": kind.sentence,
        "properties": {**properties, **(more or {})},
        "required": ["kind", *(name for name, param in kind.params.items() if param.required)],
        "additionalProperties": False,
        **some,
    }
