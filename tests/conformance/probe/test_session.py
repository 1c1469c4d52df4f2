"""One connection as cases use it: which messages answer a request, and what silence means."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import RateLimited
from cbspec_conformance.judging.invariants import check
from cbspec_conformance.probe.awaited import ANY_REFUSAL
from cbspec_conformance.probe.channel import FLOOD
from cbspec_conformance.probe.tempo import PATIENCE, Latency, Tempo
from cbspec_conformance.record.conclusions import Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import End, Message
from tests.conformance.build import AUTH, HEARTBEAT, HELLO, TUNNEL, error
from tests.conformance.memory import ManualClock, MemoryProbe, Relay, Reply, answer, conforming, line

MakeProbe = Callable[..., MemoryProbe]
UNKNOWN: dict[str, Any] = {"type": "cbspec_unknown"}
LEFT_OPEN = b'{"type":"heartbeat"'


@pytest.fixture
def probe() -> MakeProbe:
    """Give a function that returns a session with a relay in memory."""
    return lambda relay, **options: MemoryProbe(relay, ManualClock(), **options)


def types(exchange: Exchange) -> list[str]:
    return [message.type for message in exchange.answers]


def breaches(probe: MemoryProbe) -> list[str]:
    return [breach.requirement for exchange in probe.observed for breach in check(exchange)]


# ---------------------------------------------------------------------------- answers


def test_a_request_draws_its_answer_and_one_fence_unless_a_heartbeat(probe: MakeProbe) -> None:
    made = probe(conforming())
    exchange = made.session.ask(TUNNEL)
    assert (types(exchange), exchange.silence) == (["tunnel_response"], Silence.NONE)
    assert made.observed == [exchange]
    messages = [record for record in made.transcript.records if isinstance(record, Message)]
    assert [(message.direction, message.type, message.meant) for message in messages] == [
        ("sent", "tunnel_info", ""),
        ("received", "tunnel_response", ""),
        ("sent", "heartbeat", "fence"),
        ("received", "heartbeat_response", ""),
    ]
    made.session.heartbeat()
    made.session.ask(TUNNEL, fence=False)
    assert made.fences == 1


DELAYS = st.one_of(st.sampled_from([0.0, 0.3, PATIENCE - 0.01, PATIENCE, PATIENCE + 0.01, 1.0, 2.0]), st.floats(0, 2.2))
REQUESTS = st.lists(st.sampled_from([TUNNEL, HELLO, HEARTBEAT, None]), min_size=1, max_size=4)


@given(delay=DELAYS, requests=REQUESTS, measured=st.booleans(), authenticated=st.booleans(), one_by_one=st.booleans())
@example(delay=1.5, requests=[TUNNEL, TUNNEL], measured=False, authenticated=True, one_by_one=True)
@example(delay=1.5, requests=[TUNNEL, TUNNEL], measured=False, authenticated=False, one_by_one=False)
def test_a_slow_relay_is_not_accused(
    delay: float, requests: list[dict[str, Any] | None], measured: bool, authenticated: bool, one_by_one: bool
) -> None:
    """None stands for an object without end, which the relay answers as a line."""
    clock = ManualClock()
    busy = 0.0

    def relay(request: dict[str, Any]) -> list[Reply]:
        nonlocal busy
        busy = max(busy, clock.now) + delay if one_by_one else clock.now + delay
        return [(busy - clock.now, answer(request))]

    tempo = Tempo(5.0, 2.0, Latency(delay, delay, delay, delay)) if measured else None
    made = MemoryProbe(relay, clock, authenticated=authenticated, tempo=tempo)
    for request in requests:
        if request is None:
            assert types(made.session.ask_text(LEFT_OPEN, meant="open")) == ["error"]
        else:
            assert types(made.session.ask(request)) == [json.loads(answer(request))["type"]]
    made.session.unasked(10.0)
    assert breaches(made) == []


@pytest.mark.parametrize("delay", [0.2, 0.8, 1.5, 4.5])
@pytest.mark.parametrize("kind", ["tunnel_info", "heartbeat", "auth", "cbspec_unknown"])
@pytest.mark.parametrize("measured", [False, True])
def test_requests_served_side_by_side_are_answered(delay: float, kind: str, measured: bool, probe: MakeProbe) -> None:
    """Answers out of order break a SHOULD at most: a fence that was answered first proves nothing."""
    made = probe(
        lambda request: [(delay if request["type"] == kind else 0.001, answer(request))],
        tempo=Tempo(5.0, 2.0, Latency(0.001, 0.001, 0.001, 0.001)) if measured else None,
    )
    for request in [TUNNEL, HEARTBEAT, AUTH, UNKNOWN] * 2:
        exchange = made.session.ask(request, invalid="of unknown type" if request is UNKNOWN else "")
        assert types(exchange) == [json.loads(answer(request))["type"]]
    made.session.unasked(10.0)
    assert breaches(made) == []


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("delay", [0.001, 0.3, PATIENCE + 0.1])
def test_heartbeats_tell_what_a_relay_without_errors_does(served: bool, delay: float, probe: MakeProbe) -> None:
    """No message of unknown type can be the fence there; the number of heartbeat_responses shows the answer."""

    def relay(request: dict[str, Any]) -> list[Reply]:
        return [(delay, answer(HEARTBEAT))] if request["type"] == "heartbeat" or served else []

    made = probe(relay, tempo=Tempo(5.0, 2.0, Latency(delay, delay, delay, delay)))
    made.session.tempo.unanswered.add(ANY_REFUSAL)
    for _ in range(3):
        exchange = made.session.ask_text(b'{"type":"heartbeat",}', meant="not JSON", like="heartbeat")
        assert types(exchange) == ["heartbeat_response"] * served
        assert exchange.silence is (Silence.NONE if served else Silence.IGNORED)
    made.session.unasked(10.0)
    assert made.session.strays == 0


def test_a_refusal_counts_even_if_the_answer_never_came_before(probe: MakeProbe) -> None:
    """Errors of the request and of its fences look alike, and a busy machine delays some of them."""
    kind, busy, delays = "the answer to tunnel_info after two fences", 0.0, itertools.cycle((0.06, 0.0, 0.15))

    def relay(request: dict[str, Any]) -> list[Reply]:
        nonlocal busy
        busy = max(busy, made.transcript.now()) + next(delays)
        code = "invalid_token" if request["type"] == "tunnel_info" else "unknown_message_type"
        return [(busy - made.transcript.now(), line(error(code)))]

    made = probe(relay, authenticated=False, tempo=Tempo(5.0, 2.0, Latency(0.001, 0.001, 0.001, 0.001)))
    for _ in range(3):
        made.session.tempo.unanswered.add(kind)
        assert types(made.session.ask(TUNNEL)) == ["error"]
    made.session.unasked(10.0)
    assert made.session.strays == 0


def test_an_error_shows_that_a_relay_sends_errors(probe: MakeProbe) -> None:
    made = probe(conforming())
    made.session.tempo.unanswered.add(ANY_REFUSAL)
    made.session.ask(UNKNOWN, invalid="of unknown type")
    assert not made.session.tempo.mute


@pytest.mark.parametrize("text", [LEFT_OPEN, LEFT_OPEN + b"}}"])
def test_a_fence_follows_an_object_without_end_soon(text: bytes, probe: MakeProbe) -> None:
    """Most relays read such an object together with the next message."""
    unfinished: list[str] = []

    def relay(request: dict[str, Any]) -> list[Reply]:
        if request["type"] == "not JSON":
            unfinished.append("object")
            return []
        broken = [line(error("unknown_message_type"))] if unfinished else []
        unfinished.clear()
        return [(0.001, b"".join((*broken, answer(request))))]

    made = probe(relay)
    exchange = made.session.ask_text(text, meant="brackets that don't fit", like="heartbeat")
    assert (types(exchange), exchange.silence) == (["error"], Silence.NONE)
    assert (made.transcript.now() < PATIENCE) is (text == LEFT_OPEN)


def test_a_late_second_answer_is_judged_before_the_next_request(probe: MakeProbe) -> None:
    def relay(request: dict[str, Any]) -> list[Reply]:
        late: list[Reply] = [(1.0, answer(request))] if request["type"] == "tunnel_info" else []
        return [(0.001, answer(request)), *late]

    made = probe(relay)
    made.session.ask(TUNNEL)
    made.session.unasked(2.0)
    made.session.heartbeat()
    assert [types(exchange) for exchange in made.observed if exchange.request is None] == [["tunnel_response"]]
    assert breaches(made) == ["CB-MSG-004"]


SECOND_AFTER = [0.0015, 0.004, 0.02, 0.3]
KINDS = st.lists(st.sampled_from([HELLO, TUNNEL, HEARTBEAT, UNKNOWN]), min_size=2, max_size=5)


@given(requests=KINDS, late=st.sampled_from(SECOND_AFTER), fence=st.booleans(), authenticated=st.booleans())
def test_second_answers_break_one_requirement(
    requests: list[dict[str, Any]], late: float, fence: bool, authenticated: bool
) -> None:
    """However late they come, they are taken for no other request's answer."""
    made = MemoryProbe(
        lambda request: [(0.001, answer(request)), (late, answer(request))], ManualClock(), authenticated=authenticated
    )
    for number, request in enumerate(requests):
        request = {**request, "tunnel_id": f"tunnel_{number}"} if request is TUNNEL else request
        exchange = made.session.ask(request, fence=fence, invalid="of unknown type" if request is UNKNOWN else "")
        judge.refused_with(exchange, "unknown_message_type") if request is UNKNOWN else judge.accepted(exchange)
    made.session.unasked(1.0)
    assert set(breaches(made)) == {"CB-MSG-004"}


