"""Texts without the tokens in them, for whatever is shown or kept."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MASK: Final = "<token>"

_JWT: Final = re.compile(r"[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_MEMBER: Final = re.compile(r'("token"\s*:\s*)"(?:[^"\\]|\\.)*"?')


def mask(text: bytes) -> str:
    """Return a message's text with "<token>" where a token is, however it is written; bytes that are no UTF-8 escaped.

    A JSON text is only written anew where its spelling hides a token.
    """
    shown = _masked(text.decode(errors="backslashreplace"))
    if "\\" not in shown:
        return shown
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return shown
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    hidden = json.dumps(_without(value), ensure_ascii=False, separators=(",", ":"))
    # Compared without the mask itself: where it is all that differs, the text as it was written says more.
    return shown if hidden == plain or json.loads(shown) == json.loads(hidden) else hidden


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
