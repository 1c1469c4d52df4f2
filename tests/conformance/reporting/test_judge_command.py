"""`cbspec judge` recomputes the verdicts of a run from its saved transcript."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.redact import has_token
from tests.conformance.commands import simulator, verify

DEVIATIONS = ("", "hello-version-missing", "tunnel-id-truncated", "auth-client-id-empty")


def table(text: str) -> list[str]:
    """Return the part of a report that does not depend on how pytest ran."""
    lines = [line for line in text.splitlines() if not line.startswith("=")]
    return lines[next(n for n, line in enumerate(lines) if "chapter" in line) :]


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_the_verdicts_are_those_of_the_run(
    deviation: str, transport: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transcript = tmp_path / "run.jsonl"
    with simulator(tmp_path, *(["--deviation", deviation] if deviation else [])) as profile:
        options = ("--transport", transport, "--effort", "quick", "--only", "CB-HEL-002,CB-AUT-004,CB-TUN-001")
        live = verify("--target-profile", str(profile), *options, "--transcript", str(transcript))
    assert main(["judge", str(transcript)]) == live.code
    assert table(capsys.readouterr().out) == table(live.text)
    assert not has_token(transcript.read_text())


def test_an_unusable_transcript_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{]\n")
    for path in (broken, tmp_path / "missing.jsonl"):
        assert main(["judge", str(path)]) == 2
        assert str(path) in capsys.readouterr().err
