"""Sessions that reconnect, with a relay that refuses, is silent, or goes away."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client import (
    AnswerTimeout,
    CertificateNotTrusted,
    ConnectFailed,
    ConnectionLost,
    GaveUp,
    Heartbeats,
    InvalidToken,
    InvalidTunnelInfo,
    ReconnectingSession,
    RelayMisbehaved,
    RetryPolicy,
    ServerUnavailable,
    SessionEvent,
    TokenUnavailable,
    Transport,
    TunnelWish,
    UnknownRelayError,
    stay_connected,
)
from cbspec_client.events import HeartbeatMissed, RetryScheduled, SessionEnded
from cbspec_client.facade import stay_connected_blocking
from cbspec_client.metrics import ClientMetrics
from cbspec_client.renewal import SessionTokens
from cbspec_simulator import LocalRelay
from tests.reference_client.conftest import TIMEOUTS, requests
from tests.support.client import until

QUICK = RetryPolicy(retries=3, delay=0.001)
WISHES = [TunnelWish("a", 1, "127.0.0.1", 2), TunnelWish("b", 3, "127.0.0.1", 4)]
OPENING = ["hello", "auth", "tunnel_info", "tunnel_info"]


def options(relay: LocalRelay, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - those of `stay_connected`
    """Return the arguments of a session with two tunnels and quick retries."""
    usual = {"ca": relay.ca_file, "token": relay.token(), "tunnels": WISHES, "retry": QUICK, "timeouts": TIMEOUTS}
    return {**usual, "host": relay.host, "port": relay.port, **changed}


def staying(relay: LocalRelay, **changed: Any) -> AbstractAsyncContextManager[ReconnectingSession]:  # noqa: ANN401 - as above
    return stay_connected(**options(relay, **changed))


def names(events: list[SessionEvent]) -> list[str]:
    return [event.name for event in events]


@pytest.mark.parametrize("transport", Transport)
async def test_a_lost_connection_is_opened_again(relay_module: LocalRelay, transport: Transport) -> None:
    events: list[SessionEvent] = []
    async with staying(relay_module, transport=transport, on_event=events.append) as session:
        first = await session.open_tunnel("c", 5, "127.0.0.1", 6)
        relay_module.drop()
        await until(lambda: names(events).count("up") == 2)
        assert (len(session.tunnels), session.tunnels[-1], session.connected) == (3, first, True)
        assert [connection.tunnels for connection in relay_module.connections] == [("a", "b", "c")]
    opened = ["tunnel_opened"] * 2
    begin = ["connecting", "connected", "authenticated", *opened]
    assert names(events) == [*begin, "up", "tunnel_opened", "lost", "retrying", *begin, "tunnel_opened", "up", "ended"]
    assert requests(relay_module) == [*OPENING, "tunnel_info", *OPENING, "tunnel_info"]
    with pytest.raises(ConnectionLost, match="closed here"):
        await session.heartbeat()


async def test_callers_share_a_connection_and_wait_for_the_next_one(relay_module: LocalRelay) -> None:
    with relay_module.fault("hold", name="held", when={"message": "heartbeat", "times": 1}):
        async with staying(relay_module) as session:
            calls = [asyncio.create_task(session.heartbeat()) for _ in range(3)]
            await relay_module.transcript.async_wait_for("fault", "held")
            relay_module.drop()
            assert all(seconds > 0 for seconds in await asyncio.gather(*calls))
            refused = relay_module.fault("error", code="invalid_tunnel_info", when={"message": "tunnel_info"})
            with refused, pytest.raises(InvalidTunnelInfo):
                await session.open_tunnel("c", 5, "127.0.0.1", 6)
            assert session.connected
            assert len(session.tunnels) == 2
    assert requests(relay_module) == [*OPENING, "heartbeat", *OPENING, *["heartbeat"] * 3, "tunnel_info"]


async def test_it_gives_up_with_the_last_cause_and_cancels_the_body(relay_module: LocalRelay) -> None:
    events: list[SessionEvent] = []

    async def abandoned() -> None:
        async with staying(relay_module, on_event=events.append):
            with relay_module.fault("refuse"):
                relay_module.drop()
                await asyncio.Event().wait()

    with pytest.raises(GaveUp, match=r"4 attempts: 127\.0\.0\.1:\d+: connection refused") as caught:
        await abandoned()
    assert isinstance(caught.value.__cause__, ConnectFailed)
    scheduled = [event for event in events if isinstance(event, RetryScheduled)]
    assert [event.number for event in scheduled] == [1, 2, 3]
    assert [type(event.error) for event in scheduled] == [ConnectionLost, ConnectFailed, ConnectFailed]
    assert events[-1] == SessionEnded(caught.value)


async def test_a_relay_that_comes_back_is_used(relay_module: LocalRelay) -> None:
    times = {"times": 2}
    with relay_module.fault("error", code="server_unavailable", when={"message": "hello", **times}):
        async with staying(relay_module) as session:
            await session.heartbeat()
    assert requests(relay_module) == ["hello", "hello", *OPENING, "heartbeat"]


NEVER: list[tuple[str, dict[str, Any], type[Exception], list[str]]] = [
    ("error", {"code": "invalid_token", "when": {"message": "auth"}}, InvalidToken, ["hello", "auth"]),
    ("error", {"code": "invalid_tunnel_info", "when": {"message": "tunnel_info"}}, InvalidTunnelInfo, OPENING[:3]),
    ("wrong-tenant", {"when": {"message": "auth_response"}}, RelayMisbehaved, ["hello", "auth"]),
    ("wrong-id", {"when": {"message": "tunnel_response"}}, RelayMisbehaved, OPENING[:3]),
    ("certificate-unknown-ca", {}, CertificateNotTrusted, []),
]


@pytest.mark.parametrize(("kind", "params", "error", "seen"), NEVER)
async def test_errors_that_no_retry_is_worth_end_it(
    relay_module: LocalRelay, kind: str, params: dict[str, Any], error: type[Exception], seen: list[str]
) -> None:
    with relay_module.fault(kind, **params), pytest.raises(error):
        async with staying(relay_module):
            pass
    assert requests(relay_module) == seen


async def test_a_breach_that_another_caller_sees_first_ends_it(relay_module: LocalRelay) -> None:
    wrong = relay_module.fault("wrong-type", when={"message": "heartbeat_response"}, type="hello_response")
    with wrong, pytest.raises(RelayMisbehaved):
        async with staying(relay_module) as session:
            await session.heartbeat()
    assert requests(relay_module) == [*OPENING, "heartbeat"]


async def test_unanswered_heartbeats_are_missed_and_then_end_the_connection(relay_module: LocalRelay) -> None:
    events: list[SessionEvent] = []
    beats = Heartbeats(interval=0.01, timeout=0.02, misses=2)
    with relay_module.fault("drop", when={"message": "heartbeat", "times": 1}):
        async with staying(relay_module, heartbeats=beats, on_event=events.append):
            await until(lambda: names(events).count("heartbeat") == 2)
    missed = [event for event in events if isinstance(event, HeartbeatMissed)]
    assert missed == [HeartbeatMissed(1, 2), HeartbeatMissed(2, 2)]
    lost = next(event for event in events if isinstance(event, RetryScheduled))
    assert isinstance(lost.error, AnswerTimeout)
    assert requests(relay_module)[:9] == [*OPENING, "heartbeat", *OPENING]


async def test_an_unsolicited_error_ends_the_connection(relay_module: LocalRelay) -> None:
    events: list[SessionEvent] = []
    body = {"type": "error", "code": "server_unavailable", "message": "draining"}
    when = {"message": "tunnel_response", "times": 1, "after": 1}
    with relay_module.fault("unsolicited", body=body, when=when):
        async with staying(relay_module, on_event=events.append):
            await until(lambda: names(events).count("up") == 2)
    assert isinstance(next(event for event in events if isinstance(event, RetryScheduled)).error, ServerUnavailable)


# ---------------------------------------------------------------- tokens


@pytest.fixture
def due_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first token be due at once, and no other."""
    times = iter((0.001,))
    monkeypatch.setattr(SessionTokens, "due", lambda self, token: next(times, math.inf))


