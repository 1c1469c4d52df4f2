"""Input texts: near misses of JSON, valid JSON refused, repeated and unknown members."""

from __future__ import annotations

import ast
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.messages import RULES, Message, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.answers import answers, put
from cbspec_simulator.variations.parts import Change, around, both, framed, part
from cbspec_simulator.variations.requests import Decode, Understand, accepts_repaired, misreads, unreadable

_MAGIC = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # of gzip and zlib
_ANY_FORMAT = zlib.MAX_WBITS | 32
_BOM = b"\xef\xbb\xbf"

Repair = Callable[[bytes], bytes | None]
"""Returns the JSON that a text is mistaken for, or None; or raises an error."""


def _substitute(pattern: bytes, by: bytes) -> Repair:
    expression = re.compile(pattern)
    return lambda text: expression.sub(by, text) if expression.search(text) else None


def _first_value(text: str) -> str:
    return text.lstrip()[: json.JSONDecoder().raw_decode(text.lstrip())[1]]


def _decoded(encoding: str, errors: str = "strict") -> Repair:
    return lambda text: text.decode(encoding, errors).encode("utf-8", "replace")


def _wide(encoding: str) -> Repair:
    """Decode text whose first character is an ASCII one in more than one byte, in either byte order."""
    big, little = _decoded(f"{encoding}-be"), _decoded(f"{encoding}-le")
    return lambda text: None if b"\0" not in text else (big if text.startswith(b"\0") else little)(text)


class _UnpackingFramer(StreamFramer):
    """Decompresses input that begins like gzip or zlib."""

    _packed = b""

    def feed(self, data: bytes) -> None:
        packed = self._packed + data
        if not packed.startswith(_MAGIC):
            super().feed(data)
            return
        unpacker = zlib.decompressobj(wbits=_ANY_FORMAT)
        try:
            text = unpacker.decompress(packed)
        except zlib.error:
            super().feed(packed)
            self._packed = b""
            return
        self._packed = b"" if unpacker.eof else packed
        if unpacker.eof:
            super().feed(text + b"\n" + unpacker.unused_data)


_LINE_ENDS = tuple(end.encode() for end in "\u0085\u2028\u2029")
_UNICODE_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u")
_TYPE_FIRST = re.compile(rb'\s*\{\s*"(?:t|\\u0074)(?:y|\\u0079)(?:p|\\u0070)(?:e|\\u0065)"')

_REPAIRS: dict[str, Repair] = {
    "trailing-comma": _substitute(rb",\s*([}\]])", rb"\1"),
    "leading-comma": _substitute(rb"\{\s*,", b"{"),
    "missing-comma": _substitute(rb'(["\d])(\s+")', rb"\1,\2"),
    "missing-colon": _substitute(rb'([{,]\s*"[^"]*")\s+(?=")', rb"\1:"),
    "equals-sign": _substitute(rb'(")\s*=', rb"\1:"),
    "missing-brace": lambda text: text.rstrip() + b"}",
    "single-quotes": lambda text: json.dumps(ast.literal_eval(text.decode())).encode(),
    "bare-names": _substitute(rb"([{,]\s*)([A-Za-z_]\w*)\s*:", rb'\1"\2":'),
    "comments": _substitute(rb"/\*.*?\*/|//[^\n]*", b" "),
    "line-comments": _substitute(rb"(?://|#)[^\n]*(?:\n|$)", b" "),
    "nan": _substitute(rb"-?\b(NaN|Infinity)\b", b"1"),
    "undefined": _substitute(rb"\bundefined\b", b"null"),
    "capital-literals": _substitute(rb":\s*(?:True|False|None)\b", b":null"),
    "leading-zero": _substitute(rb"(:\s*)0+([1-9])", rb"\1\2"),
    "plus-sign": _substitute(rb"(:\s*)\+(\d)", rb"\1\2"),
    "hexadecimal": _substitute(rb"(:\s*)0[xX][0-9a-fA-F]+", rb"\g<1>1"),
    "bare-point": _substitute(rb"(\d)\.(?=\s*[,}\]])", rb"\1"),
    "unknown-escapes": _substitute(rb"\\x[0-9a-fA-F]{2}", b"?"),
    "control-character": _substitute(rb"[\x01-\x1f]", b" "),
    "odd-space": _substitute(rb"\{(?:\f|\xc2\xa0)", b"{"),
    "foreign-space": lambda text: text.decode(errors="ignore").strip().encode(),
    "garbage-before": _substitute(rb"^[^{]+(?=\{)", b""),
    "garbage-behind": lambda text: _first_value(text.decode()).encode(),
    "behind-nul": lambda text: text.partition(b"\0")[0],
    "overlong": _substitute(rb"[\xc0\xc1][\x80-\xbf]", b"?"),
    "surrogates": _decoded("utf-8", "surrogatepass"),
    "beyond-unicode": _substitute(rb"\xf4[\x90-\xbf][\x80-\xbf]{2}", b"?"),
    "latin-1": _decoded("latin-1"),
    "utf-16": _wide("utf-16"),
    # A line was cut in the middle of its line feed, which is two bytes long.
    "utf-16-line": lambda text: (text + b"\n").decode("utf-16-be").encode() if text.endswith(b"\0") else None,
    "utf-32": _wide("utf-32"),
}

