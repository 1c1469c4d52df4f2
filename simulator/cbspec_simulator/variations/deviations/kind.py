"""What a deviation is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cbspec_simulator.variations.compose import Change

_IN_WORDS: Final = {
    "array": "an array",
    "object": "an object",
    "number": "a number",
    "array-inside": "an array with an array in it",
    "null-inside": "an array with null in it",
    "string": "a string of digits",
    "capitals": "in capitals",
}


def in_words(end: str) -> str:
    """Return the end of an id as a sentence can go on with it."""
    return _IN_WORDS.get(end, end.replace("-", " "))


@dataclass(frozen=True, slots=True)
class Deviation:
    """One way to be wrong: `change` makes a behaviour break `requirement` and nothing else."""

    id: str
    requirement: str
    sentence: str
    change: Change
