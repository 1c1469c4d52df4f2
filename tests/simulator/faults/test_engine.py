"""The engine counts occasions, repeats decisions by seed, keeps the order of faults and frees its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.documents import meta
from cbspec.protocol.messages import RULES, Role
from cbspec_simulator.faults.engine import Decision, Faults
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.when import ANSWERS, CONDITIONS, LASTING, REQUESTS, MessageDirection, Occasion, Per, When

ANSWER: Final = Occasion(MessageDirection.ANSWER, 1, "tcp", "a", "u", "hello_response", "hello")
_ABOUT: Final[dict[str, st.SearchStrategy[Any]]] = {
    "direction": st.sampled_from(MessageDirection),
    "transport": st.sampled_from(["tcp", "websocket"]),
    "connection": st.integers(1, 3),
    "tenant": st.sampled_from(["a", "b"]),
    "subject": st.sampled_from(["u", "v"]),
    "message": st.sampled_from(["hello", "error"]),
    "answer_to": st.sampled_from(["hello", "auth"]),
}


def struck(faults: Faults, occasions: int, occasion: Occasion = ANSWER) -> list[int]:
    """Return which of several equal occasions are struck (1-based)."""
    return [number for number in range(1, occasions + 1) if faults.at(occasion, 0.0)]


def with_fault(data: dict[str, Any], seed: int = 0) -> Faults:
    """Return an engine with one fault, added at time 0."""
    faults = Faults(seed)
    faults.add(Fault.read(data), 0.0)
    return faults


# ---------------------------------------------------------------------------- conditions


def test_conditions_are_described_and_name_the_messages_of_the_protocol() -> None:
    assert all(meta(hint, "description") for hint in CONDITIONS.values())
    assert set(LASTING) < set(CONDITIONS)
    sent = {role: {name for name, rule in RULES.items() if rule.sender is role} for role in Role}
    assert sent == {Role.CLIENT: set(REQUESTS) - {"unknown"}, Role.RELAY: set(ANSWERS)}


@settings(deadline=None)
@given(
    st.fixed_dictionaries({}, optional=_ABOUT | {"begin": st.floats(0, 5), "end": st.floats(5, 10)}),
    st.builds(Occasion, **_ABOUT),
    st.floats(0, 12),
)
def test_matching_occasions(keys: dict[str, Any], occasion: Occasion, age: float) -> None:
    differ = [name for name in _ABOUT if name in keys and keys[name] != getattr(occasion, name)]
    early, late = age < keys.get("begin", 0), "end" in keys and not age < keys["end"]
    assert When(**keys).matches(occasion, age) is not bool(differ or early or late)


@settings(deadline=None)
@given(
    st.fixed_dictionaries({}, optional={key: st.integers(1, 6) for key in ("nth", "every", "after", "times")}),
    st.sampled_from(Per),
    st.lists(st.tuples(st.integers(1, 2), st.sampled_from("ab"), st.sampled_from("uv")), max_size=40),
)
def test_occasions_are_counted_per_holder(keys: dict[str, int], per: Per, turns: list[tuple[int, str, str]]) -> None:
    wanted: Sequence[int] = range(1, 41)[keys.get("after", 0) :]
    if "every" in keys:
        wanted = wanted[keys["every"] - 1 :: keys["every"]]
    if "nth" in keys:
        wanted = [number for number in wanted if number == keys["nth"]]
    if not wanted:
        return  # rejected when it is read
    faults = with_fault({"kind": "drop", "when": {**keys, "per": per.value}})
    seen: dict[object, list[bool]] = {}
    for connection, tenant, subject in turns:
        occasion = replace(ANSWER, connection=connection, tenant=tenant, subject=subject)
        holders = {Per.RELAY: 0, Per.TENANT: tenant, Per.SUBJECT: tenant + subject, Per.CONNECTION: connection}
        seen.setdefault(holders[per], []).append(bool(faults.at(occasion, 0.0)))
    for strikes in seen.values():
        expected = [number for number in wanted[: keys.get("times")] if number <= len(strikes)]
        assert [number for number, each in enumerate(strikes, 1) if each] == expected


def test_sequences() -> None:
    parts = [{"kind": "drop"}, {"kind": "pass"}, {"kind": "duplicate"}]
    for repeat in (False, True):
        faults = with_fault({"sequence": parts, "repeat": repeat, "when": {"every": 2}})
        kinds = [[strike.kind.name for strike in faults.at(ANSWER, 0.0)] for _ in range(12)]
        assert kinds[::2] == [[]] * 6
        assert kinds[1::2] == [["drop"], [], ["duplicate"], *([["drop"], [], ["duplicate"]] if repeat else [[]] * 3)]
    # `times` counts strikes, not messages that pass; without a strike by chance the sequence does not advance.
    assert struck(with_fault({"sequence": parts[1::-1], "repeat": True, "when": {"times": 2}}), 10) == [2, 4]
    faults = with_fault({"sequence": parts[::2], "when": {"probability": 0.5}})
    assert [strike.kind.name for _ in range(64) for strike in faults.at(ANSWER, 0.0)] == ["drop", "duplicate"]


# ---------------------------------------------------------------------------- decisions


@given(st.integers(), st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_equal_seeds_decide_equally(seed: int, probability: float) -> None:
    told: list[list[Decision]] = [[], []]
    for decisions in told:
        faults = Faults(seed, decisions.append)
        faults.add(Fault.read({"kind": "drop", "when": {"probability": probability}}), 0.0)
        for connection in (1, 2, 1, 1, 3, 2) * 5:
            faults.at(replace(ANSWER, connection=connection), 0.0)
    assert told[0] == told[1]
    assert len(told[0]) == 30
    assert all(each.seed == seed and each.chance is not None for each in told[0])
    assert all(each.struck is (each.chance is not None and each.chance < probability) for each in told[0])


def test_decisions_are_reported() -> None:
    told: list[Decision] = []
    faults = Faults(9, told.append)
    faults.add(Fault.read({"sequence": [{"kind": "drop"}, {"kind": "pass"}], "when": {"after": 1}}), 0.0)
    for _ in range(5):
        faults.at(ANSWER, 0.0)
    assert told == [
        Decision("fault-1", "drop", ANSWER, 2, struck=True, seed=9),
        Decision("fault-1", "pass", ANSWER, 3, struck=False, seed=9),
    ]


# ---------------------------------------------------------------------------- adding and removing


def test_strikes_come_in_the_order_of_the_faults() -> None:
    faults = Faults()
    names = [faults.add(Fault.read({"kind": kind}), 0.0) for kind in ("truncate", "drop", "duplicate")]
    assert names == ["fault-1", "fault-2", "fault-3"]
    assert [strike.fault for strike in faults.at(ANSWER, 0.0)] == names
    assert faults.remove("fault-2").strikes == 1
    assert [strike.fault for strike in faults.at(ANSWER, 0.0)] == ["fault-1", "fault-3"]
    with pytest.raises(FaultError, match="there is already a fault fault-3"):
        faults.add(Fault.read({"kind": "drop", "name": "fault-3"}), 0.0)
    faults.reset()
    faults.add_all([Fault.read({"kind": "drop", **more}) for more in ({}, {"name": "fault-1"}, {}, {"name": "x"})], 0.0)
    assert list(faults.active) == ["fault-2", "fault-1", "fault-3", "x"]


def test_counts_are_reported_and_closed_connections_are_forgotten() -> None:
    for per in Per:
        faults = with_fault({"kind": "drop", "name": "it", "when": {"after": 1, "per": per.value}})
        for connection in range(1, 101):
            struck(faults, 3, replace(ANSWER, connection=connection))
            faults.forget(connection)
        (active,) = faults.all()
        assert not active.drawn
        assert len(active.counts) == (0 if per is Per.CONNECTION else 1)
        counts = {"direction": "answer", "matched": 300, "strikes": 200 if per is Per.CONNECTION else 299}
        assert active.to_json() == {**active.fault.to_json(), **counts, "never_struck": False}
