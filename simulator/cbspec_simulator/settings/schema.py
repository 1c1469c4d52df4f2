"""JSON Schemas of faults and of configuration files, generated from the types by which they are read.

A schema doesn't cover rules about several keys of a condition, names that must differ, files and the environment.
"""

from __future__ import annotations

from typing import Any

from cbspec.documents import json_schema
from cbspec.profile.target import Tenant
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import THROUGH, SequenceTable, kind_table
from cbspec_simulator.faults.when import When
from cbspec_simulator.settings.config import RelayLimits
from cbspec_simulator.settings.reading import KEY_SOURCES, ConfigDocument

Schema = dict[str, Any]


def fault_schema() -> Schema:
    """Return the schema of a fault without references: OpenAPI includes it, and the web page makes a form from it."""
    return _fault()


def scenario_schema() -> Schema:
    """Return the schema of a configuration file or scenario."""
    schema = json_schema(ConfigDocument)
    tables = schema["properties"]
    tables["tls"]["dependentRequired"] = {"key": ["chain"]}
    one_source: list[Schema] = [{"required": [key]} for key in KEY_SOURCES]
    tables["tokens"]["oneOf"] = [{"not": {"anyOf": one_source}}, *one_source]
    tables["tenants"]["items"] = {"$ref": "#/$defs/tenant"}
    tables["timeline"]["items"] |= {"minProperties": 2, "maxProperties": 2}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration or a scenario of the cbspec simulator, in TOML",
        **schema,
        "$defs": {
            "tenant": json_schema(Tenant),
            "limits": json_schema(RelayLimits),
            "when": json_schema(When),
            "fault": _fault(when={"$ref": "#/$defs/when"}),
        },
    }


def _fault(**others: Schema) -> Schema:
    """Return the schema of a fault; `others` are schemas for its name or condition instead of the usual ones."""
    sequence, kinds = json_schema(SequenceTable), _kinds()
    common = {**{name: sequence["properties"][name] for name in ("name", "when")}, **others}
    sequence["properties"] |= common
    alone = [{**kind, "properties": {**kind["properties"], **common}} for kind in kinds]
    sequence["properties"]["sequence"]["items"] = {"oneOf": [*kinds, json_schema(kind_table(THROUGH, alone=False))]}
    return {"oneOf": [*alone, {"title": "sequence", **sequence}]}


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
