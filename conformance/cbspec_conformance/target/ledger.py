"""Records what a run has learned about room: proven losses, known to all processes, and how late room comes back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

PAUSES: Final = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 12.0)
"""Seconds without any connection of a tenant before each measurement: the sum tells a late return from a loss."""


class Ledger:
    """The losses of room that a run has proved, each with the requirement that it breaks.

    `whole` is the largest known room of each limit, `pause` the seconds after which room was back so far; `searched`
    says that the process looked for the cause of a loss, and `cleared` holds the requirements that lose nothing.
    Argument: `folder` is shared with the other processes of the run (None: there are none).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.whole: dict[str, int] = {}
        self.pause = 0.0
        self.searched = False
        self.cleared: set[str] = set()
        self._folder = folder
        self._lost: dict[str, str] = {}

    @property
    def lost(self) -> Mapping[str, str]:
        """What was lost, by requirement."""
        if self._folder is not None:
            for file in sorted(self._folder.glob("lost-*")):
                self._lost.setdefault(file.name.removeprefix("lost-"), file.read_text(encoding="utf-8"))
        return self._lost

    def add(self, requirement: str, sentence: str) -> None:
        """Record a proven loss."""
        self._lost[requirement] = sentence
        if self._folder is not None:
            (self._folder / f"lost-{requirement}").write_text(sentence, encoding="utf-8")