@pytest.mark.usefixtures("due_once")
async def test_a_new_token_is_fetched_before_the_last_one_expires(relay_module: LocalRelay) -> None:
    lifetimes, fetched, events = iter((100, 200, 300)), [], list[SessionEvent]()

    async def provide() -> str:
        fetched.append(relay_module.token(lifetime=next(lifetimes)))
        return fetched[-1]

    async with staying(relay_module, token=provide, on_event=events.append):
        await until(lambda: names(events).count("up") == 2)
        relay_module.drop()
        await until(lambda: names(events).count("up") == 3)
    assert (names(events).count("token_renewed"), len(fetched)) == (1, 3)
    assert requests(relay_module) == OPENING * 3


@pytest.mark.usefixtures("due_once")
@pytest.mark.parametrize("fails", [True, False])
async def test_a_connection_holds_without_a_new_token(relay_module: LocalRelay, fails: bool) -> None:
    tokens, events = [relay_module.token()] * (1 if fails else 2), list[SessionEvent]()
    async with staying(relay_module, token=tokens.pop, on_event=events.append) as session:
        await until(lambda: names(events).count("token_not_renewed") == 1)
        await session.heartbeat()
    assert requests(relay_module) == [*OPENING, "heartbeat"]


async def test_a_provider_that_fails_is_the_cause(relay_module: LocalRelay) -> None:
    with pytest.raises(GaveUp) as caught:
        async with staying(relay_module, token=[].pop):
            pass
    assert isinstance(caught.value.cause, TokenUnavailable)
    assert isinstance(caught.value.cause.__cause__, IndexError)


