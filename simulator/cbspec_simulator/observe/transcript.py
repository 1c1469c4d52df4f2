"""The transcript of a relay: the last entries in memory, all entries in a file."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self

from cbspec.redact import LONGEST, redact, redact_message
from cbspec.tokens.jws import claimed
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.state import Address, ConnectionState
from cbspec_simulator.observe.lint import remarks
from cbspec_simulator.relay.events import (
    Accepted,
    Answered,
    BytesSent,
    Closed,
    Connected,
    ConnectionEnding,
    Controlled,
    Decided,
    Delivered,
    Disconnected,
    MessageReceived,
    NotSecured,
    Secured,
    Subscribers,
    TlsFacts,
    Unread,
)

log = logging.getLogger("simulator")

REMEMBERED: Final = 10_000
"""The number of entries in memory."""

_MESSAGES: Final = ("request", "answer", "sent", "unread")
_LINTED: Final = ("request", "unread")
_AROUND: Final = (1, 2, 4, 10)  # bytes around a text: a line feed, or a frame's header (RFC 6455, 5.2)
_KEPT: Final = 64 * 1024  # bytes of an answer that are compared
_NOBODY: Final = ("", "")


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One event of a connection, or a control.

    `time` is in seconds since the epoch, by the simulator's clock. `connection` is 0 for a control. `remarks` say how a
    client's message differs from the specification. By `event`:

    - accepted: a TCP connection.
    - secured: TLS; `type` is the version, `text` has the cipher and what the client offers.
    - not_secured: a failed handshake; `type` is the alert, "plain" or "unfinished", `text` the reason.
    - connected: the first bytes inside TLS; `type` is the transport.
    - request, answer: `type` is the message's, `text` the message without its token. An answer is recorded when the
      relay decides on it, before any delay.
    - sent: the bytes of the answer in entry `of` that were sent, if they differ from it or left later.
    - unsent: bytes of earlier answers that were lost with the connection.
    - unread: a line from the client that the relay doesn't read.
    - fault: a strike; `type` is the fault's name, `text` its decision.
    - ended: the first cause of the end; `by` is client, relay, fault or control, `type` is close_frame, close_notify,
      alert, fin, reset or timeout, and `text` holds an unfinished message.
    - control: `type` is drain, undrain, add, remove, release, reset, advance, limits, tenant or reload, `text` its
      object.
    """

    number: int
    time: float
    connection: int
    transport: str
    address: str
    tenant: str
    subject: str
    event: str
    type: str
    text: str
    by: str = ""
    of: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def message(self) -> dict[str, Any]:
        """The message as an object without the token; empty if the entry has none, or no object."""
        try:
            message = json.loads(self.text) if self.event in _MESSAGES else None
        except (ValueError, RecursionError):
            return {}
        return message if isinstance(message, dict) else {}

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the entry in a JSON object; raises TypeError if it is not one."""
        return cls(**{**data, "remarks": tuple(data.get("remarks", ()))})


# An entry before it is read: number, time, connection, transport and address, tenant and subject (or the token that
# names them), event, type, text, by and of. Tokens are masked and decoded when it is read, since most never are.
_Where = tuple[str, Address | str]
_Note = tuple[int, float, int, _Where, tuple[str, str] | str, str, str, bytes | str | TlsFacts, str, int]


@dataclass(eq=False, slots=True)
class _PeerNotes:
    """What is known of a connection; `decided` has the answers that aren't sent yet, by their numbers as texts."""

    where: _Where
    accepted: bool = False
    state: ConnectionState | None = None
    decided: dict[int, tuple[int, str, bytes, int]] = field(default_factory=dict)
    sent: bytearray = field(default_factory=bytearray)
    size: int = 0  # bytes that were sent, of which only the first are kept

    def add(self, data: bytes) -> None:
        """Add sent bytes."""
        self.size += len(data)
        if len(self.sent) < _KEPT:
            self.sent += data

    def take(self, text: bytes, padding: int) -> tuple[bytes, int, bool]:
        """Return the bytes that were sent for a text, how many more, and whether they are a line or a frame of it."""
        at = self.sent.find(text)
        end = at + len(text) if at >= 0 else len(self.sent)
        end += self.sent[end : end + 1] == b"\n"
        taken, more = bytes(self.sent[:end]), self.size - len(self.sent)
        whole = end + more - len(text) - padding in _AROUND and (at >= 0 or more > 0)
        del self.sent[:end]
        self.size -= end + more
        return taken, more, whole


_NOWHERE: Final = ("", "")


def _entry(note: _Note) -> TranscriptEntry:
    number, when, connection, (transport, address), named_by, event, type_, text, by, of = note
    if isinstance(text, TlsFacts):
        text = _agreed(text)
    shown = redact_message(text) if isinstance(text, bytes) else redact(text)
    acts_for = claimed(named_by) if isinstance(named_by, str) else named_by
    tenant, subject = map(redact, acts_for)
    where = connection, transport, str(address)
    noted = remarks(text, tenant) if event in _LINTED and isinstance(text, bytes) else ()
    return TranscriptEntry(number, round(when, 6), *where, tenant, subject, event, type_, shown, by, of, noted)


