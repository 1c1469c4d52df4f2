"""Any combination of faults leaves the relay working, and nothing of a closed connection remains."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.protocol.handshake import opening_request
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.edge.outbox import Outbox
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.when import MessageDirection
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction, WaitAction
from cbspec_simulator.relay.events import Decided, Event
from tests.simulator.faults.test_catalogue import SHOWS
from tests.support.memory import BEAT, HELLO, MemoryClient, MemoryRelay, auth, tunnel

MESSAGES: Final = [
    {**shown.fault, "kind": kind, "when": {"direction": direction}}
    for kind, shows in SHOWS.items()
    for direction in KINDS[kind].directions
    for shown in (shows if kind != "error" else shows[:1])
    if direction is not MessageDirection.CONNECT
]


def _frame(text: bytes) -> bytes:
    """Return a text frame, masked with zeros."""
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text


class _Conversation:
    """A client that sends every message to a relay with faults, and the outbox of its answers."""

    def __init__(self, faults: list[dict[str, Any]], *, websocket: bool) -> None:
        self.memory = MemoryRelay()
        self.decided: list[str] = []
        self.memory.relay.tell.add(self._note)
        for data in faults:
            self.memory.relay.faults.add(Fault.read(data), 0.0)
        self.client = MemoryClient(self.memory, "127.0.0.1", websocket=websocket)
        self.outbox = Outbox(self.memory.relay.behaviour.writing)
        self.sent = b""
        self.closed = False
        if websocket:
            self._send(opening_request())
        for body in (HELLO, auth(), tunnel(), {"type": "x"}, BEAT, BEAT):
            text = json.dumps(body).encode()
            self._send(_frame(text) if websocket else text + b"\n")

    def _note(self, event: Event) -> None:
        if isinstance(event, Decided):
            self.decided.append(event.decision.fault)

    def _send(self, data: bytes) -> None:
        now = self.memory.time
        self.outbox.put(self.client.session.receive_data(data, Moment(now, 1_800_000_000 + now)), now)
        self._release()
        while (due := self.outbox.next_due()) is not None:
            self.memory.time = max(self.memory.time, due)
            for action in self.outbox.due(self.memory.time):
                self._perform(action)
            self._release()

    def _release(self) -> None:
        for name in ("fault-1", "fault-2"):
            self.outbox.release(name, self.memory.time)

    def _perform(self, action: Action) -> None:
        if isinstance(action, SendAction):
            assert action.data
            self.sent += b"" if self.closed else action.data
        elif isinstance(action, WaitAction):
            now = self.memory.time
            self.outbox.put(self.client.session.resume(Moment(now, 1_800_000_000 + now)), now)
        elif isinstance(action, CloseAction):
            self.closed = True


@settings(deadline=None)
@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.booleans())
def test_any_number_of_faults(faults: list[dict[str, Any]], websocket: bool) -> None:
    run = _Conversation(faults, websocket=websocket)
    run.client.session.end()
    assert not run.memory.relay.state.usage
    assert not run.memory.relay.state.connections
