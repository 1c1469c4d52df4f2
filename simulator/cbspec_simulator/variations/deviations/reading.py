"""Ways to be wrong about what comes in: near misses taken for good, and good messages not understood."""

from __future__ import annotations

import ast
import gzip
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace

from cbspec.protocol.connection import Framer
from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, answers, both, broke, part, silence, takes
from cbspec_simulator.variations.deviations.kind import Deviation

_MAGIC = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def substitute(pattern: bytes, by: bytes) -> Callable[[bytes], bytes | None]:
    """Return what replaces a pattern, or None where it isn't there."""
    expression = re.compile(pattern)
    return lambda text: expression.sub(by, text) if expression.search(text) else None


def _python(text: bytes) -> bytes | None:
    try:
        return json.dumps(ast.literal_eval(text.decode())).encode()
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _lenient(text: bytes) -> bytes | None:
    try:
        return json.dumps(json.loads(text.decode(), strict=False)).encode()
    except (ValueError, RecursionError):
        return None


def _stripped(text: bytes) -> bytes | None:
    try:
        return text.decode().strip().encode()
    except UnicodeDecodeError:
        return None


def _line_in_utf_16(text: bytes) -> bytes | None:
    """Read a line in UTF-16 whose own end, a line feed of two bytes, was cut off in the middle."""
    try:
        return (text + b"\n").decode("utf-16-be").encode() if text.endswith(b"\0") else None
    except UnicodeDecodeError:
        return None


def _replaced(text: bytes) -> bytes:
    return text.decode("utf-8", "replace").encode()


def _unpack(text: bytes) -> bytes | None:
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            return unpack(text)
        except (OSError, EOFError, zlib.error):
            continue
    return None


class _Unpacking(StreamFramer):
    """Unpacks what begins like gzip or zlib."""

    __slots__ = ("_packed",)

    def feed(self, data: bytes) -> None:
        packed = getattr(self, "_packed", b"") + data
        if not packed.startswith(_MAGIC):
            super().feed(data)
            return
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            text = unpacker.decompress(packed)
        except zlib.error:
            super().feed(packed)
            self._packed = b""
            return
        self._packed = b"" if unpacker.eof else packed
        if unpacker.eof:
            super().feed(text + b"\n" + unpacker.unused_data)


class _Impatient:
    """Takes each read for whole messages: what isn't complete is dropped."""

    __slots__ = ("_inner", "_limits")

    def __init__(self, *, max_message: int, max_depth: int) -> None:
        self._limits = (max_message, max_depth)
        self._inner = StreamFramer(max_message=max_message, max_depth=max_depth)

    def feed(self, data: bytes) -> None:
        self._inner.feed(data)

    def next_message(self) -> RawMessage | None:
        frame = self._inner.next_message()
        lost = self._inner.pending
        if frame is not None or not lost:
            return frame
        self._inner = StreamFramer(max_message=self._limits[0], max_depth=self._limits[1])
        return RawMessage(lost, "it is cut off")

    @property
    def pending(self) -> bytes:
        return self._inner.pending

    def encode(self, text: bytes) -> bytes:
        return self._inner.encode(text)

    def data_to_send(self) -> bytes:
        return self._inner.data_to_send()


class _OneAtATime(StreamFramer):
    """Takes each read for one message: what follows it is dropped."""

    __slots__ = ("_fresh",)

    def feed(self, data: bytes) -> None:
        super().feed(data)
        self._fresh = True

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        if frame is None:
            return None
        kept, self._fresh = getattr(self, "_fresh", False), False
        return frame if kept else self.next_message()


def framed(kind: Callable[..., Framer]) -> Change:
    """Cut a plain stream by another framer."""

    def stream(limits: LimitSettings) -> Framer:
        return kind(max_message=limits.max_message, max_depth=limits.max_depth)

    return part(stream=stream)


def _misreads(when: Callable[[bytes], bool], what: Callable[[bytes], bytes]) -> Change:
    """Read other bytes than came, where `when` holds of them."""

    def change(behaviour: Behaviour) -> Behaviour:
        def decode(frame: RawMessage, max_depth: int) -> object:
            text = what(frame.text) if when(frame.text) else frame.text
            return behaviour.decode(RawMessage(text, frame.broken), max_depth)

        return replace(behaviour, decode=decode)

    return change


_LINE_ENDS = tuple(end.encode() for end in "\u0085\u2028\u2029")


def unreadable(when: Callable[[bytes], bool]) -> Change:
    """Don't understand texts for which `when` holds."""
    return _misreads(when, lambda _: b'{"type":""}')


_UNICODE_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u")
_TYPE_FIRST = re.compile(rb'\s*\{\s*"(?:t|\\u0074)(?:y|\\u0079)(?:p|\\u0070)(?:e|\\u0065)"')


