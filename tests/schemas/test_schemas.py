"""The schemas, their examples, and the violations of a message; two engines agree."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import cbspec_schemas
from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.protocol import strictjson
from cbspec_schemas import CLIENT_TYPES, NAMES, RELAY_TYPES, Direction, Example, examples, load, violations
from cbspec_schemas.blame import python_validator, rust_validator
from tests.cbspec.spelling import json_values

EXAMPLES = examples()
TYPES = {"client": CLIENT_TYPES, "relay": RELAY_TYPES}
FOLDER = files(cbspec_schemas).joinpath("examples")
INDEX = json.loads(FOLDER.joinpath("index.json").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_schema(name: str) -> None:
    schema = load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:cbspec:schema:2.0:{name}"
    Draft202012Validator.check_schema(schema)
    assert not {"additionalProperties", "unevaluatedProperties", "propertyNames"} & schema.keys()
    if not name.endswith("_message"):
        assert schema["required"] == list(schema["properties"])
        assert schema["properties"]["type"]["const"] == name


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_of_a_schema_has_an_example(name: str) -> None:
    unions = [f"{side}_message" for side, types in TYPES.items() if name in types]
    comments = re.findall(r'"\$comment": "(.*?)"', json.dumps(load(name)))
    blamed = set(re.findall(r"CB-[A-Z]{3}-\d{3}", " ".join(comments)))
    assert blamed
    assert blamed <= {each.requirement for each in EXAMPLES if each.schema in (name, *unions)} & set(REQUIREMENTS)


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
        assert python_validator(name).is_valid(instance) == rust_validator(name).is_valid(instance) == example.valid
    for name in set(TYPES[example.direction]) - {example.schema}:
        assert not python_validator(name).is_valid(instance)
        assert not rust_validator(name).is_valid(instance)
    found = violations(example.direction, instance)
    assert [each.requirement for each in found] == ([] if example.valid else [example.requirement])


def test_a_schema_is_loaded_once_and_other_names_are_rejected() -> None:
    assert load("hello") is load("hello")
    with pytest.raises(ValueError, match=r"there is no schema .* there are: hello, auth"):
        load("../cbspec/profile")


def test_examples_keep_their_bytes() -> None:
    texts = {each.name: each.text for each in EXAMPLES}
    assert texts["heartbeat-white-space"] == ' \t\r\n{\r\n\t"type"\t:\r\n  "heartbeat"\r\n}\r\n \n'


SIDES: list[tuple[Direction, str]] = [("client", each) for each in CLIENT_TYPES]
SIDES += [("relay", each) for each in RELAY_TYPES]
PAGE: dict[str, dict[str, Any]] = {
    each.schema: json.loads(each.text) for each in EXAMPLES if each.name.endswith("-page")
}
DEEP: Any = json.loads("[" * 200 + "]" * 200)

ports = st.sampled_from([-1, 0, 1, 65535, 65536, 0.5, 3389.0, 65535.5]) | st.integers(-5, 70000)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Direction, str, dict[str, Any]]:
    """Draw a message whose members other than the type are right, wrong or missing, in any order."""
    direction, name = draw(st.sampled_from(SIDES))
    message: dict[str, Any] = {}
    for member in draw(st.permutations(list(PAGE[name]))):
        right = st.just(PAGE[name][member])
        if member == "type":
            message[member] = name
        elif draw(st.integers(0, 9)):
            message[member] = draw(right | right | json_values | (ports if member.endswith("port") else st.text()))
    return direction, name, draw(st.just({}) | st.dictionaries(st.text().map("x-{}".format), json_values)) | message


BROKEN: list[tuple[Direction, object, str, str, str]] = [
    ("client", [], "CB-MSG-005", "", "the message is an array, not an object"),
    ("client", {}, "CB-UNK-002", "/type", "type is missing"),
    ("client", {"type": True}, "CB-UNK-002", "/type", "type is a boolean, not a string"),
    ("client", {"type": "x"}, "CB-UNK-001", "/type", 'type is "x", not one of hello, auth, tunnel_info, heartbeat'),
    ("client", {"type": "error"}, "CB-UNK-003", "/type", 'type is "error", which only a relay sends'),
    ("client", PAGE["auth"] | {"token": ""}, "CB-AUT-013", "/token", "token is empty"),
    ("relay", PAGE["error"] | {"code": DEEP}, "CB-ERR-001", "/code", "code is an array, not a string"),
    ("relay", PAGE["hello_response"] | {"features": ["tls", None]}, "CB-HEL-003", "/features/1", "features[1] is null"),
    *(
        ("client", PAGE["tunnel_info"] | {name: value}, requirement, f"/{name}", f"{name} is {text}")
        for name, value, requirement, text in (
            ("local_port", "80", "CB-TUN-006", "a string, not a whole number"),
            ("local_port", 80.5, "CB-TUN-007", "80.5, not a whole number"),
            ("remote_port", 0, "CB-TUN-010", "0, less than 1"),
            ("remote_port", 65536, "CB-TUN-010", "65536, more than 65535"),
        )
    ),
]


@pytest.mark.parametrize(("direction", "message", "requirement", "path", "text"), BROKEN)
def test_a_violation_has_requirement_path_and_text(
    direction: Direction, message: object, requirement: str, path: str, text: str
) -> None:
    (found,) = violations(direction, message)
    assert (found.requirement, found.path) == (requirement, path)
    assert found.text.startswith(text)


@given(messages())
def test_schemas_engines_and_violations_agree(drawn: tuple[Direction, str, dict[str, Any]]) -> None:
    direction, name, message = drawn
    broken = violations(direction, message)
    assert len({each.path for each in broken}) == len(broken)
    assert all(each.path.split("/")[1] in load(name)["properties"] for each in broken)
    right = not broken
    for schema in (name, f"{direction}_message"):
        assert python_validator(schema).is_valid(message) == right
        assert rust_validator(schema).is_valid(message) == right


@given(st.sampled_from(["client", "relay"]), json_values | st.fixed_dictionaries({"type": json_values}))
def test_any_json_value_has_a_violation(direction: Direction, value: object) -> None:
    (found,) = violations(direction, value)
    assert found.path in ("", "/type")
    assert not rust_validator(f"{direction}_message").is_valid(value)


@given(messages(), st.text("0123456789", min_size=24, max_size=80), st.integers(0, 3))
def test_a_token_is_never_repeated(drawn: tuple[Direction, str, dict[str, Any]], digits: str, wrapping: int) -> None:
    direction, _, message = drawn
    secret = f"token~{digits}"
    token = [secret, [secret], {"token": secret}, {secret: None}][wrapping]
    found = violations(direction, message | {"token": token}) + violations("client", {"type": "auth", "token": token})
    assert all(secret[:20] not in each.text for each in found)


@pytest.mark.parametrize("value", ["x" * 1_000_000, "\u202e" * 60, "\n" * 60], ids=["long", "bidi", "lines"])
def test_a_long_value_is_cut_and_escaped(value: str) -> None:
    (found,) = violations("relay", {"type": value})
    shown = found.text.removeprefix("type is ").split(", not one of")[0]
    assert len(shown) == 60
    assert shown.removesuffix("…").isascii()
    assert shown.removesuffix("…").isprintable()
