"""When a fault strikes, held against an oracle that goes another way about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.protocol.messages import RULES, Role
from cbspec_simulator.faults.when import ANSWERS, CONDITIONS, LASTING, REQUESTS, MessageDirection, Occasion, Per, When

occasions = st.builds(
    Occasion,
    st.sampled_from(MessageDirection),
    st.integers(1, 3),
    st.sampled_from(["tcp", "websocket"]),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["u", "v"]),
    st.sampled_from(["hello", "error"]),
    st.sampled_from(["hello", ""]),
)
_ABOUT: Final = ("direction", "transport", "connection", "tenant", "subject", "message", "answer_to")


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    """Draw the conditions that say which occasions are counted, and when."""
    values: dict[str, st.SearchStrategy[Any]] = {
        "direction": st.sampled_from(MessageDirection),
        "transport": st.sampled_from(["tcp", "websocket"]),
        "connection": st.integers(1, 3),
        "tenant": st.sampled_from(["a", "b"]),
        "subject": st.sampled_from(["u", "v"]),
        "message": st.sampled_from(["hello", "error"]),
        "answer_to": st.just("hello"),
        "begin": st.floats(0, 5),
        "end": st.floats(5, 10),
    }
    return st.fixed_dictionaries({}, optional=values)


def counted(said: dict[str, Any], occasion: Occasion, age: float) -> bool:
    """Say the same by what stands in the condition: each thing that is asked for is there."""
    differ = [name for name in _ABOUT if name in said and said[name] != getattr(occasion, name)]
    early, late = age < said.get("begin", 0), "end" in said and not age < said["end"]
    return not (differ or early or late)


@settings(deadline=None)
@given(conditions(), occasions, st.floats(0, 12))
def test_which_occasions_are_counted(said: dict[str, Any], occasion: Occasion, age: float) -> None:
    assert When(**said).matches(occasion, age) is counted(said, occasion, age)


@settings(deadline=None)
@given(st.none() | st.integers(1, 12), st.none() | st.integers(1, 5), st.integers(0, 6))
def test_which_of_them_are_struck(nth: int | None, every: int | None, after: int) -> None:
    left: Sequence[int] = range(1, 31)
    left = left[after:]
    if every is not None:
        left = left[every - 1 :: every]
    if nth is not None:
        left = [number for number in left if number == nth]
    when = When(nth=nth, every=every, after=after)
    assert [number for number in range(1, 31) if when.chosen(number)] == list(left)


@given(occasions, occasions, st.sampled_from(Per))
def test_who_is_counted_together(one: Occasion, other: Occasion, per: Per) -> None:
    same = {
        Per.RELAY: True,
        Per.TENANT: one.tenant == other.tenant,
        Per.SUBJECT: (one.tenant, one.subject) == (other.tenant, other.subject),
        Per.CONNECTION: one.connection == other.connection,
    }
    when = When(per=per)
    assert (when.holder(one) == when.holder(other)) is same[per]


def test_every_condition_has_its_words() -> None:
    assert {each.name for each in fields(When)} == set(CONDITIONS)
    assert all(value.meaning for value in CONDITIONS.values())
    assert set(LASTING) < set(CONDITIONS)


def test_the_messages_are_those_of_the_protocol() -> None:
    sent = {role: {name for name, rule in RULES.items() if rule.sender is role} for role in Role}
    assert sent == {Role.CLIENT: set(REQUESTS) - {"unknown"}, Role.RELAY: set(ANSWERS)}


@pytest.mark.parametrize("name", ["direction", "per"])
def test_words_of_a_condition_are_those_of_the_code(name: str) -> None:
    words: type[MessageDirection] | type[Per] = MessageDirection if name == "direction" else Per
    assert all(CONDITIONS[name].good(word.value) for word in words)
    assert not CONDITIONS[name].good("somewhere")
