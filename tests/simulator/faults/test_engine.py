"""What strikes and when: counted, by a seed that repeats it, in order, and given back when a connection is gone."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator.faults.engine import Decision, Faults
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.when import MessageDirection, Occasion, Per, When

ANSWER: Final = Occasion(MessageDirection.ANSWER, 1, "tcp", "a", "u", "hello_response", "hello")
_CHANCE: Final[dict[str, Any]] = {"kind": "drop", "name": "it", "when": {"probability": 0.5}}


def struck(faults: Faults, occasions: int, occasion: Occasion = ANSWER, now: float = 0.0) -> list[int]:
    """Return which of so many occasions in a row are struck, from 1."""
    return [number for number in range(1, occasions + 1) if faults.at(occasion, now)]


def with_fault(data: dict[str, Any], seed: int = 0) -> Faults:
    """Return an engine with one fault, added at 0."""
    faults = Faults(seed)
    faults.add(Fault.read(data), 0.0)
    return faults


# ---------------------------------------------------------------------------- chance


@given(st.integers(), st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_the_same_seed_decides_the_same(seed: int, probability: float) -> None:
    data = {**_CHANCE, "when": {"probability": probability}}
    told: list[list[Decision]] = [[], []]
    for decisions in told:
        faults = Faults(seed, decisions.append)
        faults.add(Fault.read(data), 0.0)
        for connection in (1, 2, 1, 1, 3, 2) * 5:
            faults.at(replace(ANSWER, connection=connection), 0.0)
    assert told[0] == told[1]
    assert len(told[0]) == 30
    assert all(each.seed == seed and each.chance is not None for each in told[0])
    assert all(each.struck is (each.chance is not None and each.chance < probability) for each in told[0])


def test_another_seed_decides_otherwise() -> None:
    outcomes = {tuple(struck(with_fault(_CHANCE, seed), 64)) for seed in range(20)}
    assert len(outcomes) == 20


def test_probability_is_what_it_says() -> None:
    often = sum(len(struck(with_fault({**_CHANCE, "when": {"probability": 0.2}}, seed), 100)) for seed in range(50))
    assert 900 < often < 1100
    assert struck(with_fault({**_CHANCE, "when": {"probability": 0.0}}), 50) == []
    assert struck(with_fault({**_CHANCE, "when": {"probability": 1.0}}), 50) == list(range(1, 51))


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(0, 100))
def test_connections_beside_each_other_leave_each_other_s_luck_alone(data: st.DataObject, seed: int) -> None:
    turns = data.draw(st.permutations([1] * 12 + [2] * 12 + [3] * 6))
    mixed: dict[int, list[bool]] = {1: [], 2: [], 3: []}
    faults = with_fault(_CHANCE, seed)
    for connection in turns:
        mixed[connection].append(bool(faults.at(replace(ANSWER, connection=connection), 0.0)))
    for connection, seen in mixed.items():
        alone = with_fault(_CHANCE, seed)
        assert [bool(alone.at(replace(ANSWER, connection=connection), 0.0)) for _ in seen] == seen


def test_faults_beside_each_other_leave_each_other_s_luck_alone() -> None:
    both = with_fault(_CHANCE)
    both.add(Fault.read({**_CHANCE, "name": "other"}), 0.0)
    seen = [{strike.fault for strike in both.at(ANSWER, 0.0)} for _ in range(64)]
    assert [number for number, names in enumerate(seen, 1) if "it" in names] == struck(with_fault(_CHANCE), 64)
    assert {frozenset(names) for names in seen} == {
        frozenset[str](), frozenset({"it"}), frozenset({"other"}), frozenset({"it", "other"})
    }  # fmt: skip


def test_the_chance_of_a_strike_is_repeated_as_well() -> None:
    draws = [
        [strike.chance.random() for _ in range(20) for strike in with_fault(_CHANCE, 7).at(ANSWER, 0.0)] for _ in "ab"
    ]
    assert draws[0] == draws[1]
    faults = with_fault({"kind": "drop"})
    assert len({strike.chance.random() for _ in range(20) for strike in faults.at(ANSWER, 0.0)}) == 20


# ---------------------------------------------------------------------------- counting


@settings(deadline=None)
@given(
    st.fixed_dictionaries({}, optional={key: st.integers(1, 6) for key in ("nth", "every", "after", "times")}),
    st.sampled_from(Per),
    st.lists(st.tuples(st.integers(1, 2), st.sampled_from("ab"), st.sampled_from("uv")), max_size=40),
)
def test_what_is_counted_together(said: dict[str, int], per: Per, turns: list[tuple[int, str, str]]) -> None:
    when: Any = said
    if "nth" in said and not When(**when).chosen(said["nth"]):
        return
    faults = with_fault({"kind": "drop", "when": {**said, "per": per.value}})
    seen: dict[object, list[bool]] = {}
    for connection, tenant, subject in turns:
        occasion = replace(ANSWER, connection=connection, tenant=tenant, subject=subject)
        holders = {Per.RELAY: 0, Per.TENANT: tenant, Per.SUBJECT: tenant + subject, Per.CONNECTION: connection}
        seen.setdefault(holders[per], []).append(bool(faults.at(occasion, 0.0)))
    for strikes in seen.values():
        wanted = [number for number in range(1, len(strikes) + 1) if When(**when).chosen(number)][: said.get("times")]
        assert [number for number, each in enumerate(strikes, 1) if each] == wanted


def test_a_sequence_goes_on_with_each_strike() -> None:
    parts = [{"kind": "drop"}, {"kind": "pass"}, {"kind": "duplicate"}]
    for repeat in (False, True):
        faults = with_fault({"sequence": parts, "repeat": repeat, "when": {"every": 2}})
        kinds = [[strike.kind.name for strike in faults.at(ANSWER, 0.0)] for _ in range(12)]
        assert kinds[::2] == [[]] * 6
        assert kinds[1::2] == [["drop"], [], ["duplicate"], *([["drop"], [], ["duplicate"]] if repeat else [[]] * 3)]
        (active,) = faults.all()
        assert (active.matched, active.strikes) == (12, 4 if repeat else 2)


def test_a_sequence_of_each_connection_s_own() -> None:
    faults = with_fault({"sequence": [{"kind": "pass"}, {"kind": "drop"}], "when": {"per": "connection"}})
    for connection in (1, 2, 3):
        assert struck(faults, 5, replace(ANSWER, connection=connection)) == [2]


def test_times_count_strikes_not_what_passes() -> None:
    data = {"sequence": [{"kind": "pass"}, {"kind": "drop"}], "repeat": True, "when": {"times": 2}}
    assert struck(with_fault(data), 10) == [2, 4]


def test_what_chance_spares_takes_no_turn() -> None:
    data = {"sequence": [{"kind": "drop"}, {"kind": "duplicate"}], "when": {"probability": 0.5}, "name": "it"}
    faults = with_fault(data)
    kinds = [strike.kind.name for _ in range(64) for strike in faults.at(ANSWER, 0.0)]
    assert kinds == ["drop", "duplicate"]


def test_time() -> None:
    faults = Faults()
    faults.add(Fault.read({"kind": "drop", "when": {"begin": 2, "end": 4}}), 100.0)
    assert [bool(faults.at(ANSWER, now)) for now in (100.0, 101.9, 102.0, 103.9, 104.0, 200.0)] == [
        False, False, True, True, False, False
    ]  # fmt: skip
    assert [faults.turns(now) for now in (100.0, 102.0, 103.0, 104.0)] == [2.0, 2.0, 1.0, None]


@pytest.mark.parametrize("data", [
    {"kind": "drop"},
    {"kind": "drop", "when": {"direction": "request"}},
    {"kind": "websocket-close"},
    {"kind": "silent"},
])  # fmt: skip
def test_what_a_fault_doesn_t_concern_isn_t_counted(data: dict[str, Any]) -> None:
    faults = with_fault(data)
    fault = faults.all()[0].fault
    for direction, transport in itertools.product(MessageDirection, ("tcp", "websocket")):
        expected = direction is fault.direction and (data["kind"] != "websocket-close" or transport == "websocket")
        before = faults.all()[0].matched
        assert bool(faults.at(replace(ANSWER, direction=direction, transport=transport), 0.0)) is expected
        assert faults.all()[0].matched - before == expected


# ---------------------------------------------------------------------------- decisions


def test_decisions_are_told() -> None:
    told: list[Decision] = []
    faults = Faults(9, told.append)
    faults.add(Fault.read({"sequence": [{"kind": "drop"}, {"kind": "pass"}], "when": {"after": 1}}), 0.0)
    for _ in range(5):
        faults.at(ANSWER, 0.0)
    assert told == [
        Decision("fault-1", "drop", ANSWER, 2, struck=True, seed=9),
        Decision("fault-1", "pass", ANSWER, 3, struck=False, seed=9),
    ]


def test_what_chance_spares_is_told_with_what_would_have_struck() -> None:
    told: list[Decision] = []
    faults = Faults(0, told.append)
    faults.add(Fault.read({"sequence": [{"kind": "drop"}, {"kind": "duplicate"}], "when": {"probability": 0.0}}), 0.0)
    faults.at(ANSWER, 0.0)
    assert [(each.kind, each.struck) for each in told] == [("drop", False)]


# ---------------------------------------------------------------------------- come and go


def test_strikes_come_in_the_order_in_which_faults_were_added() -> None:
    faults = Faults()
    assert not faults.active
    assert faults.at(ANSWER, 0.0) == ()
    names = [faults.add(Fault.read({"kind": kind}), 0.0) for kind in ("truncate", "drop", "duplicate")]
    assert faults.active
    assert names == ["fault-1", "fault-2", "fault-3"]
    assert [strike.fault for strike in faults.at(ANSWER, 0.0)] == names
    assert faults.remove("fault-2").fault.name == "fault-2"
    assert [strike.fault for strike in faults.at(ANSWER, 0.0)] == ["fault-1", "fault-3"]
    assert [active.strikes for active in faults.all()] == [2, 2]


def test_names() -> None:
    faults = Faults()
    faults.add(Fault.read({"kind": "drop", "name": "fault-2"}), 0.0)
    assert [faults.add(Fault.read({"kind": "drop"}), 0.0) for _ in range(2)] == ["fault-1", "fault-3"]
    with pytest.raises(FaultError, match="there is a fault fault-3 already"):
        faults.add(Fault.read({"kind": "drop", "name": "fault-3"}), 0.0)
    with pytest.raises(KeyError):
        faults.remove("none")
    faults.reset()
    assert not faults.active
    assert faults.add(Fault.read({"kind": "drop"}), 0.0) == "fault-1"


def test_names_of_faults_that_come_together() -> None:
    faults = Faults()
    faults.add_all([Fault.read({"kind": "drop", **more}) for more in ({}, {"name": "fault-1"}, {}, {"name": "x"})], 0.0)
    assert [active.fault.name for active in faults.all()] == ["fault-2", "fault-1", "fault-3", "x"]
    assert faults.add(Fault.read({"kind": "drop"}), 0.0) == "fault-4"


def test_who_watches_is_told() -> None:
    faults, told = Faults(), list[str]()
    faults.watch(lambda: told.append("changed"), lambda name: told.append(f"released {name}"))
    faults.add(Fault.read({"kind": "hold", "name": "a"}), 0.0)
    faults.add(Fault.read({"kind": "hold", "name": "b"}), 0.0)
    faults.release("a")
    assert told == ["changed", "changed", "released a"]
    told.clear()
    faults.reset()
    assert told == ["released a", "changed", "released b", "changed"]


def test_what_holds_all_the_time() -> None:
    faults = Faults()
    faults.add(Fault.read({"kind": "drop"}), 0.0)
    faults.add(Fault.read({"kind": "refuse", "when": {"begin": 1, "end": 2}}), 10.0)
    assert [faults.standing("refuse", now) for now in (10.0, 11.0, 11.9, 12.0)] == [False, True, True, False]
    assert not faults.standing("silent", 11.0)


def test_what_was_done_is_in_its_json() -> None:
    faults = with_fault({"kind": "drop", "name": "it", "when": {"after": 1, "per": "connection"}})
    for connection in (1, 2):
        struck(faults, 3, replace(ANSWER, connection=connection))
        faults.forget(connection)
    (active,) = faults.all()
    assert active.to_json() == {
        "name": "it", "kind": "drop", "when": {"after": 1, "per": "connection"},
        "direction": "answer", "matched": 6, "strikes": 4,
    }  # fmt: skip


def test_a_connection_that_is_gone_leaves_nothing_behind() -> None:
    for per in Per:
        faults = with_fault({"kind": "drop", "when": {"per": per.value}})
        for connection in range(1, 100):
            faults.at(replace(ANSWER, connection=connection), 0.0)
            faults.forget(connection)
        (active,) = faults.all()
        assert not active.drawn
        assert len(active.counts) == (0 if per is Per.CONNECTION else 1)
