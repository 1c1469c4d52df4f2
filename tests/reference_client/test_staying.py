"""`cbspec connect --stay`: events, signals, exit codes by cause, environment variables, and tunnels from a file."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cbspec.cli import main
from cbspec.protocol.codes import ErrorCode
from cbspec_client.errors import BY_CODE, ClientError
from cbspec_client.exit_causes import EXIT_CAUSES, OTHER_EXITS, exit_code
from cbspec_simulator import LocalRelay
from tests.reference_client.conftest import requests
from tests.support.client import PATIENCE

ROOT = Path(__file__).parents[2]
QUICK = ("--stay", "--retry-delay", "0.001", "--heartbeat-interval", "0.05", "--timeout", str(PATIENCE))


@contextmanager
def running(relay: LocalRelay, *options: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Run the command against the relay in a process of its own."""
    command = [sys.executable, "-m", "cbspec", "connect", f"127.0.0.1:{relay.port}", *QUICK, *options]
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def run(relay: LocalRelay, *options: str) -> int:
    """Run the command in this process; return its exit code."""
    return main(["connect", f"127.0.0.1:{relay.port}", *QUICK, *options])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
def test_it_reconnects_and_is_closed_by_sigterm(relay_module: LocalRelay, transport: str, tmp_path: Path) -> None:
    tunnels = tmp_path / "tunnels.toml"
    end = 'local_port = 1\nremote_host = "127.0.0.1"\nremote_port = 2\n'
    tunnels.write_text(f'[[tunnels]]\nid = "a"\n{end}')
    options = ("--json", "--transport", transport, "--tunnels", str(tunnels), "--tunnel", "b:3:127.0.0.1:4")
    with running(relay_module, *options) as process:
        transcript = relay_module.transcript
        transcript.wait_for("answer", "heartbeat_response", timeout=PATIENCE)
        relay_module.drop()
        transcript.wait_for("answer", "tunnel_response", count=4, timeout=PATIENCE)
        last = transcript.wait_for("answer", "heartbeat_response", after=transcript.entries[-1], timeout=PATIENCE)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert transcript.wait_for("ended", after=last).type in ("close_notify", "close_frame")
    events = [line["event"] for line in lines(out) if line["event"] != "heartbeat"]
    begin = ["connecting", "connected", "authenticated", "tunnel_opened", "tunnel_opened", "up"]
    assert events == [*begin, "lost", "retrying", *begin, "ended"]
    assert lines(out)[-1] == {"event": "ended", "outcome": "ok"}
    assert re.fullmatch("cbspec: the connection was lost: .*reset by peer\n", err)


def test_a_signal_during_a_retry_or_a_silence_is_an_interruption(relay_module: LocalRelay) -> None:
    with relay_module.fault("drop", when={"message": "auth"}), running(relay_module, "--json") as silent:
        relay_module.transcript.wait_for("request", "auth", timeout=PATIENCE)
        silent.send_signal(signal.SIGINT)
        out, err = silent.communicate(timeout=PATIENCE)
    assert (silent.returncode, lines(out)[-1]["outcome"], err) == (130, "interrupted", "cbspec: interrupted\n")
    with (
        relay_module.fault("unavailable"),
        running(relay_module, "--retry-delay", "3600", "--retry-cap", "3600") as retry,
    ):
        relay_module.transcript.wait_for("ended", timeout=PATIENCE)
        assert retry.stdout is not None
        assert any("retry 1 in" in line for line in iter(retry.stdout.readline, ""))
        retry.send_signal(signal.SIGTERM)
        _, err = retry.communicate(timeout=PATIENCE)
    assert retry.returncode == 130
    assert "server_unavailable" in err


def test_the_state_is_shown_in_the_last_line_of_a_terminal(relay_module: LocalRelay) -> None:
    reader, writer = pty.openpty()
    shown = b""
    with running(relay_module, stdout=writer) as process:
        os.close(writer)
        while b"heartbeats, the last within" not in shown:
            shown += os.read(reader, 4096)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    os.close(reader)
    assert re.search(rb"\r\x1b\[K127\.0\.0\.1:\d+: up for 0 s, connection 1, 0 tunnels, 1 heartbeats, the last", shown)


