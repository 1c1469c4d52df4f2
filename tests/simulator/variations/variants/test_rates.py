"""Rates, counted in another way."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbspec.profile.target import Rate
from cbspec_simulator.base.limits import RateLimiter, TokenBucket
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.variants import rates
from tests.simulator.variations.deviations.probe import Look, Probe, enter, met
from tests.simulator.variations.variants.probe import show
from tests.support.memory import BEAT, HELLO, MemoryClient, MemoryRelay, auth

_METERS = (TokenBucket, rates.FixedWindow, rates.SlidingLog, rates.SlidingCounter, rates.LeakyBucket)


def _beats(client: MemoryClient, number: int) -> int:
    """Say how many heartbeats of so many are answered."""
    return sum(one == "heartbeat_response" for _ in range(number) for one in met(client, BEAT))


def _at(*seconds: float) -> Look:
    """Say how many heartbeats of sixty are answered at each of these times."""

    def look(memory: MemoryRelay) -> list[int]:
        client = enter(memory, "rate")
        served = []
        for now in seconds:
            memory.time = now
            served.append(_beats(client, 60))
        return served

    return look


def _of_another(**other: str) -> Look:
    """Say how many heartbeats are answered on another connection, when one has used up the rate."""

    def look(memory: MemoryRelay) -> list[int]:
        _beats(enter(memory, "rate"), 60)
        client = memory.client(address=other.get("address", "127.0.0.1"))
        memory.time = 2.0
        client.send(HELLO)
        client.send(auth("rate", sub=other.get("subject", "user123")))
        return [_beats(client, 60)]

    return look


def _refusals(memory: MemoryRelay) -> list[int]:
    client = enter(memory, "rate")
    for _ in range(30):
        client.send({"type": "x"})
    return [_beats(client, 60)]


def _closed(memory: MemoryRelay) -> list[object]:
    client = enter(memory, "rate")
    return [met(client, {"type": "x"}), client.closed, _beats(client, 60) > 0, client.closed]


_UNKNOWN = ["unknown_message_type"]

# The tenant's rate is one request a second with a burst of 20; the auth is one of them.
PROBES = {
    "rate-fixed-window": Probe(_at(19.0, 20.0, 39.0), [20, 1, 19], [19, 20, 0]),
    "rate-sliding-log": Probe(_at(10.0, 19.0, 20.0, 30.0), [20, 9, 1, 10], [19, 0, 1, 19]),
    "rate-sliding-counter": Probe(_at(19.0, 30.0), [20, 11], [19, 10]),
    "rate-leaky-bucket": Probe(_at(0.0, 5.0), [19, 5], [20, 5]),
    "rate-of-valid-requests": Probe(_refusals, [0], [19]),
    "rate-limit-closes": Probe(_closed, [_UNKNOWN, False, True, False], [_UNKNOWN, False, True, True]),
    "rate-limit-resets-at-once": Probe(_closed, [_UNKNOWN, False, True, False], [_UNKNOWN, False, True, True]),
    "rate-by-subject": Probe(_of_another(subject="another"), [1], [19]),
    "rate-by-connection": Probe(_of_another(), [1], [19]),
    "rate-by-address": Probe(_of_another(address="127.0.0.2"), [1], [19]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {variant.id for variant in rates.VARIANTS} == set(PROBES)


def test_what_came_together_is_lost_with_the_limit() -> None:
    beat, limit = b'{"type":"heartbeat_response"}\n', b'{"type":"error","code":"rate_limit_exceeded"}\n'
    pieces = (
        next(variant for variant in rates.VARIANTS if variant.id == "rate-limit-resets-at-once")
        .change(Behaviour())
        .writing.pieces
    )
    assert [list(pieces(data)) for data in (beat + beat, limit, beat + limit)] == [[beat + beat], [limit], []]


@pytest.mark.parametrize("make", _METERS)
@given(
    rate=st.builds(Rate, st.sampled_from([0.5, 1.0, 10.0, 50.0]), st.integers(1, 100)),
    start=st.floats(0, 1e6),
)
@example(rate=Rate(10.0, 18), start=450.0)  # where a window begins, and rounding puts its beginning a window earlier
def test_each_meter_keeps_the_rate(make: type[RateLimiter], rate: Rate, start: float) -> None:
    slow, fast = make(rate), make(rate)  # type: ignore[call-arg]
    interval = 2 / rate.per_second
    assert all(slow.allow(start + number * interval) for number in range(3 * rate.burst))
    most = 3 * int(rate.burst + rate.per_second) + 10
    assert not all(fast.allow(start) for _ in range(most))
    rest = start + 3 * max(1.0, rate.burst / rate.per_second)
    assert fast.rested(rest)
    assert fast.allow(rest)