@given(requests=st.lists(st.sampled_from([HELLO, TUNNEL, HEARTBEAT]), min_size=2, max_size=5))
def test_second_answers_to_requests_sent_together_replace_no_others(requests: list[dict[str, Any]]) -> None:
    made = MemoryProbe(lambda request: [(0.001, answer(request)), (0.001, answer(request))], ManualClock())
    noted = [made.session.note(request) for request in requests]
    exchange = made.session.together([message for message, _ in noted], b"".join(data for _, data in noted))
    judge.all_answered(exchange, [SUCCESS_TYPES[request["type"]] for request in requests])


def test_an_error_that_comes_unasked_answers_no_request_sent_in_pieces(probe: MakeProbe) -> None:
    made = probe(lambda request: [(0.001, line(error("data_transfer_failed"))), (0.002, answer(request))])
    first, second = made.session.note(HEARTBEAT), made.session.note(HEARTBEAT)
    exchange = made.session.together([first[0], second[0]], first[1] + second[1][:9], second[1][9:])
    judge.all_answered(exchange, ["heartbeat_response"] * 2)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_few_pieces_are_so_far_apart_that_a_busy_relay_reads_each_one(size: int) -> None:
    clock = ManualClock()
    made = MemoryProbe(conforming(), clock)
    made.session.ask_in_pieces(HEARTBEAT, lambda data: [data[at : at + size] for at in range(0, len(data), size)])
    close = clock.now
    made.session.ask_in_pieces(HEARTBEAT, lambda data: [data[:size], data[size:]], apart=True)
    assert clock.now - close >= 0.02 > close