_VALID: dict[str, Callable[[bytes], bool]] = {
    "solidus": lambda text: b"\\/" in text,
    "surrogate-pairs": lambda text: b"\\ud8" in text.lower(),
    "upper-case-escapes": lambda text: re.search(rb"\\u\d*[A-F]", text) is not None,
    "space-in-arrays": lambda text: re.search(rb"\[[ \t]|[ \t]\]", text) is not None,
    "other-member-order": lambda text: 0 <= text.find(b'"tenant_id"') < text.find(b'"tunnel_id"'),
    "tabs": lambda text: b"\t" in text,
    "space": lambda text: re.search(rb'"[\s]+:', text) is not None,
    "space-before": lambda text: text[:1] in (b" ", b"\t"),
    "lines": lambda text: b"\n" in text.strip(),
    "brace-in-string": lambda text: text.count(b"{") != text.count(b"}"),
    "brackets-in-string": lambda text: text.count(b"[") > 36,
}


def _one_of_each(keep: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> Change:
    """Accept an object with repeated members, and keep one of each."""

    def repair(text: bytes) -> bytes | None:
        twice: list[None] = []

        def members(found: list[tuple[str, Any]]) -> dict[str, Any]:
            twice.extend([None] * (len(found) - len(dict(found))))
            return keep(found)

        value = json.loads(text.decode(), object_pairs_hook=members)
        return json.dumps(value).encode() if twice else None

    return accepts_repaired(repair)


def _any_value(decode: Decode, frame: RawMessage, max_depth: int) -> object:
    """Decode JSON values that aren't objects too."""
    try:
        return decode(frame, max_depth)
    except NotStrictJson:
        try:
            value = json.loads(frame.text)
        except (ValueError, RecursionError):
            value = {}
        if isinstance(value, dict):
            raise
        return value


def _text_frames_only(decode: Decode, frame: RawMessage, max_depth: int) -> object:
    if frame.binary:
        raise NotStrictJson("it came in a binary frame")
    return decode(frame, max_depth)


def _is_one_item(value: object) -> bool:
    return isinstance(value, list) and len(value) == 1


def _object_as(function: Callable[[dict[str, Any]], object]) -> Change:
    """Apply a function to each JSON object before it is interpreted."""
    return around("understand", lambda before, value: before(function(value) if isinstance(value, dict) else value))


def _small_type(value: dict[str, Any]) -> dict[str, Any]:
    kind = str(value.get("type")).lower()
    return {**value, "type": kind} if isinstance(value.get("type"), str) and kind in RULES else value


def _known_members_only(understand: Understand, value: Any) -> Message | Violation:  # noqa: ANN401 - a JSON value
    found = understand(value)
    if isinstance(found, Violation):
        return found
    rules = RULES[str(value["type"])]
    known = set(value) <= {"type", *rules.members}
    return found if known else Violation("CB-MSG-105", rules.refusal, "it has an unknown member")


class _OneALine(StreamFramer):
    """Takes a whole line as one message."""

    _rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                super().feed((line if _is_one(line) else b"?") + b"\n")
        if len(self._rest) > self._max_message:
            super().feed(self._rest)


def _is_one(line: bytes) -> bool:
    """Whether a line is one JSON text, or doesn't begin with one."""
    try:
        return _first_value(line.decode()) == line.decode().strip()
    except (ValueError, RecursionError):
        return True


class _NoEmptyLines(StreamFramer):
    """Takes an empty line as an invalid message."""

    _ends_line = True

    def feed(self, data: bytes) -> None:
        empty = self._ends_line and data.startswith(b"\n")
        self._ends_line = data.endswith(b"\n")
        super().feed(b"?\n" + data.lstrip(b"\n") if empty else data)


def _tenant(exchange: AnswerContext) -> str:
    identity = exchange.connection.identity
    return identity.tenant.id if identity else ""


def _no_object(body: Body, _: AnswerContext) -> bool:
    return body.get("message") == "a message must be a JSON object"


CHANGES: dict[str, Change] = {
    **{f"input-{name}-accepted": accepts_repaired(repair) for name, repair in _REPAIRS.items()},
    **{f"input-{name}-not-understood": unreadable(when) for name, when in _VALID.items()},
    "input-compressed-accepted": both(
        framed(_UnpackingFramer), accepts_repaired(lambda text: zlib.decompress(text, _ANY_FORMAT))
    ),
    "input-escapes-not-understood": misreads(lambda text: _UNICODE_ESCAPE.sub(rb"\1\\\\u", text)),
    "input-type-must-be-first": unreadable(lambda text: text.lstrip().startswith(b"{") and not _TYPE_FIRST.match(text)),
    "input-cut-at-line-separator": unreadable(lambda text: any(end in text for end in _LINE_ENDS)),
    "byte-order-mark-passed-over": accepts_repaired(lambda text: text[3:] if text.startswith(_BOM) else None),
    "array-of-one-accepted": both(
        around("decode", _any_value),
        around("understand", lambda before, value: before(value[0] if _is_one_item(value) else value)),
    ),
    "other-values-close": both(
        around("decode", _any_value),
        part(answers=lambda body, exchange: [] if _no_object(body, exchange) else [body], ends=_no_object),
    ),
    "last-of-two-members-counts": _one_of_each(dict),
    "first-of-two-members-counts": _one_of_each(lambda pairs: dict(reversed(pairs))),
    "one-message-a-line": framed(_OneALine),
    "empty-line-refused": framed(_NoEmptyLines),
    "unknown-members-refused": around("understand", _known_members_only),
    "member-names-in-any-case": _object_as(lambda value: {name.lower(): member for name, member in value.items()}),
    "types-in-capitals": _object_as(_small_type),
    "tunnel-response-names-tenant": answers("tunnel_response", put("tenant_id", _tenant)),
    "binary-frames-refused": around("decode", _text_frames_only),
}
