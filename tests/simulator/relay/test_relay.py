"""Every code by its real cause, on sessions in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec_simulator import Config
from cbspec_simulator.base.steps import Dial, Refresh
from cbspec_simulator.settings.config import TokenSettings
from cbspec_simulator.variations.registry import varied
from tests.support.issuer import jwks, pair
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel


def test_another_tenants_tunnel_is_refused_and_not_counted() -> None:
    memory = MemoryRelay()
    client = memory.authenticated("a")
    assert client.type(tunnel(tenant="b")) == ErrorCode.TENANT_NOT_FOUND
    assert (memory.relay.tunnels("a"), memory.relay.tunnels("b"), memory.relay.buffers) == (0, 0, 0)


def test_a_tenants_tunnels_over_all_its_connections() -> None:
    memory = MemoryRelay(Tenant("a", tunnel_limit=3), Tenant("b"))
    one, two, other = memory.authenticated(), memory.authenticated(), memory.authenticated("b")
    assert [one.type(tunnel(name)) for name in "xy"] == ["tunnel_response"] * 2
    assert two.type(tunnel("z", remote_port=0)) == ErrorCode.INVALID_TUNNEL_INFO
    assert two.type(tunnel("z")) == "tunnel_response"
    assert one.type(tunnel("w")) == two.type(tunnel("w")) == ErrorCode.TENANT_LIMIT_EXCEEDED
    assert other.type(tunnel("w", "b")) == "tunnel_response"
    one.end()
    assert [two.type(tunnel(name)) for name in "uvw"] == ["tunnel_response"] * 2 + [ErrorCode.TENANT_LIMIT_EXCEEDED]


def test_a_tunnel_id_again_is_the_same_tunnel() -> None:
    memory = MemoryRelay(Tenant("a", tunnel_limit=1))
    client = memory.authenticated()
    assert [client.type(tunnel("x")) for _ in range(3)] == ["tunnel_response"] * 3
    assert memory.relay.tunnels("a") == memory.relay.buffers == 1
    assert memory.authenticated().type(tunnel("x")) == ErrorCode.TENANT_LIMIT_EXCEEDED


def test_a_tenants_connections() -> None:
    memory = MemoryRelay(Tenant("a", connection_limit=2), Tenant("b"))
    one, _ = memory.authenticated(), memory.authenticated()
    third = memory.greeted()
    assert third.type(auth()) == ErrorCode.TENANT_LIMIT_EXCEEDED
    assert memory.authenticated("b").type(BEAT) == "heartbeat_response"
    one.end()
    assert third.type(auth()) == "auth_response"


def test_the_relays_connections() -> None:
    memory = MemoryRelay(connection_limit=2)
    one, _, third = memory.greeted(), memory.greeted(), memory.client()
    assert third.type(HELLO) == ErrorCode.CONNECTION_LIMIT_REACHED
    assert third.closed
    assert one.type(HELLO) == "hello_response"
    one.end()
    memory.greeted()


def test_the_buffer_pool() -> None:
    memory = MemoryRelay(buffer_pool=2)
    one, two = memory.authenticated(), memory.authenticated("b")
    assert one.type(tunnel("x")) == two.type(tunnel("x", "b")) == "tunnel_response"
    assert one.type(tunnel("y")) == ErrorCode.BUFFER_POOL_EXHAUSTED
    assert memory.relay.tunnels("a") == 1
    two.end()
    assert one.type(tunnel("y")) == "tunnel_response"


def test_a_draining_relay_refuses_the_new_and_keeps_the_old() -> None:
    memory = MemoryRelay()
    greeted, authenticated = memory.greeted(), memory.authenticated()
    memory.relay.drain(True)
    newcomer = memory.client()
    assert newcomer.type(HELLO) == ErrorCode.SERVER_UNAVAILABLE
    assert newcomer.closed
    assert greeted.type(auth()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(tunnel()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(BEAT) == "heartbeat_response"
    memory.relay.drain(False)
    assert greeted.type(auth()) == "auth_response"


def test_the_remote_end_is_dialled_before_the_answer() -> None:
    memory = MemoryRelay(probe=True, buffer_pool=1)
    client = memory.authenticated()
    assert client.send(tunnel("x")) == []
    assert client.errands == [Dial("192.168.1.100", 3389)]
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
    memory = MemoryRelay(probe=True)
    client = memory.authenticated()
    client.send(tunnel("x"))
    assert memory.relay.buffers == 1
    client.end()
    assert not memory.relay.state.usage
    assert client.dialled(True) == []
    assert not memory.relay.state.usage


def _with_keys(folder: Path) -> Config:
    file = folder / "jwks.json"
    file.write_bytes(jwks(pair()))
    return Config(tokens=TokenSettings(jwks_file=file, issuer="me"))


def test_keys_are_brought_up_to_date_before_a_token_is_judged(tmp_path: Path) -> None:
    memory, key = MemoryRelay(config=_with_keys(tmp_path)), pair()
    client = memory.greeted()
    wanted = auth(key=key, iss="me")
    assert client.send(wanted) == []
    assert client.errands == [Refresh(wanted["token"])]
    assert wanted["token"] not in repr(client.errands)
    assert client.send(BEAT) == []
    assert memory.relay.keyring is not None
    (tmp_path / "jwks.json").write_bytes(jwks(key))
    memory.relay.keyring.load(0.0)
    assert [body["type"] for body in client.refreshed()] == ["auth_response", "heartbeat_response"]


@pytest.mark.parametrize(
    ("claims", "said"), [({"iss": "me"}, "no key of the issuer's"), ({"iss": "you"}, "no key"), ({}, "no key")]
)
def test_keys_that_stay_unknown_refuse(tmp_path: Path, claims: dict[str, str], said: str) -> None:
    client = MemoryRelay(config=_with_keys(tmp_path)).greeted()
    assert client.send(auth(key=pair(), **claims)) == []
    (answer,) = client.refreshed()
    assert answer["code"] == ErrorCode.INVALID_TOKEN
    assert said in answer["message"]


def test_one_key_needs_no_refresh() -> None:
    client = MemoryRelay().greeted()
    assert client.type(auth()) == "auth_response"
    assert client.errands == []


def test_what_goes_wrong_with_tokens_needs_the_key_that_signs_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the key that signs them"):
        MemoryRelay(config=_with_keys(tmp_path), change=lambda behaviour: varied(behaviour, "expired-accepted"))


def test_another_configuration_keeps_the_keys_that_it_still_means(tmp_path: Path) -> None:
    config = _with_keys(tmp_path)
    relay = MemoryRelay(config=config).relay
    keyring = relay.keyring
    relay.reconfigure(replace(config, tokens=replace(config.tokens, issuer="you")))
    assert relay.keyring is keyring
    relay.reconfigure(replace(config, tokens=replace(config.tokens, jwks_file=tmp_path / "other")))
    assert relay.keyring is not keyring
    relay.reconfigure(Config())
    assert relay.keyring is None
    assert relay.state.authority.key.symmetric
