"""Masking: no text that is shown holds a token, however the message that carried it was written."""

from __future__ import annotations

import json
from typing import Final

from cbspec.redact import LONGEST, mask
from tests.fuzz.target import Choices, Target

_TOKEN: Final = "Sesame0123456789"
_JWT: Final = "eyJhbGciOiJI.eyJzdWIiOiJ1.c2VzYW1l"


def _spelt(text: str, choices: Choices) -> str:
    """Write a string's letters as themselves or as escapes."""
    return "".join(f"\\u{ord(letter):04x}" if choices.byte() & 1 else letter for letter in text)


def _check(data: bytes) -> None:
    choices = Choices(data)
    mode = choices.byte()
    if mode & 1:
        shown = mask(choices.rest)
        assert len(shown) <= 6 * LONGEST + 40
        shown.encode()
        return
    name, value = _spelt("token", choices), _spelt(_JWT if mode & 2 else _TOKEN, choices)
    if mode & 4:
        name = "note" if mode & 2 else name
    members = [f'"{name}":"{value}"']
    rest = choices.rest.decode("utf-8", "ignore")
    if mode & 8:
        members.insert(0, f'"x":{json.dumps(rest, ensure_ascii=bool(mode & 16))}')
    gap = (" ", "\n", "", "\t ")[mode >> 6]
    text = "{" + f",{gap}".join(member.replace('":', f'"{gap}:{gap}') for member in members)
    text += "" if mode & 32 else "}"
    shown = mask(text.encode())
    secret = _JWT if mode & 2 else _TOKEN
    assert secret not in shown, shown
    if len(text) <= LONGEST:
        try:
            assert secret not in json.dumps(json.loads(shown)), shown
        except ValueError:
            pass


TARGET: Final = Target(
    _check, share=8, longest=300, words=(b'"token":"', b"\\u0074", b"\\", b'"', _JWT.encode(), b"x" * LONGEST)
)
