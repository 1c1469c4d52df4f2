"""Every code by its real cause, on sessions in memory."""

from __future__ import annotations

import json
from itertools import product

import pytest

from cbspec.codes import ErrorCode
from cbspec.state import TABLE, Refuse, Serve, State
from cbspec.target import Rate, Tenant
from simulator.config import Config, Limits
from simulator.relay import plain_address
from tests.simulator.memory import BEAT, HELLO, NOW, Body, Memory, auth, token, tunnel


def test_the_exchange_of_the_specification() -> None:
    client = Memory(Tenant("tenant-001")).client()
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
    client = REACHED[state](Memory())
    found = client.type(MESSAGES[request_.type])  # type: ignore[attr-defined]
    rule = TABLE[state, request_]
    assert found == (rule.answer.type if isinstance(rule, Serve) else rule.code)
    assert client.session.connection.state is (rule.then if isinstance(rule, Serve) else state)
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
    client = REACHED[state](Memory())
    data, code = BAD[name]
    assert client.type(data) == code
    assert client.session.connection.state is state
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
    memory = Memory()
    client = memory.authenticated()
    assert client.type(tunnel(**members)) == ErrorCode.INVALID_TUNNEL_INFO
    assert client.type(tunnel()) == "tunnel_response"
    assert memory.relay.tunnels("a") == 1


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (auth(exp=NOW), ErrorCode.INVALID_TOKEN),
        (auth(exp=NOW - 600), ErrorCode.INVALID_TOKEN),
        (auth(nbf=NOW + 600), ErrorCode.INVALID_TOKEN),
        (auth(tenant=None), ErrorCode.INVALID_TOKEN),
        (auth(tenant=""), ErrorCode.INVALID_TOKEN),
        (auth(tenant=7), ErrorCode.INVALID_TOKEN),
        (auth(tenant=["a"]), ErrorCode.INVALID_TOKEN),
        (auth(sub=None), ErrorCode.INVALID_TOKEN),
        ({"type": "auth", "token": "nonsense"}, ErrorCode.INVALID_TOKEN),
        (auth("nobody"), ErrorCode.TENANT_NOT_FOUND),
        (auth("A"), ErrorCode.TENANT_NOT_FOUND),
        (auth("asleep"), ErrorCode.TENANT_NOT_FOUND),
    ],
    ids=str,
)
def test_an_auth_that_is_not_accepted(what: Body, code: ErrorCode) -> None:
    memory = Memory(Tenant("a"), Tenant("asleep", active=False))
    client = memory.greeted()
    answer = client.ask(what)
    assert answer["code"] == code
    assert str(what["token"]) not in json.dumps(answer)
    assert client.type(tunnel()) == ErrorCode.INVALID_TOKEN
    assert client.type(auth()) == "auth_response"


ANYWHERE = ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1", "fe80::1%eth0")


