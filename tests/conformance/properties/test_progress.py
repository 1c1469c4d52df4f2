"""The progress display, on a terminal and in a log."""

from __future__ import annotations

from unittest.mock import Mock, call

import pytest

from cbspec_conformance.properties.progress import TerminalLine


@pytest.mark.parametrize("isatty", [True, False])
def test_one_line_changes_on_a_terminal_and_a_log_has_many(pytestconfig: pytest.Config, isatty: bool) -> None:
    reporter = Mock(isatty=isatty)
    say = TerminalLine(pytestconfig, reporter)
    say("a")
    say("b")
    lines = [call.rewrite(text, erase=True) if isatty else call.write_line(text) for text in "ab"]
    assert reporter.mock_calls == [call.ensure_newline(), lines[0], call.flush(), lines[1], call.flush()]
