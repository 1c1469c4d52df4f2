"""`cbspec connect`: its output, its exit codes, and that it never prints a token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cbspec.cli import main
from cbspec.protocol.messages import Hello
from cbspec_simulator import LocalRelay
from tests.reference_client.conftest import requests


class Finished(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Finished]
SUBJECT = "the-subject-of-the-token"


@pytest.fixture
def token(relay_module: LocalRelay, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a valid token, which is in the environment variable A_TOKEN, too."""
    token = relay_module.token(subject=SUBJECT)
    monkeypatch.setenv("A_TOKEN", token)
    return token


@pytest.fixture
def cbspec_connect(relay_module: LocalRelay, token: str, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command with options, against the module's relay."""

    def run(*options: str) -> Finished:
        done = Finished(main(["connect", f"127.0.0.1:{relay_module.port}", *options]), *capsys.readouterr())
        assert token not in done.out + done.err
        return done

    return run


def test_a_session_is_printed_with_its_token_redacted(relay_module: LocalRelay, cbspec_connect: Command) -> None:
    tunnels = ("--tunnel", "rdp:3389:192.168.1.100:3390", "--tunnel", "a:b:1:[::1]:2")
    done = cbspec_connect(*tunnels, "--heartbeats", "2")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith('→ {"type": "hello", ')
    assert lines[1].startswith('← {"type": "hello_response", ')
    assert lines[2] == '→ {"type": "auth", "token": "***"}'
    assert lines[-1].startswith("ok: 2 tunnels open, 2 heartbeats, each answered within ")
    assert [line[0] for line in lines[:-1]] == ["→", "←"] * 6
    entries = relay_module.transcript.requests("tunnel_info")
    assert [(entry.tenant, entry.subject) for entry in entries] == [("tenant-001", "user123")] * 2
    sent = [[*entry.message.values()] for entry in entries]
    assert sent == [
        ["tunnel_info", "rdp", "tenant-001", 3389, "192.168.1.100", 3390],
        ["tunnel_info", "a:b", "tenant-001", 1, "::1", 2],
    ]


def test_the_json_output_has_a_line_per_message(cbspec_connect: Command) -> None:
    done = cbspec_connect("--json", "--heartbeats", "0")
    assert (done.code, done.err) == (0, "")
    features = list(Hello().features)
    client, relay = ({"event": "message", "from": end} for end in ("client", "relay"))
    auth_response = {"type": "auth_response", "status": "ok", "client_id": "user123", "tenant_id": "tenant-001"}
    assert done.lines() == [
        {**client, "message": {"type": "hello", "version": "1.0", "features": features}},
        {**relay, "message": {"type": "hello_response", "version": "1.0", "features": features}},
        {**client, "message": {"type": "auth", "token": "***"}},
        {**relay, "message": auth_response},
        {"event": "ended", "outcome": "ok"},
    ]


def test_a_given_token_is_sent_and_never_printed(
    relay_module: LocalRelay, cbspec_connect: Command, token: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{token}\n")
    lasting = ("--stay", "--messages")
    file = ("--token-file", str(tmp_path / "token"))
    sources = (
        file,
        (*file, *lasting),
        ("--token-env", "A_TOKEN", "--json"),
        ("--token-env", "A_TOKEN", "--json", *lasting),
    )
    with relay_module.fault("error", code="invalid_token", text=f"{token} is no token", when={"message": "auth"}):
        for source in sources:
            done = cbspec_connect(*source)
            assert (done.code, "*** is no token" in done.out) == (21, True)
    assert [entry.subject for entry in relay_module.transcript.requests("auth")] == [SUBJECT] * 4


BEAT = {"message": "heartbeat"}
REFUSED = {"text": "be\x1b[31mcause", "when": BEAT}
FAILURES: list[tuple[str, dict[str, Any], int, dict[str, object], str]] = [
    ("error", {"code": "tenant_limit_exceeded", **REFUSED}, 27, {"retryable": False}, "useless"),
    ("error", {"code": "server_unavailable", **REFUSED}, 24, {"retryable": True}, r"retry.* 10 s"),
    ("error", {"code": "teapot", **REFUSED}, 20, {"code": "teapot"}, r'refused: teapot \([^"]*"be\\u001b\[31mcause"'),
    ("wrong-type", {"when": {"message": "hello_response"}}, 14, {"requirement": "CB-HEL-001"}, "explain CB-HEL-001'"),
    ("damage-json", {"when": {"message": "auth_response"}}, 14, {"outcome": "misbehaved"}, "explain CB-MSG-002'"),
    ("drop", {"when": BEAT}, 13, {"outcome": "lost"}, "cbspec: no answer to the heartbeat"),
    ("close-without-notify", {"when": BEAT}, 12, {"outcome": "lost"}, "cbspec: "),
    ("handshake-alert", {}, 10, {"outcome": "not connected"}, r"no TLS 1\.3 session"),
    ("refuse", {}, 3, {"outcome": "not connected"}, r"127\.0\.0\.1:\d+: connection refused"),
]
"""Faults, the exit code, members of the outcome in JSON, and a part of the text."""


def test_a_failure_is_explained(relay_module: LocalRelay, cbspec_connect: Command) -> None:
    for kind, params, code, outcome, text in FAILURES:
        timeout = "0.2" if kind == "drop" else "20"
        with relay_module.fault(kind, **params):
            done = cbspec_connect("--timeout", timeout)
            in_json = cbspec_connect("--timeout", timeout, "--json")
        assert (done.code, in_json.code) == (code, code)
        assert re.search(text, done.err, re.DOTALL), done.err
        assert in_json.err == done.err
        assert in_json.lines()[-1].items() >= outcome.items()
        assert "\x1b" not in done.out + done.err + in_json.out


def test_an_untrusted_relay_receives_no_generated_token(relay_module: LocalRelay, cbspec_connect: Command) -> None:
    with relay_module.fault("certificate-unknown-ca"):
        for options in ((), ("--ca", "system")):
            done = cbspec_connect(*options)
            assert done.code == 11
            assert "certificate is not trusted" in done.err
            assert "--ca" in done.err
        assert requests(relay_module) == []
        done = cbspec_connect("--insecure")
        assert (done.code, requests(relay_module)) == (0, ["hello"])
        assert "no token is sent" in done.out
        done = cbspec_connect("--insecure", "--token-env", "A_TOKEN")
        assert (done.code, relay_module.transcript.requests("auth")[-1].subject) == (0, SUBJECT)
        assert "isn't verified" in done.err
    assert cbspec_connect("--ca", str(relay_module.ca_file), "--server-name", "localhost").code == 0


USAGE: list[tuple[Sequence[str], str]] = [
    (["nowhere"], "must be host:port"),
    (["::1:80"], "address in brackets"),
    (["relay:0"], "a port from 1 to 65535"),
    (["relay:" + "9" * 5000], "a port from 1 to 65535"),
    (["127.0.0.1:1", "--tunnel", "x"], "ID:LOCAL_PORT:HOST:PORT"),
    (["127.0.0.1:1", "--heartbeats", "-1"], "not a count"),
    (["127.0.0.1:1", "--timeout", "x"], "not a time-out"),
    (["127.0.0.1:1", "--timeout", "0"], "not a time-out"),
    (["127.0.0.1:1", "--ca", "x", "--insecure"], "not allowed with"),
    (["127.0.0.1:1", "--ca", "no-such-file.pem"], "no-such-file.pem: No such file"),
    (["127.0.0.1:1", "--server-name", ""], "refused"),
    (["127.0.0.1:1", "--server-name", ".x"], "not a valid server name"),
    (["127.0.0.1:1", "--token-env", "CBSPEC_TEST_NOTHING"], "CBSPEC_TEST_NOTHING contains no token"),
    (["127.0.0.1:1", "--token-file", "no-such-file"], "no-such-file: No such file"),
    (["127.0.0.1:1", "--token-file", "pyproject.toml"], "a token is one word"),
    (["127.0.0.1:1", "--token-file", "docs/page-dark.png"], "not a text file"),
    (["127.0.0.1:1", "--insecure", "--tunnel", "t:1:h:2"], "--tunnel needs a token"),
    (["relay.example:8080"], "relay.example isn't loopback"),
]


def test_wrong_options_are_explained_in_one_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(Path(__file__).parents[2])
    for arguments, text in USAGE:
        assert main(["connect", *arguments]) == (3 if text == "refused" else 4), arguments
        printed = capsys.readouterr()
        assert text in printed.err, arguments
        assert printed.out == ""
