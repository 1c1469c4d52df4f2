"""The schemas: their form, their descriptions, and a requirement and an example for each constraint."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

import cbspec_schemas
from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_schemas import CLIENT_TYPES, NAMES, RELAY_TYPES, examples, load
from tests.schemas.constraints import constraints
from tests.schemas.engines import FailedKeyword, failed_keywords

UNIONS = {"client_message": CLIENT_TYPES, "relay_message": RELAY_TYPES}


def test_every_schema_file_is_listed() -> None:
    found = [path.name for path in files(cbspec_schemas).iterdir() if "schema.json" in path.name]
    assert sorted(found) == sorted(f"{name}.schema.json" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_schema(name: str) -> None:
    schema = load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"https://cbspec.dev/schemas/v2.0/{name}.schema.json"
    Draft202012Validator.check_schema(schema)
    described = [schema, *schema["properties"].values()]
    described += [member["items"] for member in schema["properties"].values() if "items" in member]
    assert schema["title"]
    assert all(each["description"].endswith(".") for each in described)
    for forbidden in ("additionalProperties", "unevaluatedProperties", "propertyNames"):
        assert forbidden not in json.dumps(schema)
    if name not in UNIONS:
        assert schema["required"] == list(schema["properties"])
        assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize(("name", "types"), UNIONS.items())
def test_a_union_selects_the_schema_of_the_type(name: str, types: tuple[str, ...]) -> None:
    schema = load(name)
    assert schema["properties"]["type"]["enum"] == list(types)
    branches = {each["if"]["properties"]["type"]["const"]: each["then"] for each in schema["allOf"]}
    assert branches == {each: {"$ref": f"{each}.schema.json"} for each in types}
    if name == "client_message":
        assert schema["properties"]["type"]["not"] == {"enum": list(RELAY_TYPES)}


def test_the_messages_of_the_specification_have_the_required_members() -> None:
    members = {each.schema: list(json.loads(each.text)) for each in examples() if each.name.endswith("-page")}
    assert members == {name: load(name)["required"] for name in [*CLIENT_TYPES, *RELAY_TYPES]}


@pytest.mark.parametrize("name", NAMES)
def test_every_constraint_has_a_requirement_and_an_example(name: str) -> None:
    assert set(constraints(name).values()) <= set(REQUIREMENTS)
    union = next(union for union, types in UNIONS.items() if name in (union, *types))
    wrong = [each for each in examples() if not each.valid and each.schema in (name, union)]
    broken = set[FailedKeyword]().union(*(failed_keywords(name, json.loads(each.text)) for each in wrong))
    assert not set(constraints(name)) - broken
