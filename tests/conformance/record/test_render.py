"""The part of a transcript that a failure shows, as text: short, and without tokens."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.record.excerpt import ALIVE, decisive, excerpt, in_order
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.render import change_of, render
from cbspec_conformance.record.transcript import MOST, Bytes, Direction, End, Ended, Message, Record, Transcript, Waited
from tests.conformance.build import (
    AUTH,
    HEARTBEAT,
    HEARTBEAT_RESPONSE,
    HELLO,
    HELLO_RESPONSE,
    TUNNEL,
    TUNNEL_RESPONSE,
    error,
    left,
    opened,
    received,
    sent,
)

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


def transcript(*records: Record) -> Transcript:
    """Return a transcript of some records."""
    return Transcript(records=list(records))


def test_connection_is_shown_from_start_to_end() -> None:
    shown = render(
        transcript(
            opened(),
            sent(HEARTBEAT),
            left(),
            received(HEARTBEAT_RESPONSE),
            Ended(1.5, 1, End.RESET, "Connection reset by peer"),
        ),
        [],
    )
    assert shown.splitlines() == [
        '> 0.000 #1 -> {"type": "heartbeat"}',
        '> 0.100 #1 <- {"type": "heartbeat_response"}',
        "> 1.500 #1 -- reset (Connection reset by peer)",
        "  0.000 #1 -- connected to 127.0.0.1:8080 (tcp, TLSv1.3)",
    ]


def test_a_message_before_the_bytes_of_a_request_belongs_to_the_request_before() -> None:
    """A live judgement, made before these bytes, and a later one of the whole transcript name the same request."""
    late, noted = received(HELLO_RESPONSE), replace(sent(TUNNEL), meant="with a token")
    early: list[Record] = [opened(), sent(HELLO), left(), received(HELLO_RESPONSE), noted, late]
    for records in (early, [*early, left()]):
        assert change_of(transcript(*records), [Exchange(None, (late,))]) == ""


def test_repr_has_no_secrets() -> None:
    assert "s3cret" not in repr(Exchange(None, secrets=("s3cret",)))


def test_fault_and_intention_precede_a_message() -> None:
    meant = Message(0.0, 1, Direction.SENT, b"{", received(b"{").decoded, meant="cut off")
    first, second = render(transcript(meant, received(b"\x1b[31m\x07")), []).splitlines()
    assert first == "> 0.000 #1 -> [cut off] {"
    assert second.isprintable()
    assert "[it is not JSON: " in second


def test_decisive_lines_come_first_and_repetition_is_folded() -> None:
    beats = [record for _ in range(40) for record in (sent(HEARTBEAT), left(), received(HEARTBEAT_RESPONSE))]
    request, refusal = replace(sent(TUNNEL), meant="tunnel 41 of 40"), received(error())
    records: list[Record] = [opened(), sent(HELLO), left(), received(HELLO_RESPONSE), *beats, request, left(), refusal]
    shown = render(transcript(*records), [Exchange(request, (refusal,))]).splitlines()
    assert shown[0].startswith("> 0.000 #1 -> [tunnel 41 of 40] {")
    assert shown[1].startswith("> 0.100 #1 <- ")
    assert shown[2] == "  before: #1 hello, heartbeat x40"
    assert shown[-1] == "       … the last 2 lines 39 more times"
    assert len(shown) == 9
    assert change_of(transcript(*records), [Exchange(request, (refusal,))]) == "tunnel 41 of 40"


def test_bytes_are_shown_of_a_connection_without_messages() -> None:
    request = Bytes(0.0, 3, Direction.SENT, b"GET / HTTP/1.1\r\n")
    refusal = Bytes(0.1, 3, Direction.RECEIVED, f"HTTP/1.1 400 {JWT}\r\n".encode())
    half = Bytes(0.2, 3, Direction.SENT, JWT[:40].encode())
    shown = render(transcript(opened(2), sent(HELLO, 2), left(2), opened(3), request, refusal, half), []).splitlines()
    assert shown[1] == "> 0.000 #3 -> [16 bytes] GET / HTTP/1.1"
    assert shown[2].endswith("HTTP/1.1 400 ***")
    assert shown[3:] == ["> 0.200 #3 -> [40 bytes]"]


def test_silence_shows_the_request_the_fences_and_the_waits() -> None:
    request, wait = sent(TUNNEL), Waited(5.0, 1, 5.0, "the answer")
    other = sent({"type": "a\nb"}, 2)
    records: list[Record] = [opened(), opened(2), request, left(), other, left(2), wait, fence(), left()]
    shown = render(transcript(*records), [Exchange(request)]).splitlines()
    marked = [line for line in shown if line.startswith(">")]
    assert ["tunnel_info" in marked[0], "waited 5.0 s" in marked[1], "[fence]" in marked[2]] == [True] * 3
    assert shown[3] == r"  before: #2 a\nb"


def test_a_check_for_life_is_never_shown_as_the_exchange() -> None:
    alive = replace(sent(HELLO, 3), meant=ALIVE)
    shown = render(transcript(opened(2), sent(HEARTBEAT, 2), left(2), opened(3), alive, left(3)), [])
    assert "#2" in shown
    assert "#3" not in shown


def test_long_exchanges_are_shortened_in_the_middle() -> None:
    shown = render(transcript(*(replace(sent({"n": n}), meant=f"{n}") for n in range(100))), [Exchange(None)])
    lines = shown.splitlines()
    assert (len(lines), lines[0].endswith('{"n": 99}'), lines[-1].endswith('{"n": 98}')) == (27, True, True)
    assert "75 lines left out" in lines[6]


TOKENS = st.one_of(
    st.just(JWT),
    st.text(min_size=12, max_size=30).map(lambda text: f"s3cret-{text}"),
    st.builds(lambda a, b: f"eyJ{a}.{b}.{b}", *[st.text("abcdefgh0123456789_-", min_size=8, max_size=20)] * 2),
)


@given(token=TOKENS, nested=st.booleans())
def test_sent_token_is_never_shown(token: str, nested: bool) -> None:
    request = sent({**AUTH, "token": [token] if nested else token})
    shown = render(transcript(opened(), request), [Exchange(request)])
    assert token not in shown
    assert json.dumps(token)[1:-1] not in shown
    assert ('"token":["***"]' if nested else '"token":"***"') in shown


@given(
    st.sampled_from(['{"type":"error","message":"%s"}', '{"type":"auth","token":"%s', "%s", '{"x":["%s"]}', "a %s b"])
)
def test_jwt_is_masked_in_any_answer(text: str) -> None:
    shown = render(transcript(received((text % JWT).encode())), [])
    for part in JWT.split("."):
        assert part not in shown
    assert "***" in shown


def fence() -> Message:
    return replace(sent(HEARTBEAT), meant="fence")


def test_excerpt_ends_after_the_fence_of_the_exchange() -> None:
    request, answer = sent(TUNNEL), received(TUNNEL_RESPONSE)
    records: list[Record] = [opened(1), request, left(), answer, fence(), left(), received(HEARTBEAT_RESPONSE)]
    later: list[Record] = [sent(HEARTBEAT), left()]
    assert excerpt(Transcript(records=[*records, *later]), [Exchange(request, (answer,))]) == records


def test_excerpt_includes_parallel_connections_on_request() -> None:
    request = sent(TUNNEL, 3)
    over: list[Record] = [opened(1), Ended(0.0, 1, End.OURS)]
    everything = Transcript(records=[*over, opened(2), opened(3), request, left(3), opened(4)])
    assert {record.connection for record in excerpt(everything, [Exchange(request)])} == {3}
    assert {record.connection for record in excerpt(everything, [Exchange(request)], parallel=True)} == {2, 3}


def test_message_received_before_a_request_is_no_answer_to_it() -> None:
    first, second, surplus = sent(HEARTBEAT), sent(HEARTBEAT), received(HEARTBEAT_RESPONSE)
    records: list[Record] = [first, left(), second, surplus, left()]
    transcript = Transcript(records=records)
    assert [id(record) for record in in_order(transcript)][2:4] == [id(surplus), id(second)]
    assert decisive(transcript, [Exchange(None, (surplus,))]) is first
    assert decisive(transcript, [Exchange(second)]) is second
    assert decisive(transcript, []) is None


def test_shortened_records_are_found() -> None:
    first, surplus, second = sent(HEARTBEAT), received({**HEARTBEAT_RESPONSE, "x": "x" * MOST}), sent(TUNNEL)
    transcript = Transcript()
    for record in (first, left(), surplus, second, left(), received(TUNNEL_RESPONSE)):
        transcript.add(record)
    assert surplus not in transcript.records
    assert decisive(transcript, [Exchange(None, (surplus,))]) is first
    assert excerpt(transcript, [Exchange(None, (surplus,))]) == transcript.records[:3]
