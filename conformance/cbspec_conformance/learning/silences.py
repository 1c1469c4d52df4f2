"""How long a missing answer is awaited: fully at first, and briefly for inputs that are known to draw none.

A brief wait is a guess. It is wrong if the answer comes later in the word, and the word is asked again with full waits
then. Besides, each silence of the learned machine is awaited fully once more, so a slow relay is not taken for a silent
one.
"""

from __future__ import annotations

from typing import Final

_LEAST: Final = 0.1  # seconds of a brief wait: a busy machine causes shorter delays
_TIMES: Final = 3  # the same as a multiple of the slowest answer in the preflight
_LATE: Final = 4  # answers after a brief wait, after which every wait is a full one


class AnsweredLate(Exception):
    """An answer came after a brief wait: the word must be asked again."""


class Silences:
    """The inputs without an answer, each with the tenant of the connection. `slowest` is in seconds."""

    def __init__(self, slowest: float = 0.0) -> None:
        self.seconds = max(_LEAST, _TIMES * slowest)
        self._trusted, self._used = True, False
        self._known: set[tuple[str, str]] = set()
        self._late = 0

    def wait(self, letter: str, tenant: str) -> float | None:
        """Return the seconds of a brief wait for the answer to an input, or None for a full one."""
        brief = self._trusted and (letter, tenant) in self._known
        self._used |= brief
        return self.seconds if brief else None

    def add(self, letter: str, tenant: str) -> None:
        """Record that a full wait was in vain."""
        self._known.add((letter, tenant))

    def answered_late(self) -> None:
        """Record an answer after a brief wait."""
        self._late += 1
        self.seconds *= 2
        self._trusted = self._trusted and self._late < _LATE

    def stop(self) -> bool:
        """Await everything fully from now on; return whether a brief wait may have been made since the last call."""
        used, self._used, self._trusted = self._used, False, False
        return used
