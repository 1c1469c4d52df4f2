"""Faults as they are written: read, written again, and every mistake named at once."""

from __future__ import annotations

import datetime
import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator.base.values import Value
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.when import CONDITIONS, MessageDirection, Occasion
from tests.simulator.faults.test_catalogue import SHOWS

_KEYS: Final = f"name, kind, sequence, repeat, when, and in when: {', '.join(CONDITIONS)}"

# What no value of a parameter or a condition may be, by the words that say what it must be.
_WRONG: Final[tuple[object, ...]] = (None, True, "", "no such word", -1, 0, 1.5, 10**9, [], [0], {}, 10**400)
_NEEDED: Final[dict[str, dict[str, Any]]] = {
    "latency": {"seconds": 1},
    "delay": {"seconds": 1},
    "bandwidth": {"bytes_per_second": 1},
    "split": {"at": [1]},
    "member": {"member": "x"},
    "missing-member": {"member": "x"},
    "error": {"code": "x"},
    "limits": {"tunnels": 1},
}
_GOOD: Final[dict[str, Any]] = {
    "direction": "request",
    "message": "hello",
    "answer_to": "hello",
    "tenant": "a",
    "subject": "u",
    "connection": 1,
    "transport": "tcp",
    "begin": 1,
    "end": 2.5,
    "per": "tenant",
    "nth": 1,
    "every": 1,
    "after": 1,
    "probability": 0.5,
    "times": 1,
}


def problems(data: object) -> tuple[str, ...]:
    """Return what is held against a fault."""
    try:
        Fault.read(data)
    except FaultError as error:
        return error.problems
    return ()


def wrong_for(value: Value) -> list[object]:
    """Return what a key may not hold."""
    return [each for each in _WRONG if not value.good(each)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_had_without_more_than_it_needs(kind: str) -> None:
    fault = Fault.read({"kind": kind, **_NEEDED.get(kind, {})})
    assert fault.direction is KINDS[kind].directions[0]
    assert fault.to_json() == {"kind": kind, **_NEEDED.get(kind, {})}
    if kind in _NEEDED and kind != "limits":
        (problem,) = problems({"kind": kind})
        assert problem.startswith(f"{next(iter(_NEEDED[kind]))}: {kind} needs it: ")


def test_limits_need_one() -> None:
    assert problems({"kind": "limits"}) == (
        "limits needs one of tunnels, connections, relay_connections, buffers at least",
    )


_PARAMS: Final = [(kind, key, bad) for kind in KINDS for key, param in KINDS[kind].params.items()
                  for bad in wrong_for(param.value)]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "key", "bad"), _PARAMS, ids=[f"{kind}-{key}-{bad!r:.12}" for kind, key, bad in _PARAMS]
)
def test_a_parameter_that_is_wrong_is_named(kind: str, key: str, bad: object) -> None:
    (problem,) = problems({"kind": kind, **_NEEDED.get(kind, {}), key: bad})
    assert problem.startswith(f"{key}: must be {KINDS[kind].params[key].value.wanted}, not ")
    assert len(problem) < 900


@pytest.mark.parametrize("key", CONDITIONS)
def test_a_condition_that_is_wrong_is_named(key: str) -> None:
    assert CONDITIONS[key].good(_GOOD[key])
    for bad in wrong_for(CONDITIONS[key]):
        (problem,) = problems({"kind": "drop", "when": {key: bad}})
        assert problem.startswith(f"when.{key}: must be {CONDITIONS[key].wanted}, not ")


