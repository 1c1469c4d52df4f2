"""The records of one case: verdicts are computed from them and from nothing else.

A record is plain data: seconds since the transcript began, connection, direction, bytes, decoded form, TLS facts, and
the conclusions that probe and case drew. The functions of `cbspec_conformance.judging` are pure functions of records.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeGuard

from cbspec_conformance.record.capture import Captures
from cbspec_conformance.record.conclusions import Conclusion, Entry
from cbspec_conformance.record.cost import Cost, Timekeeper
from cbspec_conformance.record.decoding import Decoded


class Direction(StrEnum):
    """The direction of a message, seen from the suite."""

    SENT = "sent"
    RECEIVED = "received"


class End(StrEnum):
    """How a connection ended."""

    CLOSE_NOTIFY = "closed with close_notify"
    EOF = "closed without close_notify"
    RESET = "reset"
    TLS_ALERT = "broken off by a TLS alert"
    WEBSOCKET_CLOSE = "closed by a WebSocket close frame"
    OURS = "closed by the suite"


@dataclass(frozen=True, slots=True)
class Opened(Entry):
    """A connection was made. `source` and `target` are addresses; `tls` and `cipher` were negotiated (or "")."""

    target: str
    source: str
    transport: str
    tls: str = ""
    cipher: str = ""


@dataclass(frozen=True, slots=True)
class Bytes(Entry):
    """Plain bytes of one read or write."""

    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True)
class Message(Entry):
    """One message of the stream.

    `meant` describes a message that the suite made invalid on purpose, or is "fence"; `padded` says that the length in
    its WebSocket frame was longer than necessary; `cut` that only the beginning of its text was kept. `type` is the
    message's type, or "" if it has none.
    """

    direction: Direction
    text: bytes
    decoded: Decoded
    binary: bool = False
    meant: str = ""
    padded: bool = False
    cut: bool = False
    type: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Computed once: the judgements of one exchange read it about twenty times.
        value = self.decoded.value
        name = value.get("type") if isinstance(value, dict) else None
        object.__setattr__(self, "type", name if isinstance(name, str) else "")

    @property
    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """The decoded JSON value, or None if the text is not JSON."""
        return self.decoded.value

    def member(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return a member's value, or None if absent."""
        value = self.decoded.value
        return value.get(name) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Ended(Entry):
    """A connection ended. `detail` is the TLS alert, the close code or the system's error."""

    how: End
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed(Entry):
    """A TLS handshake failed. `hello_left` says that our ClientHello was sent, `alert` names the relay's alert."""

    target: str
    reason: str
    alert: str = ""
    hello_left: bool = True
    source: str = ""


@dataclass(frozen=True, slots=True)
class Waited(Entry):
    """A wait for `what` timed out after some seconds."""

    seconds: float
    what: str


_LONG: Final = 1.0  # seconds of a wait during which a relay may have paused


def is_long(record: object) -> TypeGuard[Waited]:
    """Whether a record is that of a long wait for nothing."""
    return isinstance(record, Waited) and record.seconds >= _LONG


_WITH_TEXT: Final = (Bytes, Message)

WireRecord = Opened | Failed | Bytes | Message | Ended | Waited
Record = WireRecord | Conclusion


MOST: Final = 32 * 1024 * 1024
"""Bytes from the relay that a transcript keeps: beyond it, the long texts of older records are cut."""

_LARGE: Final = 1024 * 1024
OUTLINE: Final = 1024
_TELLING: Final = ("type", "status", "code")


@dataclass(slots=True)
class Transcript:
    """The records of one case, in order.

    `clock` is read only here and by the probe: judgements see no other time than that of the records. `cost` is that of
    the case. `epoch` is the time of the beginning in seconds since the epoch (0.0: unknown), and `contacts` are
    connections without records, as times and source addresses: both are only for the search in a relay's log.
    `captures` takes the encrypted bytes (None: they are not wanted).
    """

    clock: Timekeeper = time
    records: list[Record] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    epoch: float = field(default_factory=time.time)
    contacts: list[tuple[float, str]] = field(default_factory=list)
    captures: Captures | None = None
    _began: float = 0.0
    _held: int = 0
    _cut: int = 0

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    def now(self) -> float:
        """Return the seconds since the transcript began."""
        return self.clock.monotonic() - self._began

    def add_wait(self, connection: int, seconds: float, what: str) -> None:
        """Record that a wait for `what` on a connection timed out now."""
        self.add(Waited(self.now(), connection, seconds, what))

    def add(self, record: Record) -> int:
        """Add a record and return its place. Long texts of older records are cut if the relay sends too much."""
        self.records.append(record)
        if isinstance(record, _WITH_TEXT) and record.direction is Direction.RECEIVED:
            self._held += _received(record)
            while self._held > MOST and self._cut < len(self.records) - 1:
                old = self.records[self._cut]
                self._held -= _received(old)
                if _received(old) > OUTLINE:
                    self.records[self._cut] = outline(old)
                self._cut += 1
        return len(self.records) - 1

    def contact(self, source: str) -> None:
        """Note a connection from an address that has no records, such as one of the suite's own TLS client."""
        self.contacts.append((self.now(), source))

    @property
    def is_large(self) -> bool:
        """Whether the transcript takes much memory."""
        return self._held > _LARGE

    def message(self, place: int) -> Message:
        """Return the message at a place."""
        record = self.records[place]
        if not isinstance(record, Message):
            raise TypeError(f"record {place} is not a message")
        return record

    def place(self, message: Message) -> int:
        """Return the place of a message, which is added if the transcript doesn't hold it."""
        for place in range(len(self.records) - 1, -1, -1):
            if self.records[place] is message:
                return place
        return self.add(message)


def _received(record: Record) -> int:
    """Return the number of bytes from the relay that a record holds."""
    if not isinstance(record, _WITH_TEXT) or record.direction is Direction.SENT:
        return 0
    return len(record.data if isinstance(record, Bytes) else record.text)


def outline(record: Record) -> Record:
    """Return a record of received text with only the beginning of that text."""
    if isinstance(record, Bytes):
        return replace(record, data=record.data[:OUTLINE])
    return cut(record) if isinstance(record, Message) else record


def cut(message: Message) -> Message:
    """Return a message with only the beginning of its text, and the members that name its kind."""
    kept = {name: message.member(name) for name in _TELLING if isinstance(message.member(name), str)}
    return replace(message, text=message.text[:OUTLINE], decoded=replace(message.decoded, value=kept), cut=True)
