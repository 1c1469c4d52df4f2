"""Redaction: no text that is shown contains a token, however the message was written."""

from __future__ import annotations

import contextlib
import json
from typing import Final

from cbspec.redact import LONGEST, redact_message
from tests.fuzz.target import Choices

_TOKEN: Final = "Sesame0123456789"
_JWT: Final = "eyJhbGciOiJI.eyJzdWIiOiJ1.c2VzYW1l"


def check(data: bytes) -> None:
    """Redact any text, or a message with a token."""
    choices = Choices(data)
    mode = choices.byte()
    if mode & 1:
        shown = redact_message(choices.rest)
        assert len(shown) <= 6 * LONGEST + 40
        shown.encode()
        return
    secret = _JWT if mode & 2 else _TOKEN
    name, value = _escaped("token", choices), _escaped(secret, choices)
    if mode & 4 and mode & 2:
        name = "note"
    members = [f'"{name}":"{value}"']
    rest = choices.rest.decode("utf-8", "ignore")
    if mode & 8:
        members.insert(0, f'"x":{json.dumps(rest, ensure_ascii=bool(mode & 16))}')
    gap = (" ", "\n", "", "\t ")[mode >> 6]
    text = "{" + f",{gap}".join(member.replace('":', f'"{gap}:{gap}') for member in members)
    text += "" if mode & 32 else "}"
    shown = redact_message(text.encode())
    assert secret not in shown, shown
    if len(text) <= LONGEST:
        with contextlib.suppress(ValueError):
            assert secret not in json.dumps(json.loads(shown)), shown


def _escaped(text: str, choices: Choices) -> str:
    return "".join(f"\\u{ord(letter):04x}" if choices.byte() & 1 else letter for letter in text)
