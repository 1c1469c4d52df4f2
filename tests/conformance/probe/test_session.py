"""A probe session: answers, unsolicited messages, silence."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbspec.profile.profile import Profile, Rate, Tenant
from cbspec.protocol.framing import StreamFramer
from cbspec_conformance.judging.errors import KitError, RateLimited
from cbspec_conformance.judging.invariants import check
from cbspec_conformance.probe.channel import FLOOD
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import PATIENCE, Latency, Tempo
from cbspec_conformance.record.conclusions import Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import End, Message
from tests.conformance.build import HEARTBEAT, HELLO, TUNNEL, TUNNEL_RESPONSE, error
from tests.conformance.memory import ManualClock, MemoryProbe, Relay, Reply, answer, conforming, line

MakeProbe = Callable[..., MemoryProbe]
SLOW = Tempo(5.0, 2.0, Latency(0.3))


@pytest.fixture
def probe() -> MakeProbe:
    """Return a factory of sessions with a relay in memory."""
    return lambda relay, **options: MemoryProbe(relay, ManualClock(), **options)


def types(exchange: Exchange) -> list[str]:
    return [message.type for message in exchange.answers]


def fences(probe: MemoryProbe) -> int:
    return sum(isinstance(record, Message) and record.meant == "fence" for record in probe.transcript.records)


# ---------------------------------------------------------------------------- answers


def test_request_is_followed_by_one_fence(probe: MakeProbe) -> None:
    made = probe(conforming())
    exchange = made.session.ask(TUNNEL)
    assert types(exchange) == ["tunnel_response"]
    assert exchange.silence is Silence.NONE
    assert [request["type"] for request in made.wire.sent] == ["tunnel_info", "heartbeat"]
    assert fences(made) == 1
    assert made.observed == [exchange]


def test_no_fence_after_an_answered_heartbeat_or_before_auth(probe: MakeProbe) -> None:
    made = probe(conforming())
    made.session.heartbeat()
    made.session.ask(TUNNEL, fence=False)
    assert fences(made) == 0
    made = probe(conforming(), authenticated=False)
    assert types(made.session.hello()) == ["hello_response"]
    assert fences(made) == 0


def test_second_answer_after_an_error_is_found_with_the_next_request(probe: MakeProbe) -> None:
    refused = line(error("invalid_token"))

    def relay(request: dict[str, Any]) -> list[Reply]:
        if request["type"] == "auth":
            return [(0.001, refused), (0.0015, refused)]
        return [(0.001, line(error("invalid_token")))]

    made = probe(relay, authenticated=False)
    first = made.session.ask({"type": "auth", "token": "x"}, invalid="a bad token", followed=True)
    assert types(first) == ["error"]
    made.session.ask(TUNNEL)
    assert {breach.requirement for each in made.observed for breach in check(each)} == {"CB-MSG-004"}


DELAYS = st.one_of(st.sampled_from([0.0, 0.3, PATIENCE - 0.01, PATIENCE, PATIENCE + 0.01, 1.0, 2.0]), st.floats(0, 2.2))


@pytest.mark.parametrize("authenticated", [True, False])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_slow_relay_is_not_accused(authenticated: bool, one_by_one: bool) -> None:
    @given(delay=DELAYS, requests=st.lists(st.sampled_from([TUNNEL, HELLO, HEARTBEAT]), min_size=1, max_size=4))
    @example(delay=1.5, requests=[TUNNEL, TUNNEL])
    def check_it(delay: float, requests: list[dict[str, Any]]) -> None:
        clock = ManualClock()
        busy = 0.0

        def relay(request: dict[str, Any]) -> list[Reply]:
            nonlocal busy
            busy = max(busy, clock.now) + delay if one_by_one else clock.now + delay
            return [(busy - clock.now, answer(request))]

        made = MemoryProbe(relay, clock, authenticated=authenticated)
        for request in requests:
            exchange = made.session.ask(request)
            assert types(exchange) == types_of(request)
        made.session.unasked(10.0)
        assert [breach for exchange in made.observed for breach in check(exchange)] == []

    check_it()


def types_of(request: dict[str, Any]) -> list[str]:
    return [json.loads(answer(request))["type"]]


@pytest.mark.parametrize("delay", [0.001, 0.3])
def test_duplicate_answer_belongs_to_its_request(delay: float, probe: MakeProbe) -> None:
    made = probe(lambda request: [(delay, answer(request)), (delay + 0.0005, answer(request))])
    assert types(made.session.ask(TUNNEL)) == ["tunnel_response", "tunnel_response"]


def test_late_second_answer_is_judged_before_the_next_request(probe: MakeProbe) -> None:
    def relay(request: dict[str, Any]) -> list[Reply]:
        late: list[Reply] = [(1.0, answer(request))] if request["type"] == "tunnel_info" else []
        return [(0.001, answer(request)), *late]

    made = probe(relay)
    made.session.ask(TUNNEL)
    made.session.unasked(2.0)
    made.session.heartbeat()
    unasked = [exchange for exchange in made.observed if exchange.request is None]
    assert [types(exchange) for exchange in unasked] == [["tunnel_response"]]
    assert [breach.requirement for breach in check(unasked[0])] == ["CB-MSG-004"]


def test_split_and_merged_answers_are_read(probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001 * at, bytes([byte])) for at, byte in enumerate(answer(request), 1)])
    assert types(made.session.heartbeat()) == ["heartbeat_response"]
    made = probe(lambda request: [(0.001, b'{"type":\n "heartbeat_response"}  {"type":"error"}')])
    assert types(made.session.heartbeat()) == ["heartbeat_response", "error"]


# ---------------------------------------------------------------------------- silence


def holding(every: int) -> Relay:
    """Return a relay that holds back every nth answer until the next one."""
    held: list[bytes] = []
    asked = itertools.count(1)

    def relay(request: dict[str, Any]) -> list[Reply]:
        held.append(answer(request))
        if next(asked) % every == 0:
            return []
        sent = b"".join(held)
        held.clear()
        return [(0.001, sent)]

    return relay


def test_held_back_answer_counts_as_silence_after_three_observations(probe: MakeProbe) -> None:
    made = probe(holding(7))
    exchanges = [made.session.heartbeat() for _ in range(24)]
    late = [exchange for exchange in exchanges if exchange.waited > PATIENCE]
    assert [exchange.silence for exchange in late] == [Silence.NONE, Silence.NONE, Silence.HELD_BACK, Silence.HELD_BACK]
    assert [types(exchange) for exchange in late] == [["heartbeat_response"]] * 2 + [[]] * 2
    assert all(exchange.waited >= made.session.tempo.most for exchange in late[1:])
    assert all(types(exchange) == ["heartbeat_response"] for exchange in exchanges if exchange not in late)


def test_fence_may_complete_a_text_that_is_no_message(probe: MakeProbe) -> None:
    made = probe(holding(3))
    asked = [made.session.ask_text(b"hello?", meant="words") for _ in range(7)]
    assert {exchange.silence for exchange in asked} == {Silence.NONE}


def test_late_answer_to_a_fence_belongs_to_no_other_request(probe: MakeProbe) -> None:
    made = probe(holding(2))
    assert [types(made.session.ask(TUNNEL)) for _ in range(2)] == [["tunnel_response"]] * 2
    breaches = [breach for exchange in made.observed for breach in check(exchange)]
    assert [breach.requirement for breach in breaches] == ["CB-HBT-001"]


@pytest.mark.parametrize("delay", [0.0, 0.4, 0.6])
@pytest.mark.parametrize("authenticated", [True, False])
def test_relay_slower_than_a_fence_is_not_accused(delay: float, authenticated: bool, probe: MakeProbe) -> None:
    """The first answers arrive just after a fence was sent, as if the fence had caused them."""

    def relay(request: dict[str, Any]) -> list[Reply]:
        return [(max(stalled - made.wire.now, 0.0) + 0.001, answer(request))]

    made = probe(relay, authenticated=authenticated)
    for _ in range(8):
        stalled = made.wire.now + made.session.tempo.patience + delay
        exchange = made.session.heartbeat()
        assert (types(exchange), exchange.silence) == (["heartbeat_response"], Silence.NONE)
        made.session.unasked(10.0)
    assert [breach for exchange in made.observed for breach in check(exchange)] == []


def only(*kinds: str) -> Relay:
    """Return a relay that answers only requests of these types."""
    return lambda request: [(0.001, answer(request))] if request["type"] in kinds else []


def test_request_counts_as_ignored_after_two_fences(probe: MakeProbe) -> None:
    made = probe(only("heartbeat"))
    exchange = made.session.ask(TUNNEL)
    assert (types(exchange), exchange.silence, fences(made)) == ([], Silence.IGNORED, 2)
    assert exchange.waited >= PATIENCE
    assert made.alive_checks == 0


def test_before_auth_fences_are_messages_of_unknown_type(probe: MakeProbe) -> None:
    made = probe(lambda request: [] if request["type"] == "hello" else [(0.001, answer(request))], authenticated=False)
    exchange = made.session.hello()
    assert (types(exchange), exchange.silence) == ([], Silence.IGNORED)
    kinds = [request["type"] for request in made.wire.sent[1:]]
    assert len(kinds) == 2
    assert all(kind.startswith("cbspec_fence_") for kind in kinds)


@pytest.mark.parametrize("alive", [True, False])
def test_unresponsive_relay_is_probed_by_a_new_connection(alive: bool, probe: MakeProbe) -> None:
    made = probe(only())
    made.alive = alive
    exchange = made.session.ask(TUNNEL)
    assert (types(exchange), exchange.silence, exchange.relay_alive) == ([], Silence.UNRESPONSIVE, alive)
    assert made.alive_checks == 1


def test_without_fences_silence_takes_the_whole_timeout(probe: MakeProbe) -> None:
    made = probe(only(), fence="")
    exchange = made.session.ask(TUNNEL)
    assert (exchange.silence, fences(made)) == (Silence.UNRESPONSIVE, 0)
    assert exchange.waited >= made.session.timeout


def test_relay_without_heartbeats_is_fenced_once(probe: MakeProbe) -> None:
    made = probe(only("tunnel_info"))
    for _ in range(3):
        assert types(made.session.ask(TUNNEL)) == ["tunnel_response"]
    assert fences(made) == 1


@pytest.mark.parametrize("how", [End.EOF, End.RESET, End.CLOSE_NOTIFY, End.TLS_ALERT])
@pytest.mark.parametrize("refusal", [True, False])
def test_exchange_ends_with_the_connection(how: End, refusal: bool, probe: MakeProbe) -> None:
    words: list[Reply] = [(0.001, line(error()))] if refusal else []
    made = probe(lambda request: [*words, (0.002, how)])
    exchange = made.session.ask(TUNNEL)
    assert types(exchange) == (["error"] if refusal else [])
    assert exchange.ended is not None
    assert exchange.ended.how is how
    assert exchange.silence is Silence.NONE


def test_exchange_ends_with_the_connection_during_a_fence(probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.6, End.EOF)] if request["type"] == "tunnel_info" else [])
    exchange = made.session.ask(TUNNEL)
    assert (types(exchange), exchange.silence) == ([], Silence.NONE)
    assert exchange.ended is not None


# ---------------------------------------------------------------------------- unreadable answers


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        (b"log line\n", "CB-MSG-002"),
        (b'{"type":"tunnel_resp\n', "CB-MSG-002"),
        (b"[1]\n", "CB-MSG-002"),
        (b'{"type":"\xff"}\n', "CB-MSG-001"),
        (b'\xef\xbb\xbf{"type":"heartbeat_response"}\n', "CB-MSG-001"),
        (gzip.compress(b'{"type":"heartbeat_response"}'), "CB-CMP-001"),
        (b"bye", "CB-MSG-002"),
        (b'{"type":"heartbeat_response"', "CB-MSG-002"),
    ],
    ids=["line", "cut-off", "array", "not-utf8", "bom", "gzip", "no-line-feed", "no-brace"],
)
def test_unreadable_answer_is_a_message_with_a_fault(text: bytes, requirement: str, probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001, text), (0.002, End.EOF)])
    exchange = made.session.ask(TUNNEL)
    assert {message.decoded.requirement for message in exchange.answers} == {requirement}


@pytest.mark.parametrize("start", [b'{"type":"', b"no message, ", '{"type":"\N{SNOWMAN}'.encode() * 300])
def test_endless_message_is_abandoned_and_shown_by_its_beginning(start: bytes, probe: MakeProbe) -> None:
    made = probe(
        lambda request: [(0.001 * number, start + b"a" * 50_000) for number in range(1, 10)],
        framer=StreamFramer(max_message=100_000),
    )
    exchange = made.session.ask(TUNNEL)
    assert [message.decoded.requirement for message in exchange.answers] == ["CB-MSG-002"]
    assert exchange.answers[0].text == (start + b"a" * 1024)[:1024]
    assert "the beginning of a message of more than" in exchange.answers[0].decoded.fault
    assert made.session.ended is not None
    assert made.session.ended.how is End.OURS


def test_incomplete_message_is_reported_at_the_end_of_the_connection(probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001, b'{"type":"heart'), (3.0, End.EOF)])
    exchange = made.session.ask(TUNNEL)
    assert [message.decoded.fault for message in exchange.answers] != []


@pytest.mark.parametrize("end", [End.RESET, End.OURS])
def test_incomplete_message_before_a_reset_is_not_reported(end: End, probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001, b'{"type":"heart'), (0.002, end)])
    exchange = made.session.ask(TUNNEL)
    assert exchange.answers == ()
    assert exchange.ended is not None


# ---------------------------------------------------------------------------- errors of the kit


@pytest.mark.parametrize(
    "request_",
    [{**TUNNEL, "remote_port": 0}, {**TUNNEL, "tunnel_id": None}, {"type": "auth"}, {"type": "cbspec"}, {}],
    ids=["port", "type", "missing", "unknown", "empty"],
)
def test_invalid_request_needs_a_reason(request_: dict[str, Any], probe: MakeProbe) -> None:
    made = probe(conforming())
    with pytest.raises(KitError, match="meant to be valid"):
        made.session.ask(request_)
    assert made.wire.sent == []
    made.session.ask(request_, invalid="on purpose")
    assert made.wire.sent[0] == request_


def test_encoding_that_changes_the_meaning_is_an_error_of_the_kit(probe: MakeProbe) -> None:
    made = probe(conforming())
    with pytest.raises(KitError, match="changed its meaning"):
        made.session.ask(HEARTBEAT, encode=lambda message: b'{"type":"hello"}')
    with pytest.raises(KitError, match="one line"):
        made.session.ask(HEARTBEAT, encode=lambda message: b'{"type":\n"heartbeat"}')
    made.session.ask(HEARTBEAT, encode=lambda message: b' {"type":"\\u0068eartbeat"}')
    assert made.wire.sent == [HEARTBEAT]


def test_text_that_is_no_message_can_be_sent(probe: MakeProbe) -> None:
    made = probe(conforming())
    exchange = made.session.ask_text(b"not JSON", meant="no JSON", like="tunnel_info")
    assert types(exchange) == ["error"]
    assert exchange.request is not None
    assert (exchange.request.type, exchange.request.meant) == ("tunnel_info", "no JSON")


# ---------------------------------------------------------------------------- rates


def test_unexpected_rate_limit_ends_the_case(probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001, line(error("rate_limit_exceeded")))])
    with pytest.raises(RateLimited):
        made.session.ask(TUNNEL)
    assert len(made.observed) == 1  # it is still judged
    made.session.expect_rate_limit()
    assert types(made.session.ask(TUNNEL)) == ["error"]


def test_text_that_is_no_message_may_draw_a_rate_limit_if_the_next_heartbeat_is_served(probe: MakeProbe) -> None:
    limited = (0.001, line(error("rate_limit_exceeded")))
    served = conforming()
    made = probe(lambda request: served(request) if request["type"] == "heartbeat" else [limited])
    assert types(made.session.ask_text(b"no JSON", meant="no JSON")) == ["error"]
    with pytest.raises(RateLimited):
        made.session.ask(TUNNEL)  # unlike a valid message
    made = probe(lambda request: [limited])
    with pytest.raises(RateLimited):
        made.session.ask_text(b"no JSON", meant="no JSON")


def test_requests_and_fences_keep_the_pace(probe: MakeProbe) -> None:
    profile = Profile(tenants=(Tenant("tenant-001", rate=Rate(per_second=2.0, burst=1)),))
    clock = ManualClock()
    made = MemoryProbe(conforming(0.0), clock, pacer=Pacer(profile, clock=clock))
    made.session.assume(tenant="tenant-001")
    made.session.ask(TUNNEL)
    assert clock.now == pytest.approx(1.0, abs=0.1)
    made.session.heartbeat()
    assert clock.now == pytest.approx(2.0, abs=0.1)


# ---------------------------------------------------------------------------- pipelining


def test_pipelined_requests_are_recorded_and_answered(probe: MakeProbe) -> None:
    made = probe(conforming())
    _, first = made.session.note(TUNNEL)
    _, second = made.session.note(HEARTBEAT)
    made.session.send_unanswered(first + second)
    assert [message.type for message in made.session.answers(2)] == ["tunnel_response", "heartbeat_response"]
    assert made.session.answers(1, 0.01) == ()


def test_many_requested_answers_are_no_flood(probe: MakeProbe) -> None:
    asked = 3 * FLOOD
    requests = itertools.count(1)
    made = probe(lambda request: [(0.001, answer(request) * asked)] if next(requests) == asked else [])
    made.session.send_unanswered(b"".join(made.session.note(HEARTBEAT)[1] for _ in range(asked)), messages=asked)
    assert len(made.session.answers(1)) == asked
    assert made.session.ended is None


def test_flood_of_unsolicited_messages_closes_the_connection(probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001, answer(request) * (FLOOD + 2))])
    made.session.heartbeat()
    assert made.session.ended is not None
    assert made.session.ended.how is End.OURS


def test_transcript_is_complete_and_in_order(probe: MakeProbe) -> None:
    made = probe(conforming())
    made.session.ask({**TUNNEL, "tunnel_id": TUNNEL_RESPONSE["tunnel_id"]})
    messages = [record for record in made.transcript.records if isinstance(record, Message)]
    assert [(message.direction, message.type) for message in messages] == [
        ("sent", "tunnel_info"),
        ("received", "tunnel_response"),
        ("sent", "heartbeat"),
        ("received", "heartbeat_response"),
    ]


class _Ponging(StreamFramer):
    """Returns a pong for every line received."""

    def __init__(self) -> None:
        super().__init__()
        self.pongs = b""

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self.pongs += b"pong"

    def data_to_send(self) -> bytes:  # type: ignore[override]  # a static one there
        data, self.pongs = self.pongs, b""
        return data


def test_no_pong_is_sent_inside_a_frame(probe: MakeProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    made = probe(conforming(), framer=_Ponging())
    quiet: list[bytes] = []
    monkeypatch.setattr(made.wire, "send_quietly", lambda data: quiet.extend([data] if data else []))
    _, data = made.session.note(HEARTBEAT)
    made.session.send_unanswered(data + data[:5], cut=True)
    assert len(made.session.answers(1)) == 1
    assert quiet == []
    made.session.send_unanswered(data[5:])
    assert quiet == [b"pong"]
    assert len(made.session.answers(1)) == 1
    assert quiet == [b"pong"] * 2


def test_close_after_an_error_is_always_noticed(probe: MakeProbe) -> None:
    late, bad = 0.3, {**TUNNEL, "remote_port": 0}
    for _ in range(20):
        made = probe(lambda request: [(late, line(error("invalid_tunnel_info"))), (late, End.EOF)], tempo=SLOW)
        assert types(made.session.ask(bad, invalid="port 0")) == ["error"]
        assert made.session.ended
