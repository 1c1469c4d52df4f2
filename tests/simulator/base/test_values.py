"""Types of values: the reader agrees with their JSON Schemas, and accepts no text that can't be encoded."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.documents import DocumentError, DocumentReader, describe, json_schema
from cbspec_simulator.base import values

TYPES: Final[dict[str, Any]] = {
    "a name of letters, digits, dots, hyphens and underscores, 64 at most": values.Name,
    "a port from 0 to 65535": values.Port,
    "a whole number, 0 or more": values.Natural,
    "a number, 0 or more": values.Delay,
    "a number from 0 to 1": values.Probability,
    "a JSON object": values.JsonObject,
    "one of a, b": values.one_of("a", "b"),
    "a whole number from 1 to 10": values.up_to(10),
    "a string of at most 3 bytes": values.short(3),
}
SCHEMAS: Final = {name: jsonschema_rs.validator_for(json_schema(hint)) for name, hint in TYPES.items()}
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NEAR: Final = st.sampled_from([0, 1, -1, 0.5, 1.0, 10, 11, 65_535, 65_536, "", "a", "abc", "abcd", "a b", "a\n", {}])


def reads(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type
    """Return whether the reader accepts a value."""
    try:
        DocumentReader(Path()).read(value, hint)
    except DocumentError:
        return False
    return True


@pytest.mark.parametrize("words", TYPES)
@settings(deadline=None)
@given(value=JSON | NEAR)
def test_the_reader_agrees_with_the_schema(words: str, value: object) -> None:
    valid = SCHEMAS[words].is_valid(value)
    # A schema counts characters, not bytes, and sets no limit to the size of a number.
    assert reads(value, TYPES[words]) is valid or (valid and ("bytes" in words or words == "a number, 0 or more"))
    assert describe(TYPES[words]) == words


def test_values_that_cannot_be_written_as_json() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("\ud800", {"x": ["\udfff"]}, {"\ud800": 1}, float("nan"), datetime.date(2026, 1, 1), deep):
        assert not reads({"member": value}, values.JsonObject)
        assert not reads(value, str)


def test_bytes_are_counted_and_not_characters() -> None:
    assert reads("ää", values.short(4))
    assert not reads("ää", values.short(3))
