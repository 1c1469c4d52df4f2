"""Steps in a failure file."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.failures.steps import (
    CloseStep,
    ConnectStep,
    FailureStep,
    SendStep,
    StepFrame,
    StepRequest,
    StepText,
    spell,
    step_from_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
BYTES = st.one_of(
    st.dictionaries(st.text(), JSON, max_size=4).map(lambda value: spell(value).encode()),
    st.dictionaries(st.text(), JSON, max_size=4).map(lambda value: json.dumps(value, indent=1).encode()),
    st.sampled_from([b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":1e400}', b"[1]", b"\xff{}", b""]),
    st.binary(max_size=50),
)
TEXTS = BYTES.map(StepText.of)
REQUESTS = st.builds(lambda data, text: StepRequest.of(data, type=text, meant=text, fault=text), BYTES, st.text())
NUMBERS = st.integers(0, 99)
STEPS: st.SearchStrategy[FailureStep] = st.one_of(
    st.builds(ConnectStep, NUMBERS, st.sampled_from(["tcp", "websocket"]), st.text()),
    st.builds(CloseStep, NUMBERS, st.booleans()),
    st.builds(
        SendStep,
        NUMBERS,
        st.lists(REQUESTS, max_size=3).map(tuple),
        wire=st.none() | TEXTS,
        frames=st.lists(st.builds(StepFrame, st.sampled_from([0, 1, 9]), st.booleans(), TEXTS), max_size=3).map(tuple),
        cuts=st.lists(NUMBERS, max_size=3).map(tuple),
        fenced=st.sampled_from(["", "heartbeat", "unknown"]),
        decisive=st.booleans(),
        then=st.lists(TEXTS, max_size=3).map(tuple),
        ended=st.text(),
    ),
)


@given(BYTES)
def test_bytes_survive_a_round_trip(data: bytes) -> None:
    text = json.dumps(msgspec.to_builtins(StepText.of(data)), allow_nan=False)
    read = msgspec.convert(json.loads(text), StepText)
    assert read.value.encode("utf-8" if read.latin_1 is None else "latin-1") == data


@given(STEPS)
def test_steps_survive_a_round_trip(step: FailureStep) -> None:
    assert step_from_json(json.loads(json.dumps(msgspec.to_builtins(step), allow_nan=False))) == step


def test_a_message_in_the_suite_s_spelling_is_an_object() -> None:
    assert StepText.of(b'{"type":"heartbeat"}') == StepText(json={"type": "heartbeat"})
    assert StepText.of(b'{"type": "heartbeat"}') == StepText(text='{"type": "heartbeat"}')
    assert StepText.of(b"\xe9") == StepText(latin_1="\u00e9")
    assert StepText.of(b"\xe9").with_value("e") == StepText(latin_1="e")
    assert StepText.of(b"{}").with_value("no object") == StepText(text="no object")


@pytest.mark.parametrize(
    "data", [[], {"wait": 1}, {"close": -1}, {"send": [], "on": 1, "wire": {}}, {"close": 1, "more": 1}]
)
def test_an_invalid_step_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"needs|Expected|unknown"):
        step_from_json(data)
