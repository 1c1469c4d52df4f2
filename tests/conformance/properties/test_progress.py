"""The progress display, on a terminal and in a log."""

from __future__ import annotations

from unittest.mock import Mock, call

import pytest

from cbspec_conformance.properties.progress import Progress, TerminalLine, silent


def test_updates_keep_their_distance() -> None:
    now, said = 0.0, list[str]()
    progress = Progress(said.append, 2.0, lambda: now)
    for made in range(1, 6):
        now += 1.0
        progress.tell("a case", made, 5)
    assert said == ["a case: 2 of 5 examples", "a case: 4 of 5 examples"]
    silent().tell("a case", 1, 1)


@pytest.mark.parametrize("isatty", [True, False])
def test_one_line_changes_on_a_terminal_and_a_log_has_many(pytestconfig: pytest.Config, isatty: bool) -> None:
    reporter = Mock(isatty=isatty)
    say = TerminalLine(pytestconfig, reporter)
    say("a")
    say("b")
    lines = [call.rewrite(text, erase=True) if isatty else call.write_line(text) for text in "ab"]
    assert reporter.mock_calls == [call.ensure_newline(), lines[0], call.flush(), lines[1], call.flush()]
