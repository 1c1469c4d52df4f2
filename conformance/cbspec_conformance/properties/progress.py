"""The progress display of a long-running property."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

ON_A_TERMINAL = 2.0
IN_A_LOG = 15.0
"""Seconds between two updates."""


class Progress:
    """Reports the number of tried examples by `say`, at most once in `every` seconds."""

    def __init__(self, say: Callable[[str], None], every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._every = every
        self._clock = clock
        self._last = clock()

    def tell(self, case: str, made: int, of: int) -> None:
        """Report that `made` of `of` examples were tried, if an update is due."""
        if self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._say(f"{case}: {made} of {of} examples")


def silent() -> Progress:
    """Return a progress without a display."""
    return Progress(lambda _: None, float("inf"))


class TerminalLine:
    """Writes to pytest's terminal while a case runs: one line that changes, or a line each in a log."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._reporter = reporter
        self._began = False

    def __call__(self, text: str) -> None:
        """Write a line."""
        with self._capture.global_and_fixture_disabled() if self._capture else contextlib.nullcontext():
            if not self._began:
                self._began = True
                self._reporter.ensure_newline()
            if self._reporter.isatty:
                self._reporter.rewrite(text, erase=True)
            else:
                self._reporter.write_line(text)
            self._reporter.flush()
