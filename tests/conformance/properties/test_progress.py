"""The progress display, on a terminal and in a log."""

from __future__ import annotations

from unittest.mock import Mock, call

import pytest

from cbspec_conformance.properties.progress import Progress


@pytest.mark.parametrize("isatty", [True, False])
def test_one_line_changes_on_a_terminal_and_a_log_has_many(isatty: bool) -> None:
    now, reporter = 0.0, Mock(isatty=isatty)
    progress = Progress(reporter, clock=lambda: now)
    for made in range(1, 6):
        now += 1.1 if isatty else 8.0
        progress.tell("a case", made, 5)
    texts = ["a case: 2 of 5 examples", "a case: 4 of 5 examples"]
    lines = [call.rewrite(text, erase=True) if isatty else call.write_line(text) for text in texts]
    assert reporter.mock_calls == [call.ensure_newline(), lines[0], call.flush(), lines[1], call.flush()]
