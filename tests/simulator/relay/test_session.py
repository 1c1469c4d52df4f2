"""Every request and every invalid message in every state; batches, closes and memory."""

from __future__ import annotations

import gc
import json
import weakref
from itertools import product

import pytest

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.handshake import opening_request
from cbspec.protocol.state import TABLE, Serve, State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.relay import session as module
from cbspec_simulator.relay.actions import SendAction
from cbspec_simulator.settings.config import Config, LimitSettings
from tests.support.memory import BEAT, HELLO, Body, MemoryRelay, auth, token, tunnel


def line(body: Body) -> bytes:
    return json.dumps(body).encode() + b"\n"


OPENING = opening_request()


def test_the_exchange_of_the_specification() -> None:
    client = MemoryRelay(Tenant("tenant-001")).client()
    hello = (
        b'{"type": "hello", "version": "1.0", '
        b'"features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]}\n'
    )
    assert client.ask(hello) == {
        "type": "hello_response",
        "version": "1.0",
        "features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"],
    }
    said = token("tenant-001")
    assert client.ask(b'{"type": "auth", "token": "' + said.encode() + b'"}\n') == {
        "type": "auth_response",
        "status": "ok",
        "client_id": "user123",
        "tenant_id": "tenant-001",
    }
    wanted = (
        b'{"type": "tunnel_info", "tunnel_id": "tunnel_001", "tenant_id": "tenant-001", "local_port": 3389, '
        b'"remote_host": "192.168.1.100", "remote_port": 3389}\n'
    )
    assert client.ask(wanted) == {"type": "tunnel_response", "status": "ok", "tunnel_id": "tunnel_001"}
    assert client.ask(b'{"type": "heartbeat"}\n') == {"type": "heartbeat_response"}


REACHED = {
    State.CONNECTED: lambda memory: memory.client(),
    State.GREETED: lambda memory: memory.greeted(),
    State.AUTHENTICATED: lambda memory: memory.authenticated(),
}
DROP = {"kind": "drop", "when": {"direction": "request"}}
DUPLICATE = {"kind": "duplicate", "when": {"direction": "request"}}
MESSAGES: dict[str, Body] = {"hello": HELLO, "auth": auth(), "tunnel_info": tunnel(), "heartbeat": BEAT}


@pytest.mark.parametrize(("state", "request_"), [pair for pair in TABLE if pair[0] is not State.CLOSED])
def test_every_request_in_every_state_follows_the_table(state: State, request_: type) -> None:
    client = REACHED[state](MemoryRelay())
    found = client.type(MESSAGES[request_.type])  # type: ignore[attr-defined]
    rule = TABLE[state, request_]
    assert found == (rule.answer.type if isinstance(rule, Serve) else rule.code)
    assert client.session.state.protocol.state is (rule.then if isinstance(rule, Serve) else state)
    assert not client.closed


BAD: dict[str, tuple[bytes, ErrorCode]] = {
    "unknown": (b'{"type":"x"}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "a relay's": (b'{"type":"heartbeat_response"}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "not JSON": (b'{"type":"heartbeat",}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "not UTF-8": (b'{"type":"heart\xffbeat"}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "too deep": (b'{"type":"heartbeat","x":' + b"[" * 99 + b"]" * 99 + b"}\n", ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "auth without token": (b'{"type":"auth"}\n', ErrorCode.INVALID_TOKEN),
    "tunnel without members": (b'{"type":"tunnel_info"}\n', ErrorCode.INVALID_TUNNEL_INFO),
}


