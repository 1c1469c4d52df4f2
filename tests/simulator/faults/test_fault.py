"""Faults as data: read and written again; `settings/test_schema.py` compares the reader with the schema."""

from __future__ import annotations

import datetime
import json
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault, FaultError
from tests.simulator.faults.probe import NEEDED

_GOOD: Final[dict[str, Any]] = {
    "direction": "request", "message": "hello", "answer_to": "hello", "tenant": "a", "subject": "u", "connection": 1,
    "transport": "tcp", "begin": 1, "end": 2.5, "per": "tenant", "nth": 1, "every": 1, "after": 1, "probability": 0.5,
    "times": 1,
}  # fmt: skip
_DROP: Final = {"kind": "drop"}


def problems(data: object) -> tuple[str, ...]:
    """Return the problems of a fault."""
    try:
        Fault.read(data)
    except FaultError as error:
        return error.problems
    return ()


# What is wrong, and the words of the one problem that names the place and the remedy.
_MISTAKES: Final[tuple[tuple[object, str], ...]] = (
    (None, "null"),
    ({}, "kind: cbspec fault kinds"),
    ({"kind": "latenci", "seconds": 1}, "kind: latenci latency?"),
    ({"kind": "latency", "second": 1, "seconds": 1}, "second: seconds?"),
    ({**_DROP, "tennant": "a"}, "tennant: kind, name, when"),
    ({**_DROP, "name": "a/b"}, "name: letters"),
    ({"kind": "split", "at": [0]}, "at[0]: must"),
    ({**_DROP, "when": {"probability": 2}}, "when.probability: must"),
    ({**_DROP, "repeat": True}, "repeat: sequence when.times"),
    ({**_DROP, "sequence": [_DROP]}, "kind sequence"),
    ({"sequence": []}, "sequence: empty"),
    ({"sequence": ["drop"]}, "sequence[0]: a string"),
    ({"sequence": [{"kind": "pass"}]}, 'sequence: "pass"'),
    ({"sequence": [{**_DROP, "name": "x"}]}, "sequence[0].name: kind"),
    ({"sequence": [{"kind": "reset"}, _DROP, {"kind": "tls-1.2"}]}, "sequence: reset drop tls-1.2"),
    ({"sequence": [{"kind": "refuse"}, {"kind": "tls-1.2"}]}, "sequence: refuse"),
    ({**_DROP, "when": {"mesage": "hello"}}, "when.mesage: message?"),
    ({**_DROP, "when": {"begin": 2, "end": 2}}, "when.end: when.begin"),
    ({**_DROP, "when": {"nth": 2, "after": 2}}, "when.nth: every after"),
    ({**_DROP, "when": {"message": "hello", "direction": "answer"}}, "when: direction message answer_to"),
    ({"kind": "error", "code": "x", "when": {"answer_to": "hello"}}, "when: error requests answers message"),
    ({"kind": "truncate", "when": {"message": "hello"}}, "when: truncate answers requests"),
    ({**_DROP, "when": {"direction": "connect"}}, "when: drop answers or requests new connections"),
    *(
        ({"kind": "tls-1.2", "when": {key: value}}, f"when.{key}: connection")
        for key, value in (("tenant", "a"), ("subject", "a"), ("transport", "tcp"), ("per", "tenant"))
    ),
    ({"kind": "websocket-close", "when": {"transport": "tcp"}}, "when.transport: websocket-close websocket"),
    ({"kind": "refuse", "when": {"nth": 1}}, "when.nth: refuse begin and end"),
    ({"kind": "refuse", "when": {"after": 3}}, "when.after: refuse begin and end"),
    ({**_DROP, "when": {"after": "connect"}}, "when.after: one of first connection, hello"),
    *(
        ({**fault, "when": {key: value}}, f"when: {words}")
        for fault, key, value, words in (
            (
                {"kind": "wrong-type"},
                "message",
                "heartbeat_response",
                "type=heartbeat_response no effect changes hello",
            ),
            ({"kind": "wrong-id"}, "message", "hello_response", "wrong-id changes auth_response, tunnel_response"),
            ({"kind": "wrong-tenant"}, "answer_to", "tunnel_info", "tunnel_response or error: changes auth_response"),
            ({"kind": "missing-member", "member": "code"}, "message", "auth_response", "member=code changes error"),
            ({"kind": "missing-member", "member": "tpye"}, "nth", 1, "member=tpye no message has this member"),
            ({"kind": "member", "member": "status", "value": "ok"}, "message", "auth_response", "status value=ok no"),
            ({"kind": "unavailable"}, "message", "heartbeat", "unavailable no effect on heartbeat: hello, auth"),
            ({"kind": "limits", "tunnels": 1}, "message", "auth", "tunnels=1 changes tunnel_info"),
        )
    ),
    ({"kind": "member", "member": "x", "value": datetime.date(2026, 1, 1)}, "value: JSON a date"),
)


def test_mistakes_are_named_with_a_remedy() -> None:
    for data, words in _MISTAKES:
        (problem,) = problems(data)
        place = 0
        for word in words.split():
            assert word in problem[place:], (problem, word)
            place = problem.index(word, place) if word.endswith(":") else place


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([{"kind": "pass"}, *({"kind": kind, **NEEDED.get(kind, {})} for kind in KINDS)]), min_size=1
    ),
    st.booleans(),
    st.fixed_dictionaries({}, optional={key: st.just(value) for key, value in _GOOD.items()}),
    st.fixed_dictionaries({}, optional={"name": st.from_regex(r"\A[a-z0-9]{1,5}\Z")}),
)
def test_faults_survive_a_round_trip(
    parts: list[dict[str, Any]], repeat: bool, when: dict[str, Any], name: dict[str, str]
) -> None:
    data = {"sequence": parts, "repeat": repeat, "when": when, **name}
    if not problems(data):
        fault = Fault.read(data)
        written = json.loads(json.dumps(fault.to_json()))
        assert Fault.read(written) == fault
        assert Fault.read(written).to_json() == written
