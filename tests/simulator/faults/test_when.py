"""Conditions, compared with an oracle that works differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.documents import meta
from cbspec.protocol.messages import RULES, Role
from cbspec_simulator.faults.when import ANSWERS, CONDITIONS, LASTING, REQUESTS, MessageDirection, Occasion, When

_ABOUT: Final[dict[str, st.SearchStrategy[Any]]] = {
    "direction": st.sampled_from(MessageDirection),
    "transport": st.sampled_from(["tcp", "websocket"]),
    "connection": st.integers(1, 3),
    "tenant": st.sampled_from(["a", "b"]),
    "subject": st.sampled_from(["u", "v"]),
    "message": st.sampled_from(["hello", "error"]),
    "answer_to": st.sampled_from(["hello", "auth"]),
}
_OCCASIONS: Final = st.builds(Occasion, **_ABOUT)
_KEYS: Final = st.fixed_dictionaries({}, optional=_ABOUT | {"begin": st.floats(0, 5), "end": st.floats(5, 10)})


@settings(deadline=None)
@given(_KEYS, _OCCASIONS, st.floats(0, 12))
def test_matching_occasions(keys: dict[str, Any], occasion: Occasion, age: float) -> None:
    differ = [name for name in _ABOUT if name in keys and keys[name] != getattr(occasion, name)]
    early, late = age < keys.get("begin", 0), "end" in keys and not age < keys["end"]
    assert When(**keys).matches(occasion, age) is not bool(differ or early or late)


@settings(deadline=None)
@given(st.none() | st.integers(1, 12), st.none() | st.integers(1, 5), st.integers(0, 6))
def test_chosen_occasions(nth: int | None, every: int | None, after: int) -> None:
    left: Sequence[int] = range(1, 31)[after:]
    if every is not None:
        left = left[every - 1 :: every]
    if nth is not None:
        left = [number for number in left if number == nth]
    when = When(nth=nth, every=every, after=after)
    assert [number for number in range(1, 31) if when.chosen(number)] == list(left)


def test_conditions_are_described_and_name_the_messages_of_the_protocol() -> None:
    assert all(meta(hint, "description") for hint in CONDITIONS.values())
    assert set(LASTING) < set(CONDITIONS)
    sent = {role: {name for name, rule in RULES.items() if rule.sender is role} for role in Role}
    assert sent == {Role.CLIENT: set(REQUESTS) - {"unknown"}, Role.RELAY: set(ANSWERS)}