@given(requests=KINDS, late=st.sampled_from(SECOND_AFTER), fence=st.booleans())
def test_an_error_that_comes_unasked_answers_no_request(
    requests: list[dict[str, Any]], late: float, fence: bool
) -> None:
    def relay(request: dict[str, Any]) -> list[Reply]:
        failed = [(late, line(error("data_transfer_failed")))] if request["type"] == "tunnel_info" else []
        return [(0.001, answer(request)), *failed]

    made = MemoryProbe(relay, ManualClock())
    for request in requests:
        exchange = made.session.ask(request, fence=fence, invalid="of unknown type" if request is UNKNOWN else "")
        judge.refused_with(exchange, "unknown_message_type") if request is UNKNOWN else judge.accepted(exchange)
    made.session.unasked(1.0)
    assert breaches(made) == []


def test_a_response_that_refuses_is_an_answer_without_the_tunnel_id(probe: MakeProbe) -> None:
    refusal = {"type": "tunnel_response", "status": "error", "tunnel_id": ""}
    made = probe(lambda request: [(0.001, line(refusal) if request["type"] == "tunnel_info" else answer(request))])
    assert made.session.ask(TUNNEL, fence=False).waited < PATIENCE


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("drops", [True, False])
def test_a_refused_fence_is_no_second_answer(times: int, drops: bool, probe: MakeProbe) -> None:
    """A relay may drop the identity with a refused auth."""
    dropped: list[bool] = []

    def relay(request: dict[str, Any]) -> list[Reply]:
        dropped.extend([drops] if request["type"] == "auth" else [])
        if request["type"] == "auth":
            return [(0.001, line(error("invalid_token")) * times)]
        late = 1.0 if times == 2 and not drops else 0.001
        return [(late, line(error("invalid_token")) if any(dropped) else answer(request))]

    made = probe(relay)
    assert types(made.session.ask(AUTH, invalid="a bad token")) == ["error"] * times
    assert made.session.authenticated is not drops
    made.session.ask(TUNNEL)
    made.session.unasked(1.0)
    assert breaches(made) == ["CB-MSG-004"] * (times - 1)


