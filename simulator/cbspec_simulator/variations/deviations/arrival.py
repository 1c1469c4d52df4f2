"""Deviations of input that arrives in pieces, or pipelined."""

from __future__ import annotations

import re

from websockets.server import ServerProtocol

from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.state import Attempt
from cbspec_simulator.base.steps import Check, Errand
from cbspec_simulator.variations.parts import Change, framed, spoken
from cbspec_simulator.variations.steps import watching


class _ReadFramer(StreamFramer):
    """Decodes each read on its own."""

    def feed(self, data: bytes) -> None:
        super().feed(data.decode("utf-8", "replace").encode())


class _ByteDroppingFramer(StreamFramer):
    """Drops reads of one byte."""

    def feed(self, data: bytes) -> None:
        super().feed(data if len(data) > 1 else b"")


class _ImpatientFramer(StreamFramer):
    """Takes each read as complete messages, and an incomplete one as invalid."""

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        lost = self.pending
        if frame is not None or not lost:
            return frame
        self.discard()
        return RawMessage(lost, "it is cut off")


class _HalfLosingFramer(StreamFramer):
    """Drops an incomplete message after a complete one."""

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._whole = False

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        if frame is not None:
            self._whole = True
        elif getattr(self, "_whole", False) and self.pending:
            self._whole = False
            self.discard()
        return frame


class _LimitedFramer(StreamFramer):
    """Takes at most `most` messages from each read, and drops the rest."""

    most = 8

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._left = self.most

    def next_message(self) -> RawMessage | None:
        while (frame := super().next_message()) is not None:
            self._left = getattr(self, "_left", self.most) - 1
            if self._left >= 0:
                return frame
        return None


class _SingleFramer(_LimitedFramer):
    """Takes one message from each read."""

    most = 1


class _DroppingFramer(StreamFramer):
    """Drops the messages that arrive together with, and after, a message that contains `mark`."""

    mark: re.Pattern[bytes]

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._after = False

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        if frame is None or getattr(self, "_after", False):
            return None if frame is None else self.next_message()
        self._after = self.mark.search(frame.text) is not None
        return frame


class _AuthDroppingFramer(_DroppingFramer):
    """Drops the messages after an auth."""

    mark = re.compile(rb'"token"')


class _RefusalDroppingFramer(_DroppingFramer):
    """Drops the messages after a tunnel_info for port 0."""

    mark = re.compile(rb'"remote_port":0[,}]')


class _ReorderingFramer(StreamFramer):
    """Takes the heartbeats of a read first."""

    def next_message(self) -> RawMessage | None:
        waiting = [*getattr(self, "_sorted", ())]
        if not waiting:
            while (frame := super().next_message()) is not None:
                waiting.append(frame)
            waiting.sort(key=lambda frame: b'"heartbeat"' not in frame.text)
        self._sorted = waiting[1:]
        return waiting[0] if waiting else None


class _WholeFrameFramer(WebSocketFramer):
    """Drops reads of one byte after the opening handshake."""

    def feed(self, data: bytes) -> None:
        super().feed(data if not self.opened or len(data) > 1 else b"")


class _HastyFramer(WebSocketFramer):
    """Takes the first read as the complete opening handshake."""

    def feed(self, data: bytes) -> None:
        whole = self.opened or data.endswith(b"\r\n\r\n")
        super().feed(data if whole else data + b"\r\n\r\n")


class _SingleMessageFramer(WebSocketFramer):
    """Takes one message from each read."""

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        self._messages.clear()
        return frame


def _nothing_after_a_dial(step: Check) -> Check:
    def dial(attempt: Attempt) -> Errand | None:
        wanted = step(attempt)
        while wanted is not None and attempt.connection.framer.next_message() is not None:
            pass
        return wanted

    return dial


CHANGES: dict[str, Change] = {
    "input-split-not-understood": framed(_ImpatientFramer),
    "input-split-character-mangled": framed(_ReadFramer),
    "input-single-bytes-lost": framed(_ByteDroppingFramer),
    "input-half-behind-whole-lost": framed(_HalfLosingFramer),
    "input-split-websocket-frame-lost": spoken(ServerProtocol, _WholeFrameFramer),
    "input-split-handshake-refused": spoken(ServerProtocol, _HastyFramer),
    "input-pipelined-lost": framed(_SingleFramer),
    "input-pipelined-beyond-eight-lost": framed(_LimitedFramer),
    "input-pipelined-behind-auth-lost": framed(_AuthDroppingFramer),
    "input-pipelined-behind-refused-lost": framed(_RefusalDroppingFramer),
    "input-pipelined-behind-dialled-lost": watching("dial", _nothing_after_a_dial),
    "input-pipelined-websocket-lost": spoken(ServerProtocol, _SingleMessageFramer),
    "input-pipelined-heartbeats-first": framed(_ReorderingFramer),
}
