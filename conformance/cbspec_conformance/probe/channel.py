"""One open connection as a channel of messages: each message sent or received is recorded in the transcript."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.probe.wire import Wire
from cbspec_conformance.record.decoding import Decoded, decode
from cbspec_conformance.record.exchange import UNASKED
from cbspec_conformance.record.frames import TOO_LARGE, StrictWebSocket, given_up, is_broken_off
from cbspec_conformance.record.transcript import Direction, End, Ended, Message, Transcript

FLOOD = 200  # unasked messages after which the connection is closed

# A relay may write its answers byte by byte: to read each byte by itself would cost more time than the relay needs.
_PIECE = 16  # bytes, at most, of what is no whole message
_GATHERING = 0.01  # seconds in which more may come


class Channel:
    """A wire and its framer."""

    def __init__(self, wire: Wire, framer: StreamFramer | WebSocketFramer, transcript: Transcript) -> None:
        self.wire = wire
        self.framer = framer
        self.transcript = transcript
        self.clock = transcript.clock
        self.inbox: list[Message] = []
        self._most = FLOOD
        self._compressed = self._inside_frame = self._flooded = False

    @property
    def ended(self) -> Ended | None:
        """How the connection ended, or None."""
        return self.wire.ended

    def record_sent(self, text: bytes, decoded: Decoded, meant: str) -> Message:
        """Record a text as sent and return it."""
        message = Message(self.transcript.now(), self.wire.number, Direction.SENT, text, decoded, meant=meant)
        self.transcript.add(message)
        self._most += 1  # the answers to many requests may come at once
        return message

    def encode(self, text: bytes) -> bytes:
        """Return a text's bytes on the wire; none on a WebSocket that was closed."""
        if isinstance(self.framer, WebSocketFramer) and self.framer.ended:
            return b""
        return self.framer.encode(text)

    def send(self, data: bytes) -> None:
        """Send plain bytes."""
        self.wire.send(data)

    def send_on(self, data: bytes, *, inside_frame: bool) -> None:
        """Send bytes that may end inside a frame: no pong is sent before the next bytes then."""
        self.wire.send(data)
        self._inside_frame = inside_frame
        if not inside_frame:
            self.wire.send_quietly(self.framer.data_to_send())

    def take(self) -> tuple[Message, ...]:
        """Empty the inbox and return its messages."""
        taken = tuple(self.inbox)
        self.inbox.clear()
        return taken

    def remove_last(self, kind: str, start: int = 0) -> Message | None:
        """Remove and return the last message of a type in the inbox, from index `start` on, or return None.

        An error that may come unasked is removed only if there is no other.
        """
        found = [number for number in range(start, len(self.inbox)) if self.inbox[number].type == kind]
        asked = [number for number in found if self.inbox[number].member("code") not in UNASKED]
        return self.inbox.pop((asked or found)[-1]) if found else None

    def wait_for(self, count: int, wait: float, what: str = "") -> bool:
        """Wait until the inbox holds `count` messages; see `wait_until`."""
        return self.wait_until(partial(self.has, count), wait, what)

    def has(self, count: int) -> bool:
        """Whether the inbox holds `count` messages."""
        return len(self.inbox) >= count

    def wait_until(self, enough: Callable[[], bool], wait: float, what: str = "") -> bool:
        """Read for at most `wait` seconds until `enough`; return whether it is. A time-out for `what` is recorded."""
        deadline = self.clock.monotonic() + wait
        while not (found := enough()) and not self.ended:
            remaining = deadline - self.clock.monotonic()
            if remaining <= 0:
                break
            held = len(self.inbox)
            if 0 < self.read(remaining) <= _PIECE and len(self.inbox) == held:
                self.clock.sleep(min(_GATHERING, remaining))
        if found:
            return True
        if what and wait > 0 and not self.ended:
            self.transcript.add_wait(self.wire.number, wait, what)
        self._check_rest()
        return enough()

    def read(self, wait: float) -> int:
        """Read once, for at most `wait` seconds; return the number of bytes."""
        data = self.wire.receive(wait)
        if data:
            self.framer.feed(data)
            if not self._inside_frame:
                self.wire.send_quietly(self.framer.data_to_send())
        try:
            while not self._flooded and (frame := self.framer.next_message()):
                self._received(frame)
        except MessageTooLarge as error:
            self.framer.discard()
            self._add(error.begun, TOO_LARGE)
            self.wire.close()
        if isinstance(self.framer, WebSocketFramer) and self.framer.ended:
            if self.framer.failure is not None and not self.ended:
                self.framer.discard()
                self._add(b"", given_up(self.framer.failure))
            self.wire.finish(End.WEBSOCKET_CLOSE)
        return len(data)

    def close(self, wait: float | None) -> bool:
        """Close, and wait some seconds for the relay to close its side; return whether it did (see `Wire.close`)."""
        noticed = True
        if not self.ended:
            if isinstance(self.framer, WebSocketFramer):
                self.framer.close()
                self.wire.send(self.framer.data_to_send())
            noticed = self.wire.close(wait)
        self.wire.close()
        self.framer.discard()
        return noticed

    def _received(self, frame: RawMessage) -> None:
        decoded = decode(frame.text)
        if self._compressed and (decoded.requirement or frame.broken):
            return  # the rest of a compressed message
        self._compressed = decoded.requirement == "CB-CMP-001"
        if frame.broken and not decoded.requirement:
            decoded = Decoded(decoded.value, "CB-MSG-002", frame.broken)
        padded = isinstance(self.framer, StrictWebSocket) and self.framer.take_fault()
        if padded and decoded.requirement:
            decoded = Decoded(None, "CB-WSK-002", "a frame whose length differs from its payload's")
        self._add(frame.text, decoded, binary=frame.binary, padded=padded)

    def _check_rest(self) -> None:
        """Record bytes that never become a message as a broken one."""
        rest = self.framer.pending if isinstance(self.framer, StreamFramer) else b""
        if rest and is_broken_off(rest, self.ended):
            self.framer.discard()
            self._received(RawMessage(rest, "it was cut off"))

    def _add(self, text: bytes, decoded: Decoded, *, binary: bool = False, padded: bool = False) -> None:
        now = self.transcript.now()
        message = Message(now, self.wire.number, Direction.RECEIVED, text, decoded, binary, padded=padded)
        self.transcript.add(message)
        self.inbox.append(message)
        if len(self.inbox) > self._most:
            self._flooded = True
            self.framer.discard()
            self.wire.finish(End.OURS, "it sends too many unasked messages")