def test_a_connection_whose_identity_an_error_ends_is_over(probe: MakeProbe) -> None:
    """The cases go on as after a close, which may follow an error, too."""
    seen: list[str] = []

    def relay(request: dict[str, Any]) -> list[Reply]:
        dropped = "cbspec_unknown" in seen
        seen.append(request["type"])
        return [(0.001, line(error("invalid_token")) if dropped else answer(request))]

    made = probe(relay)
    assert types(made.session.ask(UNKNOWN, invalid="of unknown type")) == ["error"]
    assert (made.session.ended is not None, breaches(made)) == (True, [])


def test_an_unasked_error_is_no_answer_to_a_fence(probe: MakeProbe) -> None:
    """Errors about a transfer come before a heartbeat_response, and around the answer to the fence after it."""
    failed = line(error("data_transfer_failed"))

    def relay(request: dict[str, Any]) -> list[Reply]:
        text = answer(request)
        return [(0.001, failed + text)] if request["type"] == "heartbeat" else [(0.001, failed), (0.003, text + failed)]

    made = probe(relay)
    for _ in range(5):
        judge.accepted(made.session.heartbeat())
    made.session.unasked(1.0)
    assert breaches(made) == []


@given(requests=KINDS, begin=st.floats(0, 0.01), length=st.floats(0.1, 10.0), late=st.booleans(), closes=st.booleans())
def test_a_pause_of_the_whole_relay_accuses_nothing(
    requests: list[dict[str, Any]], begin: float, length: float, late: bool, closes: bool
) -> None:
    """A relay that `closes` ends the connection after an error: after the answer to a fence, too."""
    clock, number = ManualClock(), itertools.count(1)

    def relay(request: dict[str, Any]) -> list[Reply]:
        paused = begin <= clock.now < begin + length
        seconds = begin + length - clock.now + next(number) / 1e6 if paused else 0.001
        ends = [(seconds, End.EOF)] if closes and request["type"] not in SUCCESS_TYPES else []
        return [(seconds, answer(request)), *ends]

    def alive() -> bool:
        ready = begin + length if clock.now >= begin else clock.now
        clock.now = min(max(clock.now, ready), clock.now + 5.0)
        return clock.now >= ready

    made = MemoryProbe(relay, clock, tempo=Tempo(5.0, 1.0, Latency(0.01, 0.01, 0.01, 0.01)) if late else None)
    made.is_alive = alive
    for request in requests:
        if made.session.ended:
            break
        exchange = made.session.ask(request, invalid="of unknown type" if request is UNKNOWN else "")
        if not exchange.answers:
            assert not exchange.relay_alive  # the judgement is inconclusive, and the case is tried again
            break
        judge.refused_with(exchange, "unknown_message_type") if request is UNKNOWN else judge.accepted(exchange)
    made.session.unasked(0.1)
    assert breaches(made) == []


