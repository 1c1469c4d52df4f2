"""The part of a transcript that a failure shows."""

from __future__ import annotations

from dataclasses import replace

from cbspec_conformance.record.excerpt import decisive, excerpt, in_order
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import MOST, End, Ended, Message, Record, Transcript
from tests.conformance.build import HEARTBEAT, HEARTBEAT_RESPONSE, TUNNEL, TUNNEL_RESPONSE, left, opened, received, sent


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
