"""Plain tests: failures of a relay, and the reaction of the keeper."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from tunnel_keeper import GaveUp, Refused


def test_tunnels_are_opened_and_kept(relay, keeper_of):
    asyncio.run(keeper_of(relay, tunnels=["desktop", "shell"]).keep(beats=3))
    assert [entry.message["tunnel_id"] for entry in relay.transcript.requests("tunnel_info")] == ["desktop", "shell"]
    assert len(relay.transcript.answers("heartbeat_response")) == 3


@pytest.mark.relay("flaky-network")
def test_it_survives_a_flaky_network(relay, keeper_of):
    keeper = keeper_of(relay, attempts=10)
    asyncio.run(keeper.keep(beats=15))
    assert keeper.connections > 1


@pytest.mark.relay("tenant-at-its-limit")
def test_it_does_not_retry_at_the_tenant_limit(relay, keeper_of):
    with pytest.raises(Refused, match="tenant_limit_exceeded"):
        asyncio.run(keeper_of(relay, tunnels=["a", "b", "one too many"]).keep(beats=1))
    assert len(relay.transcript.requests("hello")) == 1


def test_an_expired_token_is_replaced(relay, keeper_of):
    fetched = []
    keeper = keeper_of(relay, fetch_token=lambda: fetched.append(relay.token(lifetime=3600)) or fetched[-1])
    asyncio.run(keeper.keep(beats=1))
    relay.advance(3601)
    asyncio.run(keeper.keep(beats=2))
    assert len(fetched) == 2
    assert [entry.message["code"] for entry in relay.transcript.answers("error")] == ["invalid_token"]


def test_it_retries_an_unavailable_relay(relay, keeper_of):
    with relay.fault("unavailable", when={"message": "hello", "times": 2}) as starting:
        asyncio.run(keeper_of(relay).keep(beats=1))
    assert starting.strikes == 2
    assert len(relay.transcript.requests("hello")) == 3


def test_it_gives_up_after_some_attempts(relay, keeper_of):
    relay.drain()
    with pytest.raises(GaveUp) as gave_up:
        asyncio.run(keeper_of(relay, attempts=3).keep(beats=1))
    assert gave_up.value.__cause__.code == "server_unavailable"
    assert len(relay.transcript.requests("hello")) == 3


@pytest.mark.parametrize(("settled", "connections"), [(60.0, 3), (0.0, 6)])
def test_only_a_connection_that_has_stayed_up_resets_the_attempts(relay, keeper_of, settled, connections):
    keeper = keeper_of(relay, attempts=3, settled=settled)
    with relay.fault("close-without-notify", when={"message": "heartbeat", "times": connections}):
        if settled:
            with pytest.raises(GaveUp):
                asyncio.run(keeper.keep(beats=1))
        else:
            asyncio.run(keeper.keep(beats=1))
    assert keeper.connections == connections + (not settled)


def test_the_pauses_grow_and_differ(relay, keeper_of, monkeypatch):
    pauses = []
    monkeypatch.setattr("random.uniform", lambda low, high: pauses.append((low, high)) or low)
    relay.drain()
    with pytest.raises(GaveUp):
        asyncio.run(keeper_of(relay, attempts=4).keep(beats=1))
    assert pauses == [(0.5, 1)] * 3


@pytest.mark.relay("half-dead-connection")
def test_it_leaves_a_silent_connection(relay, keeper_of):
    keeper = keeper_of(relay, patience=0.5)  # the relay is silent after one heartbeat on each connection
    asyncio.run(keeper.keep(beats=2))
    assert keeper.connections >= 2


@pytest.mark.relay(scenario=["man-in-the-middle", "expired-certificate", "old-tls"])
def test_only_the_relay_receives_the_token(relay, keeper_of):
    with pytest.raises((ssl.SSLError, GaveUp)):
        asyncio.run(keeper_of(relay, attempts=2).keep(beats=1))
    assert relay.transcript.requests("auth") == []


@pytest.mark.relay(scenario=["newer-relay", "certificate-about-to-expire"])
def test_it_accepts_unusual_relays(relay, keeper_of):
    keeper = keeper_of(relay)
    asyncio.run(keeper.keep(beats=3))
    assert keeper.connections == 1


@pytest.mark.relay(scenario=["broken-answers", "wrong-answers"])
def test_it_rejects_wrong_answers(relay, keeper_of):
    with pytest.raises(GaveUp) as gave_up:
        asyncio.run(keeper_of(relay, attempts=3).keep(beats=1))
    assert isinstance(gave_up.value.__cause__, ValueError)


@pytest.mark.relay(persona="tunnel-id-capitals")
def test_it_detects_a_defective_relay(relay, keeper_of):
    with pytest.raises(GaveUp) as gave_up:
        asyncio.run(keeper_of(relay, attempts=2).keep(beats=1))
    assert "another tunnel" in str(gave_up.value.__cause__)