class RelayTranscript:
    """Records the events of a relay.

    Arguments: `clock` is the source of time; every entry is also written to `file`, one JSON object per line. Raises
    OSError if the file can't be written.
    """

    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self.began: Final = clock.epoch()
        self._clock = clock
        self._notes: deque[_Note] = deque(maxlen=REMEMBERED)
        self._number = 0
        self._peers: dict[int, _PeerNotes] = {}
        self._followers: list[Callable[[TranscriptEntry], None]] = []
        self._file: IO[str] | None = file.open("w", encoding="utf-8", buffering=1) if file else None

    def listen(self, tell: Subscribers) -> None:
        """Subscribe to a relay's events."""
        tell.add(self._accepted, Accepted)
        tell.add(self._secured, Secured)
        tell.add(self._not_secured, NotSecured)
        tell.add(self._connected, Connected)
        tell.add(self._received, MessageReceived)
        tell.add(self._unread, Unread)
        tell.add(self._answered, Answered)
        tell.add(self._bytes_sent, BytesSent)
        tell.add(self._delivered, Delivered)
        tell.add(self._decided, Decided)
        tell.add(self._ended, ConnectionEnding)
        tell.add(self._disconnected, Disconnected)
        tell.add(self._closed, Closed)
        tell.add(lambda event: self._add(0, _NOBODY, "control", event.action, event.text), Controlled)

    def _accepted(self, event: Accepted) -> None:
        self._peers[event.number] = _PeerNotes(("", event.address), accepted=True)
        self._add(event.number, _NOBODY, "accepted", "")

    def _secured(self, event: Secured) -> None:
        facts = event.facts
        text = facts if len(facts.head) <= LONGEST else _agreed(facts)
        self._add(event.number, _NOBODY, "secured", facts.version, text)

    def _not_secured(self, event: NotSecured) -> None:
        alert = event.alert_received or event.alert_sent
        sent = f"alert {event.alert_sent} sent" if event.alert_sent else ""
        plain = f"first bytes: {redact_message(event.plain).strip()}" if event.plain else ""
        kind = "plain" if event.plain else alert or "unfinished"
        self._add(event.number, _NOBODY, "not_secured", kind, _listed(event.reason, sent, *_offers(event), plain))

    def _connected(self, event: Connected) -> None:
        connection = event.connection
        peer = self._peers.setdefault(connection.number, _PeerNotes(_NOWHERE))
        peer.state, peer.where = connection, (connection.transport, connection.address)
        self._add(connection.number, connection.named_by, "connected", connection.transport)

    def _received(self, event: MessageReceived) -> None:
        connection, type_, text = event
        self._add(connection.number, connection.named_by, "request", type_, text)

    def _unread(self, event: Unread) -> None:
        self._add(event.number, self._named_by(event.number), "unread", "", event.data.rstrip(b"\r\n"))

    def _answered(self, event: Answered) -> None:
        connection, body, texts, first, more = event
        peer, type_ = self._peers.get(connection.number), str(body.get("type", ""))
        for place, (text, padding) in enumerate(zip(texts, more or [0] * len(texts), strict=True)):
            self._add(connection.number, connection.named_by, "answer", type_, text, padding=padding)
            if first and peer is not None and peer.accepted:
                peer.decided[first + place] = self._number, type_, text, padding

    def _bytes_sent(self, event: BytesSent) -> None:
        peer = self._peers.get(event.number)
        if peer is not None and peer.decided:
            peer.add(event.data)

    def _delivered(self, event: Delivered) -> None:
        connection = event.connection
        peer = self._peers.get(connection.number)
        if peer is None or event.text not in peer.decided:
            return
        of, type_, text, padding = peer.decided.pop(event.text)
        sent, more, whole = peer.take(text, padding)
        if event.late or not whole:
            sent, padding = (text, padding) if whole else (sent, more)
            self._add(connection.number, connection.named_by, "sent", type_, sent, padding=padding, of=of)

    def _decided(self, event: Decided) -> None:
        decision = event.decision
        if decision.struck:
            about = decision.occasion
            drawn = f", {decision.chance:.6f} by seed {decision.seed}" if decision.chance is not None else ""
            text = f"{decision.kind} at {about.message or 'the connection'}, match {decision.number}{drawn}"
            self._add(about.connection, (about.tenant, about.subject), "fault", decision.fault, text)

    def _ended(self, event: ConnectionEnding) -> None:
        text: bytes | str = event.unfinished
        if event.unparsed:
            text = _listed(redact_message(event.unfinished), f"{event.unparsed} bytes of an incomplete frame")
        self._add(event.number, self._named_by(event.number), "ended", str(event.how), text, by=str(event.by))

    def _disconnected(self, event: Disconnected) -> None:
        """Record the end of a session that has no socket."""
        connection = event.connection
        peer = self._peers.get(connection.number)
        if peer is not None and not peer.accepted:
            self._add(connection.number, connection.named_by, "ended", "reset" if event.reset else "closed")
            del self._peers[connection.number]

    def _closed(self, event: Closed) -> None:
        """Record the answers of which nothing was sent, or only a part."""
        peer = self._peers[event.number]
        for of, type_, *_ in peer.decided.values():
            sent, more = bytes(peer.sent), peer.size - len(peer.sent)
            self._add(event.number, self._named_by(event.number), "sent", type_, sent, padding=more, of=of)
            peer.sent.clear()
            peer.size = 0
        if event.unsent:
            text = f"{event.unsent} bytes of TLS, which the client didn't read in time"
            self._add(event.number, self._named_by(event.number), "unsent", "", text)
        del self._peers[event.number]

    def _named_by(self, number: int) -> tuple[str, str] | str:
        peer = self._peers.get(number)
        return peer.state.named_by if peer is not None and peer.state is not None else _NOBODY

    @property
    def number(self) -> int:
        """The number of the last entry."""
        return self._number

    def entries(self, since: int = 0) -> tuple[TranscriptEntry, ...]:
        """Return the entries in memory after entry `since`."""
        return tuple(_entry(note) for note in self._notes if note[0] > since)

    def clear(self) -> None:
        """Delete the entries in memory; numbers continue."""
        self._notes.clear()

    def follow(self, follower: Callable[[TranscriptEntry], None]) -> Callable[[], None]:
        """Call `follower` with each new entry; return the function that stops this."""
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # reported when it was written
                self._file.close()
            self._file = None

    def _add(
        self,
        connection: int,
        named_by: tuple[str, str] | str,
        event: str,
        type_: str,
        text: bytes | str | TlsFacts = "",
        *,
        padding: int = 0,
        by: str = "",
        of: int = 0,
    ) -> None:
        self._number += 1
        if len(text) > LONGEST and isinstance(text, bytes):
            text = redact_message(text, padding)  # keeps only its beginning
        peer = self._peers.get(connection)
        where = _NOWHERE if peer is None else peer.where
        self._notes.append((self._number, self._clock.epoch(), connection, where, named_by, event, type_, text, by, of))
        if self._file is not None or self._followers:
            self._publish(_entry(self._notes[-1]))

    def _publish(self, entry: TranscriptEntry) -> None:
        if self._file is not None:
            try:
                self._file.write(json.dumps(entry.to_json(), ensure_ascii=True) + "\n")
            except OSError as error:
                log.error("the transcript ends here: %s", error.strerror or error)  # noqa: TRY400 - no bug, no traceback
                self.close()
        for follower in tuple(self._followers):
            follower(entry)


