"""Who is told what happens, and in which order."""

from __future__ import annotations

from typing import Any, cast

from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.relay.events import (
    Answered,
    Connected,
    Decided,
    Disconnected,
    Event,
    MessageReceived,
    Sent,
    Subscribers,
)
from tests.support.memory import BEAT, HELLO, MemoryRelay


def test_all_are_told_in_the_order_in_which_they_came() -> None:
    told: list[tuple[str, Any]] = []
    first, second = (lambda event: told.append(("first", event))), (lambda event: told.append(("second", event)))
    tell = Subscribers(first)
    tell.add(second)
    session: Any = object()
    event = Connected(session)
    tell(event)
    assert told == [("first", event), ("second", event)]
    tell.remove(first)
    told.clear()
    tell(event)
    assert told == [("second", event)]


def test_who_asks_for_some_kinds_is_told_of_no_others() -> None:
    told, session = list[Event](), cast(Any, None)
    tell = Subscribers()
    tell.add(told.append, Connected, Sent)
    for event in (Connected(session), Disconnected(session, False), Sent(session, "hello", 1.0)):
        tell(event)
    assert told == [Connected(session), Sent(session, "hello", 1.0)]


def test_nobody() -> None:
    assert not Subscribers()
    assert Subscribers(print)


def test_what_a_connection_tells() -> None:
    memory, told = MemoryRelay(), list[Event]()
    memory.relay.tell.add(told.append)
    memory.relay.faults.add(Fault.read({"kind": "drop", "when": {"message": "heartbeat"}}), 0.0)
    client = memory.client()
    client.send(HELLO)
    client.send(BEAT)
    client.send(b"no JSON\n")
    client.end()
    client.end()
    session = client.session
    assert [type(event) for event in told] == [
        Connected,
        MessageReceived,
        Answered,
        MessageReceived,
        Decided,
        MessageReceived,
        Answered,
        Disconnected,
    ]
    assert all(event.connection is session.state for event in told if not isinstance(event, Decided))
    received = [(event.type, event.text) for event in told if isinstance(event, MessageReceived)]
    assert [kind for kind, _ in received] == ["hello", "heartbeat", "unknown"]
    assert received[2][1] == b"no JSON"
    answered = [event for event in told if isinstance(event, Answered)]
    assert [event.body["type"] for event in answered] == ["hello_response", "error"]
    assert all(len(event.texts) == 1 for event in answered)


def test_the_body_is_what_is_meant_and_the_texts_what_is_said() -> None:
    memory, told = MemoryRelay(), list[Event]()
    memory.relay.tell.add(told.append)
    memory.relay.faults.add(Fault.read({"kind": "truncate", "bytes": 3}), 0.0)
    memory.client().send(HELLO)
    (answered,) = (event for event in told if isinstance(event, Answered))
    assert answered.body["type"] == "hello_response"
    assert answered.texts == (b'{"t',)
