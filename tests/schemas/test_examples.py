"""Each invalid example breaks one requirement, and two engines agree on every example."""

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
