"""What a key of a file or a request may hold: in words for people, as JSON Schema for programs, and as a test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_MAX_PORT: Final = 65_535


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
    """Say whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def one_of(*words: str) -> Value:
    """Return a value that is one of some words."""
    return Value(f"one of {', '.join(words)}", lambda value: value in words, {"enum": list(words)})


TEXT: Final = Value(
    "a string that is not empty",
    lambda value: isinstance(value, str) and value != "",
    {"type": "string", "minLength": 1},
)
ANY_TEXT: Final = Value("a string", lambda value: isinstance(value, str), {"type": "string"})
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
JSON: Final = Value("any JSON value", lambda value: True, {})
OBJECT: Final = Value("a JSON object", lambda value: isinstance(value, dict), {"type": "object"})