def _accepted(name: str, what: str, mend: Callable[[bytes], bytes | None]) -> Deviation:
    return Deviation(f"input-{name}-accepted", "CB-MSG-005", f"{what} is taken for JSON.", takes(mend))


NEARLY_JSON = (
    _accepted("trailing-comma", "An object with a comma behind its last member", substitute(rb",\s*([}\]])", rb"\1")),
    _accepted("single-quotes", "An object in single quotes", _python),
    _accepted("comments", "An object with comments", substitute(rb"/\*.*?\*/|//[^\n]*", b" ")),
    _accepted("nan", "An object with NaN or Infinity", substitute(rb"-?\b(NaN|Infinity)\b", b"1")),
    _accepted(
        "bare-names", "An object whose names lack quotes", substitute(rb"([{,]\s*)([A-Za-z_]\w*)\s*:", rb'\1"\2":')
    ),
    _accepted("leading-zero", "A number with a leading zero", substitute(rb"(:\s*)0+([1-9])", rb"\1\2")),
    _accepted("plus-sign", "A number with a plus sign", substitute(rb"(:\s*)\+(\d)", rb"\1\2")),
    _accepted("hexadecimal", "A hexadecimal number", substitute(rb"(:\s*)0[xX][0-9a-fA-F]+", rb"\g<1>1")),
    _accepted("control-character", "A string with a raw control character", _lenient),
    _accepted("missing-brace", "An object without its closing brace", lambda text: text.rstrip() + b"}"),
    _accepted("foreign-space", "An object in white space that JSON doesn't have", _stripped),
    _accepted("behind-nul", "An object with anything behind a NUL", lambda text: text.partition(b"\0")[0]),
    _accepted("missing-comma", "An object with a comma missing", substitute(rb'(["\d])(\s+")', rb"\1,\2")),
)

ENCODING = (
    Deviation("input-not-utf8-accepted", "CB-MSG-006", "What isn't UTF-8 is read with replacements.", takes(_replaced)),
    Deviation(
        "input-latin-1-accepted",
        "CB-MSG-006",
        "What isn't UTF-8 is read as Latin-1.",
        takes(lambda text: text.decode("latin-1").encode()),
    ),
    Deviation(
        "input-utf-16-line-accepted",
        "CB-MSG-006",
        "A line in UTF-16, with its line feed, is taken for JSON.",
        takes(_line_in_utf_16),
    ),
    Deviation(
        "input-compressed-accepted",
        "CB-CMP-002",
        "Compressed input is unpacked.",
        both(framed(_Unpacking), takes(_unpack)),
    ),
)

UNDERSTANDING = (
    Deviation(
        "input-not-json-unanswered",
        "CB-MSG-007",
        "What isn't JSON stays unanswered.",
        answers("error", silence, broke("CB-MSG-005", "CB-MSG-006")),
    ),
    Deviation(
        "input-escapes-not-understood",
        "CB-MSG-008",
        "Escapes with \\u are taken as they are written.",
        _misreads(lambda text: b"\\u" in text, lambda text: _UNICODE_ESCAPE.sub(rb"\1\\\\u", text)),
    ),
    Deviation(
        "input-solidus-not-understood",
        "CB-MSG-008",
        "The escape \\/ is not understood.",
        unreadable(lambda text: b"\\/" in text),
    ),
    Deviation(
        "input-type-must-be-first",
        "CB-MSG-008",
        "A message is known only if its type is its first member.",
        unreadable(lambda text: text.lstrip().startswith(b"{") and not _TYPE_FIRST.match(text)),
    ),
    Deviation(
        "input-space-not-understood",
        "CB-MSG-008",
        "White space before a colon is not understood.",
        unreadable(lambda text: re.search(rb'"[\s]+:', text) is not None),
    ),
    Deviation(
        "input-cut-at-line-separator",
        "CB-MSG-008",
        "A message is cut at every character that ends a line in Unicode.",
        unreadable(lambda text: any(end in text for end in _LINE_ENDS)),
    ),
    Deviation(
        "input-lines-not-understood",
        "CB-MSG-008",
        "An object over several lines is not understood.",
        unreadable(lambda text: b"\n" in text.strip()),
    ),
    Deviation(
        "input-split-not-understood",
        "CB-MSG-009",
        "A message that doesn't arrive in one piece is not understood.",
        framed(_Impatient),
    ),
    Deviation(
        "input-pipelined-lost",
        "CB-MSG-010",
        "Of what arrives together only the first is answered.",
        framed(_OneAtATime),
    ),
)

DEVIATIONS = (*NEARLY_JSON, *ENCODING, *UNDERSTANDING)
