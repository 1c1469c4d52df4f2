"""The part of a transcript that explains a failure: pure functions of records and exchanges."""

from __future__ import annotations

from collections.abc import Sequence

from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import (
    Bytes,
    Direction,
    End,
    Ended,
    Failed,
    Message,
    Opened,
    Transcript,
    WireRecord,
    outline,
)

ALIVE = "a check whether new connections are answered"
"""The description of a hello of the suite that is no part of a case."""


def excerpt(transcript: Transcript, exchanges: Sequence[Exchange], *, parallel: bool = False) -> list[WireRecord]:
    """Return the records of the connections of `exchanges`, up to the end of the last exchange.

    Without exchanges, return the records of the last connection. With `parallel`, include other connections that
    were open at the time: they may explain the failure.
    """
    records = in_order(transcript)
    own = {message.connection for exchange in exchanges for message in messages(exchange)}
    if not own:
        checks = {record.connection for record in records if isinstance(record, Message) and record.meant == ALIVE}
        last = max((record.connection for record in records if record.connection not in checks), default=0)
        return [record for record in records if record.connection == last]
    end = _end(records, exchanges[-1])
    wanted = own | (_parallel(records, own, decisive(transcript, exchanges)) if parallel else set())
    return [record for record in records[:end] if record.connection in wanted]


def decisive_records(transcript: Transcript, exchanges: Sequence[Exchange]) -> list[WireRecord]:
    """Return the decisive request with its answers; if it has none, with everything after it on its connection.

    Without exchanges, return the records of the last connection from the last request on.
    """
    shown = without_bytes(excerpt(transcript, exchanges))
    if not exchanges or not messages(exchanges[-1]):
        requests = [at for at, record in enumerate(shown) if _is_request(record)]
        return shown[requests[-1] if requests else 0 :]
    answers = exchanges[-1].answers
    request = decisive(transcript, exchanges) or answers[0]
    after = shown[max(_index(shown, request), 0) :]
    own = [record for record in after if record.connection == request.connection]
    places = {_index(own, answer) for answer in answers}
    return [record for at, record in enumerate(own) if not answers or at in places or _is_telling(record)]


def decisive_places(transcript: Transcript, exchanges: Sequence[Exchange]) -> tuple[int, ...]:
    """Return the places of the decisive records in a transcript."""
    decided = {id(record) for record in decisive_records(transcript, exchanges)}
    return tuple(place for place, record in enumerate(transcript.records) if id(record) in decided)


def without_bytes(records: Sequence[WireRecord]) -> list[WireRecord]:
    """Return the records without bytes, which only repeat the messages; a connection without messages has no others."""
    told = {record.connection for record in records if isinstance(record, Message)}
    return [each for each in records if not (isinstance(each, Bytes) and each.connection in told)]


def _is_telling(record: WireRecord) -> bool:
    """Whether a record matters next to an answer: a request, or the end of the connection by the relay."""
    return _is_request(record) or (isinstance(record, Ended) and record.how is not End.OURS)


def in_order(transcript: Transcript) -> list[WireRecord]:
    """Return the wire's records with each request at the time when its bytes were sent.

    Messages received shortly before that time are no answers to it.
    """
    records = [record for record in transcript.records if isinstance(record, WireRecord)]
    told = {record.connection for record in records if _left(record)}
    ordered: list[WireRecord] = []
    waiting: list[WireRecord] = []
    for record in records:
        if isinstance(record, Message) and record.direction is Direction.SENT and record.connection in told:
            waiting.append(record)
            continue
        if _left(record):
            ordered += [message for message in waiting if message.connection == record.connection]
            waiting = [message for message in waiting if message.connection != record.connection]
        ordered.append(record)
    return ordered + waiting  # a message is unsolicited, too, if it came while the next request was only noted


def _left(record: WireRecord) -> bool:
    return isinstance(record, Bytes) and record.direction is Direction.SENT


def messages(exchange: Exchange) -> list[Message]:
    """Return the request, if there is one, and the answers."""
    return [*([exchange.request] if exchange.request else []), *exchange.answers]


def decisive(transcript: Transcript, exchanges: Sequence[Exchange]) -> Message | None:
    """Return the request that the failure is about; for an unsolicited message, the request before it."""
    if not exchanges or not messages(exchanges[-1]):
        return None
    if exchanges[-1].request is not None:
        return exchanges[-1].request
    first = exchanges[-1].answers[0]
    records = in_order(transcript)
    before = records[: _index(records, first)]
    sent = (record for record in reversed(before) if isinstance(record, Message) and record.direction is Direction.SENT)
    return next((message for message in sent if message.connection == first.connection), None)


def is_fence(message: Message) -> bool:
    """Whether the suite sent a message only to separate the answers before it from later ones."""
    return message.meant == "fence"


def _index(records: Sequence[WireRecord], wanted: WireRecord | None) -> int:
    found = next((index for index, record in enumerate(records) if record is wanted), -1)
    if found < 0 and wanted is not None:  # a transcript keeps only the outline of long texts in older records
        kept = outline(wanted)
        found = next((index for index, record in enumerate(records) if record == kept), -1)
    return found


def _end(records: Sequence[WireRecord], exchange: Exchange) -> int:
    """Return the index of the next request after an exchange on the same connection."""
    of = messages(exchange)
    last = max((_index(records, message) for message in of), default=-1)
    if last < 0:
        return len(records)
    before: WireRecord = of[-1]
    for index in range(last + 1, len(records)):
        record = records[index]
        if record.connection != before.connection:
            continue
        if _is_request(record) and not _is_request(before):  # two requests in a row were sent together
            return index
        before = record
    return len(records)


def _is_request(record: WireRecord) -> bool:
    return isinstance(record, Message) and record.direction is Direction.SENT and not is_fence(record)


def _parallel(records: Sequence[WireRecord], own: set[int], request: Message | None) -> set[int]:
    """Return the connections that were opened before the request and still open when the first of `own` began."""
    begin = next((index for index, record in enumerate(records) if record.connection in own), 0)
    over = {record.connection for record in records[:begin] if isinstance(record, Ended | Failed)}
    until = max(_index(records, request), 0)
    return {record.connection for record in records[:until] if isinstance(record, Opened)} - over