def test_an_answer_together_with_that_to_a_fence_and_a_close_is_one(probe: MakeProbe) -> None:
    made = probe(
        lambda request: (
            [] if request["type"] == "heartbeat" else [(0.2, answer(HEARTBEAT) + line(error())), (0.2, End.EOF)]
        )
    )
    judge.accepted(made.session.heartbeat())
    assert breaches(made) == []


# ---------------------------------------------------------------------------- silence


def holding(every: int) -> Relay:
    """Return a relay that keeps every nth answer until it has another to send."""
    held: list[bytes] = []
    requests = itertools.count(1)

    def relay(request: dict[str, Any]) -> list[Reply]:
        held.append(answer(request))
        if next(requests) % every == 0:
            return []
        sent = b"".join(held)
        held.clear()
        return [(0.001, sent)]

    return relay


def test_an_answer_held_back_repeatedly_is_silence(probe: MakeProbe) -> None:
    made = probe(holding(7))
    exchanges = [made.session.heartbeat() for _ in range(24)]
    late = [exchange for exchange in exchanges if exchange.waited > PATIENCE]
    assert [exchange.silence for exchange in late] == [Silence.NONE, Silence.NONE, Silence.HELD_BACK, Silence.HELD_BACK]
    assert [types(exchange) for exchange in late] == [["heartbeat_response"]] * 2 + [[]] * 2
    assert all(exchange.waited >= made.session.tempo.most for exchange in late[1:])
    assert all(types(exchange) == ["heartbeat_response"] for exchange in exchanges if exchange not in late)


def test_a_fences_late_answer_is_not_taken_for_another(probe: MakeProbe) -> None:
    made = probe(holding(2))
    assert [types(made.session.ask(TUNNEL)) for _ in range(2)] == [["tunnel_response"]] * 2
    assert breaches(made) == ["CB-HBT-001"]


def only(*kinds: str) -> Relay:
    """Return a relay that answers some types of requests."""
    return lambda request: [(0.001, answer(request))] if request["type"].rstrip("0123456789") in kinds else []


@pytest.mark.parametrize(
    ("answered", "options", "silence", "fences"),
    [
        (("heartbeat",), {}, Silence.IGNORED, 2),
        (("cbspec_fence_",), {"authenticated": False}, Silence.IGNORED, 2),
        ((), {}, Silence.UNRESPONSIVE, 1),
        ((), {"fence": ""}, Silence.UNRESPONSIVE, 0),
        (("tunnel_info",), {}, Silence.NONE, 1),
    ],
    ids=["ignored", "before-auth", "unresponsive", "no-fence", "fence-ignored"],
)
@pytest.mark.parametrize("alive", [True, False])
def test_silence_is_judged_by_fences_and_a_new_connection(
    answered: tuple[str, ...], options: dict[str, Any], silence: Silence, fences: int, alive: bool, probe: MakeProbe
) -> None:
    made = probe(only(*answered), **options)
    made.alive = alive
    exchange = made.session.ask(TUNNEL)
    assert (exchange.silence, bool(exchange.answers)) == (silence, silence is Silence.NONE)
    assert made.fences == fences
    if silence is Silence.UNRESPONSIVE:
        assert (made.asked_alive, exchange.relay_alive) == (1, alive)
    if silence is not Silence.NONE:
        assert exchange.waited >= (PATIENCE if fences else made.session.timeout)
    else:
        made.session.ask(TUNNEL)
        assert made.fences == 1  # a fence without answer is not sent again


@pytest.mark.parametrize("how", [End.EOF, End.RESET])
@pytest.mark.parametrize("after", [0.002, 0.6])
@pytest.mark.parametrize("replies", [[], [(0.001, line(error()))]])
def test_the_end_of_the_connection_ends_the_exchange(
    how: End, after: float, replies: list[Reply], probe: MakeProbe
) -> None:
    """After 0.6 seconds, the answer to a fence is awaited."""
    made = probe(lambda request: [*replies, (after, how)] if request["type"] == "tunnel_info" else [])
    exchange = made.session.ask(TUNNEL)
    assert (types(exchange), exchange.silence) == (["error"] * len(replies), Silence.NONE)
    assert exchange.ended is not None
    assert exchange.ended.how is how


