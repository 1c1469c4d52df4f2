"""The schema is sound, and complaints are put in words."""

from __future__ import annotations

import datetime
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.checking import check, follow, kind, parse_network, schema, write_place

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
KEYS = st.sampled_from([*schema()["properties"], "tenant", ""])


def parts(part: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any part of a JSON document
    if isinstance(part, list):
        return [found for item in part for found in parts(item)]
    if not isinstance(part, dict):
        return []
    return [part, *(found for item in part.values() for found in parts(item))]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema_rs.validator_for(dict(schema()))


def test_every_key_is_described_and_every_default_and_example_valid() -> None:
    definitions = schema()["$defs"]
    for part in parts({key: value for key, value in schema().items() if key != "$defs"}):
        for name, inner in part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ():
            whole = follow(inner)
            assert "description" in whole, name
            for value in [*whole.get("examples", []), *([whole["default"]] if "default" in whole else [])]:
                jsonschema.validate(value, {**whole, "$defs": definitions})


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_document_gets_an_answer_in_lines(data: dict[str, object]) -> None:
    for name, complaints in check(data).items():
        assert name in {*data, ""}
        assert all(text and "\n" not in text for text in complaints)


def test_places_are_written_as_a_reader_looks_for_them() -> None:
    assert write_place(("tenants", 0, "rate", "burst")) == "tenants[0].rate.burst"
    assert write_place(("tokens", "claims", "a b", 'c"', "d\n")) == r'tokens.claims."a b"."c\""."d\n"'


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "a table"),
        (datetime.date(2020, 1, 1), "a date or time"),
    ],
)
def test_kinds_have_names(value: object, name: str) -> None:
    assert kind(value) == name


@given(st.ip_addresses())
def test_a_single_address_is_a_network(address: object) -> None:
    assert str(parse_network(str(address)).network_address) == str(address)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("2001:db8::1/32", "did you mean 2001:db8::/32"),
        ("10.0.0.0/33", "must be an address or a network"),
        ("", "must be an address or a network"),
    ],
)
def test_what_is_no_network_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_network(text)
