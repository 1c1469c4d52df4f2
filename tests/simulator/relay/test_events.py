"""The events of a relay, and their subscribers."""

from __future__ import annotations

from typing import Any

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


def test_subscribers_receive_their_kinds_of_events_in_order() -> None:
    received = list[tuple[str, Event]]()
    session: Any = object()
    first, second = (lambda event: received.append(("1", event))), (lambda event: received.append(("2", event)))
    publish = Subscribers(first)
    publish.add(second, Connected, Sent)
    connected, ended = Connected(session), Disconnected(session, False)
    publish(connected)
    publish(ended)
    assert received == [("1", connected), ("2", connected), ("1", ended)]
    publish.remove(first)
    publish(connected)
    assert received[3:] == [("2", connected)]
    assert publish
    assert not Subscribers()


def test_the_events_of_a_connection() -> None:
    memory, events = MemoryRelay(), list[Event]()
    memory.relay.tell.add(events.append)
    memory.relay.faults.add(Fault.read({"kind": "drop", "when": {"message": "heartbeat"}}), 0.0)
    memory.relay.faults.add(Fault.read({"kind": "truncate", "bytes": 3, "when": {"answer_to": "unknown"}}), 0.0)
    client = memory.client()
    for data in (HELLO, BEAT, b"no JSON\n"):
        client.send(data)
    client.end()
    client.end()
    assert all(event.connection is client.session.state for event in events if not isinstance(event, Decided))
    assert [_summary(event) for event in events] == [
        "Connected",
        'hello: {"type": "hello", "version": "1.0", "features": ["tls"]}',
        "hello_response",
        'heartbeat: {"type": "heartbeat"}',
        "Decided",
        "unknown: no JSON",
        "Decided",
        'error: {"t',
        "Disconnected",
    ]


def _summary(event: Event) -> str:
    match event:
        case MessageReceived(_, kind, text):
            return f"{kind}: {text.decode()}"
        case Answered(_, {"type": "error"}, (text,)):
            return f"error: {text.decode()}"
        case Answered(_, body, (_,)):
            return str(body["type"])
    return type(event).__name__