@pytest.mark.parametrize(("data", "expected"), [
    (None, "a fault must be a table with a kind, not null"),
    ([], "a fault must be a table with a kind, not an array"),
    ({}, "kind: is missing; cbspec fault kinds lists them"),
    ({"kind": 7}, "kind: there is no kind 7; cbspec fault kinds lists them"),
    ({"kind": "latenci", "seconds": 1}, "kind: there is no kind 'latenci'; did you mean latency?"),
    ({"kind": "pass"}, "kind: there is no kind 'pass'; cbspec fault kinds lists them"),
    ({"kind": "latency", "second": 1, "seconds": 1}, "second: unknown key; did you mean seconds?"),
    ({"kind": "drop", "nth": 1}, "nth: unknown key; did you mean when.nth?"),
    ({"kind": "drop", "x": 1}, f"x: unknown key; known are {_KEYS}"),
    ({"kind": "drop", "tennant": "a"}, "tennant: unknown key; did you mean when.tenant?"),
    ({"kind": "drop", "name": ""}, "name: must be a name of letters, digits, dots, hyphens and underscores, 64 at "
     "most, not ''"),
    ({"kind": "drop", "name": "a/b"}, "name: must be a name of letters, digits, dots, hyphens and underscores, 64 at "
     "most, not 'a/b'"),
    ({"kind": "drop", "name": None}, "name: must be a name of letters, digits, dots, hyphens and underscores, 64 at "
     "most, not null"),
    ({"kind": "drop", "repeat": True},
     "repeat: belongs to a sequence; when.times says how often a single kind strikes"),
    ({"sequence": [{"kind": "drop"}], "repeat": 1}, "repeat: must be true or false, not 1"),
    ({"kind": "drop", "sequence": [{"kind": "drop"}]}, "kind and sequence exclude each other; keep one"),
    ({"sequence": []}, "sequence: must be an array of tables, not an empty one"),
    ({"sequence": {"kind": "drop"}}, "sequence: must be an array of tables, not a table"),
    ({"sequence": ["drop"]}, "sequence 1: must be a table with a kind, not a string"),
    ({"sequence": [{"kind": "pass"}]}, 'sequence: holds nothing but "pass"'),
    ({"sequence": [{"kind": "drop"}, {}]}, "sequence 2: kind: is missing; cbspec fault kinds lists them"),
    ({"sequence": [{"kind": "drop", "name": "x"}]}, "sequence 1: name: unknown key; known are kind"),
    ({"sequence": [{"kind": "delay"}]}, "sequence 1: seconds: delay needs it: how much later"),
    ({"sequence": [{"kind": "drop"}], "seconds": 1},
     f"seconds: unknown key; known are {_KEYS}"),
    ({"sequence": [{"kind": "reset"}, {"kind": "drop"}, {"kind": "tls-1.2"}]},
     "sequence: reset and drop and tls-1.2 strike at different points, so they can't follow each other"),
    ({"sequence": [{"kind": "refuse"}, {"kind": "tls-1.2"}]},
     "sequence: refuse holds all the time, so it can't be part of one"),
    ({"kind": "drop", "when": []}, "when: must be a table, not an array"),
    ({"kind": "drop", "when": {"mesage": "hello"}}, "when.mesage: unknown key; did you mean message?"),
    ({"kind": "drop", "when": {"begin": 2, "end": 2}}, "when.end: must be more than when.begin"),
    ({"kind": "drop", "when": {"end": 0}}, "when.end: must be more than when.begin"),
    ({"kind": "drop", "when": {"nth": 2, "after": 2}},
     "when.nth: every and after leave it out, so that nothing would ever happen"),
    ({"kind": "drop", "when": {"nth": 3, "every": 2}},
     "when.nth: every and after leave it out, so that nothing would ever happen"),
    ({"kind": "drop", "when": {"message": "hello", "direction": "answer"}},
     "when: direction, message and answer_to contradict each other"),
    ({"kind": "drop", "when": {"message": "hello", "answer_to": "hello"}},
     "when: direction, message and answer_to contradict each other"),
    ({"kind": "error", "code": "x", "when": {"answer_to": "hello"}},
     "when: error strikes at requests, not at answers; message says at which"),
    ({"kind": "error", "code": "x", "when": {"direction": "answer"}},
     "when: error strikes at requests, not at answers"),
    ({"kind": "truncate", "when": {"message": "hello"}}, "when: truncate strikes at answers, not at requests"),
    ({"kind": "drop", "when": {"direction": "connect"}}, "when: drop strikes at answers or requests, not at new "
     "connections"),
    ({"kind": "tls-1.2", "when": {"tenant": "a"}}, "when.tenant: isn't known yet when a connection is made"),
    ({"kind": "tls-1.2", "when": {"subject": "a"}}, "when.subject: isn't known yet when a connection is made"),
    ({"kind": "tls-1.2", "when": {"transport": "tcp"}}, "when.transport: isn't known yet when a connection is made"),
    ({"kind": "tls-1.2", "when": {"per": "tenant"}}, "when.per: isn't known yet when a connection is made"),
    ({"kind": "websocket-close", "when": {"transport": "tcp"}},
     "when.transport: websocket-close is a fault of websocket"),
    ({"kind": "refuse", "when": {"nth": 1}}, "when.nth: refuse holds all the time; only begin and end apply"),
])  # fmt: skip
def test_what_is_held_against_a_fault(data: object, expected: str) -> None:
    assert problems(data) == (expected,)