def test_each_refusal_has_its_exit_code_and_shows_its_code(
    relay_module: LocalRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in ("hello", "auth", "tunnel_info", "heartbeat"):
        for code in (*ErrorCode, "teapot"):
            relay_module.transcript.clear()
            with relay_module.fault("error", code=code, when={"message": at}):
                done = run(relay_module, "--tunnel", "a:1:127.0.0.1:2", "--retries", "1")
            printed = capsys.readouterr()
            kind = BY_CODE[ErrorCode(code)] if code != "teapot" else None
            assert done == (EXIT_CAUSES[kind].code if kind else 20)
            assert f"refused: {code}" in printed.err
            retried = code in ("rate_limit_exceeded", "server_unavailable", "data_transfer_failed")
            assert requests(relay_module).count("hello") == 1 + retried, (at, code)


BROKEN: list[tuple[str, dict[str, Any], int]] = [
    *((kind, {"when": {"message": at}}, 14) for kind in ("wrong-type", "damage-utf-8") for at in ("hello_response",)),
    ("wrong-type", {"type": "hello_response", "when": {"message": "heartbeat_response"}}, 14),
    ("member", {"member": "status", "value": "accepted", "when": {"message": "tunnel_response"}}, 14),
    ("missing-member", {"member": "client_id", "when": {"message": "auth_response"}}, 14),
    ("wrong-id", {"when": {"message": "tunnel_response"}}, 14),
    ("wrong-tenant", {"when": {"message": "auth_response"}}, 14),
    ("damage-json", {"how": "words", "when": {"message": "heartbeat_response"}}, 14),
    ("drop", {"when": {"message": "tunnel_info"}}, 13),
    ("drop", {"when": {"message": "heartbeat"}}, 13),
    ("silent", {}, 13),
    ("close", {"when": {"message": "heartbeat"}}, 12),
    ("reset", {"when": {"message": "auth"}}, 12),
    ("tls-1.2", {}, 10),
    ("certificate-expired", {}, 11),
    ("handshake-stall", {}, 3),
    ("refuse", {}, 3),
]


@pytest.mark.parametrize(("kind", "params", "code"), BROKEN)
def test_each_defect_of_the_relay_is_detected(
    relay_module: LocalRelay, capsys: pytest.CaptureFixture[str], kind: str, params: dict[str, Any], code: int
) -> None:
    brief = ("--timeout", "0.2", "--heartbeat-timeout", "0.1", "--retries", "1") if code in (3, 13) else ()
    with relay_module.fault(kind, **params):
        assert run(relay_module, "--tunnel", "a:1:127.0.0.1:2", *brief) == code
    assert capsys.readouterr().err


def test_the_exit_codes_differ_by_cause_and_are_documented() -> None:
    codes = [cause.code for cause in (*EXIT_CAUSES.values(), *OTHER_EXITS)]
    assert len(set(codes)) == len(codes)
    rows = sorted(f"| {int(cause.code)} | {cause.meaning} |" for cause in (*EXIT_CAUSES.values(), *OTHER_EXITS))
    text = (ROOT / "docs" / "how-to" / "reference-client.md").read_text()
    assert sorted(re.findall(r"^\| \d+ \| .* \|$", text, re.MULTILINE)) == rows
    assert exit_code(ClientError("of no known kind")) == 70


# ---------------------------------------------------------------- options


def test_options_have_environment_variables(
    relay_module: LocalRelay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(relay_module.token(subject="of the file"))
    variables = {
        "RELAY": f"127.0.0.1:{relay_module.port}",
        "TOKEN": relay_module.token(subject="of the variable"),
        "TOKEN_FILE": str(tmp_path / "token"),
        "CA": str(relay_module.ca_file),
        "TRANSPORT": "websocket",
        "TIMEOUT": str(PATIENCE),
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"CLOUDBRIDGE_{name}", value)
    assert main(["connect"]) == 0
    assert main(["connect", "--token-file", str(tmp_path / "token"), "--transport", "tcp"]) == 0
    monkeypatch.delenv("CLOUDBRIDGE_TOKEN")
    assert main(["connect"]) == 0
    entries = relay_module.transcript.requests("auth")
    assert [entry.subject for entry in entries] == ["of the variable", "of the file", "of the file"]
    assert [entry.transport for entry in entries] == ["websocket", "tcp", "websocket"]
    assert main(["connect", "--insecure"]) == 0, "no token from the environment is sent without a verified certificate"
    assert len(relay_module.transcript.requests("auth")) == 3
    capsys.readouterr()
    for name, value, text in (
        ("TRANSPORT", "udp", "CLOUDBRIDGE_TRANSPORT: 'udp' is not tcp or websocket"),
        ("TIMEOUT", "soon", "CLOUDBRIDGE_TIMEOUT: 'soon' is not a time-out"),
        ("RELAY", "", "no relay is named: add HOST:PORT, or set CLOUDBRIDGE_RELAY"),
        ("CA", "absent.pem", "absent.pem: No such file"),
        ("TUNNELS", "absent.toml", "absent.toml: can't be read"),
        ("TOKEN", "two words", "CLOUDBRIDGE_TOKEN contains no token"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(f"CLOUDBRIDGE_{name}", value)
            assert main(["connect"]) == 4
            assert text in capsys.readouterr().err


def test_every_variable_of_the_options_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", "--help"]) == 0
    shown = set(re.findall(r"CLOUDBRIDGE_\w+", capsys.readouterr().out))
    documented = set(re.findall(r"CLOUDBRIDGE_\w+", (ROOT / "docs" / "how-to" / "reference-client.md").read_text()))
    assert shown == documented
    assert len(shown) > 15


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[tunnels]]\nid = 'a'\nlocal_port = 0\nremote_host = 'h'\nremote_port = 1\n", "local_port: must be a port"),
        ("[[tunnels]]\nid = 'a'\n", "lacks local_port"),
        ("[[tunnel]]\n", "tunnel"),
        ("tunnels = ", "is not TOML"),
    ],
)
def test_mistakes_in_the_file_of_tunnels_are_named(
    relay_module: LocalRelay, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "tunnels.toml").write_text(text)
    assert run(relay_module, "--tunnels", str(tmp_path / "tunnels.toml")) == 4
    error = capsys.readouterr().err
    assert "tunnels.toml: " in error
    assert problem in error
    assert requests(relay_module) == []
