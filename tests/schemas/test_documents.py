"""The schemas: their form, their descriptions, and a requirement and an example for each constraint."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_schemas import CLIENT_TYPES, NAMES, RELAY_TYPES, examples, load
from tests.schemas.constraints import constraints
from tests.schemas.engines import FailedKeyword, failed_keywords

UNIONS = {"client_message": CLIENT_TYPES, "relay_message": RELAY_TYPES}


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_schema(name: str) -> None:
    schema = load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"https://cbspec.dev/schemas/v2.0/{name}.schema.json"
    Draft202012Validator.check_schema(schema)
    assert not {"additionalProperties", "unevaluatedProperties", "propertyNames"} & schema.keys()
    if name not in UNIONS:
        assert schema["required"] == list(schema["properties"])
        assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize("name", NAMES)
def test_every_constraint_has_a_requirement_and_an_example(name: str) -> None:
    assert set(constraints(name).values()) <= set(REQUIREMENTS)
    union = next(union for union, types in UNIONS.items() if name in (union, *types))
    wrong = [each for each in examples() if not each.valid and each.schema in (name, union)]
    broken = set[FailedKeyword]().union(*(failed_keywords(name, json.loads(each.text)) for each in wrong))
    assert not set(constraints(name)) - broken
