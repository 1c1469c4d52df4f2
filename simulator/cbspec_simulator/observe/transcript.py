"""What clients and relay said to each other, entry by entry: the last of them in memory, all of them in a file."""

from __future__ import annotations

import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
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
"""How many entries stay in memory."""


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One thing that happened. `time` is in seconds since the epoch, by the simulator's clock.

    An answer is there when the relay gives it, whatever holds it up on its way: so its place never depends on time.
    `event` is connected, request, answer, fault or ended; `type` the message's type, the fault's name or how it ended;
    `text` the message as it was written, without the token, or what the fault decided.
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
        """What was said, as an object without the token; empty where nothing was, or nothing that is one."""
        try:
            said = json.loads(self.text) if self.event in ("request", "answer") else None
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the entry that a JSON object says; raises TypeError where it isn't one."""
        return cls(**data)


# An entry as it is taken down: number, time, connection, transport and address, tenant and subject (or the token that
# names them), event, type, text. A message's text is as it came: the token in it is masked, and the one that names
# somebody taken apart, when somebody reads the entry, which hardly anybody does.
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
    """Listens to a relay and takes down what happens.

    Arguments: `clock` says when; `file` is where every entry is written to as well, a JSON object to a line.
    Raises OSError where the file can't be written to.
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
        """Take down what is told from now on."""
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
            said = f"{decision.kind} at {about.message or 'the connection'}, match {decision.number}{drawn}"
            self._add(about.connection, (about.tenant, about.subject), "fault", decision.fault, said)

    def _ended(self, event: Disconnected) -> None:
        connection = event.connection
        self._add(connection.number, connection.named_by, "ended", "reset" if event.reset else "closed")
        self._addresses.pop(connection.number, None)

    @property
    def number(self) -> int:
        """How many entries there were so far: the number of the last one."""
        return self._number

    def entries(self, since: int = 0) -> tuple[TranscriptEntry, ...]:
        """Return the entries in memory behind the so-manieth."""
        return tuple(_entry(note) for note in self._notes if note[0] > since)

    def clear(self) -> None:
        """Forget what is in memory; numbers go on."""
        self._notes.clear()

    def follow(self, follower: Callable[[TranscriptEntry], None]) -> Callable[[], None]:
        """Have somebody told of each new entry; return what ends it."""
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what can't be written was told when it was tried
                self._file.close()
            self._file = None

    def _add(
        self, connection: int, named_by: tuple[str, str] | str, event: str, type_: str, text: bytes | str = ""
    ) -> None:
        self._number += 1
        if len(text) > LONGEST and isinstance(text, bytes):
            text = redact_message(text)  # only its beginning is kept
        where = self._addresses.get(connection, _NOWHERE)
        self._notes.append((self._number, self._clock.epoch(), connection, where, named_by, event, type_, text))
        if self._file is not None or self._followers:
            self._pass_on(_entry(self._notes[-1]))

    def _pass_on(self, entry: TranscriptEntry) -> None:
        if self._file is not None:
            self._write(entry)
        for follower in tuple(self._followers):
            follower(entry)

    def _write(self, entry: TranscriptEntry) -> None:
        assert self._file is not None  # noqa: S101 - asked for by the caller
        try:
            self._file.write(json.dumps(entry.to_json(), ensure_ascii=True) + "\n")
        except OSError as error:
            log.error("the transcript ends here: %s", error.strerror or error)  # noqa: TRY400 - the reason says it all
            self.close()


def lines(entries: Iterable[TranscriptEntry]) -> Iterable[str]:
    """Give entries for people, a line each: seconds since the first, connection, who, what."""
    began: float | None = None
    for entry in entries:
        began = entry.time if began is None else began
        who = entry.tenant + (f"/{entry.subject}" if entry.subject else "")
        arrow = {"request": "->", "answer": "<-", "fault": "!!"}.get(entry.event, "--")
        said = entry.text if entry.event in ("request", "answer") else f"{entry.type} {entry.text}".strip()
        if entry.event == "connected":
            said = f"connected from {entry.address} ({entry.transport})"
        yield f"{entry.time - began:9.3f} #{entry.connection:<4} {who or '-':<20} {arrow} {said}"
