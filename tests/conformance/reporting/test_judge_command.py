"""`cbspec judge`: the report of a saved run. `make adequacy` compares the verdicts for every deviation."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.redact import has_token
from tests.conformance.commands import simulator, verify


def table(text: str) -> list[str]:
    """Return the part of a report that does not depend on pytest."""
    lines = [line for line in text.splitlines() if not line.startswith("=")]
    return lines[next(n for n, line in enumerate(lines) if "chapter" in line) :]


@pytest.mark.parametrize(("deviation", "transport"), [("hello-version-missing", "tcp"), ("", "websocket")])
def test_the_report_is_that_of_the_run(
    deviation: str, transport: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transcript = tmp_path / "run.jsonl"
    with simulator(tmp_path, *(["--deviation", deviation] if deviation else [])) as profile:
        options = ("--transport", transport, "--effort", "quick", "--only", "CB-HEL-002,CB-AUT-004,CB-TUN-001")
        live = verify("--target-profile", str(profile), *options, "--transcript", str(transcript))
    assert main(["judge", str(transcript)]) == live.code
    assert table(capsys.readouterr().out) == table(live.text)
    assert not has_token(transcript.read_text())


@pytest.mark.parametrize("text", [None, "", "{]\n", "[]\n", '{"transcript": 0}\n', '{"transcript": 1}\n'])
def test_an_invalid_transcript_is_reported(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.jsonl"
    if text is not None:
        file.write_text(text)
    assert main(["judge", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
