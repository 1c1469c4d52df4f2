"""Hostile input: one connection harms others, or is not answered."""

from __future__ import annotations

import itertools
import re
import ssl
from collections.abc import Callable, Iterable
from weakref import WeakSet

from websockets.server import ServerProtocol

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jws import decode
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Authority
from cbspec_simulator.relay.behaviour import Behaviour, OtherConnection
from cbspec_simulator.variations.answers import unanswered
from cbspec_simulator.variations.changes.arrival import ClearableFramer
from cbspec_simulator.variations.parts import Change, around, both, framed, layered, part, websocket_by
from cbspec_simulator.variations.requests import Decode, Verify

_MANY = 1000
_HUGE = 64 * 1024  # bytes
_LONG_NUMBER = re.compile(rb"\d{5000}")

_Test = Callable[[RawMessage], bool]

_HOSTILE: dict[str, _Test] = {
    "nul-bytes": lambda frame: b"\0\0\0\0" in frame.text,
    "random-bytes": lambda frame: len(frame.text) > 100 and b"\xff" in frame.text,
    "long-number": lambda frame: _LONG_NUMBER.search(frame.text) is not None,
    "many-members": lambda frame: frame.text.count(b",") > _MANY,
    "no-object": lambda frame: frame.text.strip() in (b"[]", b"1", b"null", b'""'),
    "deep-nesting": lambda frame: "deeper" in frame.broken or frame.text.count(b"[") > _MANY,
}
"""How each kind of hostile input is recognised."""

_CLOSING = ("nul-bytes", "long-number", "many-members", "deep-nesting")


class UnhandledInput(RuntimeError):
    """The relay's code fails on hostile input."""


def _seen(test: _Test, then: Callable[[], None]) -> Change:
    """Call a function when a message of a kind is decoded."""

    def decode(before: Decode, frame: RawMessage, max_depth: int) -> object:
        if test(frame):
            then()
        return before(frame, max_depth)

    return around("decode", decode)


def _ends_service(make: Callable[[Callable[[], None]], Change]) -> Change:
    """Answer no hello after an event; `make` is given the function that reports it."""

    def change(behaviour: Behaviour) -> Behaviour:
        events: list[None] = []
        unserved = unanswered("hello_response", lambda _: bool(events))
        return both(make(lambda: events.append(None)), unserved)(behaviour)

    return change


def _service_ended_by(test: _Test) -> Change:
    return _ends_service(lambda happened: _seen(test, happened))


def _fails() -> None:
    raise UnhandledInput


def _abort_all(others: Iterable[OtherConnection]) -> None:
    for other in others:
        other.abort()


def _at_once(change: Change) -> Change:
    """Read all input at once, as most relays do: in turns, hostile input would be read too late to do harm."""
    return both(change, part(reads_in_turns=False))


def _stop_reading_all(others: Iterable[OtherConnection], stuck: bool) -> None:
    for other in others:
        other.hold_reading(stuck)


def _on_broken_record(happened: Callable[[], None]) -> Change:
    class FragileLayer(TlsLayer):
        """Reports a broken record."""

        def receive_data(self, data: bytes) -> bytes:
            try:
                return super().receive_data(data)
            except TlsFailed:
                if self.established:
                    happened()
                raise

    return layered(FragileLayer)


def _blocking(least: int, *, for_good: bool) -> Change:
    """Read nothing on other connections while one holds more than `least` bytes of an incomplete message.

    With `for_good`, nothing is read until that connection ends.
    """

    def change(behaviour: Behaviour) -> Behaviour:
        holding: WeakSet[object] = WeakSet()

        def blocked(
            framer: StreamFramer | WebSocketFramer, read: Callable[[], RawMessage | None], held: Callable[[], int]
        ) -> RawMessage | None:
            if holding - {framer}:
                return None
            frame = read()
            if frame is None and held() > least:
                holding.add(framer)
            elif not for_good:
                holding.discard(framer)
            return frame

        class BlockingFramer(StreamFramer):
            def next_message(self) -> RawMessage | None:
                return blocked(self, super().next_message, lambda: len(self.pending))

        class BlockingWebSocket(WebSocketFramer):
            def next_message(self) -> RawMessage | None:
                return blocked(self, super().next_message, lambda: len(self._parts) + self._unparsed)

        return both(framed(BlockingFramer), websocket_by(ServerProtocol, BlockingWebSocket))(behaviour)

    return change


