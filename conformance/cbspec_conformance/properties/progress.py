"""What is to be seen of a property that takes its time: how far it is, every few seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

ON_A_TERMINAL = 2.0
IN_A_LOG = 15.0
"""Seconds between two words on it."""

Say = Callable[[str], None]


class Progress:
    """Says by `say` how far a property is, when `every` seconds have passed since it last said something."""

    def __init__(self, say: Say, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._every = every
        self._clock = clock
        self._last = clock()

    def tell(self, what: str, made: int, of: int) -> None:
        """Say that `made` of so many examples were tried, if it is time."""
        if self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._say(f"{what}: {made} of {of} examples")


def silent() -> Progress:
    """Return a progress that nobody sees."""
    return Progress(lambda _: None, float("inf"))


class Teller:
    """Says it on pytest's terminal while a case runs: in one line that changes, or line by line in a log."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._reporter = reporter
        self._began = False

    def __call__(self, text: str) -> None:
        """Say a sentence."""
        with self._capture.global_and_fixture_disabled() if self._capture else contextlib.nullcontext():
            if not self._began:
                self._began = True
                self._reporter.ensure_newline()
            if self._reporter.isatty:
                self._reporter.rewrite(text, erase=True)
            else:
                self._reporter.write_line(text)
            self._reporter.flush()
