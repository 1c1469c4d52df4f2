"""An object in a stream whose end is missing: the fence comes soon, and accuses nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.judging.invariants import check
from cbspec_conformance.probe.tempo import PATIENCE, Latency, Tempo
from cbspec_conformance.record.conclusions import Silence
from tests.conformance.build import TUNNEL, error
from tests.conformance.memory import ManualClock, MemoryProbe, Reply, answer, line
from tests.conformance.probe.test_session import DELAYS, types

LEFT_OPEN = b'{"type":"heartbeat"'


@pytest.mark.parametrize("text", [LEFT_OPEN, LEFT_OPEN + b"}}"])
def test_a_fence_comes_soon_behind_what_is_left_open(text: bytes) -> None:
    """Most relays read an object that has no end together with what follows."""
    open_: list[str] = []

    def relay(request: dict[str, Any]) -> list[Reply]:
        if request["type"] == "not JSON":
            open_.append("object")
            return []
        broken = [line(error("unknown_message_type"))] if open_ else []
        open_.clear()
        return [(0.001, b"".join((*broken, answer(request))))]

    clock = ManualClock()
    made = MemoryProbe(relay, clock)
    made.session.heartbeat()
    began = made.wire.now
    exchange = made.session.ask_text(text, meant="brackets that don't fit", like="heartbeat")
    soon = text == LEFT_OPEN
    assert (types(exchange), exchange.silence) == (["error"], Silence.NONE)
    assert (made.wire.now - began < PATIENCE) is soon


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_slow_relay_is_not_accused_over_what_is_left_open(one_by_one: bool) -> None:
    """It reads lines, so that it answers the first without any fence, in its own time."""

    @given(delay=DELAYS, measured=st.booleans(), opened=st.lists(st.booleans(), min_size=1, max_size=4))
    def check_it(delay: float, measured: bool, opened: list[bool]) -> None:
        clock = ManualClock()
        busy = 0.0

        def relay(request: dict[str, Any]) -> list[Reply]:
            nonlocal busy
            busy = max(busy, clock.now) + delay if one_by_one else clock.now + delay
            return [(busy - clock.now, answer(request))]

        tempo = Tempo(5.0, 2.0, Latency(delay, delay, delay, delay)) if measured else None
        made = MemoryProbe(relay, clock, tempo=tempo)
        for left_open in opened:
            session = made.session
            exchange = session.ask_text(LEFT_OPEN, meant="open") if left_open else session.ask(TUNNEL)
            assert types(exchange) == ["error" if left_open else "tunnel_response"]
        made.session.unasked(10.0)
        assert [breach for exchange in made.observed for breach in check(exchange)] == []

    check_it()
