"""`cbspec tap` as its users call it: a clean pair, a deviating one, the recomputed verdicts, and mistakes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cbspec.cli import main
from cbspec.exit_codes import ExitCode
from tests.support.processes import served

CBSPEC = [sys.executable, "-m", "cbspec"]
PATIENCE = 120.0


@contextmanager
def tap_process(port: int, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the command in front of a relay; give the process and its first line."""
    command = [*CBSPEC, "tap", "--target", f"127.0.0.1:{port}", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.kill()


def connect(port: int, *options: str) -> int:
    """Run a session of the reference client."""
    command = [*CBSPEC, "connect", f"127.0.0.1:{port}", "--tunnel", "t:3389:127.0.0.1:3389", *options]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_clean_pair_passes_over_both_transports(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "tap.jsonl"
    with served(tmp_path) as relay, tap_process(relay.address[1], "--transcript", str(file), "-v") as (tap, ready):
        assert Path(ready["ca_file"]).is_file()
        for transport in ("tcp", "websocket"):
            assert connect(ready["port"], "--transport", transport) == ExitCode.SUCCESS
        tap.send_signal(number)
        out, err = tap.communicate(timeout=PATIENCE)
    assert tap.returncode == ExitCode.SUCCESS, out + err
    verdict = json.loads(out)
    assert verdict["relay"]["passed"]
    assert verdict["client"]["passed"]
    outcomes = {
        id_: row["outcome"] for side in ("relay", "client") for id_, row in verdict[side]["requirements"].items()
    }
    clean = (
        "CB-HEL-001",
        "CB-AUT-003",
        "CB-TUN-001",
        "CB-HBT-001",
        "CB-WSK-001",
        "CC-HEL-001",
        "CC-TUN-002",
        "CC-WSK-002",
    )
    assert {outcomes[id_] for id_ in clean} == {"passed"}
    assert outcomes["CB-ERR-001"] == "not exercised"
    assert '-> {"type":"auth","token":"<token>"}' in err
    assert "eyJ" not in out + err + file.read_text()


def test_a_deviating_relay_fails_and_the_file_gives_the_same_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tap.jsonl"
    with (
        served(tmp_path, "--persona", "tunnel-id-capitals") as relay,
        tap_process(relay.address[1], "--transcript", str(file)) as (tap, ready),
    ):
        assert connect(ready["port"]) != ExitCode.SUCCESS
        tap.send_signal(signal.SIGINT)
        out, _ = tap.communicate(timeout=PATIENCE)
    assert tap.returncode == ExitCode.NOT_CONFORMING
    live = json.loads(out)["relay"]["requirements"]
    assert [id_ for id_, row in live.items() if row["outcome"] == "failed"] == ["CB-TUN-002"]
    assert main(["judge", str(file)]) == ExitCode.NOT_CONFORMING
    shown = capsys.readouterr().out
    counted = [sum(row["outcome"] == outcome for row in live.values()) for outcome in ("passed", "failed")]
    assert "did not pass: CB-TUN-002" in " ".join(shown.split())
    assert f"{counted[0]} passed, {counted[1]} failed" in shown
    assert "== The client" in shown
    assert "Judged by observation alone" in shown


def test_without_traffic_nothing_is_judged(tmp_path: Path) -> None:
    with tap_process(9) as (tap, _):
        tap.send_signal(signal.SIGTERM)
        tap.communicate(timeout=PATIENCE)
    assert tap.returncode == ExitCode.NOTHING_TO_JUDGE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "relay"], "must be host:port"),
        (["--target", "127.0.0.1:9", "--listen", "x"], "must be a port"),
        (["--target", "127.0.0.1:9", "--ca", "/nowhere/ca.pem"], "--ca: /nowhere/ca.pem: No such file"),
        (["--target", "127.0.0.1:9", "--answer-timeout", "0"], "above 0"),
        (["--target", "127.0.0.1:9", "--transcript", "/nowhere/file"], "--transcript: /nowhere/file"),
        (["--target", "127.0.0.1:9", "--client-certificate", "/nowhere"], "--client-certificate: /nowhere"),
    ],
)
def test_mistakes_are_named(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tap", *options]) == ExitCode.WRONG_USE
    assert words in capsys.readouterr().err


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tap.jsonl"
    file.write_text('{"row":"tap","version":1,"target":"a:1","listen":"a:2","epoch":0,"patience":5}\n{"row":"x"}\n')
    assert main(["judge", str(file)]) == ExitCode.WRONG_USE
    assert "line 2 is not a row of the tap" in capsys.readouterr().err
