"""Values as reports quote them: in JSON's spelling, on one line, and not too long."""

from __future__ import annotations

import json
from collections.abc import Iterable

LONGEST = 60


def quoted(value: object, longest: int = LONGEST) -> str:
    """Return a JSON value, or bytes as far as they are UTF-8, in JSON's spelling; `longest` is in characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = "a value nested too deep"
    return shortened(printable(text), longest)


def printable(text: str) -> str:
    """Return `text` with escapes for what a terminal can't show."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode() for each in text
    )


def shortened(text: str, longest: int) -> str:
    """Return `text`, cut to `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def on_one_line(lines: Iterable[str], first: int, last: int) -> str:
    """Return the lines of a program's output that aren't blank on one line: at most the first and the last ones."""
    shown = [line.strip() for line in lines if line.strip()]
    if len(shown) > first + last:
        shown[first:-last] = ["…"]
    return " | ".join(shown)