def _agreed(facts: TlsFacts) -> str:
    """Return the facts of a handshake, as words."""
    certificate = f"client certificate {facts.client_certificate}" if facts.client_certificate else ""
    return _listed(facts.cipher, *_offers(facts), certificate, "resumed" if facts.resumed else "")


def _offers(of: TlsFacts | NotSecured) -> tuple[str, ...]:
    """Return what a client offers, as words."""
    named = ("SNI", of.server_name), ("ALPN", of.alpn), ("offers", ", ".join(of.offered))
    return tuple(f"{name} {value}" for name, value in named if value)


def _listed(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def lines(entries: Iterable[TranscriptEntry]) -> Iterator[str]:
    """Yield each entry as a line of text: seconds since the first one, connection, tenant and subject, event.

    Line feeds inside a text are escaped.
    """
    began: float | None = None
    times: dict[int, float] = {}
    for entry in entries:
        began = entry.time if began is None else began
        if entry.event == "answer":
            times[entry.number] = entry.time - began
        who = entry.tenant + (f"/{entry.subject}" if entry.subject else "")
        arrow, text = _line(entry, times)
        number = f"#{entry.connection:<4}" if entry.connection else "     "
        text = text.replace("\r", "\\r").replace("\n", "\\n")
        yield f"{entry.time - began:9.3f} {number} {who or '-':<20} {arrow} {text}"
        for remark in entry.remarks:
            yield f"{'':9} {number} {'':20} ?? {remark}"


def _line(entry: TranscriptEntry, times: Mapping[int, float]) -> tuple[str, str]:
    """Return the arrow and the text of an entry; `times` has the seconds at which answers were decided."""
    text, named = entry.text, f"{entry.type} {entry.text}".strip()
    decided = f"decided at {times[entry.of]:.3f}" if entry.of in times else "decided before"
    match entry.event:
        case "request":
            return "->", text
        case "answer":
            return "<-", text
        case "fault":
            return "!!", named
        case "accepted":
            return "--", f"accepted from {entry.address}"
        case "connected":
            return "--", f"connected from {entry.address} ({entry.transport})"
        case "not_secured":
            return "!!", f"no TLS: {text}"
        case "sent":
            return "<~", f"sent ({decided}): {text or 'nothing'}"
        case "unsent":
            return "!!", f"not sent: {text}"
        case "unread":
            return "~>", f"not read: {text}"
        case "ended":
            by = f" by the {entry.by}" if entry.by else ""
            return "--", f"ended{by}: {entry.type}" + (f"; unfinished: {text}" if text else "")
        case "control":
            return "**", named
    return "--", named
