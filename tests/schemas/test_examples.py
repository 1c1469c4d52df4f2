"""The schemas and examples: a requirement and an example for each constraint, and two engines that agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

import cbspec_schemas
from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.protocol import strictjson
from cbspec_schemas import CLIENT_TYPES, NAMES, RELAY_TYPES, Example, examples, load, violations
from tests.schemas.engines import python_engine, rust_engine

EXAMPLES = examples()
TYPES = {"client": CLIENT_TYPES, "relay": RELAY_TYPES}
FOLDER = files(cbspec_schemas).joinpath("examples")
INDEX = json.loads(FOLDER.joinpath("index.json").read_text("utf-8"))
NOT_CONSTRAINTS = {"$schema", "$id", "$comment", "title", "description", "properties", "items", "allOf"}


class FailedKeyword(NamedTuple):
    """A failed keyword and its place in the message, with "*" for any item of an array."""

    place: str
    keyword: str


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


def constraints(name: str) -> dict[FailedKeyword, str]:
    """Return the constraints of a schema, each with the requirement in its `$comment`; an unknown keyword is one."""
    keywords, blamed = set(_keywords(load(name), "")), dict(_blamed(load(name), ""))
    assert keywords == set(blamed), f"{name}: constraints and comments differ: {keywords ^ set(blamed)}"
    return blamed


def _places(schema: dict[str, Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    yield schema, place
    for member, inner in schema.get("properties", {}).items():
        yield from _places(inner, f"{place}/{member}")
    if "items" in schema:
        yield from _places(schema["items"], f"{place}/*")


def _keywords(schema: dict[str, Any], root: str) -> Iterator[FailedKeyword]:
    for inner, place in _places(schema, root):
        for keyword in inner.keys() - NOT_CONSTRAINTS - {"required"}:
            yield FailedKeyword(place, keyword)
        for member in inner.get("required", []):
            yield FailedKeyword(f"{place}/{member}", "required")
        if inner.get("type") == "integer":
            yield FailedKeyword(place, "fraction")


def _blamed(schema: dict[str, Any], root: str) -> Iterator[tuple[FailedKeyword, str]]:
    for inner, place in _places(schema, root):
        for part in inner["$comment"].split("; "):
            match = re.fullmatch(r"(\w+(?:, \w+)*): (CB-[A-Z]{3}-\d{3})", part)
            assert match, f"{part!r} is not of the form 'keyword, keyword: requirement'"
            yield from ((FailedKeyword(place, keyword), match[2]) for keyword in match[1].split(", "))


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_schema(name: str) -> None:
    schema = load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"https://cbspec.dev/schemas/v2.0/{name}.schema.json"
    Draft202012Validator.check_schema(schema)
    assert not {"additionalProperties", "unevaluatedProperties", "propertyNames"} & schema.keys()
    if not name.endswith("_message"):
        assert schema["required"] == list(schema["properties"])
        assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize("name", NAMES)
def test_every_constraint_has_a_requirement_and_an_example(name: str) -> None:
    assert set(constraints(name).values()) <= set(REQUIREMENTS)
    unions = [f"{side}_message" for side, types in TYPES.items() if name in (f"{side}_message", *types)]
    wrong = [each for each in EXAMPLES if not each.valid and each.schema in (name, *unions)]
    broken = set[FailedKeyword]().union(*(failed_keywords(name, json.loads(each.text)) for each in wrong))
    assert not set(constraints(name)) - broken


def test_the_index_is_complete() -> None:
    on_disk = {f"{part}/{path.name}" for part in ("valid", "invalid") for path in FOLDER.joinpath(part).iterdir()}
    assert sorted(row["file"] for row in INDEX) == sorted(on_disk)
    for row in INDEX:
        assert row["file"] == f"{'valid' if row['valid'] else 'invalid'}/{row['name']}.json"
        assert row["name"].startswith(f"{row['schema']}-")
        assert row["because"].endswith(".")
        assert row["schema"] in (*TYPES[row["direction"]], f"{row['direction']}_message")
        assert (row["requirement"] is None) == row["valid"]
    assert {each.schema for each in EXAMPLES if each.valid} == {*CLIENT_TYPES, *RELAY_TYPES}
    assert {each.schema for each in EXAMPLES if not each.valid} == set(NAMES) - {"heartbeat", "heartbeat_response"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name)
def test_an_example_breaks_its_requirement_and_nothing_else(example: Example) -> None:
    instance = json.loads(example.text)
    assert strictjson.loads(example.text.encode()) == instance
    for name in (example.schema, f"{example.direction}_message"):
        assert python_engine(name).is_valid(instance) == rust_engine(name).is_valid(instance) == example.valid
    for name in set(TYPES[example.direction]) - {example.schema}:
        assert not python_engine(name).is_valid(instance)
        assert not rust_engine(name).is_valid(instance)
    found = violations(example.direction, instance)
    assert [each.requirement for each in found] == ([] if example.valid else [example.requirement])
    failed = failed_keywords(example.schema, instance)
    assert len({breach.place for breach in failed}) == (0 if example.valid else 1)
    # The first keyword in the comment is the reason.
    blamed = constraints(example.schema).items()
    assert next((requirement for breach, requirement in blamed if breach in failed), None) == example.requirement


def test_a_schema_is_loaded_once_and_other_names_are_rejected() -> None:
    assert load("hello") is load("hello")
    with pytest.raises(ValueError, match=r"there is no schema .* there are: hello, auth"):
        load("../cbspec/profile")


def test_examples_keep_their_bytes() -> None:
    texts = {each.name: each.text for each in EXAMPLES}
    assert texts["heartbeat-white-space"] == ' \t\r\n{\r\n\t"type"\t:\r\n  "heartbeat"\r\n}\r\n \n'
