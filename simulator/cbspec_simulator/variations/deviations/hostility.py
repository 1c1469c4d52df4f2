"""More ways to be brought down, one for each kind of hostile input."""

from __future__ import annotations

import itertools
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from weakref import WeakSet

from cbspec.protocol.connection import Framer
from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, answers, part
from cbspec_simulator.variations.deviations.kind import Deviation
from cbspec_simulator.variations.deviations.reading import framed
from cbspec_simulator.variations.deviations.robustness import close_all

_MANY = 1000
_numbers = itertools.count()
_LONG_NUMBER = re.compile(rb"\d{5000}")

Test = Callable[[RawMessage], bool]

HOSTILE: dict[str, tuple[str, Test]] = {
    "nul-bytes": ("NUL bytes", lambda frame: b"\0\0\0\0" in frame.text),
    "random-bytes": (
        "random bytes",
        lambda frame: len(frame.text) > 100 and bool(frame.broken) and b"\xff" in frame.text,
    ),
    "long-number": ("a long number", lambda frame: _LONG_NUMBER.search(frame.text) is not None),
    "many-members": ("very many members", lambda frame: frame.text.count(b",") > _MANY),
    "no-object": ("what is no object", lambda frame: frame.text.strip() in (b"[]", b"1", b"null", b'""')),
    "deep-nesting": ("deep nesting", lambda frame: "deeper" in frame.broken),
}
"""Each kind of hostile input: what it is in words, and how its frame is known."""


class Downfall(RuntimeError):
    """The relay's code fails on hostile input."""


def _seen(test: Test, then: Callable[[], None]) -> Change:
    """Do something when a frame of a kind is decoded."""

    def change(behaviour: Behaviour) -> Behaviour:
        def decode(frame: RawMessage, max_depth: int) -> object:
            if test(frame):
                then()
            return behaviour.decode(frame, max_depth)

        return replace(behaviour, decode=decode)

    return change


def _sulking(make: Callable[[Callable[[], None]], Change]) -> Change:
    """Answer no further hello once something happened."""

    def change(behaviour: Behaviour) -> Behaviour:
        hurt = False

        def happened() -> None:
            nonlocal hurt
            hurt = True

        def nothing_when_hurt(body: Body, _: AnswerContext) -> list[Body]:
            return [] if hurt else [body]

        return answers("hello_response", nothing_when_hurt)(make(happened)(behaviour))

    return change


def _falls() -> None:
    raise Downfall("nobody had thought of this")


def _exits() -> None:
    raise SystemExit(70)


def _hurt_by_frames(test: Test) -> Change:
    return _sulking(lambda happened: _seen(test, happened))


def _hurt_by_lines(happened: Callable[[], None]) -> Change:
    class Counting(StreamFramer):
        """Counts line feeds."""

        __slots__ = ("_lines",)

        def feed(self, data: bytes) -> None:
            self._lines = getattr(self, "_lines", 0) + data.count(b"\n")
            if self._lines > _MANY:
                happened()
            super().feed(data)

    return framed(Counting)


def _hurt_by_records(happened: Callable[[], None]) -> Change:
    class Fragile(TlsLayer):
        """Takes a broken record to heart."""

        def receive_data(self, data: bytes) -> bytes:
            try:
                return super().receive_data(data)
            except TlsFailed:
                if self.established:
                    happened()
                raise

    return part(layer=lambda context: Fragile(context, server_side=True))


class _Halves(StreamFramer):
    """Reads nothing on other connections for as long as one of them holds half a message."""

    __slots__ = ("__weakref__", "_all", "holding")

    def __init__(self, limits: LimitSettings, everybody: WeakSet[_Halves]) -> None:
        super().__init__(max_message=limits.max_message, max_depth=limits.max_depth)
        self.holding = False
        self._all = everybody
        everybody.add(self)

    def next_message(self) -> RawMessage | None:
        if any(other is not self and other.holding for other in self._all):
            return None
        frame = super().next_message()
        self.holding = frame is None and bool(self.pending)
        return frame


def _one_at_a_time(behaviour: Behaviour) -> Behaviour:
    everybody: WeakSet[_Halves] = WeakSet()

    def stream(limits: LimitSettings) -> Framer:
        return _Halves(limits, everybody)

    return replace(behaviour, stream=stream)


