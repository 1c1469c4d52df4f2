"""The schemas as documents: valid themselves, named as their files, and each constraint blamed and exemplified."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import cbspec_schemas
from cbspec_schemas import CLIENT_TYPES, NAMES, RELAY_TYPES, examples, load
from tests.schemas.constraints import constraints
from tests.schemas.engines import FailedKeyword, failed_keywords

CATALOGUE = tomllib.loads(files("cbspec.catalogue").joinpath("requirements.toml").read_text("utf-8"))
UNIONS = {"client_message": CLIENT_TYPES, "relay_message": RELAY_TYPES}


def every_object(node: object) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in every_object(item)]
    if not isinstance(node, dict):
        return []
    return [node, *(found for item in node.values() for found in every_object(item))]


def test_every_schema_file_is_named() -> None:
    found = {
        path.name.removesuffix(".schema.json") for path in files(cbspec_schemas).iterdir() if "schema.json" in path.name
    }
    assert found == set(NAMES)
    assert len(NAMES) == len(set(NAMES)) == 11


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_valid_draft_2020_12(name: str) -> None:
    assert load(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(load(name))


@pytest.mark.parametrize("name", NAMES)
def test_id_is_that_of_the_file(name: str) -> None:
    assert load(name)["$id"] == f"https://cbspec.dev/schemas/v2.0/{name}.schema.json"


@pytest.mark.parametrize("name", NAMES)
def test_schema_and_members_are_described(name: str) -> None:
    schema = load(name)
    described = [schema, *schema["properties"].values()]
    described += [member["items"] for member in schema["properties"].values() if "items" in member]
    assert schema["title"]
    assert all(each["description"].endswith(".") for each in described)


@pytest.mark.parametrize("name", NAMES)
def test_no_schema_forbids_unknown_members(name: str) -> None:
    closing = {"additionalProperties", "unevaluatedProperties", "propertyNames"}
    assert all(closing.isdisjoint(each) for each in every_object(load(name)))


@pytest.mark.parametrize("name", [*CLIENT_TYPES, *RELAY_TYPES])
def test_every_member_is_required_and_the_type_is_constant(name: str) -> None:
    schema = load(name)
    assert schema["required"] == list(schema["properties"])
    assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize(("name", "types"), UNIONS.items())
def test_union_sends_each_type_to_its_schema(name: str, types: tuple[str, ...]) -> None:
    schema = load(name)
    assert schema["properties"]["type"]["enum"] == list(types)
    branches = {each["if"]["properties"]["type"]["const"]: each["then"] for each in schema["allOf"]}
    assert branches == {each: {"$ref": f"{each}.schema.json"} for each in types}


def test_client_schema_knows_the_types_that_only_relays_send() -> None:
    assert load("client_message")["properties"]["type"]["not"] == {"enum": list(RELAY_TYPES)}


def test_the_specification_s_own_messages_have_the_required_members() -> None:
    members = {each.schema: list(json.loads(each.text)) for each in examples() if each.name.endswith("-page")}
    assert members == {name: load(name)["required"] for name in [*CLIENT_TYPES, *RELAY_TYPES]}


@pytest.mark.parametrize("name", NAMES)
def test_every_comment_names_requirements_of_the_catalogue(name: str) -> None:
    assert set(constraints(name).values()) <= set(CATALOGUE)


@pytest.mark.parametrize("name", NAMES)
def test_every_constraint_is_broken_by_an_example(name: str) -> None:
    union = next(union for union, types in UNIONS.items() if name in (union, *types))
    wrong = [each for each in examples() if not each.valid and each.schema in (name, union)]
    broken = set[FailedKeyword]().union(*(failed_keywords(name, json.loads(each.text)) for each in wrong))
    assert not set(constraints(name)) - broken
