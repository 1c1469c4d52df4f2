"""Each step that refuses a request: tokens, addresses and rates."""

from __future__ import annotations

import pytest

from cbspec.profile.target import Rate, Tenant
from cbspec.protocol.codes import ErrorCode
from tests.support.memory import BEAT, HELLO, NOW, Body, MemoryRelay, auth, tunnel


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (auth(exp=NOW), ErrorCode.INVALID_TOKEN),
        (auth(nbf=NOW + 600), ErrorCode.INVALID_TOKEN),
        (auth(tenant=None), ErrorCode.INVALID_TOKEN),
        (auth(tenant=7), ErrorCode.INVALID_TOKEN),
        (auth(sub=None), ErrorCode.INVALID_TOKEN),
        ({"type": "auth", "token": "nonsense"}, ErrorCode.INVALID_TOKEN),
        (auth("nobody"), ErrorCode.TENANT_NOT_FOUND),
        (auth("inactive"), ErrorCode.TENANT_NOT_FOUND),
    ],
    ids=str,
)
def test_a_rejected_auth(what: Body, code: ErrorCode) -> None:
    memory = MemoryRelay(Tenant("a"), Tenant("inactive", active=False))
    client = memory.greeted()
    answer = client.ask(what)
    assert answer["code"] == code
    assert "nobody" not in str(answer)
    assert str(what["token"]) not in str(answer)
    assert client.type(tunnel()) == ErrorCode.INVALID_TOKEN
    assert client.type(auth()) == "auth_response"


@pytest.mark.parametrize(
    ("allowed", "address", "served"),
    [
        (("192.0.2.0/24",), "192.0.2.9", True),
        (("192.0.2.0/24",), "192.0.3.9", False),
        (("192.0.2.0/24",), "::ffff:192.0.2.9", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "192.0.2.9", False),
        (("fe80::/10",), "fe80::1%eth0", True),
    ],
)
def test_allowed_addresses(allowed: tuple[str, ...], address: str, served: bool) -> None:
    memory = MemoryRelay(Tenant("a", allowed_addresses=allowed), Tenant("b"))
    client = memory.client(address)
    client.send(HELLO)
    assert client.type(auth()) == ("auth_response" if served else ErrorCode.IP_NOT_ALLOWED)
    if not served:
        assert client.type(auth("b")) == "auth_response"


def test_the_rate_counts_every_request_of_the_tenant() -> None:
    memory = MemoryRelay(Tenant("a", rate=Rate(1.0, 4, "tenant")), Tenant("b"))
    one, two = memory.authenticated(), memory.authenticated()
    assert one.type(BEAT) == "heartbeat_response"
    assert two.type(b'{"type":"x"}\n') == ErrorCode.UNKNOWN_MESSAGE_TYPE
    assert [one.type(BEAT), two.type(tunnel()), one.type(b"x\n")] == [ErrorCode.RATE_LIMIT_EXCEEDED] * 3
    assert memory.greeted().type(auth()) == ErrorCode.RATE_LIMIT_EXCEEDED
    assert memory.authenticated("b").type(BEAT) == "heartbeat_response"
    memory.time += 1.0
    assert [one.type(BEAT), two.type(BEAT)] == ["heartbeat_response", ErrorCode.RATE_LIMIT_EXCEEDED]


@pytest.mark.parametrize(
    ("scope", "counted_apart"),
    [
        ("tenant", set()),
        ("subject", {"subject"}),
        ("connection", {"subject", "connection", "address"}),
        ("address", {"address"}),
    ],
)
def test_the_scope_of_a_rate(scope: str, counted_apart: set[str]) -> None:
    memory = MemoryRelay(Tenant("a", rate=Rate(1.0, 1, scope)))  # type: ignore[arg-type]
    assert memory.authenticated().type(BEAT) == ErrorCode.RATE_LIMIT_EXCEEDED
    others = {"subject": ("127.0.0.1", "other"), "connection": ("127.0.0.1", "user123"), "address": ("::1", "user123")}
    for name, (address, subject) in others.items():
        client = memory.client(address)
        client.send(HELLO)
        expected = "auth_response" if name in counted_apart else ErrorCode.RATE_LIMIT_EXCEEDED
        assert client.type(auth(sub=subject)) == expected
