"""What happened, as records: the only thing that verdicts are computed from.

Records are plain data: time (seconds since the transcript began), connection, direction, raw bytes, decoded form, TLS
facts. `cbspec_conformance.judging.judge` and `cbspec_conformance.judging.invariants` are pure functions of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from cbspec_conformance.record.decoding import Decoded


class Direction(StrEnum):
    """Who said it, seen from the suite."""

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
class Opened:
    """A connection was made. `source` and `target` are addresses; `tls` and `cipher` what was agreed (or "")."""

    at: float
    connection: int
    target: str
    source: str
    transport: str
    tls: str = ""
    cipher: str = ""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Plain bytes as they left or arrived, however they were cut."""

    at: float
    connection: int
    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message, cut out of the bytes.

    `meant` is what the suite meant by one that it sent; `padded` that a WebSocket frame's length took more bytes than
    it needs. `type` is the message's type, or "" where it has none.
    """

    at: float
    connection: int
    direction: Direction
    text: bytes
    decoded: Decoded
    binary: bool = False
    meant: str = ""
    padded: bool = False
    type: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once, and not where it is asked for: whoever judges an exchange asks some twenty times.
        value = self.decoded.value
        name = value.get("type") if isinstance(value, dict) else None
        object.__setattr__(self, "type", name if isinstance(name, str) else "")

    @property
    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """The decoded JSON value, or None where the text is not JSON."""
        return self.decoded.value

    def member(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return a member's value, or None where there is none."""
        value = self.decoded.value
        return value.get(name) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection ended. `detail` is the TLS alert, the close code or the system's error."""

    at: float
    connection: int
    how: End
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A TLS handshake didn't work. `hello_left` says that our ClientHello went out, `alert` names the relay's alert."""

    at: float
    connection: int
    target: str
    reason: str
    alert: str = ""
    hello_left: bool = True


@dataclass(frozen=True, slots=True)
class Waited:
    """Nothing came for so many seconds: the wait for `what` ran out. Waiting for nothing is the last resort."""

    at: float
    connection: int
    seconds: float
    what: str


_WITH_TEXT: Final = (Bytes, Message)

Record = Opened | Failed | Bytes | Message | Ended | Waited


MOST: Final = 32 * 1024 * 1024
"""Bytes of what a relay said that a transcript keeps; of what is older, long texts are cut."""

_OUTLINE: Final = 1024


@dataclass(slots=True)
class Transcript:
    """The records of one case, in the order in which they happened.

    `clock` gives seconds and is read only here: the judges never see another time than the records'.
    """

    clock: Callable[[], float] = time.monotonic
    records: list[Record] = field(default_factory=list)
    _began: float = 0.0
    _held: int = 0
    _cut: int = 0

    def __post_init__(self) -> None:
        self._began = self.clock()

    def now(self) -> float:
        """Return the seconds since the transcript began."""
        return self.clock() - self._began

    def add(self, record: Record) -> None:
        """Take a record. Where a relay says so much that nobody could hold it all, long texts of long ago are cut."""
        self.records.append(record)
        if not isinstance(record, _WITH_TEXT) or record.direction is Direction.SENT:
            return
        self._held += _received(record)
        while self._held > MOST and self._cut < len(self.records) - 1:
            old = self.records[self._cut]
            self._held -= _received(old)
            if _received(old) > _OUTLINE:
                self.records[self._cut] = outline(old)
            self._cut += 1


def _received(record: Record) -> int:
    """Return how many bytes of the relay's a record holds."""
    if not isinstance(record, _WITH_TEXT) or record.direction is Direction.SENT:
        return 0
    return len(record.data if isinstance(record, Bytes) else record.text)


def outline(record: Record) -> Record:
    """Return a record of what a relay sent with the beginning of its text only."""
    if isinstance(record, Bytes):
        return replace(record, data=record.data[:_OUTLINE])
    if isinstance(record, Message):
        decoded = replace(record.decoded, value={"type": record.type})
        return replace(record, text=record.text[:_OUTLINE], decoded=decoded)
    return record
