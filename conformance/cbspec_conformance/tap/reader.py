"""The bytes of one connection, in both directions, as rows. No I/O, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.redact import redact_message
from cbspec_conformance.client.frames import ClientFrames, Frame
from cbspec_conformance.client.incoming import ClientMessage, Incoming
from cbspec_conformance.record.decoding import Decoded, decode
from cbspec_conformance.record.frames import LARGEST, TOO_LARGE
from cbspec_conformance.tap.facts import Secrets, head_row, message_row
from cbspec_conformance.tap.rows import HowEnded, Row, Side, TapEnded, TapFrame, TapHalf

_MOST_UNREAD: Final = 4 * 1024 * 1024  # bytes of a client's message: a longer one isn't read
_CONTROL: Final = 8  # the lowest opcode of a control frame


@dataclass(slots=True)
class _HalfReader:
    """The reader of one direction. `unread` says that it has given up: the bytes can't be read any more."""

    incoming: Incoming = field(default_factory=Incoming)
    framer: StreamFramer | None = None
    told_head: bool = False
    unread: bool = False
    compressed: bool = False


class TapReader:
    """Reads one connection.

    Arguments: `add` is called with each row, `secrets` are the tokens seen so far, by all connections.
    """

    def __init__(self, connection: int, add: Callable[[Row], None], secrets: Secrets) -> None:
        self._connection = connection
        self._add = add
        self._secrets = secrets
        self._halves = {Side.CLIENT: _HalfReader(), Side.RELAY: _HalfReader()}
        self._upgrades = False  # the client has asked for a WebSocket

    def received(self, side: Side, data: bytes, at: float) -> None:
        """Record plain text that a side sent."""
        half = self._halves[side]
        if half.unread:
            return
        if side is Side.RELAY and not self._upgrades:
            self._stream(half, data, at)
            return
        half.incoming.receive(data, at)
        if half.incoming.frames is not None:
            self._upgrades = True
            if self._is_refusal(side, half.incoming.frames.request):
                half.unread = True  # a body of HTTP
                half.incoming.frames.frames.clear()
                half.incoming.messages.clear()
            self._frames(half, side, half.incoming.frames, at)
        for message in half.incoming.messages:
            self._say(side, message.text, at, self._decoded(side, message), binary=message.binary)
        half.incoming.messages.clear()
        half.unread = half.unread or len(half.incoming.rest) > _MOST_UNREAD

    def ended(self, side: Side, how: HowEnded, at: float) -> None:
        """Record that a side ended its half."""
        half = self._halves[side]
        rest = half.framer.pending if half.framer is not None else half.incoming.rest
        if rest.strip() and not half.unread:
            if side is Side.RELAY and how is not HowEnded.RESET and not self._upgrades:
                self._say(side, rest, at, _broken(decode(rest), "it was cut off"))
            else:
                shown = self._secrets.hidden(rest.decode(errors="backslashreplace"))
                text = redact_message(shown.encode(errors="backslashreplace"))
                self._add(TapHalf(at, self._connection, side, text[:1024]))
        half.unread = True
        self._add(TapEnded(at, self._connection, side, how))

    @staticmethod
    def _is_refusal(side: Side, line: str) -> bool:
        return side is Side.RELAY and bool(line) and " 101" not in line

    def _stream(self, half: _HalfReader, data: bytes, at: float) -> None:
        if half.framer is None:
            half.framer = StreamFramer(max_message=LARGEST)
        half.framer.feed(data)
        try:
            while (message := half.framer.next_message()) is not None:
                self._of_stream(half, message, at)
        except MessageTooLarge as error:
            half.unread = True
            half.framer.discard()
            self._say(Side.RELAY, error.begun, at, TOO_LARGE)

    def _of_stream(self, half: _HalfReader, message: RawMessage, at: float) -> None:
        decoded = decode(message.text)
        if half.compressed and (decoded.requirement or message.broken):
            return  # the rest of a compressed message
        half.compressed = decoded.requirement == "CB-CMP-001"
        self._say(Side.RELAY, message.text, at, _broken(decoded, message.broken))

    def _frames(self, half: _HalfReader, side: Side, frames: ClientFrames, at: float) -> None:
        if frames.request and not half.told_head:
            half.told_head = True
            self._add(head_row(at, self._connection, side, frames.request, frames.headers, self._secrets))
        for frame in frames.frames:
            self._add(self._frame(side, frame))
        frames.frames.clear()

    def _frame(self, side: Side, frame: Frame) -> TapFrame:
        digest = hashlib.sha256(frame.payload).hexdigest()[:16] if frame.opcode >= _CONTROL else ""
        mask = frame.mask.hex() if frame.mask is not None else ""
        where = frame.at, self._connection, side, frame.opcode, frame.final
        return TapFrame(*where, frame.reserved, mask, frame.padded, digest)

    def _decoded(self, side: Side, message: ClientMessage) -> Decoded:
        decoded = decode(message.text)
        return _broken(decoded, message.fault) if side is Side.RELAY else decoded

    def _say(self, side: Side, text: bytes, at: float, decoded: Decoded, *, binary: bool = False) -> None:
        client = self._halves[Side.CLIENT]
        begun = side is Side.RELAY and (client.unread or bool(client.incoming.rest.strip()))
        self._add(message_row(at, self._connection, side, text, decoded, self._secrets, binary=binary, begun=begun))


def _broken(decoded: Decoded, reason: str) -> Decoded:
    """Return what was decoded, or the reason of the framer if the text is no message."""
    return Decoded(decoded.value, "CB-MSG-002", reason) if reason and not decoded.requirement else decoded
