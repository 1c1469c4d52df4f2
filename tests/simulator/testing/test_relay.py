"""The relay for tests: its setup, its controls, its faults and its transcript."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import SigningKey, new_pair
from cbspec_simulator import ConfigError, ControlError, LocalRelay, OpenConnection
from cbspec_simulator.observe.transcript import TranscriptEntry
from cbspec_simulator.testing.setup import Setup
from tests.support.client import PATIENCE, RawClient, entered
from tests.support.issuer import jwks
from tests.support.messages import BEAT, HELLO, tunnel

IN = ["hello_response", "auth_response"]


@pytest.fixture(scope="module")
def served() -> Iterator[LocalRelay]:
    with LocalRelay() as relay:
        yield relay


@pytest.fixture
def relay(served: LocalRelay) -> LocalRelay:
    served.reset()
    return served


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
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(other.transcript.wait_for, "answer", "error", timeout=PATIENCE)
            other.transcript.wait_for("ended")
            other.close()
            with pytest.raises(RuntimeError, match=r"the relay (was|is) closed"):
                waiting.result()
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


def test_config_overrides_the_scenario_and_faults_are_added() -> None:
    setup = Setup.of("slow-relay", config={"seed": 3, "relay": {"buffer_pool": 5}}, faults=[{"kind": "drop"}])
    config = setup.read()
    assert (config.seed, config.relay.buffer_pool) == (3, 5)
    assert [fault.name for fault in config.faults] == ["busy", "thin", ""]


def test_configured_ports_are_replaced_by_free_ones() -> None:
    tables = {"listen": {"host": "0.0.0.0", "port": 8080}, "metrics": {"enabled": True, "port": 9090}}  # noqa: S104
    setup = Setup.of(config={**tables, "control": {"port": 8081}, "development": True})
    config = setup.read()
    assert (config.listen.host, config.listen.port, setup.read(4711).listen.port) == ("127.0.0.1", 0, 4711)
    assert (config.metrics.enabled, config.metrics.port, config.control.port) == (True, 0, 0)


def test_files_are_looked_up_in_the_folder_first(tmp_path: Path) -> None:
    (tmp_path / "slow-relay").write_text("seed = 11")
    (tmp_path / "base.toml").write_text("seed = 12")
    assert Setup.of("slow-relay", folder=tmp_path).read().seed == 11
    assert Setup.of("slow-relay").read().seed == 0
    assert Setup.of(config="base.toml", folder=tmp_path).read().seed == 12


def test_a_persona_and_variants_change_the_behaviour() -> None:
    both = Setup.of(variant=["dribble", "no-tickets"], persona="hello-version-missing")
    assert both.character == (("hello-version-missing",), ("dribble", "no-tickets"))
    assert len({id(setup.behaviour().writing.pieces) for setup in (Setup.of(), both)}) == 2


def test_a_fault_strikes_until_the_end_of_its_with(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        with relay.fault("error", code="server_unavailable", when={"message": "hello"}) as fault:
            assert [client.name(HELLO), client.name(BEAT)] == ["server_unavailable", "unknown_message_type"]
            assert (fault.strikes, fault.matched) == (1, 1)
        fault.assert_struck()
        fault.assert_struck(1)
        assert client.name(HELLO) == "hello_response"
    assert fault.strikes == 1
    assert relay.never_struck == []
    with relay.fault("drop", name="lost", when={"message": "auth"}) as unused:
        pass
    for times, wanted in ((None, "at least once"), (2, "2 times")):
        with pytest.raises(AssertionError, match=f"the fault lost struck 0 times, not {wanted}; it matched 0 times"):
            unused.assert_struck(times)
    assert relay.never_struck == ["the fault lost (drop) never struck: nothing matched its condition"]


def test_a_fault_stays_until_it_is_removed_or_the_relay_is_reset(relay: LocalRelay) -> None:
    steps = [{"kind": "error", "code": "teapot"}, {"kind": "pass"}]
    fault = relay.fault(sequence=steps, repeat=True, name="tea")
    assert repr(fault) == "<fault tea>"
    with RawClient.to(relay) as client:
        assert [client.name(HELLO) for _ in range(3)] == ["teapot", "hello_response", "teapot"]
        fault.remove()
        fault.remove()
        assert client.name(HELLO) == "hello_response"
    with relay.fault("drop") as fault:
        relay.reset()
        assert fault.strikes == 0


def test_held_messages_are_sent_on_release_or_removal(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client, relay.fault("hold", when={"message": "hello_response"}) as held:
        client.send(HELLO)
        relay.transcript.wait_for("answer", "hello_response")
        held.release()
        assert b"hello_response" in client.line()
        client.send(HELLO)
        relay.transcript.wait_for("answer", count=2)
        held.remove()
        assert client.line()


def test_entries_are_in_order_and_without_tokens(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        token = relay.token()
        client.name(HELLO)
        client.name({"type": "auth", "token": token})
        client.name(tunnel("mine"))
    relay.transcript.wait_for("ended")
    entries = list(relay.transcript)
    begin = ["accepted", "secured", "connected"]
    assert [entry.event for entry in entries] == [*begin, *["request", "answer"] * 3, "ended"]
    assert len(relay.transcript) == len(entries) == 10
    assert [entry.type for entry in relay.transcript.requests()] == ["hello", "auth", "tunnel_info"]
    (requested,) = relay.transcript.requests("tunnel_info")
    (answered,) = relay.transcript.answers("tunnel_response")
    assert requested.message == tunnel("mine")
    assert (answered.message["tunnel_id"], answered.tenant, answered.connection) == ("mine", "tenant-001", 1)
    assert token not in str(relay.transcript)
    assert '-> {"type":"hello"' in str(relay.transcript)
    relay.transcript.clear()
    assert str(relay.transcript) == ""
    with RawClient.to(relay) as client:
        client.names(*[BEAT] * 120)
    shown = str(relay.transcript).splitlines()
    assert (shown[0], len(shown)) == (f"... {len(relay.transcript) - 200} entries before", 201)


def test_an_entry_is_returned_at_once_or_awaited(relay: LocalRelay) -> None:
    with RawClient.to(relay) as client:
        client.enter()
        assert relay.transcript.wait_for("request", count=2, timeout=0.001).type == "auth"
        first = relay.transcript.wait_for("answer", "hello_response")
        listening = threading.Event()

        def is_heartbeat(entry: TranscriptEntry) -> bool:
            listening.set()
            return entry.type == "heartbeat"

        def beat() -> None:
            listening.wait()
            client.send(BEAT, BEAT)

        later = threading.Thread(target=beat)
        later.start()
        assert relay.transcript.wait_for("request", where=is_heartbeat, after=first, count=2).number > first.number + 2
        later.join()
        with pytest.raises(TimeoutError) as caught:
            relay.transcript.wait_for("answer", "error", count=2, timeout=0.01)
    assert str(caught.value).startswith("no answer error 2 times within 0.01 s; the transcript:\n")
    assert "hello_response" in str(caught.value)


async def test_a_coroutine_waits_without_blocking_its_loop_until_it_is_cancelled(relay: LocalRelay) -> None:
    waiting = asyncio.create_task(relay.transcript.async_wait_for("request", "hello"))
    with RawClient.to(relay) as client:
        await asyncio.sleep(0)
        client.send(HELLO)
        assert (await waiting).type == "hello"
    with anyio.move_on_after(0.02) as scope:
        await relay.transcript.async_wait_for("request", "auth", timeout=0.2)
    assert scope.cancelled_caught