# ---------------------------------------------------------------------------- unreadable input


@pytest.mark.parametrize(
    ("text", "end", "requirement"),
    [
        (b"log line\n", (0.002, End.EOF), "CB-MSG-002"),
        (b'{"type":"\xff"}\n', (0.002, End.EOF), "CB-MSG-001"),
        (gzip.compress(b'{"type":"heartbeat_response"}'), (0.002, End.EOF), "CB-CMP-001"),
        (b"bye", (0.002, End.EOF), "CB-MSG-002"),
        (b'{"type":"heartbeat_response"', (0.002, End.EOF), "CB-MSG-002"),
        (b'{"type":"heart', (3.0, End.EOF), "CB-MSG-002"),
        (b'{"type":"heart', (0.002, End.RESET), ""),  # the rest may be lost
        (b'{"type":"heart', (0.002, End.OURS), ""),
    ],
    ids=["line", "utf8", "gzip", "no-feed", "no-brace", "late-end", "reset", "our-end"],
)
def test_unreadable_input_is_a_message_with_a_fault(
    text: bytes, end: Reply, requirement: str, probe: MakeProbe
) -> None:
    exchange = probe(lambda request: [(0.001, text), end]).session.ask(TUNNEL)
    assert {message.decoded.requirement for message in exchange.answers} == ({requirement} if requirement else set())
    assert exchange.ended is not None


# ---------------------------------------------------------------------------- rates


def test_an_unexpected_rate_limit_ends_the_case_unless_of_a_malformed_message(probe: MakeProbe) -> None:
    limited = probe(lambda request: [(0.001, line(error("rate_limit_exceeded")))])
    refusal, served = (0.001, line(error("rate_limit_exceeded"))), conforming()
    serving = probe(lambda request: served(request) if request["type"] == "heartbeat" else [refusal])
    for made in (limited, serving):
        with pytest.raises(RateLimited):
            made.session.ask(TUNNEL)
        assert len(made.observed) == 1
    with pytest.raises(RateLimited):
        limited.session.ask_text(b"no JSON", meant="no JSON")
    assert types(serving.session.ask_text(b"no JSON", meant="no JSON")) == ["error"]
    limited.session.expect_rate_limit()
    assert types(limited.session.ask(TUNNEL)) == ["error"]


# ---------------------------------------------------------------------------- several messages at once


def test_only_surplus_answers_count_as_a_flood(probe: MakeProbe) -> None:
    count = 3 * FLOOD
    requests = itertools.count(1)
    made = probe(lambda request: [(0.001, answer(request) * count)] if next(requests) == count else [])
    made.session.send_unanswered(b"".join(made.session.note(HEARTBEAT)[1] for _ in range(count)), messages=count)
    assert len(made.session.answers(1)) == count
    assert made.session.ended is None


class _Ponging(StreamFramer):
    """Sends a pong for every line received."""

    pongs = b""

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self.pongs += b"pong"

    def data_to_send(self) -> bytes:  # type: ignore[override]  # a static method there
        data, self.pongs = self.pongs, b""
        return data


def test_no_pong_is_sent_inside_a_frame(probe: MakeProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    made = probe(conforming(), framer=_Ponging())
    pongs: list[bytes] = []
    monkeypatch.setattr(made.wire, "send_quietly", lambda data: pongs.extend([data] if data else []))
    _, data = made.session.note(HEARTBEAT)
    made.session.send_unanswered(data + data[:5], cut=True)
    assert len(made.session.answers(1)) == 1
    assert pongs == []
    made.session.send_unanswered(data[5:])
    assert pongs == [b"pong"]
    assert len(made.session.answers(1)) == 1
    assert pongs == [b"pong"] * 2
