"""Recognise and redact tokens in texts. Every search takes linear time, since any peer may have written the text."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MASK: Final = "<token>"

LONGEST: Final = 4096
"""Bytes of a message that are shown."""

_LONG: Final = 16  # characters of a segment that can't be another word
_BEGINNING: Final = r"eyJ[\w-]{5,}+"  # of a header: in base64url, every JSON object begins with these letters
_WHOLE: Final = re.compile(_BEGINNING + r"\.[\w-]{5,}+\.[\w-]*+")
_PART: Final = re.compile(
    _BEGINNING + r"(?:\.[\w-]*+){0,2}"
    r"|(?<![\w-])(?:[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"
    r"|[\w-]*+(?:\.[\w-]{43,}+)++)"  # the end of a token: no signature is shorter
)
_MEMBER: Final = re.compile(r'("token"\s*+:\s*+)"(?:[^"\\]++|\\.)*+"?')
_ESCAPED_LETTER: Final = re.compile(r"\\u00(2[de]|3\d|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a])", re.IGNORECASE)
_LAST_WORD: Final = re.compile(r"[\w.\\-]++$")


def find_tokens(text: str) -> list[str]:
    """Return the complete tokens in a text."""
    return _WHOLE.findall(text)


def has_token(text: str) -> bool:
    """Whether a text contains a token, or a part of a token that `redact` replaces."""
    return _PART.search(text) is not None


def redact(text: str, mask: str = MASK) -> str:
    """Return a text with `mask` in place of each token and part of one."""
    return _PART.sub(lambda _: mask, text)


def conceal(text: str, token: str, mask: str = MASK) -> str:
    """Return a text with `mask` in place of a known token, whatever its form, and of its payload and signature."""
    for part in filter(None, (token, *(part for part in token.split(".")[1:] if len(part) >= _LONG))):
        text = text.replace(part, mask)
    return text


def redact_message(text: bytes, more: int = 0) -> str:
    """Return a message's text with its tokens redacted, JSON escapes considered; bytes that aren't UTF-8 are escaped.

    The spelling is kept unless it could hide a token. A long text is cut; its size includes `more` bytes of padding.
    """
    if len(text) > LONGEST:
        head = text[:LONGEST]
        kept = "" if b"\\" in head else _LAST_WORD.sub("", _redact_members(head.decode(errors="backslashreplace")))
        return f"{kept}… ({len(text) + more} bytes)"
    plain = text.decode(errors="backslashreplace")
    shown = _redact_members(plain)
    if "\\" not in shown:
        return shown
    try:
        redacted = _redact_value(json.loads(text))
    except (ValueError, RecursionError):
        return _redact_members(_ESCAPED_LETTER.sub(lambda escape: chr(int(escape[1], 16)), plain))
    try:
        complete = json.loads(shown) == redacted
    except ValueError:  # an escape was cut in two
        complete = False
    return shown if complete else json.dumps(redacted, ensure_ascii=False, separators=(",", ":"))


def _redact_members(text: str) -> str:
    return redact(_MEMBER.sub(rf'\1"{MASK}"', text))


def _redact_value(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {
                name: MASK if name == "token" and isinstance(inner, str) else _redact_value(inner)
                for name, inner in value.items()
            }
        case list():
            return [_redact_value(inner) for inner in value]
        case str():
            return redact(value)
    return value
