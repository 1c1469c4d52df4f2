"""Reading message texts: what was read before is the same as what is read anew, and says nothing of any client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Heartbeat, Message, Violation
from cbspec_simulator.relay.behaviour import Behaviour, understand
from cbspec_simulator.relay.reading import Reading

TEXTS = (
    b'{"type":"heartbeat"}',
    b'{"type": "heartbeat"}',
    b'{"type":"heartbeat","more":[1]}',
    b'{"type":"hello","version":"1.0","features":["tls"]}',
    b'{"type":"hello","version":"1.0","features":[["tls"]]}',
    b'{"type":"hello","version":"1.0"}',
    b'{"type":"auth","token":"a.b.c"}',
    b'{"type":"heartbeat_response"}',
    b'{"type":"heartbeat"',
    b"\xff",
    b"[]",
)


@given(st.lists(st.builds(RawMessage, st.sampled_from(TEXTS), st.sampled_from(["", "it is broken"]), st.booleans())))
def test_a_text_means_the_same_however_often_it_comes(frames: list[RawMessage]) -> None:
    reading = Reading(Behaviour(), 2)
    assert [reading(frame) for frame in frames] == [Reading(Behaviour(), 2)(frame) for frame in frames]


@pytest.mark.parametrize("text", TEXTS)
def test_only_hellos_and_heartbeats_are_read_once(text: bytes) -> None:
    calls = 0

    def counted(value: object) -> Message | Violation:
        nonlocal calls
        calls += 1
        return understand(value)

    reading = Reading(Behaviour(), 64)
    before = reading(RawMessage(text))[1]
    assert (reading(RawMessage(text))[1] is before) == (text in TEXTS[:4])
    other = Reading(replace(Behaviour(), understand=counted), 64)
    other(RawMessage(b'{"type":"heartbeat"}'))
    other(RawMessage(b'{"type":"heartbeat"}'))
    assert calls == 2, "a behaviour of its own is asked each time"


def test_any_number_of_spellings_takes_no_more_room() -> None:
    reading = Reading(Behaviour(), 64)
    for number in range(1000):
        text = b'{"type":"heartbeat","n":%d}' % number
        assert reading(RawMessage(text)) == ("heartbeat", Heartbeat())
    long = RawMessage(b'{"type":"heartbeat","n":"' + b"x" * 300 + b'"}')
    assert reading(long)[1] is not reading(long)[1]
