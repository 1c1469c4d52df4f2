"""The relay for tests."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import SigningKey
from cbspec.tokens.keypair import new_pair
from cbspec_simulator import ConfigError, ControlError, LocalRelay, OpenConnection
from cbspec_simulator.testing.setup import Setup
from tests.support.client import PATIENCE, RawClient, entered
from tests.support.issuer import jwks
from tests.support.messages import HELLO, tunnel

IN = ["hello_response", "auth_response"]


def test_its_address_and_ca(relay: LocalRelay) -> None:
    assert repr(relay) == f"<relay {relay.host}:{relay.port}>"
    assert relay.ssl_context().minimum_version is ssl.TLSVersion.TLSv1_3
    assert entered(relay) == IN


def test_arguments_set_the_claims_of_a_token(relay: LocalRelay) -> None:
    claims = CompactJws.split(relay.token("tenant-002", "me", lifetime=60, role="admin", iat=None)).claims
    assert (claims["sub"], claims["tenant_id"], claims["role"]) == ("me", "tenant-002", "admin")
    assert 0 < float(str(claims["exp"])) - time.time() <= 60
    assert "iat" not in claims
    with LocalRelay(config={"tokens": {"secret": "x" * 32, "issuer": "me", "audience": "you"}}) as other:
        claims = CompactJws.split(other.token()).claims
        assert (claims["iss"], claims["aud"]) == ("me", "you")
        assert entered(other) == IN


def test_a_relay_with_public_keys_mints_with_the_signing_key_file(tmp_path: Path) -> None:
    private = new_pair("ES256")
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "keys.json").write_bytes(jwks(SigningKey.from_pem(private)))
    rules = {"jwks_file": str(tmp_path / "keys.json")}
    with LocalRelay(config={"tokens": {**rules, "signing_key_file": str(tmp_path / "key.pem")}}) as relay:
        assert entered(relay) == IN
    with LocalRelay(config={"tokens": rules}) as relay, pytest.raises(ControlError, match="signing_key_file"):
        relay.token()


def test_tokens_expire_when_the_clock_is_advanced(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        token = {"type": "auth", "token": relay.token(lifetime=100)}
        client.name(HELLO)
        relay.advance(101)
        assert client.name(token) == "invalid_token"
        assert client.name({"type": "auth", "token": relay.token()}) == "auth_response"
    with pytest.raises(ControlError, match="time goes forward only"):
        relay.advance(-1)


def test_it_is_controlled_while_it_runs(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client, RawClient.to(relay) as other:
        client.enter()
        assert (client.name(tunnel("t")), other.name(HELLO)) == ("tunnel_response", "hello_response")
        assert relay.connections == [
            OpenConnection(1, "tcp", "127.0.0.1", "authenticated", "tenant-001", "user123", ("t",)),
            OpenConnection(2, "tcp", "127.0.0.1", "greeted", None, None, ()),
        ]
        relay.drain()
        assert client.name(tunnel()) == "server_unavailable"
        relay.drain(False)
        relay.limit_tenant(tunnel_limit=1)
        assert client.name(tunnel("u")) == "tenant_limit_exceeded"
        relay.limit_tenant("tenant-001", tunnel_limit=None)
        relay.limit(buffer_pool=1)
        assert client.name(tunnel("u")) == "buffer_pool_exhausted"
        relay.drop(1)
        assert (client.line(), other.name(HELLO)) == (b"", "hello_response")
        relay.drop(how="close")
        assert other.line() == b""
    with pytest.raises(ControlError, match="there is no open connection 1"):
        relay.drop(1)


def test_a_reset_restores_the_initial_state(relay: LocalRelay) -> None:
    address = relay.address
    with RawClient.to(relay) as client:
        client.enter()
        relay.fault("refuse")
        relay.drain()
        relay.limit_tenant(active=False)
        relay.advance(1e6)
        relay.reset()
        assert client.line() == b""
    assert (relay.address, relay.connections, list(relay.transcript)) == (address, [], [])
    with RawClient.to(relay) as client:
        assert client.enter() == IN
        assert relay.connections[0].number == 1
        assert abs(relay.transcript.entries[0].time - time.time()) < PATIENCE


def test_connections_outlive_a_lasting_renewal(relay: LocalRelay) -> None:
    with RawClient.to(relay) as old, RawClient.to(relay) as new:
        assert old.enter() == IN
        relay.keep_connections()
        with RawClient.to(relay) as newest:
            newest.enter()
            relay.fault("drop")
            relay.renew(Setup.of(config={"tenants": [{"id": "tenant-001", "tunnel_limit": 1}]}), lasting=True)
            assert newest.line() == b""
        assert new.enter() == IN
        assert [old.name(tunnel(name)) for name in "ab"] == ["tunnel_response", "tenant_limit_exceeded"]
        relay.advance(1)
        relay.renew(lasting=True)
        assert (old.line(), new.line()) == (b"", b"")


def test_a_renewal_changes_the_persona(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        assert client.name(HELLO) == "hello_response"
        relay.keep_connections()
        relay.renew(Setup.of(persona="hello-version-missing"), lasting=True)
        assert client.line() == b""
    with RawClient.to(relay) as client:
        assert "version" not in client.ask(HELLO)
    relay.reset()
    with RawClient.to(relay) as client:
        assert "version" in client.ask(HELLO)


def test_an_invalid_setup_changes_nothing(relay: LocalRelay) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem"):
        relay.renew(Setup.of(config={"tls": {"chain": "none.pem"}}))
    assert (entered(relay), relay.setup) == (IN, Setup.of())


def test_relays_run_in_parallel_and_leave_no_thread() -> None:
    def alive() -> int:
        return [thread.name for thread in threading.enumerate()].count("cbspec relay")

    before = alive()
    with LocalRelay() as one, LocalRelay("tenant-at-its-limit") as other:
        assert one.port != other.port
        assert (entered(one), entered(other)) == (IN, IN)
        assert alive() == before + 2
    assert alive() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(one.address, PATIENCE)
    with pytest.raises(RuntimeError, match="the relay is closed"):
        one.advance(1)
    one.close()


def test_use_before_the_start_and_a_failed_start_are_errors() -> None:
    relay = LocalRelay()
    assert repr(relay) == "<relay, not started>"
    for use in (lambda: relay.address, lambda: relay.ca_file, lambda: relay.transcript):
        with pytest.raises(RuntimeError, match="not started: use it in a `with`"):
            use()
    relay.close()
    with pytest.raises(ConfigError, match=r"\[tls\]"):
        LocalRelay(config={"tls": {"chain": "none.pem"}}).start()