@pytest.mark.parametrize(("state", "name"), list(product(REACHED, BAD)))
def test_every_invalid_message_in_every_state_is_refused_and_changes_nothing(state: State, name: str) -> None:
    client = REACHED[state](MemoryRelay())
    data, code = BAD[name]
    assert client.type(data) == code
    assert client.session.state.protocol.state is state
    assert not client.closed
    assert client.type(b'{"type":"fence"}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE


@pytest.mark.parametrize("state", REACHED)
@pytest.mark.parametrize("data", [*map(line, MESSAGES.values()), *(data for data, _ in BAD.values())])
def test_a_dropped_request_changes_nothing_and_a_duplicate_counts_as_a_second_request(
    state: State, data: bytes
) -> None:
    once, twice, dropped = (REACHED[state](MemoryRelay()) for _ in range(3))
    for client, fault in ((once, DUPLICATE), (dropped, DROP)):
        client.session.relay.faults.add(Fault.read(fault), 0.0)
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
    memory.relay.faults.add(Fault.read({**DUPLICATE, "when": {"direction": "request", "message": "tunnel_info"}}), 0.0)
    assert client.send(tunnel("x")) == []
    assert client.send(BEAT) == []
    assert [body["type"] for body in client.dialled(False)] == ["error", "heartbeat_response"]
    assert len(client.io_requests) == 1


def test_an_oversized_message() -> None:
    memory = MemoryRelay(config=Config(limits=LimitSettings(max_message=1000)))
    client = memory.authenticated()
    assert client.type(b'{"type":"' + b"x" * 2000) == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert client.closed
    assert client.send(BEAT) == []


def test_the_nesting_depth_is_configured() -> None:
    memory = MemoryRelay(config=Config(limits=LimitSettings(max_depth=3)))
    client = memory.authenticated()
    assert client.type(b'{"type":"heartbeat","x":[[]]}\n') == "heartbeat_response"
    assert client.type(b'{"type":"heartbeat","x":[[[]]]}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE


def test_messages_split_at_every_byte_or_sent_together() -> None:
    client = MemoryRelay().authenticated()
    data = (json.dumps(tunnel("x")) + json.dumps(BEAT) + "\r\n" + json.dumps(BEAT) + "\n").encode()
    found = [body["type"] for at in range(len(data)) for body in client.send(data[at : at + 1])]
    assert found == ["tunnel_response", "heartbeat_response", "heartbeat_response"]
    assert [body["type"] for body in client.send(data)] == found


@pytest.mark.parametrize(("claim", "kept"), [
    ("x" * 5000, "x" * 256), ("\ud800a", "?a"), (5, ""), (None, ""), ([[["a"] * 9] * 9], ""), ({"a": "b"}, ""),
    ("ü", "ü"),
])  # fmt: skip
def test_names_from_a_rejected_token_are_short_and_printable(claim: object, kept: str) -> None:
    client = MemoryRelay().greeted()
    said = token("a", key=SigningKey.hmac("another secret, long enough"), sub=claim)
    assert client.type({"type": "auth", "token": said}) == "invalid_token"
    assert client.session.state.acts_for == ("a", kept)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_rejected_token_is_not_kept_whole(size: int) -> None:
    client = MemoryRelay().greeted()
    assert client.type(auth("b", exp=1, more="x" * size)) == "invalid_token"
    assert client.session.state.acts_for == ("b", "user123")
    kept = client.session.state.named_by
    assert len(kept) <= 4096
    assert isinstance(kept, str) == (size == 1)


def test_an_accepted_token_is_not_kept() -> None:
    session = MemoryRelay().authenticated().session
    assert session.state.acts_for == session.state.named_by == ("a", "user123")


def test_requests_that_arrive_together_are_handled_in_batches_and_in_order() -> None:
    client = MemoryRelay().authenticated()
    names = [f"t{number}" for number in range(11)]
    data = b"".join(json.dumps(tunnel(name)).encode() + b"\n" for name in names)
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
    hello = json.dumps(HELLO).encode()
    client.send(OPENING + (bytes((0x81, 0x80 | len(hello))) + bytes(4) + hello) * number + b"\x88\x80" + bytes(4))
    assert client.raw.count(b'"type"') == number
    assert client.raw.endswith(b"}\x88\x00")
    assert client.closed


def test_an_incomplete_large_message_is_freed_without_the_garbage_collector() -> None:
    half = b"\x81\xff" + (1_000_000).to_bytes(8, "big") + bytes(4) + b"{" * 500_000
    relay = MemoryRelay()
    gc.disable()
    try:
        client = relay.client(websocket=True)
        client.send(OPENING + half)
        assert isinstance(client.session.state.framer, WebSocketFramer)
        library = weakref.ref(client.session.state.framer.protocol)
        client.end()
        relay.clients.clear()
        del client
        assert library() is None
    finally:
        gc.enable()
