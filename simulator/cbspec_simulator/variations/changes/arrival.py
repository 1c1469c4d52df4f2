"""Input that arrives in pieces, or pipelined."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from websockets.server import ServerProtocol

from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.state import Attempt
from cbspec_simulator.base.steps import Check, IoRequest
from cbspec_simulator.variations.parts import Change, framed, part, websocket_by
from cbspec_simulator.variations.steps import checking


class ClearableFramer(StreamFramer):
    """A framer that can drop an incomplete message."""

    def clear(self) -> None:
        """Drop the incomplete message at the end of the input."""
        self._buffer.clear()
        self._scanner = None


def _read_as(function: Callable[[bytes], bytes]) -> Change:
    """Apply a function to each read."""

    class ReadFramer(StreamFramer):
        def feed(self, data: bytes) -> None:
            super().feed(function(data))

    return framed(ReadFramer)


def websocket_read_as(function: Callable[[bytes, bool], bytes]) -> Change:
    """Apply a function of the data, and whether the opening handshake is over, to each read."""

    class ReadWebSocket(WebSocketFramer):
        def feed(self, data: bytes) -> None:
            super().feed(function(data, self.opened))

    return websocket_by(ServerProtocol, ReadWebSocket)


def _taken(choose: Callable[[list[RawMessage]], Sequence[RawMessage]]) -> Change:
    """Take from the messages that arrive together those that a function chooses."""

    class ChoosingFramer(StreamFramer):
        _chosen: Sequence[RawMessage] = ()

        def next_message(self) -> RawMessage | None:
            if not self._chosen:
                self._chosen = choose([*iter(super().next_message, None)])
            first, self._chosen = next(iter(self._chosen), None), self._chosen[1:]
            return first

    return framed(ChoosingFramer)


def _up_to(mark: bytes) -> Change:
    """Drop the messages after a message that contains a pattern."""

    def choose(found: list[RawMessage]) -> list[RawMessage]:
        marked = (place for place, message in enumerate(found) if re.search(mark, message.text))
        return found[: next(marked, len(found)) + 1]

    return _taken(choose)


class _ImpatientFramer(ClearableFramer):
    """Takes an incomplete message as invalid at the end of each read."""

    def next_message(self) -> RawMessage | None:
        frame, lost = super().next_message(), self.pending
        if frame is not None or not lost:
            return frame
        self.clear()
        return RawMessage(lost, "it is cut off")


class _HalfLosingFramer(ClearableFramer):
    """Drops an incomplete message after a complete one."""

    _whole = False

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._whole = False

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        if frame is None and self._whole and self.pending:
            self.clear()
        self._whole = frame is not None
        return frame


class _SingleMessageFramer(WebSocketFramer):
    """Takes one message from each read."""

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        self._messages.clear()
        return frame


def _nothing_after_a_dial(dial: Check, attempt: Attempt) -> IoRequest | None:
    wanted = dial(attempt)
    while wanted is not None and attempt.connection.framer.next_message() is not None:
        pass
    return wanted


CHANGES: dict[str, Change] = {
    "whole-objects": part(
        stream=lambda limits: StreamFramer(max_message=limits.max_message, max_depth=limits.max_message)
    ),
    "input-split-not-understood": framed(_ImpatientFramer),
    "input-split-character-mangled": _read_as(lambda data: data.decode("utf-8", "replace").encode()),
    "input-single-bytes-lost": _read_as(lambda data: data if len(data) > 1 else b""),
    "input-half-behind-whole-lost": framed(_HalfLosingFramer),
    "input-split-websocket-frame-lost": websocket_read_as(
        lambda data, opened: data if not opened or len(data) > 1 else b""
    ),
    "input-split-handshake-refused": websocket_read_as(
        lambda data, opened: data if opened or data.endswith(b"\r\n\r\n") else data + b"\r\n\r\n"
    ),
    "input-pipelined-lost": _taken(lambda found: found[:1]),
    "input-pipelined-beyond-eight-lost": _taken(lambda found: found[:8]),
    "input-pipelined-behind-auth-lost": _up_to(rb'"token"'),
    "input-pipelined-behind-refused-lost": _up_to(rb'"remote_port":0[,}]'),
    "input-pipelined-behind-dialled-lost": checking("dial", _nothing_after_a_dial),
    "input-pipelined-websocket-lost": websocket_by(ServerProtocol, _SingleMessageFramer),
    "input-pipelined-heartbeats-first": _taken(
        lambda found: sorted(found, key=lambda message: b'"heartbeat"' not in message.text)
    ),
}
