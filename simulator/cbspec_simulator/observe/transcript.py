"""The transcript of a relay: the last entries in memory, all entries in a file."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from cbspec.redact import LONGEST, redact, redact_message
from cbspec.tokens.jws import claimed
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.state import Address
from cbspec_simulator.relay.events import Answered, Connected, Decided, Disconnected, MessageReceived, Subscribers

log = logging.getLogger("simulator")

REMEMBERED: Final = 10_000
"""The number of entries in memory."""


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One event of a connection.

    `time` is in seconds since the epoch, by the simulator's clock. `event` is connected, request, answer, fault or
    ended; `type` is the message's type, the fault's name, or closed or reset; `text` is the message without its token,
    or the fault's decision. An answer is recorded when the relay decides on it, before any delay.
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

    @property
    def message(self) -> dict[str, Any]:
        """The message as an object without the token; empty if the entry has none, or no object."""
        try:
            message = json.loads(self.text) if self.event in ("request", "answer") else None
        except (ValueError, RecursionError):
            return {}
        return message if isinstance(message, dict) else {}

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the entry in a JSON object; raises TypeError if it is not one."""
        return cls(**data)


# An entry before it is read: number, time, connection, transport and address, tenant and subject (or the token that
# names them), event, type, text. Tokens are masked and decoded when the entry is read, since most entries never are.
_Note = tuple[int, float, int, tuple[str, Address | str], tuple[str, str] | str, str, str, bytes | str]
_NOWHERE: Final = ("", "")


def _entry(note: _Note) -> TranscriptEntry:
    number, when, connection, (transport, address), named_by, event, type_, text = note
    shown = redact_message(text) if isinstance(text, bytes) else text
    acts_for = claimed(named_by) if isinstance(named_by, str) else named_by
    tenant, subject = map(redact, acts_for)
    return TranscriptEntry(
        number, round(when, 6), connection, transport, str(address), tenant, subject, event, type_, shown
    )


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
        self._addresses: dict[int, tuple[str, Address | str]] = {}
        self._followers: list[Callable[[TranscriptEntry], None]] = []
        self._file: IO[str] | None = file.open("w", encoding="utf-8", buffering=1) if file else None

    def listen(self, tell: Subscribers) -> None:
        """Subscribe to a relay's events."""
        tell.add(self._connected, Connected)
        tell.add(self._received, MessageReceived)
        tell.add(self._answered, Answered)
        tell.add(self._decided, Decided)
        tell.add(self._ended, Disconnected)

    def _connected(self, event: Connected) -> None:
        connection = event.connection
        self._addresses[connection.number] = connection.transport, connection.address
        self._add(connection.number, connection.named_by, "connected", connection.transport)

    def _received(self, event: MessageReceived) -> None:
        connection, type_, text = event
        self._add(connection.number, connection.named_by, "request", type_, text)

    def _answered(self, event: Answered) -> None:
        connection, body, texts = event
        for text in texts:
            self._add(connection.number, connection.named_by, "answer", str(body.get("type", "")), text)

    def _decided(self, event: Decided) -> None:
        decision = event.decision
        if decision.struck:
            about = decision.occasion
            drawn = f", {decision.chance:.6f} by seed {decision.seed}" if decision.chance is not None else ""
            text = f"{decision.kind} at {about.message or 'the connection'}, match {decision.number}{drawn}"
            self._add(about.connection, (about.tenant, about.subject), "fault", decision.fault, text)

    def _ended(self, event: Disconnected) -> None:
        connection = event.connection
        self._add(connection.number, connection.named_by, "ended", "reset" if event.reset else "closed")
        self._addresses.pop(connection.number, None)

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
        self, connection: int, named_by: tuple[str, str] | str, event: str, type_: str, text: bytes | str = ""
    ) -> None:
        self._number += 1
        if len(text) > LONGEST and isinstance(text, bytes):
            text = redact_message(text)  # keeps only its beginning
        where = self._addresses.get(connection, _NOWHERE)
        self._notes.append((self._number, self._clock.epoch(), connection, where, named_by, event, type_, text))
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


def lines(entries: Iterable[TranscriptEntry]) -> Iterator[str]:
    """Yield each entry as a line of text: seconds since the first one, connection, tenant and subject, event."""
    began: float | None = None
    for entry in entries:
        began = entry.time if began is None else began
        who = entry.tenant + (f"/{entry.subject}" if entry.subject else "")
        arrow = {"request": "->", "answer": "<-", "fault": "!!"}.get(entry.event, "--")
        text = entry.text if entry.event in ("request", "answer") else f"{entry.type} {entry.text}".strip()
        if entry.event == "connected":
            text = f"connected from {entry.address} ({entry.transport})"
        yield f"{entry.time - began:9.3f} #{entry.connection:<4} {who or '-':<20} {arrow} {text}"
