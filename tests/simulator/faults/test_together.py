"""Any combination of faults leaves the relay working, and nothing of a closed connection remains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.protocol.handshake import opening_request
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.when import MessageDirection
from cbspec_simulator.relay.actions import Action, SendAction, WaitAction
from tests.simulator.faults.test_catalogue import SHOWS
from tests.support.client import frame
from tests.support.memory import BEAT, HELLO, MemoryClient, MemoryRelay, auth, tunnel
from tests.support.messages import line

NOW: Final = Moment(0.0, 1_800_000_000)
MESSAGES: Final = [
    {**shown.fault, "kind": kind, "when": {"direction": direction}}
    for kind, shows in SHOWS.items()
    for direction in KINDS[kind].directions
    for shown in (shows if kind != "error" else shows[:1])
    if direction is not MessageDirection.CONNECT
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.booleans())
def test_any_number_of_faults(faults: list[dict[str, Any]], websocket: bool) -> None:
    memory = MemoryRelay()
    for data in faults:
        memory.relay.faults.add(Fault.read(data), 0.0)
    session = MemoryClient(memory, "127.0.0.1", websocket=websocket).session

    def perform(actions: Sequence[Action]) -> None:
        for action in actions:
            assert not isinstance(action, SendAction) or action.data
            if isinstance(action, WaitAction):
                perform(session.resume(NOW))

    if websocket:
        perform(session.receive_data(opening_request(), NOW))
    for body in (HELLO, auth(), tunnel(), {"type": "x"}, BEAT, BEAT):
        perform(session.receive_data(frame(line(body).strip()) if websocket else line(body), NOW))
    session.end()
    assert not memory.relay.state.usage
    assert not memory.relay.state.connections
