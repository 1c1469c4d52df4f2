"""The progress display of a long-running property."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

ON_A_TERMINAL = 2.0
IN_A_LOG = 15.0  # seconds between two updates


class Progress:
    """Reports the number of tried examples while a case runs: on one line of a terminal, or on a line each in a log.

    Arguments: `reporter` is pytest's (None: no display), and `capture` suspends its capturing of output.
    """

    def __init__(
        self,
        reporter: pytest.TerminalReporter | None = None,
        capture: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._capture = capture
        self._clock = clock
        self._last = clock()
        self._began = False

    def tell(self, case: str, made: int, of: int) -> None:
        """Report that `made` of `of` examples were tried, if an update is due."""
        reporter, now = self._reporter, self._clock()
        if reporter is None or now - self._last < (ON_A_TERMINAL if reporter.isatty else IN_A_LOG):
            return
        self._last, text = now, f"{case}: {made} of {of} examples"
        with self._capture():
            if not self._began:
                self._began = True
                reporter.ensure_newline()
            if reporter.isatty:
                reporter.rewrite(text, erase=True)
            else:
                reporter.write_line(text)
            reporter.flush()
