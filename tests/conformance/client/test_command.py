"""`cbspec verify-client` as its users call it: a whole run, single situations, mistakes, and an interruption."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cbspec.exit_codes import ExitCode
from cbspec.redact import has_token
from cbspec_conformance.client.situations import SITUATIONS
from cbspec_conformance.reporting.stream import RecordedRun
from tests.support.results import results_of

CBSPEC = [sys.executable, "-m", "cbspec", "verify-client"]
CONNECT = [sys.executable, "-m", "cbspec", "connect", "{host}:{port}", "--ca", "{ca}", "--token-file", "{token_file}"]


def run(*words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run([*CBSPEC, *words], capture_output=True, text=True, timeout=timeout, check=False)


def test_the_reference_client_passes_single_situations(tmp_path: Path) -> None:
    junit, results = tmp_path / "junit.xml", tmp_path / "results.jsonl"
    names = ("clean", "auth-invalid_token", "auth-answer-without-client_id")
    options = [f"--situation={name}" for name in names]
    done = run(*options, f"--junit-xml={junit}", f"--results={results}", "--", *CONNECT)
    assert done.returncode == ExitCode.SUCCESS, done.stdout + done.stderr
    assert "CC-REF  Refusals" in done.stdout
    cases = {case.event.name: case for case in RecordedRun.load(results).cases}
    assert cases.keys() >= set(names)
    refused = [row["text"] for row in cases["auth-invalid_token"].records if row["record"] == "Message"]
    assert any("invalid_token" in text for text in refused)
    assert {"Opened", "Output", "Struck", "Exited"} <= {row["record"] for row in cases["auth-invalid_token"].records}
    assert not has_token(results.read_text())
    tests = [case.get("name", "") for case in ElementTree.parse(junit).iter("testcase")]  # noqa: S314 - our own
    assert any(name.startswith("CC-REF-002 ") for name in tests)
    assert results_of(results)["requirements"]["CC-REF-002"]["outcome"] == "passed"


@pytest.mark.slow
def test_the_reference_client_passes_a_quick_run() -> None:
    done = run("--effort=quick", "--", *CONNECT)
    assert done.returncode == ExitCode.SUCCESS, done.stdout + done.stderr


def test_a_client_that_ignores_a_refusal_fails_by_name(tmp_path: Path) -> None:
    client = tmp_path / "client.py"
    client.write_text(IGNORES_ANSWERS)
    command = (sys.executable, str(client), "{port}", "{ca}", "{token}", "{tenant}")
    done = run("--situation=auth-invalid_token", "--situation=other-tunnel-id", "--", *command)
    assert done.returncode == ExitCode.NOT_CONFORMING, done.stdout + done.stderr
    assert "CC-REF-002" in done.stdout
    assert "CC-BRK-008" in done.stdout
    assert "verify-client --situation" in done.stdout
    baseline = tmp_path / "known.toml"
    ids = ("CC-REF-002", "CC-BRK-008")
    baseline.write_text("".join(f'[[known]]\nrequirement = "{id_}"\nreason = "old"\n' for id_ in ids))
    known = run(
        "--situation=auth-invalid_token", "--situation=other-tunnel-id", f"--baseline={baseline}", "--", *command
    )
    assert known.returncode == ExitCode.SUCCESS, known.stdout


IGNORES_ANSWERS = """
import json, socket, ssl, sys
port, ca, token, tenant = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = ssl.TLSVersion.TLSv1_3
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="127.0.0.1") as relay:
    lines = relay.makefile("rw", encoding="utf-8", newline="\\n")
    for message in (
        {"type": "hello", "version": "1.0", "features": ["tls"]},
        {"type": "auth", "token": token},
        {"type": "tunnel_info", "tunnel_id": "t", "tenant_id": tenant, "local_port": 1, "remote_host": "h",
         "remote_port": 22},
    ):
        lines.write(json.dumps(message) + "\\n")
        lines.flush()
        lines.readline()
print("done")
"""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "after --"),
        (("--", "true", "{prt}"), "{prt}"),
        (("--situation=auth-invalid-token", "--", "true"), "auth-invalid_token"),
        (("--client-profile=nowhere.toml",), "nowhere.toml"),
        (("--situation=websocket-pings", "--", "true"), "websocket"),
        (("--only=CC-REF-999", "--", "true"), "CC-REF-999"),
        (("--write-baseline=nowhere/known.toml", "--", "true"), "nowhere/known.toml"),
    ],
)
def test_a_mistake_is_named(words: tuple[str, ...], named: str) -> None:
    done = run(*words)
    assert done.returncode == ExitCode.WRONG_USE, done.stdout
    assert named in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_command_that_cannot_be_run_is_named() -> None:
    done = run("--effort=quick", "--", "./there-is-no-such-client")
    assert done.returncode == ExitCode.WRONG_USE
    assert "there-is-no-such-client: No such file" in done.stdout + done.stderr
    assert "requirements" not in done.stdout


def test_a_client_without_a_clean_session_has_no_verdict_and_its_last_words_are_shown() -> None:
    done = run("--effort=quick", "--", sys.executable, "-c", "print('no key: giving up'); raise SystemExit(2)")
    assert done.returncode == ExitCode.NOT_CONFORMING
    assert "no key: giving up" in " ".join(done.stdout.split())
    assert "0 failed" in done.stdout


def test_verbose_shows_what_the_client_did_and_quiet_one_line() -> None:
    done = run("--situation=auth-invalid_token", "-v", "--", *CONNECT)
    assert re.search(
        r"^PASSED        CC-REF-002  auth-invalid_token\n +\d+\.\d+ #1 connects", done.stdout, re.MULTILINE
    ), done.stdout
    assert '"token":"<token>"' in done.stdout
    (line,) = run("--situation=auth-invalid_token", "-q", "--", *CONNECT).stdout.splitlines()
    assert " passed: " in line


def test_the_list_names_every_situation() -> None:
    listed = [line.split()[0] for line in run("--list").stdout.splitlines()]
    assert listed == list(SITUATIONS)


def test_an_interrupted_run_reports_and_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    client = tmp_path / "client.sh"
    client.write_text(f'#!/bin/sh\ntouch "{pids}/$$"\nexec sleep 600\n')
    client.chmod(0o755)
    process = subprocess.Popen(
        [*CBSPEC, "--", str(client)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not any(pids.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "interrupted" in output
    for path in pids.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)