def test_a_token_is_due_before_its_expiry_and_not_after_half_of_its_time() -> None:
    key = SigningKey.hmac("a secret of the tests, long enough for HS256")

    def due(given: bool = True, **claims: object) -> float:
        token = mint(key, claims)
        source = SessionTokens(lambda: token, margin=60.0, timeout=1.0, clock=lambda: 1000.0)
        return (source if given else SessionTokens(token, margin=60.0, timeout=1.0)).due(token)

    assert [due(exp=exp) for exp in (1600, 1080, 1000, 10)] == [540.0, 40.0, math.inf, math.inf]
    assert [due(), due(exp="1600"), due(exp=True), due(given=False, exp=1600)] == [math.inf] * 4


async def test_a_provider_that_hangs_is_a_time_out(relay_module: LocalRelay) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    limits = {"token": never, "timeouts": type(TIMEOUTS)(answer=0.01), "retry": RetryPolicy(retries=0)}
    with pytest.raises(TokenUnavailable, match=r"within 0\.01 s"):
        async with staying(relay_module, **limits):
            pass


# ---------------------------------------------------------------- threads, metrics


def test_the_blocking_facade_offers_the_same(relay_module: LocalRelay) -> None:
    threads = set(threading.enumerate())
    with stay_connected_blocking(**options(relay_module)) as session:
        assert session.open_tunnel("c", 5, "127.0.0.1", 6).tenant_id == "tenant-001"
        relay_module.drop()
        assert session.heartbeat() > 0
        assert (session.connected, len(session.tunnels)) == (True, 3)
        session.wait(0.001)
    with relay_module.fault("refuse"), pytest.raises(GaveUp), stay_connected_blocking(**options(relay_module)):
        pass
    assert set(threading.enumerate()) == threads


def test_the_blocking_facade_raises_the_error_that_ended_the_session(relay_module: LocalRelay) -> None:
    def abandoned() -> None:
        with stay_connected_blocking(**options(relay_module)) as session, relay_module.fault("refuse"):
            relay_module.drop()
            for call in (session.wait, session.heartbeat):
                with pytest.raises(GaveUp):
                    call()

    with pytest.raises(GaveUp):
        abandoned()


async def test_events_are_counted_for_prometheus(relay_module: LocalRelay) -> None:
    registry, events = CollectorRegistry(), list[SessionEvent]()
    metrics = ClientMetrics(registry)

    def observe(event: SessionEvent) -> None:
        metrics.observe(event)
        events.append(event)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"cloudbridge_client_{name}", labels)

    async def refused() -> None:
        async with staying(relay_module, heartbeats=Heartbeats(0.01), on_event=observe) as session:
            relay_module.drop()
            await until(lambda: names(events).count("up") == 2)
            assert value("up") == 1
            with relay_module.fault("error", code="teapot", when={"message": "heartbeat"}):
                await session.wait()

    with pytest.raises(UnknownRelayError, match="teapot"):
        await refused()
    assert (value("connections_total"), value("tunnels_opened_total"), value("retries_total")) == (2, 4, 1)
    assert (value("errors_total", error_type="connection_lost"), value("up")) == (1, 0)
    assert value("errors_total", error_type="unknown_code") == 1
    assert value("heartbeat_latency_seconds_count") == names(events).count("heartbeat")
