"""Texts without the tokens in them, for whatever is shown or kept."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MASK: Final = "<token>"

# Both take a time that grows with the text and no faster, whatever the text is: it comes from anybody.
_JWT: Final = re.compile(
    r"(?<![\w-])(?:[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"
    r"|eyJ[\w-]{8,}+(?:\.[\w-]*+)?"  # its beginning: in base64url, every JSON object begins so
    r"|[\w-]*+(?:\.[\w-]{43,}+)++)"  # its end: no signature is shorter
)
_MEMBER: Final = re.compile(r'("token"\s*+:\s*+)"(?:[^"\\]++|\\.)*+"?')
_LETTER: Final = re.compile(
    r"\\u00(2[de]|3\d|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a])", re.IGNORECASE
)  # of a name or a token
_LAST_WORD: Final = re.compile(r"[\w.\\-]++$")

LONGEST: Final = 4096
"""Bytes of a text that are shown."""


def hide(text: str) -> str:
    """Return a text of one's own, such as a name that a client has given, with "<token>" where a token is."""
    return _JWT.sub(MASK, text)


def mask(text: bytes) -> str:
    """Return a message's text with "<token>" where a token is, however it is written; bytes that are no UTF-8 escaped.

    A JSON text is only written anew where its spelling hides a token. Of a long text only the beginning is shown, and
    nothing where a token could hide in it.
    """
    if len(text) > LONGEST:
        head = text[:LONGEST]
        kept = "" if b"\\" in head else _LAST_WORD.sub("", _masked(head.decode(errors="backslashreplace")))
        return f"{kept}… ({len(text)} bytes)"
    shown = _masked(text.decode(errors="backslashreplace"))
    if "\\" not in shown:
        return shown
    try:
        without = _without(json.loads(text))
    except (ValueError, RecursionError):  # no JSON, or nested deeper than can be taken apart
        return _masked(_LETTER.sub(lambda escape: chr(int(escape[1], 16)), shown))
    try:
        whole = json.loads(shown) == without
    except ValueError:  # part of an escape is gone
        whole = False
    return shown if whole else json.dumps(without, ensure_ascii=False, separators=(",", ":"))


def _masked(text: str) -> str:
    return _JWT.sub(MASK, _MEMBER.sub(rf'\1"{MASK}"', text))


def _without(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {
                name: MASK if name == "token" and isinstance(inner, str) else _without(inner)
                for name, inner in value.items()
            }
        case list():
            return [_without(inner) for inner in value]
        case str():
            return _JWT.sub(MASK, value)
    return value
