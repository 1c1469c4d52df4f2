"""Every request and every bad message in every state."""

from __future__ import annotations

import gc
import json
import weakref
from itertools import product

import pytest

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.handshake import opening_request
from cbspec.protocol.state import TABLE, Refuse, Serve, State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.relay import session as module
from cbspec_simulator.relay.session import SendAction
from cbspec_simulator.settings.config import Config, LimitSettings
from tests.support.memory import BEAT, HELLO, Body, MemoryRelay, auth, token, tunnel

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
MESSAGES: dict[str, Body] = {"hello": HELLO, "auth": auth(), "tunnel_info": tunnel(), "heartbeat": BEAT}


@pytest.mark.parametrize(("state", "request_"), [pair for pair in TABLE if pair[0] is not State.CLOSED])
def test_every_request_in_every_state_is_met_as_the_table_says(state: State, request_: type) -> None:
    client = REACHED[state](MemoryRelay())
    found = client.type(MESSAGES[request_.type])  # type: ignore[attr-defined]
    rule = TABLE[state, request_]
    assert found == (rule.answer.type if isinstance(rule, Serve) else rule.code)
    assert client.session.state.protocol.state is (rule.then if isinstance(rule, Serve) else state)
    assert not client.closed


BAD: dict[str, tuple[bytes, ErrorCode]] = {
    "unknown": (b'{"type":"x"}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "no type": (b"{}\n", ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "type a number": (b'{"type":1}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "a relay's": (b'{"type":"heartbeat_response"}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "array": (b"[]\n", ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "not JSON": (b'{"type":"heartbeat",}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "not UTF-8": (b'{"type":"heart\xffbeat"}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "too deep": (b'{"type":"heartbeat","x":' + b"[" * 99 + b"]" * 99 + b"}\n", ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "hello without version": (b'{"type":"hello","features":[]}\n', ErrorCode.UNKNOWN_MESSAGE_TYPE),
    "auth without token": (b'{"type":"auth"}\n', ErrorCode.INVALID_TOKEN),
    "auth with a number": (b'{"type":"auth","token":1}\n', ErrorCode.INVALID_TOKEN),
    "auth with nothing": (b'{"type":"auth","token":""}\n', ErrorCode.INVALID_TOKEN),
    "tunnel without members": (b'{"type":"tunnel_info"}\n', ErrorCode.INVALID_TUNNEL_INFO),
}


@pytest.mark.parametrize(("state", "name"), list(product(REACHED, BAD)))
def test_every_bad_message_in_every_state_is_refused_and_changes_nothing(state: State, name: str) -> None:
    client = REACHED[state](MemoryRelay())
    data, code = BAD[name]
    assert client.type(data) == code
    assert client.session.state.protocol.state is state
    assert not client.closed
    assert client.type(b'{"type":"fence"}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE


@pytest.mark.parametrize(
    "members",
    [
        {"tunnel_id": ...},
        {"tunnel_id": 1},
        {"tunnel_id": ""},
        {"tenant_id": ...},
        {"tenant_id": None},
        {"local_port": ...},
        {"local_port": "3389"},
        {"local_port": -1},
        {"local_port": 0},
        {"local_port": 0.5},
        {"local_port": 65536},
        {"local_port": True},
        {"remote_host": ...},
        {"remote_host": 1},
        {"remote_host": " "},
        {"remote_port": ...},
        {"remote_port": 0},
        {"remote_port": 1e9},
    ],
    ids=str,
)
def test_a_tunnel_info_that_is_not_valid(members: Body) -> None:
    memory = MemoryRelay()
    client = memory.authenticated()
    assert client.type(tunnel(**members)) == ErrorCode.INVALID_TUNNEL_INFO
    assert client.type(tunnel()) == "tunnel_response"
    assert memory.relay.tunnels("a") == 1


def test_a_message_without_end() -> None:
    memory = MemoryRelay(config=Config(limits=LimitSettings(max_message=1000)))
    client = memory.authenticated()
    assert client.type(b'{"type":"' + b"x" * 2000) == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert client.closed
    assert client.send(BEAT) == []


def test_the_depth_is_the_configured_one() -> None:
    memory = MemoryRelay(config=Config(limits=LimitSettings(max_depth=3)))
    client = memory.authenticated()
    assert client.type(b'{"type":"heartbeat","x":[[]]}\n') == "heartbeat_response"
    assert client.type(b'{"type":"heartbeat","x":[[[]]]}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE


def test_split_anywhere_and_merged() -> None:
    client = MemoryRelay().authenticated()
    data = (json.dumps(tunnel("x")) + json.dumps(BEAT) + "\r\n" + json.dumps(BEAT) + "\n").encode()
    found = [body["type"] for at in range(len(data)) for body in client.send(data[at : at + 1])]
    assert found == ["tunnel_response", "heartbeat_response", "heartbeat_response"]
    assert [body["type"] for body in client.send(data)] == found


def test_every_refusal_of_the_table_is_a_code() -> None:
    assert all(rule.code in ErrorCode for rule in TABLE.values() if isinstance(rule, Refuse))


@pytest.mark.parametrize(("claim", "kept"), [
    ("x" * 5000, "x" * 256), ("\ud800a", "?a"), (5, ""), (None, ""), ([[["a"] * 9] * 9], ""), ({"a": "b"}, ""),
    ("ü", "ü"),
])  # fmt: skip
def test_what_is_kept_of_a_token_that_nobody_verified_is_short_and_can_be_shown(claim: object, kept: str) -> None:
    client = MemoryRelay().greeted()
    said = token("a", key=SigningKey.hmac("another secret of somebody's"), sub=claim)
    assert client.type({"type": "auth", "token": said}) == "invalid_token"
    assert client.session.state.acts_for == ("a", kept)


@pytest.mark.parametrize("size", [1, 100_000])
def test_who_a_refused_token_names_is_known_and_the_token_not_kept_whole(size: int) -> None:
    client = MemoryRelay().greeted()
    assert client.type(auth("b", exp=1, more="x" * size)) == "invalid_token"
    assert client.session.state.acts_for == ("b", "user123")
    kept = client.session.state.named_by
    assert len(kept) <= 4096
    assert isinstance(kept, str) == (size == 1)


def test_nothing_of_a_token_is_kept_once_it_was_accepted() -> None:
    session = MemoryRelay().authenticated().session
    assert session.state.acts_for == session.state.named_by == ("a", "user123")


def test_what_comes_together_is_taken_a_few_at_a_time_and_in_order() -> None:
    client = MemoryRelay().authenticated()
    names = [f"t{number}" for number in range(11)]
    data = b"".join(json.dumps(tunnel(name)).encode() + b"\n" for name in names)
    found, turns = [], 0
    while data or client.session.behind:
        actions = client.session.receive_data(data, Moment(0.0, 1_800_000_000.0))
        assert len(actions) <= len(module._AT_ONCE)
        found += [json.loads(action.data)["tunnel_id"] for action in actions if isinstance(action, SendAction)]
        data, turns = b"", turns + 1
    assert found == names
    assert turns == 3


@pytest.mark.parametrize("number", [1, 3, 4, 9])
def test_requests_that_came_with_the_websockets_close_are_answered_before_it(number: int) -> None:
    client = MemoryRelay().client(websocket=True)
    hello = json.dumps(HELLO).encode()
    client.send(OPENING + (bytes((0x81, 0x80 | len(hello))) + bytes(4) + hello) * number + b"\x88\x80" + bytes(4))
    assert client.raw.count(b'"type"') == number
    assert client.raw.endswith(b"}\x88\x00")
    assert client.closed


def test_half_of_a_large_message_goes_with_its_connection_and_waits_for_no_collector() -> None:
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
