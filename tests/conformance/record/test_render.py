"""The part of a transcript that a failure shows, as text: short, and without tokens."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.record.excerpt import decisive, excerpt, in_order
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.render import render
from cbspec_conformance.record.transcript import MOST, Direction, End, Ended, Message, Record, Transcript
from tests.conformance.build import (
    AUTH,
    HEARTBEAT,
    HEARTBEAT_RESPONSE,
    TUNNEL,
    TUNNEL_RESPONSE,
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
            left(),
            sent(HEARTBEAT),
            received(HEARTBEAT_RESPONSE),
            Ended(1.5, 1, End.RESET, "Connection reset by peer"),
        ),
        [],
    )
    assert shown.splitlines() == [
        "  0.000 #1 -- connected to 127.0.0.1:8080 (tcp, TLSv1.3)",
        '  0.000 #1 -> {"type": "heartbeat"}',
        '  0.100 #1 <- {"type": "heartbeat_response"}',
        "  1.500 #1 -- reset (Connection reset by peer)",
    ]


def test_repr_has_no_secrets() -> None:
    assert "s3cret" not in repr(Exchange(None, secrets=("s3cret",)))


def test_fault_and_intention_follow_a_message() -> None:
    meant = Message(0.0, 1, Direction.SENT, b"{", received(b"{").decoded, meant="cut off")
    first, second = render(transcript(meant, received(b"\x1b[31m\x07")), []).splitlines()
    assert first == "  0.000 #1 -> {   [cut off]"
    assert second.isprintable()
    assert "[it is not JSON: " in second


def test_long_exchanges_are_shortened_in_the_middle() -> None:
    shown = render(transcript(*(sent({"n": n}) for n in range(100))), []).splitlines()
    assert (len(shown), shown[3].endswith('{"n": 3}'), shown[-1].endswith('{"n": 99}')) == (25, True, True)
    assert "76 lines left out" in shown[4]


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
