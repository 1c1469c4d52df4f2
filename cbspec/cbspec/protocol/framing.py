"""A stream of bytes, cut into message texts.

The specification says nothing of framing. Deployed clients send one object and a line feed over TLS; some readers go
by line, some by object. So a message that begins with `{` ends at its matching brace, wherever the line feeds are, and
anything else ends at the line feed. After a broken message reading starts again at the next line.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from cbspec.protocol.strictjson import MAX_DEPTH

MAX_MESSAGE = 1024 * 1024
"""Bytes of one message that are read; deployed clients have the same cap."""

_SPACE = b" \t\r\n"
_CONTENT = rb'[^"\\\x00-\x1f]*+(?:\\[^\x00-\x1f][^"\\\x00-\x1f]*+)*+'
_IN_STRING = re.compile(_CONTENT)
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]+")
_BLANK = re.compile(rb"[ \t\r\n]*")
_SHORT = 4096
_BEGINNING = 1024  # bytes of what is too long that are shown
# The usual case in one step of the regular expression engine: a short object whose members are strings, scalars and
# flat arrays. It says the same as the scanner, which takes over where it doesn't match.
_WS, _STR, _NUM = rb"[ \t\r\n]*+", b'"' + _CONTENT + b'"', rb"[-+.0-9A-Za-z]++"
_ATOM = rb"(?:" + _STR + rb"|" + _NUM + rb")" + _WS
_ITEMS = rb"\[" + _WS + rb"(?:" + _ATOM + rb"(?:," + _WS + _ATOM + rb")*+)?+\]" + _WS
_MEMBER = _STR + _WS + rb":" + _WS + rb"(?:" + _ATOM + rb"|" + _ITEMS + rb")"
_FLAT = rb"\{" + _WS + rb"(?:" + _MEMBER + rb"(?:," + _WS + _MEMBER + rb")*+)?+\}"
_FLAT_OBJECT = re.compile(_FLAT)
# Items and members, each with the comma behind it, as many as there are: what the scanner can take in one step, too. An
# item may be flat itself, which is two levels more.
_VALUE = rb"(?:" + _ATOM + rb"|" + _ITEMS + rb"|" + _FLAT + _WS + rb")," + _WS
_FLAT_LEVELS = 2
_RUN_OF_ITEMS = re.compile(rb"(?:" + _VALUE + rb")*+")
_RUN_OF_MEMBERS = re.compile(rb"(?:" + _STR + _WS + rb":" + _WS + _VALUE + rb")*+")


class MessageTooLarge(ValueError):
    """A message is longer than may be read; what follows it can't be told apart any more. It has `begun` so."""

    def __init__(self, reason: str, begun: bytes) -> None:
        super().__init__(reason)
        self.begun = begun


class RawMessage(NamedTuple):
    """One message text.

    `broken` says why it can't be JSON where that showed already while cutting it out; `binary` that it came in a
    WebSocket's binary message.
    """

    text: bytes
    broken: str = ""
    binary: bool = False


class _Want(Enum):
    """What the grammar allows next inside an object or array."""

    VALUE = auto()
    VALUE_OR_END = auto()
    NAME = auto()
    NAME_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()


_NAMES = frozenset({_Want.NAME, _Want.NAME_OR_END})
_VALUES = frozenset({_Want.VALUE, _Want.VALUE_OR_END})


class _Broken(Exception):
    """The grammar doesn't allow the byte at `at`."""

    def __init__(self, at: int, reason: str) -> None:
        self.at = at
        self.reason = reason


