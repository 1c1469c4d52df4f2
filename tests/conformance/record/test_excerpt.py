"""What of a transcript a failure is read from."""

from __future__ import annotations

from cbspec_conformance.record.excerpt import decisive, excerpt, in_order, is_fence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import MOST, Bytes, Direction, End, Ended, Message, Opened, Record, Transcript
from tests.conformance.build import HEARTBEAT, HEARTBEAT_RESPONSE, TUNNEL, TUNNEL_RESPONSE, received, sent


def opened(connection: int) -> Opened:
    return Opened(0.0, connection, "127.0.0.1:8080", "127.0.0.1:50000", "tcp")


def left(connection: int = 1) -> Bytes:
    return Bytes(0.0, connection, Direction.SENT, b"x")


def fence(connection: int = 1) -> Message:
    message = sent(HEARTBEAT, connection)
    return Message(0.0, connection, Direction.SENT, message.text, message.decoded, meant="fence")


def test_what_follows_the_exchange_is_left_out_and_its_fence_is_not() -> None:
    request, answer = sent(TUNNEL), received(TUNNEL_RESPONSE)
    records: list[Record] = [opened(1), request, left(), answer, fence(), left(), received(HEARTBEAT_RESPONSE)]
    later: list[Record] = [sent(HEARTBEAT), left()]
    assert excerpt(Transcript(records=[*records, *later]), [Exchange(request, (answer,))]) == records


def test_connections_that_were_open_beside_come_along_when_asked_for() -> None:
    request = sent(TUNNEL, 3)
    over: list[Record] = [opened(1), Ended(0.0, 1, End.OURS)]
    everything = Transcript(records=[*over, opened(2), opened(3), request, left(3), opened(4)])
    assert {record.connection for record in excerpt(everything, [Exchange(request)])} == {3}
    assert {record.connection for record in excerpt(everything, [Exchange(request)], beside=True)} == {2, 3}


def test_what_lay_there_when_a_request_left_is_no_answer_to_it() -> None:
    first, second, surplus = sent(HEARTBEAT), sent(HEARTBEAT), received(HEARTBEAT_RESPONSE)
    records: list[Record] = [first, left(), second, surplus, left()]
    transcript = Transcript(records=records)
    assert [id(record) for record in in_order(transcript)][2:4] == [id(surplus), id(second)]
    assert decisive(transcript, [Exchange(None, (surplus,))]) is first
    assert decisive(transcript, [Exchange(second)]) is second
    assert decisive(transcript, []) is None


def test_what_is_only_kept_in_outline_is_still_found() -> None:
    first, surplus, second = sent(HEARTBEAT), received({**HEARTBEAT_RESPONSE, "x": "x" * MOST}), sent(TUNNEL)
    transcript = Transcript()
    for record in (first, left(), surplus, second, left(), received(TUNNEL_RESPONSE)):
        transcript.add(record)
    assert surplus not in transcript.records
    assert decisive(transcript, [Exchange(None, (surplus,))]) is first
    assert excerpt(transcript, [Exchange(None, (surplus,))]) == transcript.records[:3]


def test_a_request_that_never_left_stays_where_it_was() -> None:
    records: list[Record] = [sent(HEARTBEAT), received(HEARTBEAT_RESPONSE)]
    assert in_order(Transcript(records=records)) == records


def test_fences_are_known_by_what_they_were_meant_for() -> None:
    assert is_fence(fence())
    assert not is_fence(sent(HEARTBEAT))
