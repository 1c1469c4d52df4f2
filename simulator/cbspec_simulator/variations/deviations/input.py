"""Deviations of the messages that the relay reads: near misses accepted, and valid JSON refused."""

from __future__ import annotations

import ast
import gzip
import json
import re
import zlib
from collections.abc import Callable

from cbspec.protocol.framing import StreamFramer
from cbspec_simulator.variations.parts import Change, both, framed
from cbspec_simulator.variations.requests import accepts_repaired, misreads, unreadable

_MAGIC = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # of gzip and zlib

Repair = Callable[[bytes], bytes | None]
"""Returns the JSON that a text is mistaken for, or None."""


def _substitute(pattern: bytes, by: bytes) -> Repair:
    expression = re.compile(pattern)
    return lambda text: expression.sub(by, text) if expression.search(text) else None


def _python(text: bytes) -> bytes | None:
    try:
        return json.dumps(ast.literal_eval(text.decode())).encode()
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _without_text_before(text: bytes) -> bytes | None:
    start = text.find(b"{")
    return text[start:] if start > 0 else None


def _without_text_after(text: bytes) -> bytes | None:
    try:
        string = text.decode()
        _, end = json.JSONDecoder().raw_decode(string.lstrip())
    except (ValueError, RecursionError):
        return None
    return string.lstrip()[:end].encode()


def _line_in_utf_16(text: bytes) -> bytes | None:
    """Decode a line in UTF-16 that was cut in the middle of its line feed, two bytes long."""
    try:
        return (text + b"\n").decode("utf-16-be").encode() if text.endswith(b"\0") else None
    except UnicodeDecodeError:
        return None


def _decoded(encoding: str, errors: str = "strict") -> Repair:
    def repair(text: bytes) -> bytes | None:
        try:
            return text.decode(encoding, errors).encode("utf-8", "replace")
        except UnicodeDecodeError:
            return None

    return repair


def _wide(*encodings: str) -> Repair:
    def repair(text: bytes) -> bytes | None:
        if b"\0" not in text:
            return None
        found = (_decoded(encoding)(text) for encoding in encodings)
        return next((made for made in found if made is not None and made.lstrip()[:1] == b"{"), None)

    return repair


def _unpack(text: bytes) -> bytes | None:
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            return unpack(text)
        except (OSError, EOFError, zlib.error):
            continue
    return None


class _UnpackingFramer(StreamFramer):
    """Decompresses input that begins like gzip or zlib."""

    _packed = b""

    def feed(self, data: bytes) -> None:
        packed = self._packed + data
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


_LINE_ENDS = tuple(end.encode() for end in "\u0085\u2028\u2029")
_UNICODE_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u")
_TYPE_FIRST = re.compile(rb'\s*\{\s*"(?:t|\\u0074)(?:y|\\u0079)(?:p|\\u0070)(?:e|\\u0065)"')

_NEARLY_JSON: dict[str, Repair] = {
    "trailing-comma": _substitute(rb",\s*([}\]])", rb"\1"),
    "leading-comma": _substitute(rb"\{\s*,", b"{"),
    "missing-comma": _substitute(rb'(["\d])(\s+")', rb"\1,\2"),
    "missing-colon": _substitute(rb'([{,]\s*"[^"]*")\s+(?=")', rb"\1:"),
    "equals-sign": _substitute(rb'(")\s*=', rb"\1:"),
    "missing-brace": lambda text: text.rstrip() + b"}",
    "single-quotes": _python,
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
    "garbage-before": _without_text_before,
    "garbage-behind": _without_text_after,
    "behind-nul": lambda text: text.partition(b"\0")[0],
}

_NOT_UTF8: dict[str, Repair] = {
    "overlong": _substitute(rb"[\xc0\xc1][\x80-\xbf]", b"?"),
    "surrogates": _decoded("utf-8", "surrogatepass"),
    "beyond-unicode": _substitute(rb"\xf4[\x90-\xbf][\x80-\xbf]{2}", b"?"),
    "latin-1": _decoded("latin-1"),
    "utf-16": _wide("utf-16-le", "utf-16-be"),
    "utf-16-line": _line_in_utf_16,
    "utf-32": _wide("utf-32-le", "utf-32-be"),
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


CHANGES: dict[str, Change] = {
    **{f"input-{name}-accepted": accepts_repaired(repair) for name, repair in {**_NEARLY_JSON, **_NOT_UTF8}.items()},
    "input-compressed-accepted": both(framed(_UnpackingFramer), accepts_repaired(_unpack)),
    **{f"input-{name}-not-understood": unreadable(when) for name, when in _VALID.items()},
    "input-escapes-not-understood": misreads(lambda text: _UNICODE_ESCAPE.sub(rb"\1\\\\u", text)),
    "input-type-must-be-first": unreadable(lambda text: text.lstrip().startswith(b"{") and not _TYPE_FIRST.match(text)),
    "input-cut-at-line-separator": unreadable(lambda text: any(end in text for end in _LINE_ENDS)),
}
