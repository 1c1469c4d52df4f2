"""JSON Schemas of faults and of configuration files, generated from the types by which they are read.

A schema doesn't cover rules about several keys of a fault or condition, names that must differ, tenants that must
exist, files and the environment.
"""

from __future__ import annotations

from typing import Any

from cbspec.documents import json_schema
from cbspec.profile.target import Tenant
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import THROUGH, SequenceTable, kind_table
from cbspec_simulator.faults.when import When
from cbspec_simulator.settings.config import RelayLimits, timeline_actions
from cbspec_simulator.settings.reading import KEY_SOURCES, ConfigDocument

Schema = dict[str, Any]


def fault_schema() -> Schema:
    """Return the schema of a fault without references: OpenAPI includes it, and the web page makes a form from it."""
    sequence, kinds = json_schema(SequenceTable), _kinds()
    common = {name: sequence["properties"][name] for name in ("name", "when")}
    alone = [{**kind, "properties": {**kind["properties"], **common}} for kind in kinds]
    sequence["properties"]["sequence"]["items"] = {"oneOf": [*kinds, _through()]}
    return {"oneOf": [*alone, {"title": "sequence", **sequence}]}


def scenario_schema() -> Schema:
    """Return the schema of a configuration file or scenario."""
    schema = json_schema(ConfigDocument)
    tables = schema["properties"]
    tables["tls"]["dependentRequired"] = {"key": ["chain"]}
    one_source: list[Schema] = [{"required": [key]} for key in KEY_SOURCES]
    tables["tokens"]["oneOf"] = [{"not": {"anyOf": one_source}}, *one_source]
    tables["tenants"]["items"] = {"$ref": "#/$defs/tenant"}
    tables["timeline"]["items"]["oneOf"] = [{"required": [name]} for name in timeline_actions()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration or a scenario of the cbspec simulator, in TOML",
        **schema,
        "$defs": {
            "tenant": json_schema(Tenant),
            "limits": json_schema(RelayLimits),
            "when": json_schema(When),
            "fault": _shared_fault(),
            "part": _shared_part(),
        },
    }


def _shared_fault() -> Schema:
    """Return the schema of a fault that refers to the definitions `part` and `when`."""
    sequence = _without(json_schema(SequenceTable), "additionalProperties", "type")
    common = {name: sequence["properties"].pop(name) for name in ("name", "when")}
    common["when"] = {"$ref": "#/$defs/when"}
    part = {"$ref": "#/$defs/part"}
    sequence["properties"]["sequence"]["items"] = {**part, "unevaluatedProperties": False}
    alone = {**part, "properties": {"kind": {"not": {"const": THROUGH}}}}
    return {"type": "object", "properties": common, "oneOf": [alone, sequence], "unevaluatedProperties": False}


def _shared_part() -> Schema:
    """Return the schema of a kind with its parameters, to which a fault adds other keys."""
    parts = [_without(part, "title", "x-layer", "type", "additionalProperties") for part in (*_kinds(), _through())]
    for part in parts:
        part["required"].remove("kind")
    kinds = [{name: value for name, value in part.items() if value} for part in parts]
    return {"type": "object", "required": ["kind"], "oneOf": kinds}


def _without(schema: Schema, *names: str) -> Schema:
    return {name: value for name, value in schema.items() if name not in names}


def _through() -> Schema:
    return json_schema(kind_table(THROUGH, alone=False))


def _kinds() -> list[Schema]:
    made = []
    for kind in KINDS.values():
        schema: Schema = {"title": kind.name, "x-layer": kind.layer, "description": kind.sentence}
        schema |= json_schema(kind_table(kind.name, alone=False))
        for name, param in kind.params.items():
            if param.default is not None:
                schema["properties"][name]["default"] = param.default
        if kind.some:
            schema["anyOf"] = [{"required": [name]} for name in kind.params]
        made.append(schema)
    return made
