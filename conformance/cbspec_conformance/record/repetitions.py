"""Finds the parts of a sequence that repeat, so that a reader sees each once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def repetitions(shapes: Sequence[object], longest: int) -> Iterator[tuple[int, int, int]]:
    """Yield the parts of a sequence: where each begins, its length, and how often it comes in a row.

    Only a part of at most `longest` elements that comes at least three times is a repetition; all other elements are
    parts of one element, once.
    """
    at = 0
    while at < len(shapes):
        length, times = _repetition(shapes, at, longest)
        yield at, length, times
        at += length * times


def _repetition(shapes: Sequence[object], at: int, longest: int) -> tuple[int, int]:
    """Return the length of the shortest sequence that repeats at `at` at least three times, and the times; or 1, 1."""
    for length in range(1, longest + 1):
        times = 1
        while shapes[at + length * times : at + length * (times + 1)] == shapes[at : at + length]:
            times += 1
        if times > 2:
            return length, times
    return 1, 1
