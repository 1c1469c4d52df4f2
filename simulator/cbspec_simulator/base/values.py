"""What a key of a file or a request may hold: in words for people, as JSON Schema for programs, and as a test."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_MAX_PORT: Final = 65_535
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Value:
    """What a key holds, in words, as a test and as JSON Schema, and what it is for."""

    wanted: str
    good: Callable[[Any], bool]
    schema: Mapping[str, Any]
    meaning: str = ""

    def says(self, meaning: str) -> Value:
        """Return the same for a key that means `meaning`."""
        return replace(self, meaning=meaning)


def whole(value: object) -> bool:
    """Say whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: object) -> bool:
    """Say whether a value is a number of seconds, bytes or the like: neither infinite nor beyond a float."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def text(value: object) -> bool:
    """Say whether a value is a string that can be written: half a surrogate pair can't."""
    return isinstance(value, str) and json_value(value)


def json_value(value: object) -> bool:
    """Say whether a value can be written as JSON: dates of TOML can't, nor can infinity."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def up_to(most: int) -> Value:
    """Return a value that is a whole number from 1 to `most`."""
    return Value(
        f"a whole number from 1 to {most}",
        lambda value: whole(value) and 1 <= value <= most,
        {"type": "integer", "minimum": 1, "maximum": most},
    )


def short(most: int) -> Value:
    """Return a value that is a string of at most so many bytes."""
    return Value(
        f"a string of at most {most} bytes",
        lambda value: text(value) and len(value.encode()) <= most,
        {"type": "string", "maxLength": most},
    )


def one_of(*words: str) -> Value:
    """Return a value that is one of some words."""
    return Value(f"one of {', '.join(words)}", lambda value: value in words, {"enum": list(words)})


TEXT: Final = Value(
    "a string that is not empty",
    lambda value: text(value) and value != "",
    {"type": "string", "minLength": 1},
)
NAME: Final = Value(
    "a name of letters, digits, dots, hyphens and underscores, 64 at most",
    lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
    {"type": "string", "pattern": f"^{_NAME.pattern}$"},
)
FLAG: Final = Value("true or false", lambda value: isinstance(value, bool), {"type": "boolean"})
PORT: Final = Value(
    f"a port from 0 to {_MAX_PORT}",
    lambda value: whole(value) and 0 <= value <= _MAX_PORT,
    {"type": "integer", "minimum": 0, "maximum": _MAX_PORT},
)
COUNT: Final = Value(
    "a whole number, 0 or more", lambda value: whole(value) and value >= 0, {"type": "integer", "minimum": 0}
)
SIZE: Final = Value(
    "a whole number, 1 or more", lambda value: whole(value) and value >= 1, {"type": "integer", "minimum": 1}
)
SECONDS: Final = Value(
    "a number of seconds, more than 0",
    lambda value: number(value) and value > 0,
    {"type": "number", "exclusiveMinimum": 0},
)
LATER: Final = Value(
    "a number of seconds, 0 or more", lambda value: number(value) and value >= 0, {"type": "number", "minimum": 0}
)
CHANCE: Final = Value(
    "a probability from 0 to 1",
    lambda value: number(value) and 0 <= value <= 1,
    {"type": "number", "minimum": 0, "maximum": 1},
)
TEXTS: Final = Value(
    "an array of strings",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    {"type": "array", "items": {"type": "string"}},
)
SIZES: Final = Value(
    "an array of whole numbers, 1 or more",
    lambda value: isinstance(value, list) and value != [] and all(whole(item) and item >= 1 for item in value),
    {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
)
JSON: Final = Value("any JSON value", json_value, {})
OBJECT: Final = Value("a JSON object", lambda value: isinstance(value, dict) and json_value(value), {"type": "object"})
