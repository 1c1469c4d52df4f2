"""Parsed message texts: the cache changes no result and stays small."""

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
def test_a_text_has_the_same_meaning_from_the_cache(frames: list[RawMessage]) -> None:
    reading = Reading(Behaviour(), 2)
    assert [reading(frame) for frame in frames] == [Reading(Behaviour(), 2)(frame) for frame in frames]


@pytest.mark.parametrize("text", TEXTS)
def test_only_hellos_and_heartbeats_of_the_default_behaviour_are_cached(text: bytes) -> None:
    frame, values = RawMessage(text), list[object]()

    def interpret(value: object) -> Message | Violation:
        values.append(value)
        return understand(value)

    reading = Reading(Behaviour(), 64)
    assert (reading(frame)[1] is reading(frame)[1]) == (text in TEXTS[:4])
    other = Reading(replace(Behaviour(), understand=interpret), 64)
    assert other(frame) == other(frame) == reading(frame)
    assert len(values) in (0, 2)


def test_the_cache_is_limited() -> None:
    reading = Reading(Behaviour(), 64)
    for number in range(1000):
        assert reading(RawMessage(b'{"type":"heartbeat","n":%d}' % number)) == ("heartbeat", Heartbeat())
    assert len(reading._cache) <= 64
    long = RawMessage(b'{"type":"heartbeat","n":"' + b"x" * 300 + b'"}')
    assert reading(long)[1] is not reading(long)[1]
