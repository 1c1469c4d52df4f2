"""The key log: every end of a connection writes the same secrets, and its file is the owner's only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cbspec.cli import CONNECTING, main
from cbspec.exit_codes import ExitCode
from cbspec.keylog import VARIABLE, KeyLogUnusable, key_log
from cbspec.tls_contexts import client_context
from tests.conformance.commands import verify
from tests.conformance.tap.test_command import connect, tap_process
from tests.support.processes import served

SECRETS = {
    f"{side}_{name}" for side in ("CLIENT", "SERVER") for name in ("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0")
}
MISSING = "/nonexistent/keys"


def logged(file: Path) -> set[str]:
    """Return the lines of a key log, without the secrets of exporters, which no reader of traffic needs."""
    assert file.stat().st_mode & 0o777 == 0o600
    return {line for line in file.read_text().splitlines() if line.split()[0] in SECRETS}


@pytest.mark.parametrize("deviation", [(), ("--deviation", "key-update-unanswered")])
def test_the_suites_own_client_and_both_tls_layers_of_the_simulator_log_their_keys(
    deviation: tuple[str, ...], tmp_path: Path
) -> None:
    relay, suite = tmp_path / "relay.keys", tmp_path / "suite.keys"
    suite.touch(mode=0o644)
    with served(tmp_path, "--keylog", str(relay), *deviation) as simulator:
        options = ("--only", "CB-TLS-012", "--own-cases", "--effort", "quick", "--keylog", str(suite))
        done = verify("--profile", str(simulator.profile_file), *options)
    assert done.code != ExitCode.KIT_ERROR, done.text
    assert logged(suite)
    assert logged(suite) == logged(relay)
    assert {line.split()[0] for line in logged(suite)} == SECRETS


def test_a_tap_logs_the_keys_of_both_its_sides(tmp_path: Path) -> None:
    names = ("relay", "tap", "client")
    files = {name: tmp_path / f"{name}.keys" for name in names}
    with (
        served(tmp_path, "--keylog", str(files["relay"])) as relay,
        tap_process(relay.address[1], "--keylog", str(files["tap"])) as (_, ready),
    ):
        assert connect(ready["port"], "--keylog", str(files["client"])) == ExitCode.SUCCESS
    relays, taps, clients = (logged(files[name]) for name in names)
    assert relays.isdisjoint(clients)
    assert relays | clients == taps


@pytest.mark.parametrize("command", CONNECTING)
def test_an_unusable_file_ends_a_command_before_it_connects(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, MISSING)
    more = {"tap": ["--target", "127.0.0.1:1"], "connect": ["127.0.0.1:1"], "load": ["127.0.0.1:1"], "replay": ["x"]}
    assert main([command, *more.get(command, [])]) == ExitCode.WRONG_USE
    said = capfd.readouterr().err
    assert f"the TLS key log {MISSING} can't be written: No such file or directory; name another" in said
    assert "Traceback" not in said


def test_contexts_log_only_on_demand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert key_log() == ""
    assert client_context().keylog_filename is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys"))
    assert client_context().keylog_filename == os.environ[VARIABLE]
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(KeyLogUnusable, match="Is a directory"):
        client_context()