def _serial(*, begins: int, held: bool) -> Change:
    """Read nothing on some connections during the handshake of another.

    Arguments: a handshake begins with its first `begins` bytes. `held`: connections that were open before are not read;
    otherwise those that are in their own handshake.
    """

    def change(behaviour: Behaviour) -> Behaviour:
        layers: WeakSet[SerialLayer] = WeakSet()
        numbers = itertools.count()

        class SerialLayer(TlsLayer):
            def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
                super().__init__(context, server_side=server_side)
                self.number = next(numbers)
                self.received = 0
                self._unread = b""
                layers.add(self)

            def receive_data(self, data: bytes) -> bytes:
                self._unread += data
                others = [each for each in layers - {self} if each.received >= begins and not each.established]
                if self.established is held and any(other.number > self.number or not held for other in others):
                    return b""
                data, self._unread = self._unread, b""
                self.received += len(data)
                try:
                    return super().receive_data(data)
                except TlsFailed:
                    layers.discard(self)
                    raise

            def receive_eof(self) -> bytes:
                layers.discard(self)
                return super().receive_eof()

        return layered(SerialLayer)(behaviour)

    return change


def _dropping(test: _Test) -> Change:
    """Drop messages of a kind."""

    class DroppingFramer(StreamFramer):
        def next_message(self) -> RawMessage | None:
            return next((frame for frame in iter(super().next_message, None) if not test(frame)), None)

    return framed(DroppingFramer)


class _SwallowingFramer(ClearableFramer):
    """Drops frames that are too large."""

    _swallows = False

    def feed(self, data: bytes) -> None:
        if self._swallows:
            _, end, data = data.partition(b"\n")
            self._swallows = not end
        super().feed(data)

    def next_message(self) -> RawMessage | None:
        try:
            return super().next_message()
        except MessageTooLarge:
            self._swallows = True
            self.clear()
            return None


def _lines(happened: Callable[[], None]) -> Change:
    class CountingFramer(StreamFramer):
        """Reports very many line feeds."""

        _lines = 0

        def feed(self, data: bytes) -> None:
            self._lines += data.count(b"\n")
            if self._lines > _MANY:
                happened()
            super().feed(data)

    return both(framed(CountingFramer), _seen(lambda frame: frame.text.count(b"\n") > _MANY, happened))


def _token_seen(test: Callable[[str], object], then: Callable[[], None]) -> Change:
    """Call a function when a token of a kind is verified."""

    def verified(verify: Verify, authority: Authority, token: str, now: float) -> Claims:
        if test(token):
            then()
        return verify(authority, token, now)

    return around("verify", verified)


def _decoded(token: str) -> bytes:
    try:
        return b"".join(map(decode, token.split(".")))
    except ValueError:
        return b""


CHANGES: dict[str, Change] = {
    **{f"{kind}-ends-service": _at_once(_service_ended_by(test)) for kind, test in _HOSTILE.items()},
    **{
        f"{kind}-closes-all": _at_once(both(_seen(_HOSTILE[kind], _fails), part(crashed=_abort_all)))
        for kind in _CLOSING
    },
    "deep-member-closes-all": _at_once(
        both(_seen(lambda frame: b'"x":[[[' in frame.text, _fails), part(crashed=_abort_all))
    ),
    "deep-token-closes-all": both(
        _token_seen(lambda token: _decoded(token).count(b"[") > _MANY, _fails), part(crashed=_abort_all)
    ),
    "token-header-of-another-type-closes-all": both(
        _token_seen(lambda token: _decoded(token).startswith((b"null", b"[]")), _fails), part(crashed=_abort_all)
    ),
    "port-out-of-range-closes-all": _at_once(
        both(_seen(lambda frame: b'_port":1e400' in frame.text, _fails), part(crashed=_abort_all))
    ),
    "infinite-expiry-closes-all": both(
        _token_seen(lambda token: b'"exp":1e309' in _decoded(token), _fails), part(crashed=_abort_all)
    ),
    "long-token-ends-service": _ends_service(lambda happened: _token_seen(lambda token: len(token) > 60_000, happened)),
    "deep-nesting-unanswered": _dropping(_HOSTILE["deep-nesting"]),
    "nul-bytes-unanswered": _dropping(_HOSTILE["nul-bytes"]),
    "half-message-blocks-all": _at_once(_blocking(0, for_good=False)),
    "huge-message-blocks-all": _at_once(_blocking(_HUGE, for_good=True)),
    "unread-answers-block-all": _at_once(part(stuck=_stop_reading_all)),
    "silent-connection-blocks-open-ones": _serial(begins=0, held=True),
    "half-handshake-blocks-open-ones": _serial(begins=1, held=True),
    "many-lines-end-service": _at_once(_ends_service(_lines)),
    "broken-record-ends-service": _ends_service(_on_broken_record),
    "silent-connection-blocks-new-ones": _serial(begins=0, held=False),
    "half-handshake-blocks-new-ones": _serial(begins=1, held=False),
    "huge-message-unanswered": framed(_SwallowingFramer),
}
