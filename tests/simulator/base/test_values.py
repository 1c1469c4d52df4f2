"""What keys may hold: words, test and JSON Schema say the same."""

from __future__ import annotations

import datetime
import json
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator.base import values
from cbspec_simulator.base.values import Value

ALL: Final[dict[str, Value]] = {
    **{name: value for name, value in vars(values).items() if isinstance(value, Value)},
    "one_of": values.one_of("a", "b"),
    "up_to": values.up_to(10),
    "short": values.short(3),
}
SCHEMAS: Final = {name: jsonschema.Draft202012Validator(value.schema) for name, value in ALL.items()}
# Where the schema can't say all that the test asks for: half surrogate pairs, and bytes instead of characters.
_LOOSE: Final = {"short"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
near = st.sampled_from([0, 1, -1, 0.5, 10, 11, 65_535, 65_536, "", "a", "abc", "abcd", "a b", [], [0], [1], ["x"], {}])


@pytest.mark.parametrize("name", ALL)
@settings(deadline=None)
@given(value=json_values | near)
def test_the_schema_says_what_the_test_does(name: str, value: object) -> None:
    known = ALL[name]
    # A schema's integer may be written 1.0; here it may not.
    if isinstance(value, float) and value.is_integer():
        return
    if isinstance(value, list) and any(isinstance(each, float) for each in value):
        return
    right = SCHEMAS[name].is_valid(value)
    assert known.good(value) is right or (name in _LOOSE and right)


@pytest.mark.parametrize("name", ALL)
def test_each_says_in_words_what_it_wants(name: str) -> None:
    assert ALL[name].wanted
    assert ALL[name].says("its meaning").meaning == "its meaning"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400, "1", None, True])
def test_no_number(value: Any) -> None:  # noqa: ANN401 - anything
    assert not values.number(value)


@pytest.mark.parametrize("value", ["\ud800", {"x": ["\udfff"]}, {"\ud800": 1}, float("nan"), datetime.date(2026, 1, 1)])
def test_what_cannot_be_written_is_no_json(value: Any) -> None:  # noqa: ANN401 - anything
    assert not values.JSON.good(value)
    assert not values.OBJECT.good({"member": value})
    assert not values.TEXT.good(value)


def test_depth_without_end_is_no_json() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert not values.JSON.good(deep)


@settings(deadline=None)
@given(json_values)
def test_what_can_be_written_is_json(value: object) -> None:
    assert values.JSON.good(value)
    assert json.loads(json.dumps(value)) == value


@settings(deadline=None)
@given(st.text())
def test_names_are_good_in_addresses_and_in_lines(text: str) -> None:
    if values.NAME.good(text):
        assert text.isascii()
        assert not set(text) & set(" /?#%\n\"'")
        assert text[0].isalnum()


def test_bytes_are_counted_not_characters() -> None:
    assert values.short(4).good("ääaa"[:2])
    assert not values.short(3).good("ää")
