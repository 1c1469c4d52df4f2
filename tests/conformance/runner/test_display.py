"""What a run shows: on a terminal, in a log, with -q and with -v."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.commands import Done, run, simulator, verify

SELECTED = ("--effort", "quick", "-k", "message_types and not websocket")
FIRST = ("--effort", "quick", "-k", "test_hello_is_answered")
ESCAPE = re.compile(r"\x1b\[[0-9;]*[mK]")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a relay with one deviation, which is up during the tests of this module."""
    with simulator(tmp_path_factory.mktemp("relay"), "--deviation", "hello-version-missing") as profile:
        (address,) = re.findall(r'^address = "(.*)"$', profile.read_text(), re.MULTILINE)
        yield address


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """Run `cbspec verify` on a terminal of 80 columns, and return what it wrote."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cbspec", "verify", *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
    )
    os.close(terminal)
    written = b""
    with process, os.fdopen(controller, "rb", buffering=0) as output:
        try:
            while chunk := output.read(65536):
                written += chunk
        except OSError:  # Linux reports the end of a terminal so
            pass
    return written.decode()


def failures(text: str) -> list[str]:
    """Return the lines of the report about failed requirements."""
    return re.findall(r"^(CB-\w+-\d+) a message as the schema", text, re.MULTILINE)


def test_a_log_has_a_line_for_each_chapter_then_the_table_then_the_failures(broken: str) -> None:
    text = verify(broken, *SELECTED, COLUMNS="80").text
    chapters = re.findall(r"^CB-(\w+)  [A-Z].* (\d+) cases  (\S.*)$", text, re.MULTILINE)
    assert {"HEL", "AUT", "TUN", "HBT"} <= {chapter for chapter, _, _ in chapters}
    assert all(told.startswith("1 failed") == (chapter == "HEL") for chapter, _, told in chapters)
    places = [
        text.index(part) for part in ("\nfailed  CB-HEL-002", "\nCB-TUN  ", "Requirements by chapter", "\nFailed: 1")
    ]
    assert places == sorted(places)
    assert failures(text) == ["CB-HEL-002"]
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert ".py" not in text


def test_a_terminal_has_one_line_that_changes_and_colours_unless_they_are_refused(broken: str) -> None:
    text = on_a_terminal(broken, *SELECTED)
    live = re.findall(r"\r(\d+ of \d+ cases[^\r]*)", text)
    assert len(live) > 3
    assert any("1 failed" in line and " left  " in line for line in live)
    assert "\x1b[31m" in text
    shown = [line.rsplit("\r", 1)[-1] for line in ESCAPE.sub("", text).replace("\r\n", "\n").splitlines()]
    assert not any(re.search(r"\d+ cases  (ok|\d)", line) for line in shown)
    assert failures("\n".join(shown)) == ["CB-HEL-002"]
    assert max(map(len, shown)) <= 80
    for refusal in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b[3" not in on_a_terminal(broken, *FIRST, **refusal)
    assert "\x1b[31m" in verify(broken, *FIRST, FORCE_COLOR="1").text


def test_quiet_is_one_line(broken: str) -> None:
    done = verify(broken, *FIRST, "-q")
    (line,) = done.text.splitlines()
    assert re.fullmatch(rf"{broken} did not pass: \d+ passed, 1 failed \(CB-HEL-002\)", line)
    assert done.code == 1


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_verbose_shows_each_case_with_its_exchanges(broken: str, processes: tuple[str, ...]) -> None:
    done = verify(broken, "--only", "CB-AUT-002,CB-HEL-002", "--own-cases", "-v", *processes, COLUMNS="80")
    assert re.search(r"^FAILED        CB-HEL-002  test_", done.text, re.MULTILINE)
    assert re.search(r"^PASSED        CB-AUT-002  test_", done.text, re.MULTILINE)
    assert re.search(r'^   ? *\d\.\d+ #\d+ -> {"type":"auth","token":"\*\*\*"}', done.text, re.MULTILINE)


def test_the_first_failure_ends_the_run_with_a_report(broken: str) -> None:
    for more in ((), ("--jobs", "1"), ("-n", "2")):
        done = verify(broken, *SELECTED, "--fail-fast", *more)
        assert done.code == 1
        assert failures(done.text) == ["CB-HEL-002"]
        assert "The run ended after the first failure, CB-HEL-002" in done.text
        assert int(re.findall(r"(\d+) passed", done.text)[-1]) < 40


def test_plain_pytest_in_a_foreign_project_looks_the_same(broken: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra --tb=long -s\nconsole_output_style = count\n")
    suite = Path(__file__).parents[3] / "conformance"
    done: Done = run("-m", "pytest", str(suite), f"--target={broken}", *FIRST, folder=tmp_path, COLUMNS="80")
    assert done.code == 1
    assert failures(done.text) == ["CB-HEL-002"]
    assert ".py" not in done.text
    assert max(map(len, done.text.splitlines())) <= 80
