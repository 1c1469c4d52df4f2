"""Steps as data: what is written is what is read."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.failures.steps import (
    CloseStep,
    ConnectStep,
    SendStep,
    Step,
    StepFrame,
    StepRequest,
    StepText,
    spell,
    step_from_json,
    step_to_json,
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
NUMBERS = st.integers(0, 99)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(ConnectStep, NUMBERS, st.sampled_from(["tcp", "websocket"]), st.text()),
    st.builds(CloseStep, NUMBERS, st.booleans()),
    st.builds(
        SendStep,
        NUMBERS,
        st.lists(st.builds(StepRequest, TEXTS, st.text(), st.text(), st.text()), max_size=3).map(tuple),
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
def test_bytes_go_round_through_text_and_json(data: bytes) -> None:
    text = StepText.of(data)
    assert text.to_bytes() == data
    assert StepText.from_json(json.loads(json.dumps(text.to_json(), allow_nan=False))).to_bytes() == data


@given(STEPS)
def test_steps_go_round_through_json(step: Step) -> None:
    assert step_from_json(json.loads(json.dumps(step_to_json(step), allow_nan=False))) == step


def test_a_message_in_the_suite_s_own_spelling_is_shown_as_the_object() -> None:
    assert StepText.of(b'{"type":"heartbeat"}').to_json() == {"json": {"type": "heartbeat"}}
    assert StepText.of(b'{"type": "heartbeat"}').to_json() == {"text": '{"type": "heartbeat"}'}
    assert StepText.of(b"\xe9").to_json() == {"latin_1": "\u00e9"}