@pytest.mark.parametrize(
    ("allowed", "address", "served"),
    [
        ((), "203.0.113.1", True),
        (("192.0.2.0/24",), "192.0.2.9", True),
        (("192.0.2.0/24",), "192.0.3.9", False),
        (("192.0.2.0/24",), "::ffff:192.0.2.9", True),
        (("192.0.2.9",), "192.0.2.9", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        (("2001:db8::/32",), "192.0.2.9", False),
        (("192.0.2.0/24", "::1"), "::1", True),
        (("fe80::/10",), "fe80::1%eth0", True),
    ],
)
def test_an_address_list(allowed: tuple[str, ...], address: str, served: bool) -> None:
    memory = Memory(Tenant("a", allowed_addresses=allowed), Tenant("b"))
    client = memory.client(address)
    client.send(HELLO)
    assert client.type(auth()) == ("auth_response" if served else ErrorCode.IP_NOT_ALLOWED)
    if not served:
        assert client.type(auth("b")) == "auth_response"


def test_addresses_in_other_clothes() -> None:
    assert [str(plain_address(text)) for text in ANYWHERE] == ["192.0.2.9", "192.0.2.9", "2001:db8::1", "fe80::1"]


def test_another_tenants_tunnel_is_refused_and_not_counted() -> None:
    memory = Memory()
    client = memory.authenticated("a")
    assert client.type(tunnel(tenant="b")) == ErrorCode.TENANT_NOT_FOUND
    assert (memory.relay.tunnels("a"), memory.relay.tunnels("b"), memory.relay.buffers) == (0, 0, 0)


def test_a_tenants_tunnels_over_all_its_connections() -> None:
    memory = Memory(Tenant("a", tunnel_limit=3), Tenant("b"))
    one, two, other = memory.authenticated(), memory.authenticated(), memory.authenticated("b")
    assert [one.type(tunnel(name)) for name in "xy"] == ["tunnel_response"] * 2
    assert two.type(tunnel("z", remote_port=0)) == ErrorCode.INVALID_TUNNEL_INFO
    assert two.type(tunnel("z")) == "tunnel_response"
    assert one.type(tunnel("w")) == two.type(tunnel("w")) == ErrorCode.TENANT_LIMIT_EXCEEDED
    assert other.type(tunnel("w", "b")) == "tunnel_response"
    one.end()
    assert [two.type(tunnel(name)) for name in "uvw"] == ["tunnel_response"] * 2 + [ErrorCode.TENANT_LIMIT_EXCEEDED]


def test_a_tunnel_id_again_is_the_same_tunnel() -> None:
    memory = Memory(Tenant("a", tunnel_limit=1))
    client = memory.authenticated()
    assert [client.type(tunnel("x")) for _ in range(3)] == ["tunnel_response"] * 3
    assert memory.relay.tunnels("a") == memory.relay.buffers == 1
    assert memory.authenticated().type(tunnel("x")) == ErrorCode.TENANT_LIMIT_EXCEEDED


def test_a_tenants_connections() -> None:
    memory = Memory(Tenant("a", connection_limit=2), Tenant("b"))
    one, _ = memory.authenticated(), memory.authenticated()
    third = memory.greeted()
    assert third.type(auth()) == ErrorCode.TENANT_LIMIT_EXCEEDED
    assert memory.authenticated("b").type(BEAT) == "heartbeat_response"
    one.end()
    assert third.type(auth()) == "auth_response"


def test_the_relays_connections() -> None:
    memory = Memory(connection_limit=2)
    one, _, third = memory.greeted(), memory.greeted(), memory.client()
    assert third.type(HELLO) == ErrorCode.CONNECTION_LIMIT_REACHED
    assert third.closed
    assert one.type(HELLO) == "hello_response"
    one.end()
    memory.greeted()


def test_the_buffer_pool() -> None:
    memory = Memory(buffer_pool=2)
    one, two = memory.authenticated(), memory.authenticated("b")
    assert one.type(tunnel("x")) == two.type(tunnel("x", "b")) == "tunnel_response"
    assert one.type(tunnel("y")) == ErrorCode.BUFFER_POOL_EXHAUSTED
    assert memory.relay.tunnels("a") == 1
    two.end()
    assert one.type(tunnel("y")) == "tunnel_response"


def test_the_rate_counts_every_request_of_the_tenant() -> None:
    memory = Memory(Tenant("a", rate=Rate(1.0, 4, "tenant")), Tenant("b"))
    one, two = memory.authenticated(), memory.authenticated()
    assert one.type(BEAT) == "heartbeat_response"
    assert two.type(b'{"type":"x"}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert [one.type(BEAT), two.type(tunnel()), one.type(b"x\n")] == [ErrorCode.RATE_LIMIT_EXCEEDED] * 3
    assert memory.greeted().type(auth()) == ErrorCode.RATE_LIMIT_EXCEEDED
    assert memory.authenticated("b").type(BEAT) == "heartbeat_response"
    memory.time += 1.0
    assert [one.type(BEAT), two.type(BEAT)] == ["heartbeat_response", ErrorCode.RATE_LIMIT_EXCEEDED]


@pytest.mark.parametrize(
    ("scope", "apart"),
    [
        ("tenant", set()),
        ("subject", {"subject"}),
        ("connection", {"subject", "connection", "address"}),
        ("address", {"address"}),
    ],
)
def test_the_rates_scope(scope: str, apart: set[str]) -> None:
    memory = Memory(Tenant("a", rate=Rate(1.0, 1, scope)))  # type: ignore[arg-type]
    assert memory.authenticated().type(BEAT) == ErrorCode.RATE_LIMIT_EXCEEDED
    others = {"subject": ("127.0.0.1", "other"), "connection": ("127.0.0.1", "user123"), "address": ("::1", "user123")}
    for name, (address, subject) in others.items():
        client = memory.client(address)
        client.send(HELLO)
        expected = "auth_response" if name in apart else ErrorCode.RATE_LIMIT_EXCEEDED
        assert client.type(auth(sub=subject)) == expected


def test_a_draining_relay_refuses_the_new_and_keeps_the_old() -> None:
    memory = Memory()
    greeted, authenticated = memory.greeted(), memory.authenticated()
    memory.relay.drain()
    newcomer = memory.client()
    assert newcomer.type(HELLO) == ErrorCode.SERVER_UNAVAILABLE
    assert newcomer.closed
    assert greeted.type(auth()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(tunnel()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(BEAT) == "heartbeat_response"
    memory.relay.draining = False
    assert greeted.type(auth()) == "auth_response"


def test_the_remote_end_is_dialled_before_the_answer() -> None:
    memory = Memory(probe=True, buffer_pool=1)
    client = memory.authenticated()
    assert client.send(tunnel("x")) == []
    assert [(dial.host, dial.port) for dial in client.dials] == [("192.168.1.100", 3389)]
    assert memory.relay.buffers == 1
    assert client.send(BEAT) == []
    found = client.dialled(False)
    assert [body["type"] for body in found] == ["error", "heartbeat_response"]
    assert found[0]["code"] == ErrorCode.DATA_TRANSFER_FAILED
    assert memory.relay.buffers == 0
    client.send(tunnel("x"))
    assert [body["type"] for body in client.dialled(True)] == ["tunnel_response"]
    assert memory.relay.buffers == 1


def test_what_a_dial_holds_is_given_back_when_the_connection_ends() -> None:
    memory = Memory(probe=True)
    client = memory.authenticated()
    client.send(tunnel("x"))
    assert memory.relay.buffers == 1
    client.end()
    assert not memory.relay.ledger
    assert client.dialled(True) == []
    assert not memory.relay.ledger


def test_a_message_without_end() -> None:
    memory = Memory(config=Config(limits=Limits(max_message=1000)))
    client = memory.authenticated()
    assert client.type(b'{"type":"' + b"x" * 2000) == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert client.closed
    assert client.send(BEAT) == []


def test_the_depth_is_the_configured_one() -> None:
    memory = Memory(config=Config(limits=Limits(max_depth=3)))
    client = memory.authenticated()
    assert client.type(b'{"type":"heartbeat","x":[[]]}\n') == "heartbeat_response"
    assert client.type(b'{"type":"heartbeat","x":[[[]]]}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE


def test_split_anywhere_and_merged() -> None:
    client = Memory().authenticated()
    data = (json.dumps(tunnel("x")) + json.dumps(BEAT) + "\r\n" + json.dumps(BEAT) + "\n").encode()
    found = [body["type"] for at in range(len(data)) for body in client.send(data[at : at + 1])]
    assert found == ["tunnel_response", "heartbeat_response", "heartbeat_response"]
    assert [body["type"] for body in client.send(data)] == found


def test_error_texts_name_no_other_tenant() -> None:
    memory = Memory(Tenant("a"), Tenant("b-that-is-secret"))
    client = memory.authenticated()
    answers = [client.ask(tunnel(tenant="b-that-is-secret")), memory.greeted().ask(auth("c-that-is-secret"))]
    assert "that-is-secret" not in json.dumps(answers)


def test_every_refusal_of_the_table_is_a_code() -> None:
    assert all(rule.code in ErrorCode for rule in TABLE.values() if isinstance(rule, Refuse))
