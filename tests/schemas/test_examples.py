"""The examples: both engines judge them alike, and each wrong one is wrong for one reason."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

import cbspec_schemas
from cbspec.protocol import strictjson
from cbspec_schemas import CLIENT_TYPES, NAMES, RELAY_TYPES, Example, examples, violations
from tests.schemas.constraints import constraints
from tests.schemas.engines import failed_keywords, python_engine, rust_engine

EXAMPLES = examples()
TYPES = {"client": CLIENT_TYPES, "relay": RELAY_TYPES}
FOLDER = files(cbspec_schemas).joinpath("examples")
INDEX = json.loads(FOLDER.joinpath("index.json").read_text("utf-8"))

every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name)


def test_index_and_files_agree() -> None:
    on_disk = {f"{part}/{path.name}" for part in ("valid", "invalid") for path in FOLDER.joinpath(part).iterdir()}
    assert sorted(row["file"] for row in INDEX) == sorted(on_disk)


def test_names_are_unique_and_those_of_the_files() -> None:
    assert len({row["name"] for row in INDEX}) == len(INDEX)
    for row in INDEX:
        assert row["file"] == f"{'valid' if row['valid'] else 'invalid'}/{row['name']}.json"
        assert row["name"].startswith(f"{row['schema']}-")
        assert row["because"].endswith(".")
        assert row["schema"] in (*TYPES[row["direction"]], f"{row['direction']}_message")
        assert (row["requirement"] is None) == row["valid"]


def test_no_two_examples_of_a_direction_are_the_same_text() -> None:
    texts: dict[tuple[str, str], str] = {}
    for example in EXAMPLES:
        same = texts.setdefault((example.direction, example.text), example.name)
        assert same == example.name, f"{example.name} repeats {same}"


def test_every_schema_has_examples() -> None:
    assert {each.schema for each in EXAMPLES if each.valid} == {*CLIENT_TYPES, *RELAY_TYPES}
    assert {each.schema for each in EXAMPLES if not each.valid} == set(NAMES) - {"heartbeat", "heartbeat_response"}


@every_example
def test_example_is_strict_json(example: Example) -> None:
    assert strictjson.loads(example.text.encode()) == json.loads(example.text)


@every_example
def test_both_engines_agree_on_schema_and_union(example: Example) -> None:
    instance = json.loads(example.text)
    for name in (example.schema, f"{example.direction}_message"):
        assert python_engine(name).is_valid(instance) == example.valid
        assert rust_engine(name).is_valid(instance) == example.valid


@every_example
def test_no_other_schema_of_the_direction_takes_the_example(example: Example) -> None:
    instance = json.loads(example.text)
    for name in set(TYPES[example.direction]) - {example.schema}:
        assert not python_engine(name).is_valid(instance)
        assert not rust_engine(name).is_valid(instance)


@every_example
def test_example_breaks_its_requirement_and_nothing_else(example: Example) -> None:
    found = violations(example.direction, json.loads(example.text))
    assert [each.requirement for each in found] == ([] if example.valid else [example.requirement])


@every_example
def test_second_engine_blames_the_same_requirement(example: Example) -> None:
    blame = constraints(example.schema)
    found = failed_keywords(example.schema, json.loads(example.text))
    assert len({breach.place for breach in found}) == (0 if example.valid else 1)
    # Where several keywords fail at one place, the one that the comment names first is the reason.
    first = next((requirement for breach, requirement in blame.items() if breach in found), None)
    assert first == example.requirement
