"""A relay's connection that takes requests otherwise than they came, because somebody wants it wrong."""

from __future__ import annotations

import pytest

from cbspec.protocol.connection import Connection, RequestReceived, RequestRefused
from cbspec.protocol.messages import Heartbeat
from cbspec.protocol.state import State
from tests.cbspec.protocol.test_connection import BROKEN, ERROR, OPEN_STATES, SAMPLES, line, relay_in, success


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("text", [*(line(request) for request in SAMPLES.values()), *BROKEN])
def test_a_request_that_is_ignored_might_never_have_come(state: State, text: bytes) -> None:
    relay = relay_in(state)
    relay.receive_data(text + line(Heartbeat()))
    relay.next_event()
    relay.ignore()
    assert not relay.busy
    assert relay.state is state
    fresh = relay_in(state)
    fresh.receive_data(line(Heartbeat()))
    assert relay.next_event() == fresh.next_event()
    assert relay.busy


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("text", [*(line(request) for request in SAMPLES.values()), *BROKEN])
@pytest.mark.parametrize("served", [True, False])
def test_a_request_that_is_taken_again_might_have_come_again(state: State, text: bytes, served: bool) -> None:
    def answered(relay: Connection, event: object) -> object:
        assert isinstance(event, RequestReceived | RequestRefused)
        request = event.request if isinstance(event, RequestReceived) else None
        relay.note(success(request, event.rule) if served and isinstance(event, RequestReceived) and request else ERROR)
        return event

    once, twice = relay_in(state), relay_in(state)
    once.receive_data(text)
    twice.receive_data(text * 2)
    event = answered(once, once.next_event())
    assert event == answered(twice, twice.next_event())
    assert isinstance(event, RequestReceived | RequestRefused)
    assert answered(once, once.again(event)) == answered(twice, twice.next_event())
    assert once.state is twice.state
    assert not once.busy