def test_a_time_without_a_beginning_begins_at_once() -> None:
    assert problems({"kind": "drop", "when": {"end": 0.5}}) == ()


def test_all_mistakes_are_named_at_once() -> None:
    found = problems({
        "name": 7,
        "sequence": [{"kind": "delay", "seconds": -1}, 5, {"kind": "duplicate", "copys": 3}],
        "repeat": "yes",
        "when": {"nth": 0, "tenent": "a", "end": -1},
        "more": 1,
    })  # fmt: skip
    assert [problem.split(": ")[0] for problem in found] == [
        "name", "more", "sequence 1", "sequence 2", "sequence 3", "when.tenent", "when.nth", "when.end", "repeat"
    ]  # fmt: skip


def _shown() -> list[dict[str, Any]]:
    return [{"kind": kind, **shown.fault} for kind, shows in SHOWS.items() for shown in shows]


@pytest.mark.parametrize("data", _shown(), ids=lambda data: data["kind"])
def test_a_fault_is_written_as_it_is_read(data: dict[str, Any]) -> None:
    fault = Fault.read(data)
    again = Fault.read(json.loads(json.dumps(fault.to_json())))
    assert again == fault
    assert again.to_json() == fault.to_json()
    assert fault.to_json().items() <= {**data, "when": data.get("when", {})}.items()


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([{"kind": "pass"}, *({"kind": kind, **_NEEDED.get(kind, {})} for kind in KINDS)]), min_size=1
    ),
    st.booleans(),
    st.fixed_dictionaries({}, optional={key: st.just(value) for key, value in _GOOD.items()}),
    st.none() | st.from_regex(r"\A[a-z0-9]{1,5}\Z"),
)
def test_whatever_can_be_read_can_be_written(
    parts: list[dict[str, Any]], repeat: bool, when: dict[str, Any], name: str | None
) -> None:
    data: dict[str, Any] = {"sequence": parts, "repeat": repeat, "when": when}
    if name is not None:
        data["name"] = name
    if problems(data):
        return
    fault = Fault.read(data)
    written = json.loads(json.dumps(fault.to_json()))
    assert Fault.read(written) == fault
    assert Fault.read(written).to_json() == written


def test_the_error_says_it_all() -> None:
    with pytest.raises(FaultError, match=r"^name: .*\nkind: is missing"):
        Fault.read({"name": 7})


def test_dates_are_no_values() -> None:
    day = datetime.date(2026, 1, 1)
    assert problems({"kind": "member", "member": "x", "value": day}) == (
        "value: must be any JSON value, not a date or time",
    )


def test_turns_of_a_sequence() -> None:
    data = {"sequence": [{"kind": "drop"}, {"kind": "pass"}]}
    once, ever = Fault.read(data), Fault.read({**data, "repeat": True})
    names = [part.name if (part := once.part(turn)) else None for turn in range(1, 5)]
    assert names == ["drop", "pass", None, None]
    names = [part.name if (part := ever.part(turn)) else None for turn in range(1, 5)]
    assert names == ["drop", "pass", "drop", "pass"]
    alone = Fault.read({"kind": "drop"})
    assert alone.part(1) is alone.part(9) is alone.parts[0]


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_fault_concerns(kind: str, transport: str) -> None:
    fault = Fault.read({"kind": kind, **_NEEDED.get(kind, {})})
    for direction in MessageDirection:
        expected = direction is fault.direction and transport in KINDS[kind].transports
        assert fault.concerns(Occasion(direction, 1, transport)) is expected
