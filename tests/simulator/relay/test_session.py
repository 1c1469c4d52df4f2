"""Sessions in memory: each request and invalid message in each state, batches, I/O, closes and memory."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.handshake import opening_request
from cbspec.protocol.state import TABLE, Serve, State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.steps import Refresh
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.relay import session as module
from cbspec_simulator.relay.actions import SendAction
from cbspec_simulator.relay.behaviour import Behaviour, understand
from cbspec_simulator.relay.reading import Reading
from cbspec_simulator.settings.config import Config, LimitSettings, TokenSettings
from cbspec_simulator.variations.registry import varied
from tests.support.issuer import jwks, pair
from tests.support.memory import BEAT, HELLO, Body, MemoryRelay, auth, token, tunnel
from tests.support.messages import line

REACHED = {
    State.CONNECTED: lambda memory: memory.client(),
    State.GREETED: lambda memory: memory.greeted(),
    State.AUTHENTICATED: lambda memory: memory.authenticated(),
}
MESSAGES: dict[str, Body] = {"hello": HELLO, "auth": auth(), "tunnel_info": tunnel(), "heartbeat": BEAT}


@pytest.mark.parametrize(("state", "request_"), [pair for pair in TABLE if pair[0] is not State.CLOSED])
def test_every_request_in_every_state_follows_the_table(state: State, request_: type) -> None:
    client = REACHED[state](MemoryRelay())
    found = client.type(MESSAGES[request_.type])  # type: ignore[attr-defined]
    rule = TABLE[state, request_]
    assert found == (rule.answer.type if isinstance(rule, Serve) else rule.code)
    assert client.session.state.protocol.state is (rule.then if isinstance(rule, Serve) else state)
    assert not client.closed


BAD: dict[bytes, ErrorCode] = {
    b'{"type":"x"}\n': ErrorCode.UNKNOWN_MESSAGE_TYPE,
    b'{"type":"heartbeat_response"}\n': ErrorCode.UNKNOWN_MESSAGE_TYPE,
    b'{"type":"heartbeat",}\n': ErrorCode.UNKNOWN_MESSAGE_TYPE,
    b'{"type":"heart\xffbeat"}\n': ErrorCode.UNKNOWN_MESSAGE_TYPE,
    b'{"type":"heartbeat","x":' + b"[" * 99 + b"]" * 99 + b"}\n": ErrorCode.UNKNOWN_MESSAGE_TYPE,
    b'{"type":"auth"}\n': ErrorCode.INVALID_TOKEN,
    b'{"type":"tunnel_info"}\n': ErrorCode.INVALID_TUNNEL_INFO,
}


@pytest.mark.parametrize("state", REACHED)
def test_every_invalid_message_in_every_state_is_refused_and_changes_nothing(state: State) -> None:
    for data, code in BAD.items():
        client = REACHED[state](MemoryRelay())
        assert client.type(data) == code
        assert client.session.state.protocol.state is state
        assert not client.closed
        assert client.type(b'{"type":"fence"}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE


@pytest.mark.parametrize("state", REACHED)
def test_a_dropped_request_changes_nothing_and_a_duplicate_counts_as_a_second_request(state: State) -> None:
    for data in (*map(line, MESSAGES.values()), *BAD):
        once, twice, dropped = (REACHED[state](MemoryRelay()) for _ in range(3))
        for client, kind in ((once, "duplicate"), (dropped, "drop")):
            client.session.relay.faults.add(Fault.read({"kind": kind, "when": {"direction": "request"}}), 0.0)
        assert once.send(data) == twice.send(data * 2)
        assert dropped.send(data) == []
        assert dropped.session.state.protocol.state is state
        assert dropped.session.relay.buffers == 0
        for client in (once, dropped):
            client.session.relay.faults.reset()
        assert once.session.state.protocol.state is twice.session.state.protocol.state
        assert once.send(BEAT) == twice.send(BEAT)
        assert dropped.send(BEAT) == REACHED[state](MemoryRelay()).send(BEAT)


def test_a_duplicate_of_a_request_that_waits_for_a_dial_is_dropped() -> None:
    memory = MemoryRelay(probe=True)
    client = memory.authenticated()
    memory.relay.faults.add(Fault.read({"kind": "duplicate", "when": {"message": "tunnel_info"}}), 0.0)
    assert client.send(tunnel("x")) == []
    assert client.send(BEAT) == []
    assert [body["type"] for body in client.dialled(False)] == ["error", "heartbeat_response"]
    assert len(client.io_requests) == 1


def test_the_size_and_the_nesting_depth_of_a_message_are_limited() -> None:
    memory = MemoryRelay(config=Config(limits=LimitSettings(max_message=1000, max_depth=3)))
    client = memory.authenticated()
    assert client.type(b'{"type":"heartbeat","x":[[]]}\n') == "heartbeat_response"
    assert client.type(b'{"type":"heartbeat","x":[[[]]]}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert client.type(b'{"type":"' + b"x" * 2000) == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert client.closed
    assert client.send(BEAT) == []


def test_a_draining_relay_refuses_new_work_only() -> None:
    memory = MemoryRelay()
    greeted, authenticated = memory.greeted(), memory.authenticated()
    memory.relay.drain(True)
    newcomer = memory.client()
    assert newcomer.type(HELLO) == ErrorCode.SERVER_UNAVAILABLE
    assert newcomer.closed
    assert greeted.type(auth()) == authenticated.type(tunnel()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(BEAT) == "heartbeat_response"


def test_reconfiguring_keeps_the_keys_of_the_same_source(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(pair()))
    config = Config(tokens=TokenSettings(jwks_file=file, issuer="me"))
    with pytest.raises(ValueError, match="needs the key that signs them"):
        MemoryRelay(config=config, change=lambda behaviour: varied(behaviour, "expired-accepted"))
    relay = MemoryRelay(config=config).relay
    keyring = relay.keyring
    relay.reconfigure(replace(config, tokens=replace(config.tokens, issuer="you")))
    assert relay.keyring is keyring
    relay.reconfigure(replace(config, tokens=replace(config.tokens, jwks_file=tmp_path / "other")))
    assert relay.keyring is not keyring
    relay.reconfigure(Config())
    assert relay.keyring is None
    assert relay.state.authority.key.symmetric


TEXTS = (
    b'{"type":"heartbeat"}',
    b'{"type":"heartbeat","more":[1]}',
    b'{"type":"hello","version":"1.0","features":["tls"]}',
    b'{"type":"hello","version":"1.0","features":[["tls"]]}',
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


def test_only_hellos_and_heartbeats_of_the_default_behaviour_are_cached() -> None:
    reading = Reading(Behaviour(), 64)
    other = Reading(Behaviour(understand=lambda value: understand(value)), 64)
    for text in TEXTS:
        frame = RawMessage(text)
        assert (reading(frame)[1] is reading(frame)[1]) == (text in TEXTS[:3])
        assert other(frame)[1] is not other(frame)[1]
    for number in range(1000):
        reading(RawMessage(b'{"type":"heartbeat","n":%d}' % number))
    assert len(reading._cache) <= 64
    long = RawMessage(b'{"type":"heartbeat","n":"' + b"x" * 300 + b'"}')
    assert reading(long)[1] is not reading(long)[1]


def test_names_from_a_rejected_token_are_short_and_printable() -> None:
    claims = (
        ("x" * 5000, "x" * 256),
        ("\ud800a", "?a"),
        (5, ""),
        ([[["a"] * 9] * 9], ""),
        ({"a": "b"}, ""),
        ("ü", "ü"),
    )
    for claim, kept in claims:
        client = MemoryRelay().greeted()
        said = token("a", key=SigningKey.hmac("another secret, long enough"), sub=claim)
        assert client.type({"type": "auth", "token": said}) == "invalid_token"
        assert client.session.state.acts_for == ("a", kept)


def test_no_token_is_kept_unless_it_is_short_and_rejected() -> None:
    for size in (1, 100_000):
        state = (client := MemoryRelay().greeted()).session.state
        assert client.type(auth("b", exp=1, more="x" * size)) == "invalid_token"
        assert state.acts_for == ("b", "user123")
        assert isinstance(state.named_by, str) == (size == 1)
    state = MemoryRelay().authenticated().session.state
    assert state.acts_for == state.named_by == ("a", "user123")
    assert "a.b.c" not in repr(Refresh("a.b.c"))


def test_requests_that_arrive_together_are_handled_in_batches_and_in_order() -> None:
    client = MemoryRelay().authenticated()
    names = [f"t{number}" for number in range(11)]
    data = b"".join(line(tunnel(name)) for name in names)
    found, turns = [], 0
    while data or client.session.backlog:
        actions = client.session.receive_data(data, Moment(0.0, 1_800_000_000.0))
        assert len(actions) <= module.BATCH
        found += [json.loads(action.data)["tunnel_id"] for action in actions if isinstance(action, SendAction)]
        data, turns = b"", turns + 1
    assert found == names
    assert turns == 3


@pytest.mark.parametrize("number", [1, 3, 4, 9])
def test_requests_before_a_websocket_close_are_answered_before_it(number: int) -> None:
    client = MemoryRelay().client(websocket=True)
    hello = line(HELLO).strip()
    client.send(
        opening_request() + (bytes((0x81, 0x80 | len(hello))) + bytes(4) + hello) * number + b"\x88\x80" + bytes(4)
    )
    assert client.raw.count(b'"type"') == number
    assert client.raw.endswith(b"}\x88\x00")
    assert client.closed


def test_an_incomplete_large_message_is_freed_without_the_garbage_collector() -> None:
    half = b"\x81\xff" + (1_000_000).to_bytes(8, "big") + bytes(4) + b"{" * 500_000
    relay = MemoryRelay()
    gc.disable()
    try:
        client = relay.client(websocket=True)
        client.send(opening_request() + half)
        assert isinstance(client.session.state.framer, WebSocketFramer)
        library = weakref.ref(client.session.state.framer.protocol)
        client.end()
        del client
        assert library() is None
    finally:
        gc.enable()
