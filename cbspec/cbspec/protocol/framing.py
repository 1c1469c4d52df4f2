"""The messages of a byte stream.

The specification doesn't define a framing. Deployed clients send one object and a line feed over TLS; some readers read
lines, others objects. So a message that begins with `{` ends at the matching brace, wherever line feeds are, and any
other text ends at the line feed. After a broken message, reading resumes at the next line.
"""

from __future__ import annotations

import re
from enum import IntEnum, auto
from typing import NamedTuple

from cbspec.protocol.strictjson import MAX_DEPTH

MAX_MESSAGE = 1024 * 1024
"""Bytes of the longest message that is read; deployed clients have the same limit."""

_SPACE = b" \t\r\n"
_CONTENT = rb'[^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*+'
_IN_STRING = re.compile(_CONTENT)
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]+")
_BLANK = re.compile(rb"[ \t\r\n]*")
_SHORT = 4096
_BEGINNING = 1024  # bytes of a message that is too long, for the error
# The usual message, a short object of strings, scalars and flat arrays, is matched by one regular expression. The
# scanner accepts the same texts, and reads all others.
_WS, _STR, _NUM = rb"[ \t\r\n]*+", b'"' + _CONTENT + b'"', rb"[-+.0-9A-Za-z]++"
_ATOM = rb"(?:" + _STR + rb"|" + _NUM + rb")" + _WS
_ITEMS = rb"\[" + _WS + rb"(?:" + _ATOM + rb"(?:," + _WS + _ATOM + rb")*+)?+\]" + _WS
_MEMBER = _STR + _WS + rb":" + _WS + rb"(?:" + _ATOM + rb"|" + _ITEMS + rb")"
_FLAT = rb"\{" + _WS + rb"(?:" + _MEMBER + rb"(?:," + _WS + _MEMBER + rb")*+)?+\}"
_FLAT_OBJECT = re.compile(_FLAT)
# Sequences of items or members, each with the comma after it, which the scanner passes in one step. An item may be a
# flat object or array, which adds two levels.
_VALUE = rb"(?:" + _ATOM + rb"|" + _ITEMS + rb"|" + _FLAT + _WS + rb")," + _WS
_FLAT_LEVELS = 2
_RUN_OF_ITEMS = re.compile(rb"(?:" + _VALUE + rb")*+")
_RUN_OF_MEMBERS = re.compile(rb"(?:" + _STR + _WS + rb":" + _WS + _VALUE + rb")*+")


class MessageTooLarge(ValueError):
    """A message exceeds the limit, so the stream can't be read any more; `begun` is the beginning of the message."""

    def __init__(self, reason: str, begun: bytes) -> None:
        super().__init__(reason)
        self.begun = begun


class RawMessage(NamedTuple):
    """The text of one message.

    `broken` is the reason why it can't be JSON, if the framer found one. `binary` is True for a binary WebSocket
    message.
    """

    text: bytes
    broken: str = ""
    binary: bool = False


class _Want(IntEnum):  # the hash of another enum is a call of Python
    """The next token that the grammar allows in an object or array."""

    VALUE = auto()
    VALUE_OR_END = auto()
    NAME = auto()
    NAME_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()


_NAMES = frozenset({_Want.NAME, _Want.NAME_OR_END})
_VALUES = frozenset({_Want.VALUE, _Want.VALUE_OR_END})
_QUOTE, _BACKSLASH, _BRACE, _BRACKET = b'"\\{['
_ALLOWED = {
    _QUOTE: _NAMES | _VALUES,
    _BRACE: _VALUES,
    _BRACKET: _VALUES,
    ord("}"): frozenset({_Want.NAME_OR_END, _Want.COMMA_OR_END}),
    ord("]"): frozenset({_Want.VALUE_OR_END, _Want.COMMA_OR_END}),
    ord(":"): frozenset({_Want.COLON}),
    ord(","): frozenset({_Want.COMMA_OR_END}),
}
"""The states of the grammar that allow a byte; every other byte can only begin a scalar."""


class _Broken(Exception):
    """The grammar doesn't allow the byte at `at`."""

    def __init__(self, at: int, reason: str) -> None:
        self.at = at
        self.reason = reason


