"""Messages with one member replaced or left out, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbspec.tokens.forgery import MISSING
from cbspec_conformance.record.quoting import quoted


def changed(member: str, value: object) -> str:
    """Return the description of a message in which `member` is left out (MISSING) or replaced."""
    spelled = "missing" if value is MISSING else getattr(value, "text", None) or quoted(value, 40)
    return f"{member}: {spelled}"


def without(message: Mapping[str, Any], member: str, value: object = MISSING) -> dict[str, Any]:
    """Return `message` with `member` left out (MISSING) or replaced."""
    rest = {name: old for name, old in message.items() if name != member}
    return rest if value is MISSING else {**message, member: value}
