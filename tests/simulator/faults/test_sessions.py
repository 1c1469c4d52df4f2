"""Faults on sessions in memory: the occasions that a connection reports, and any combination of kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.protocol.handshake import opening_request
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.actions import Action, SendAction, WaitAction
from cbspec_simulator.relay.events import Decided
from tests.simulator.faults.test_kinds import SHOWS
from tests.support.client import frame
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel
from tests.support.messages import line

NOW: Final = Moment(0.0, 1_800_000_000)
MESSAGES: Final = [
    {**shown.fault, "kind": kind, "when": {"direction": direction}}
    for kind, shows in SHOWS.items()
    for direction in KINDS[kind].directions
    for shown in shows
    if direction is not MessageDirection.CONNECT
]


def _pair(message: str, answer: str, *names: str) -> list[Occasion]:
    """Return the occasions of a request and its answer, with the tenant and subject in `names`."""
    tenant, subject = names or ("", "")
    return [
        Occasion(MessageDirection.REQUEST, 1, "tcp", tenant, subject, message),
        Occasion(MessageDirection.ANSWER, 1, "tcp", tenant, subject, answer, message),
    ]


_PAIRS: Final = (("auth", "auth_response"), ("tunnel_info", "tunnel_response"), ("heartbeat", "heartbeat_response"))
_HELLO: Final = _pair("hello", "hello_response")
_DIALOGUES: Final[tuple[tuple[list[bytes], list[Occasion]], ...]] = (
    (
        [*map(line, (HELLO, auth(), tunnel(), BEAT))],
        [*_HELLO, *(each for pair in _PAIRS for each in _pair(*pair, "a", "user123"))],
    ),
    (
        [b"no JSON\n", b'{"type":"teapot"}\n', b'{"type":"error","code":"x","message":""}\n', line(BEAT)],
        [*_pair("unknown", "error") * 3, *_pair("heartbeat", "error")],
    ),
    # A rejected token names a tenant and a subject all the same.
    (
        [line(HELLO), line(auth("nowhere", sub="me")), line(BEAT)],
        [*_HELLO, *_pair("auth", "error", "nowhere", "me"), *_pair("heartbeat", "error", "nowhere", "me")],
    ),
    ([b"{" + b" " * 2_000_000], _pair("unknown", "error")[1:]),  # too long to be a request
)


def test_occasions_of_dialogues() -> None:
    for lines, expected in _DIALOGUES:
        for chunks in (lines, [b"".join(lines)]):
            memory, events = MemoryRelay(), list[Decided]()
            for direction in ("request", "answer"):
                fault = {"kind": "drop", "when": {"direction": direction, "probability": 0.0}}
                memory.relay.faults.add(Fault.read(fault), 0.0)
            memory.relay.tell.add(events.append, Decided)
            client = memory.client()
            for chunk in chunks:
                client.send(chunk)
            assert [event.decision.occasion for event in events] == expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.booleans())
def test_any_combination_leaves_the_relay_working(faults: list[dict[str, Any]], websocket: bool) -> None:
    memory = MemoryRelay()
    for data in faults:
        memory.relay.faults.add(Fault.read(data), 0.0)
    session = memory.client(websocket=websocket).session

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


def test_faults_change_the_frames_of_a_message_one_after_the_other() -> None:
    text = b'{"type":"heartbeat_response"}'
    cut, ping = {"kind": "websocket-fragments", "bytes": 20}, {"kind": "websocket-pings"}
    broken = {"kind": "websocket-broken-frame", "how": "reserved-bit"}
    one, two = b"\x01\x14" + text[:20], b"\x80\x09" + text[20:]
    for faults, expected in (
        ((cut, ping), b"\x89\x00" + one + b"\x89\x00" + two),
        ((cut, broken), b"\x41" + one[1:] + two),
        ((cut, {**broken, "how": "unfinished"}), one + two[:-1]),
        ((cut, {"kind": "websocket-close"}, ping), b"\x88\x02\x03\xe9"),
    ):
        client = MemoryRelay().client(websocket=True)
        client.send(opening_request() + frame(line(HELLO).strip()) + frame(line(auth()).strip()))
        for data in faults:
            client.session.relay.faults.add(Fault.read(data), 0.0)
        client.send(frame(line(BEAT).strip()))
        assert client.raw == expected