class _ObjectScanner:
    """Finds the end of one JSON object. It looks at each byte once, and resumes when more bytes are available."""

    __slots__ = ("_in_name", "_in_string", "_max_depth", "_stack", "_want", "position")

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self.position = 0
        self._stack = bytearray()
        self._want = _Want.VALUE
        self._in_string = False
        self._in_name = False

    def scan(self, data: bytearray) -> int | None:
        """Return the index after the object at the start of `data`, or None if it is incomplete."""
        size = len(data)
        while self.position < size:
            if self._in_string:
                if not self._rest_of_string(data):
                    return None
                continue
            blank = _BLANK.match(data, self.position)
            self.position = blank.end() if blank else self.position
            self._run(data)
            if self.position >= size:
                return None
            self._token(data)
            if not self._stack:
                return self.position
        return None

    def _run(self, data: bytearray) -> None:
        """Pass a sequence of complete members or items, without looking at each token."""
        if not self._stack or len(self._stack) + _FLAT_LEVELS > self._max_depth:
            return
        if self._want in _NAMES:
            run, then = _RUN_OF_MEMBERS.match(data, self.position), _Want.NAME
        elif self._want in _VALUES and self._stack[-1] == _BRACKET:
            run, then = _RUN_OF_ITEMS.match(data, self.position), _Want.VALUE
        else:
            return
        if run is not None and run.end() > self.position:
            self.position, self._want = run.end(), then

    def _rest_of_string(self, data: bytearray) -> bool:
        content = _IN_STRING.match(data, self.position)
        end = self.position = content.end() if content else self.position
        if end >= len(data) or (data[end] == _BACKSLASH and end + 1 >= len(data)):
            return False
        if data[end] != _QUOTE:
            raise _Broken(end, "a control character inside a string")
        self.position = end + 1
        self._in_string = False
        self._want = _Want.COLON if self._in_name else _Want.COMMA_OR_END
        return True

    def _token(self, data: bytearray) -> None:
        at, byte = self.position, data[self.position]
        scalar = None if byte in _ALLOWED else _SCALAR.match(data, at)
        if byte in b"}]" and self._stack[-1] != byte - 2:
            raise _Broken(at, "brackets that don't match")
        # A scalar may arrive in two pieces. So two in sequence are allowed here, and the JSON decoder rejects them.
        continues = scalar and self._want is _Want.COMMA_OR_END and _SCALAR.match(data, at - 1)
        if self._want not in _ALLOWED.get(byte, _VALUES if scalar else ()) and not continues:
            raise _Broken(at, "a byte that JSON doesn't allow here")
        self.position = scalar.end() if scalar else at + 1
        match byte:
            case 0x22:  # "
                self._in_string, self._in_name = True, self._want in _NAMES
            case 0x7B | 0x5B:  # { [
                if len(self._stack) >= self._max_depth:
                    raise _Broken(at, f"it nests deeper than {self._max_depth} levels")
                self._stack.append(byte)
                self._want = _Want.NAME_OR_END if byte == _BRACE else _Want.VALUE_OR_END
            case 0x3A:  # :
                self._want = _Want.VALUE
            case 0x2C:  # ,
                self._want = _Want.NAME if self._stack[-1] == _BRACE else _Want.VALUE
            case _:
                if scalar is None:  # } ]
                    self._stack.pop()
                self._want = _Want.COMMA_OR_END


class StreamFramer:
    """The messages of a stream: JSON objects in sequence, with a line feed or any white space between them.

    `max_message` bytes and `max_depth` levels are the limits of one message.
    """

    __slots__ = ("_buffer", "_line_broken", "_max_depth", "_max_message", "_scanner", "_searched")

    def __init__(self, *, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH) -> None:
        self._buffer = bytearray()
        self._max_depth = max_depth
        self._max_message = max_message
        self._begin()

    def _begin(self) -> None:
        self._scanner: _ObjectScanner | None = None  # of the current object, unless one regular expression matches it
        self._line_broken = ""  # why the current message ends at the line feed, and not at a brace
        self._searched = 0  # bytes without a line feed

    @staticmethod
    def encode(text: bytes) -> bytes:
        """Return the bytes that carry a message's text."""
        return text + b"\n"

    @staticmethod
    def data_to_send() -> bytes:
        """Return the bytes to send without a message: none in a plain stream."""
        return b""

    @property
    def pending(self) -> bytes:
        """The bytes of an incomplete message."""
        return bytes(self._buffer)

    def discard(self) -> None:
        """Discard the incomplete message: the next byte begins a new one."""
        self._buffer.clear()
        self._begin()

    def feed(self, data: bytes) -> None:
        """Add received bytes to the read buffer."""
        self._buffer += data

    def next_message(self) -> RawMessage | None:
        """Return the next message, or None until more bytes are available.

        Raises MessageTooLarge if a message exceeds its limit (a line feed at its end doesn't count); the stream is
        unreadable from then on.
        """
        if not self._buffer:
            return None
        if self._buffer[0] != _BRACE and not self._line_broken:
            blank = _BLANK.match(self._buffer)
            if blank is not None and blank.end():
                del self._buffer[: blank.end()]
            if not self._buffer:
                return None
            if self._buffer[0] != _BRACE:
                self._line_broken = "it doesn't begin with a brace"
        message = self._line() if self._line_broken else self._object()
        if message is None:
            self._check_size(len(self._buffer))
        return message

    def _object(self) -> RawMessage | None:
        if self._scanner is None:
            flat = _FLAT_OBJECT.match(self._buffer) if len(self._buffer) < _SHORT else None
            if flat is not None:
                return self._take(flat.end(), flat.end())
            self._scanner = _ObjectScanner(self._max_depth)
        try:
            end = self._scanner.scan(self._buffer)
        except _Broken as broken:
            return self._recover(broken)
        return None if end is None else self._take(end, end)

    def _recover(self, broken: _Broken) -> RawMessage | None:
        # An unterminated object is only found at the beginning of the next one; it ends before that line.
        start = self._buffer.rfind(b"\n", 0, broken.at) + 1
        if start and self._buffer[broken.at] == _BRACE and not self._buffer[start : broken.at].strip(_SPACE):
            return self._take(start, broken.at, broken.reason)
        self._line_broken = broken.reason
        self._searched = broken.at
        return self._line()

    def _line(self) -> RawMessage | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return None
        return self._take(end + 1, end, self._line_broken)

    def _check_size(self, size: int) -> None:
        if size > self._max_message:
            beginning = bytes(self._buffer[:_BEGINNING])
            raise MessageTooLarge(f"a message is longer than {self._max_message} bytes", beginning)

    def _take(self, end: int, size: int, broken: str = "") -> RawMessage:
        # `size` is the number of bytes that determine the end: the same for every segmentation of the stream.
        self._check_size(size)
        text = bytes(self._buffer[:end])
        del self._buffer[:end]
        if self._buffer == b"\n":  # the usual rest
            self._buffer.clear()
        self._begin()
        return RawMessage(text.strip(_SPACE) if broken else text, broken)
