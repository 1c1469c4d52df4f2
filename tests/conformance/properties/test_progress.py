"""The progress display, on a terminal and in a log."""

from __future__ import annotations

import pytest

from cbspec_conformance.properties.progress import Progress, TerminalLine, silent


def test_updates_keep_their_distance() -> None:
    now, said = 0.0, list[str]()
    progress = Progress(said.append, 2.0, lambda: now)
    for made in range(1, 6):
        now += 1.0
        progress.tell("a case", made, 5)
    assert said == ["a case: 2 of 5 examples", "a case: 4 of 5 examples"]


def test_a_silent_progress_does_nothing() -> None:
    silent().tell("a case", 1, 1)


class Reporter:
    """Records the output of a terminal."""

    def __init__(self, *, isatty: bool) -> None:
        self.isatty = isatty
        self.seen: list[str] = []

    def ensure_newline(self) -> None:
        self.seen.append("newline")

    def rewrite(self, text: str, *, erase: bool) -> None:
        self.seen.append(f"again {text}")

    def write_line(self, text: str) -> None:
        self.seen.append(f"line {text}")

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(("isatty", "how"), [(True, "again"), (False, "line")])
def test_one_line_changes_on_a_terminal_and_a_log_has_many(pytestconfig: pytest.Config, isatty: bool, how: str) -> None:
    reporter = Reporter(isatty=isatty)
    say = TerminalLine(pytestconfig, reporter)  # type: ignore[arg-type]
    say("a")
    say("b")
    assert reporter.seen == ["newline", f"{how} a", f"{how} b"]
