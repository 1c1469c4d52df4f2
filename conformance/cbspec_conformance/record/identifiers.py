"""The traces of a case in the relay's own log: its connections with their times, tunnel ids and subjects of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cbspec.tokens.jws import LONGEST_NAME, claimed
from cbspec_conformance.record.transcript import Direction, Failed, Message, Opened, Transcript


@dataclass(frozen=True, slots=True, order=True)
class CaseConnection:
    """A connection of a case.

    `began` is its time in seconds since the epoch (since the beginning of the case, if that time is unknown), `source`
    the address and port from which the suite connected, and `number` its number in the transcript (0: it has none).
    """

    began: float
    source: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class CaseIdentifiers:
    """The texts and times by which a relay's log shows a case.

    `connections` are in order of time; `tunnels` and `subjects` were sent, in order of first use. Long ones are cut.
    """

    connections: tuple[CaseConnection, ...] = ()
    tunnels: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


def identifiers_of(transcript: Transcript) -> CaseIdentifiers:
    """Return the identifiers of a case. A saved transcript holds no tokens, so it gives no subjects."""
    sent = [
        record for record in transcript.records if isinstance(record, Message) and record.direction is Direction.SENT
    ]
    return CaseIdentifiers(
        tuple(sorted(_connections(transcript))),
        tuple(dict.fromkeys(name for message in sent if (name := _text(message, "tunnel_id")))),
        tuple(dict.fromkeys(name for message in sent if (name := claimed(_text(message, "token", cut=False))[1]))),
    )


def _connections(transcript: Transcript) -> Iterator[CaseConnection]:
    for record in transcript.records:
        if isinstance(record, Opened | Failed):
            yield CaseConnection(transcript.epoch + record.at, record.source, record.connection)
    for at, source in transcript.contacts:
        yield CaseConnection(transcript.epoch + at, source)


def _text(message: Message, name: str, *, cut: bool = True) -> str:
    value = message.member(name)
    return value[: LONGEST_NAME if cut else None] if isinstance(value, str) else ""