class _InTurn(TlsLayer):
    """Reads nothing on some other connections for as long as the handshake of one has begun and isn't done.

    `begins` says how many bytes begin a handshake; `held` that it is the connections which were open before that are
    not read, else those that are at their own handshake.
    """

    __slots__ = ("__weakref__", "_all", "_begins", "_heard", "_held", "_number", "_unread")

    def __init__(self, context: ssl.SSLContext, everybody: WeakSet[_InTurn], *, begins: int, held: bool) -> None:
        super().__init__(context, server_side=True)
        self._begins, self._held = begins, held
        self._heard = 0
        self._number = next(_numbers)
        self._unread = b""
        self._all = everybody
        everybody.add(self)

    @property
    def shaking_hands(self) -> bool:
        return not self.established and self._heard >= self._begins

    def receive_data(self, data: bytes) -> bytes:
        self._unread += data
        if self.established is self._held and any(self._waits_for(other) for other in self._all - {self}):
            return b""
        data, self._unread = self._unread, b""
        self._heard += len(data)
        try:
            return super().receive_data(data)
        except TlsFailed:
            self._all.discard(self)
            raise

    def _waits_for(self, other: _InTurn) -> bool:
        return other.shaking_hands and (not self._held or other._number > self._number)

    def receive_eof(self) -> None:
        self._all.discard(self)
        super().receive_eof()


def _shaking_hands_in_turn(*, begins: int, held: bool) -> Change:
    def change(behaviour: Behaviour) -> Behaviour:
        everybody: WeakSet[_InTurn] = WeakSet()

        def layer(context: ssl.SSLContext) -> TlsLayer:
            return _InTurn(context, everybody, begins=begins, held=held)

        return replace(behaviour, layer=layer)

    return change


def _dropping(test: Test) -> Change:
    class Dropping(StreamFramer):
        """Passes over what is hostile."""

        __slots__ = ()

        def next_message(self) -> RawMessage | None:
            while (frame := super().next_message()) is not None:
                if not test(frame):
                    return frame
            return None

    return framed(Dropping)


class _Swallowing(StreamFramer):
    """Passes over what is too large, however much of it comes."""

    __slots__ = ("_swallows",)

    def feed(self, data: bytes) -> None:
        if getattr(self, "_swallows", False):
            _, end, data = data.partition(b"\n")
            self._swallows = not end
        super().feed(data)

    def next_message(self) -> RawMessage | None:
        try:
            return super().next_message()
        except MessageTooLarge:
            self._swallows = True
            self._buffer.clear()
            self._scanner = None
            return None


def _each() -> Iterator[Deviation]:
    for kind, (what, test) in HOSTILE.items():
        if kind != "deep-nesting":
            sentence = f"After {what} on one connection no new one is served."
            yield Deviation(f"{kind}-ends-service", "CB-ROB-002", sentence, _hurt_by_frames(test))
        if kind in ("nul-bytes", "long-number", "many-members"):
            sentence = f"{what[:1].upper()}{what[1:]} on one connection bring all of them down."
            change = _brought_down(test)
            yield Deviation(f"{kind}-closes-all", "CB-ROB-001", sentence, change)
        if kind in ("deep-nesting", "long-number", "random-bytes"):
            sentence = f"The relay's process ends on {what}; other connections end with it."
            yield Deviation(f"{kind}-ends-process", "CB-ROB-002", sentence, _seen(test, _exits))
        if kind in ("deep-nesting", "nul-bytes"):
            sentence = f"Neither error nor close follows {what}."
            yield Deviation(f"{kind}-unanswered", "CB-ROB-003", sentence, _dropping(test))


def _brought_down(test: Test) -> Change:
    return lambda behaviour: replace(_seen(test, _falls)(behaviour), crashed=close_all)


DEVIATIONS = (
    *_each(),
    Deviation(
        "many-lines-end-service",
        "CB-ROB-002",
        "After very many empty lines on one connection no new one is served.",
        _sulking(_hurt_by_lines),
    ),
    Deviation(
        "broken-record-ends-service",
        "CB-ROB-002",
        "After a broken TLS record on one connection no new one is served.",
        _sulking(_hurt_by_records),
    ),
    Deviation(
        "half-message-blocks-all",
        "CB-ROB-001",
        "While one connection holds half a message, nothing is read on the others.",
        _one_at_a_time,
    ),
    Deviation(
        "silent-connection-blocks-new-ones",
        "CB-ROB-002",
        "While one connection says nothing at all, no other gets through its TLS handshake.",
        _shaking_hands_in_turn(begins=0, held=False),
    ),
    Deviation(
        "half-handshake-blocks-new-ones",
        "CB-ROB-002",
        "While one connection has sent half a ClientHello, no other gets through its TLS handshake.",
        _shaking_hands_in_turn(begins=1, held=False),
    ),
    Deviation(
        "silent-connection-blocks-open-ones",
        "CB-ROB-001",
        "While one connection says nothing at all, nothing is read on those that are open.",
        _shaking_hands_in_turn(begins=0, held=True),
    ),
    Deviation(
        "half-handshake-blocks-open-ones",
        "CB-ROB-001",
        "While one connection has sent half a ClientHello, nothing is read on those that are open.",
        _shaking_hands_in_turn(begins=1, held=True),
    ),
    Deviation(
        "huge-message-unanswered", "CB-ROB-003", "Neither error nor close follows a huge message.", framed(_Swallowing)
    ),
)