class _ObjectScanner:
    """Finds the end of one JSON object, resuming where the bytes ran out; it looks at each byte once."""

    __slots__ = ("_in_name", "_in_string", "_max_depth", "_stack", "_want", "position")

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self.position = 0
        self._stack = bytearray()
        self._want = _Want.VALUE
        self._in_string = False
        self._in_name = False

    def scan(self, data: bytearray) -> int | None:
        """Return the index behind the object at the start of `data`, or None where more bytes are needed."""
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
        """Pass what is whole and followed by a comma, without looking at each token of it."""
        if not self._stack or len(self._stack) + _FLAT_LEVELS > self._max_depth:
            return
        if self._want in _NAMES:
            run, then = _RUN_OF_MEMBERS.match(data, self.position), _Want.NAME
        elif self._want in _VALUES and self._stack[-1] == 0x5B:
            run, then = _RUN_OF_ITEMS.match(data, self.position), _Want.VALUE
        else:
            return
        if run is not None and run.end() > self.position:
            self.position, self._want = run.end(), then

    def _rest_of_string(self, data: bytearray) -> bool:
        content = _IN_STRING.match(data, self.position)
        end = self.position = content.end() if content else self.position
        if end >= len(data) or (data[end] == 0x5C and end + 1 >= len(data)):
            return False
        if data[end] != 0x22:
            raise _Broken(end, "a control character inside a string")
        self.position = end + 1
        self._in_string = False
        self._want = _Want.COLON if self._in_name else _Want.COMMA_OR_END
        return True

    def _token(self, data: bytearray) -> None:
        at, byte = self.position, data[self.position]
        self.position += 1
        if byte == 0x22:
            self._string(at)
        elif byte in b"{[":
            self._open(at, byte)
        elif byte in b"}]":
            self._close(at, byte)
        elif byte == 0x3A:
            self._expect(at, _Want.COLON)
            self._want = _Want.VALUE
        elif byte == 0x2C:
            self._expect(at, _Want.COMMA_OR_END)
            self._want = _Want.NAME if self._stack[-1] == 0x7B else _Want.VALUE
        else:
            self._scalar(at, data)

    def _string(self, at: int) -> None:
        self._in_name = self._want in (_Want.NAME, _Want.NAME_OR_END)
        if not self._in_name:
            self._expect(at, _Want.VALUE, _Want.VALUE_OR_END)
        self._in_string = True

    def _open(self, at: int, byte: int) -> None:
        self._expect(at, _Want.VALUE, _Want.VALUE_OR_END)
        if len(self._stack) >= self._max_depth:
            raise _Broken(at, f"it nests deeper than {self._max_depth} levels")
        self._stack.append(byte)
        self._want = _Want.NAME_OR_END if byte == 0x7B else _Want.VALUE_OR_END

    def _close(self, at: int, byte: int) -> None:
        if self._stack[-1] != byte - 2:
            raise _Broken(at, "brackets that don't match")
        ends = (_Want.NAME_OR_END, _Want.COMMA_OR_END) if byte == 0x7D else (_Want.VALUE_OR_END, _Want.COMMA_OR_END)
        self._expect(at, *ends)
        self._stack.pop()
        self._want = _Want.COMMA_OR_END

    def _scalar(self, at: int, data: bytearray) -> None:
        # A scalar that was cut in two is read as two: so one may follow another here, and the JSON decoder, which
        # sees the whole text, has the last word on it.
        match = _SCALAR.match(data, at)
        if match is None:
            raise _Broken(at, "a byte that JSON doesn't allow here")
        if not (self._want is _Want.COMMA_OR_END and _SCALAR.match(data, at - 1)):
            self._expect(at, _Want.VALUE, _Want.VALUE_OR_END)
        self.position = match.end()
        self._want = _Want.COMMA_OR_END

    def _expect(self, at: int, *wanted: _Want) -> None:
        if self._want not in wanted:
            raise _Broken(at, "a byte that JSON doesn't allow here")


class StreamFramer:
    """Messages in a stream of bytes, one object after another, a line feed (or any white space) between them.

    Arguments: `max_message` bytes and `max_depth` levels bound what one message may take.
    """

    __slots__ = ("_buffer", "_line_broken", "_max_depth", "_max_message", "_scanner", "_searched")

    def __init__(self, *, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH) -> None:
        self._buffer = bytearray()
        self._scanner: _ObjectScanner | None = None  # of the object at hand, where one step doesn't do
        self._max_depth = max_depth
        self._max_message = max_message
        self._line_broken = ""  # why the message at hand ends at the line feed and not at a brace
        self._searched = 0  # how far the line feed was looked for

    @staticmethod
    def encode(text: bytes) -> bytes:
        """Return `text` as it goes on the wire."""
        return text + b"\n"

    @staticmethod
    def data_to_send() -> bytes:
        """Return the bytes that want to go out unasked: none in a plain stream."""
        return b""

    @property
    def pending(self) -> bytes:
        """The bytes of a message that isn't complete yet."""
        return bytes(self._buffer)

    def forget(self) -> None:
        """Let go of the message that isn't complete: what comes next begins a new one."""
        self._buffer.clear()
        self._scanner = None
        self._line_broken = ""
        self._searched = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next_message(self) -> RawMessage | None:
        """Return the next message text, or None until more bytes come.

        Raises MessageTooLarge where a message doesn't end within its bound (where it ends at a line feed, that is not
        counted); nothing can be read after that.
        """
        if not self._buffer:
            return None
        if self._buffer[0] != 0x7B and not self._line_broken:
            blank = _BLANK.match(self._buffer)
            if blank is not None and blank.end():
                del self._buffer[: blank.end()]
            if not self._buffer:
                return None
            if self._buffer[0] != 0x7B:
                self._line_broken = "it doesn't begin with a brace"
        frame = self._line() if self._line_broken else self._object()
        if frame is None:
            self._check_size(len(self._buffer))
        return frame

    def _object(self) -> RawMessage | None:
        if self._scanner is None:
            flat = _FLAT_OBJECT.match(self._buffer) if len(self._buffer) < _SHORT else None
            if flat is not None:
                return self._take(flat.end(), flat.end())
            self._scanner = _ObjectScanner(self._max_depth)
        try:
            end = self._scanner.scan(self._buffer)
        except _Broken as broken:
            return self._broken(broken)
        return None if end is None else self._take(end, end)

    def _broken(self, broken: _Broken) -> RawMessage | None:
        # An object that was left open shows only where the next one begins: the broken one ends before that line.
        start = self._buffer.rfind(b"\n", 0, broken.at) + 1
        if start and self._buffer[broken.at] == 0x7B and not self._buffer[start : broken.at].strip(_SPACE):
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
            raise MessageTooLarge(
                f"a message is longer than {self._max_message} bytes", bytes(self._buffer[:_BEGINNING])
            )

    def _take(self, end: int, size: int, broken: str = "") -> RawMessage:
        # `size` is how many bytes had to be there before the end showed: the same, however they were split.
        self._check_size(size)
        text = bytes(self._buffer[:end])
        del self._buffer[:end]
        if self._buffer == b"\n":  # as nearly always: nothing is left to look at
            self._buffer.clear()
        self._scanner = None
        self._line_broken = ""
        self._searched = 0
        return RawMessage(text.strip(_SPACE) if broken else text, broken)
