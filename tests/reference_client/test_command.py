"""`cbspec connect`: its output, its exit codes, and that it never prints a token."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.profile.identity import development_ca
from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, TunnelInfo, TunnelResponse
from cbspec.tls_contexts import server_context
from cbspec.tokens.jws import Compact
from tests.support.relay import EndStep, Raw, ScriptedRelay, Step, except_for

TOKEN = "header-of-a-token.payload-of-a-token.signature-of-a-token"


@dataclass
class Finished:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Awaitable[Finished]]


@pytest.fixture
def development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server context with a certificate of a development CA of this test."""
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("A_TOKEN", TOKEN)
    chain, key = development_ca().issue("127.0.0.1")
    (tmp_path / "server.pem").write_bytes(key + chain)
    return server_context(tmp_path / "server.pem")


@pytest.fixture
def cbspec_connect(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command in a thread."""

    async def run(port: int, *options: str) -> Finished:
        code = await asyncio.to_thread(main, ["connect", f"127.0.0.1:{port}", *options])
        done = Finished(code, *capsys.readouterr())
        assert TOKEN not in done.out + done.err
        return done

    return run


def relay(context: ssl.SSLContext | None, **replies: list[Step]) -> AbstractAsyncContextManager[ScriptedRelay]:
    types = {"hello": Hello, "auth": Auth, "tunnel_info": TunnelInfo, "heartbeat": Heartbeat}
    return ScriptedRelay(context, except_for({types[name]: steps for name, steps in replies.items()})).serving()


def tokens(server: ScriptedRelay) -> list[str]:
    return [message.token for message in server.messages if isinstance(message, Auth)]


async def test_a_session_is_printed_with_its_token_redacted(
    development: ssl.SSLContext, cbspec_connect: Command
) -> None:
    tunnels = ("--tunnel", "rdp:3389:192.168.1.100:3390", "--tunnel", "a:b:1:[::1]:2")
    async with relay(development) as server:
        done = await cbspec_connect(server.port, *tunnels, "--heartbeats", "2")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith('→ {"type": "hello", ')
    assert lines[1].startswith('← {"type": "hello_response", ')
    assert lines[2] == '→ {"type": "auth", "token": "***"}'
    assert lines[-1].startswith("ok: 2 tunnels open, 2 heartbeats, each answered within ")
    assert [line[0] for line in lines[:-1]] == ["→", "←"] * 6
    assert server.messages[2:4] == [
        TunnelInfo("rdp", "tenant-001", 3389, "192.168.1.100", 3390),
        TunnelInfo("a:b", "tenant-001", 1, "::1", 2),
    ]
    (token,) = tokens(server)
    assert token not in done.out
    claims = Compact.split(token).claims
    assert (claims["sub"], claims["tenant_id"]) == ("user123", "tenant-001")


async def test_the_json_output_has_a_line_per_message(development: ssl.SSLContext, cbspec_connect: Command) -> None:
    async with relay(development) as server:
        done = await cbspec_connect(server.port, "--json", "--heartbeats", "0")
    assert (done.code, done.err) == (0, "")
    features = list(Hello().features)
    auth_response = {"type": "auth_response", "status": "ok", "client_id": "user123", "tenant_id": "tenant-001"}
    assert done.lines() == [
        {"from": "client", "message": {"type": "hello", "version": "1.0", "features": features}},
        {"from": "relay", "message": {"type": "hello_response", "version": "1.0", "features": features}},
        {"from": "client", "message": {"type": "auth", "token": "***"}},
        {"from": "relay", "message": auth_response},
        {"outcome": "ok"},
    ]


async def test_a_given_token_is_sent_and_never_printed(
    development: ssl.SSLContext, cbspec_connect: Command, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    for source in (("--token-file", str(tmp_path / "token")), ("--token-env", "A_TOKEN", "--json")):
        async with relay(development, auth=[Error("invalid_token", f"{TOKEN} is no token")]) as server:
            done = await cbspec_connect(server.port, *source)
        assert tokens(server) == [TOKEN]
        assert done.code == 1
        assert "*** is no token" in done.out


async def test_a_refusal_is_explained(development: ssl.SSLContext, cbspec_connect: Command) -> None:
    for code, retry in (
        ("tenant_limit_exceeded", "pointless"),
        ("server_unavailable", "10 s"),
        ("teapot", "pointless"),
    ):
        async with relay(development, tunnel_info=[Error(code, "be\x1b[31mcause")]) as server:
            done = await cbspec_connect(server.port, "--tunnel", "t:1:h:2")
        assert done.code == 1
        assert f"the relay refused: {code} (" in done.err
        assert re.search(f"retry.*{retry}", done.err)
        assert 'the relay says: "be\\u001b[31mcause"' in done.err
        assert "\x1b" not in done.out + done.err
        assert not any(isinstance(message, Heartbeat) for message in server.messages)


MISBEHAVIOUR: list[tuple[str, list[Step], str]] = [
    ("hello", [TunnelResponse("t")], "CB-HEL-001"),
    ("auth", [b"HTTP/1.1 400 Bad Request\r\n"], "CB-MSG-002"),
    ("auth", [b'{"type":"auth_response\xff"}'], "CB-MSG-001"),
    ("tunnel_info", [TunnelResponse("u")], "CB-TUN-002"),
]


async def test_misbehaviour_is_printed_with_its_requirement(
    development: ssl.SSLContext, cbspec_connect: Command
) -> None:
    for request, steps, requirement in MISBEHAVIOUR:
        async with relay(development, **{request: steps}) as server:
            done = await cbspec_connect(server.port, "--tunnel", "t:1:h:2")
            assert (done.code, f"'cbspec explain {requirement}'" in done.err) == (1, True)
            done = await cbspec_connect(server.port, "--tunnel", "t:1:h:2", "--json")
        *_, message, outcome = done.lines()
        assert (done.code, outcome["outcome"], outcome["requirement"]) == (1, "misbehaved", requirement)
        assert message["from"] == "relay"


async def test_a_missing_answer_or_connection_is_an_error(development: ssl.SSLContext, cbspec_connect: Command) -> None:
    endings: list[list[Step]] = [[], [EndStep.CUT], [Raw([b'{"type":']), EndStep.RESET]]
    for steps in endings:
        async with relay(development, heartbeat=steps) as server:
            done = await cbspec_connect(server.port, "--timeout", "20" if steps else "0.5")
        assert done.code == 1
        assert done.err.startswith("cbspec: ")


async def test_an_untrusted_relay_receives_no_generated_token(
    context: ssl.SSLContext, development: object, cbspec_connect: Command, ca: Path
) -> None:
    async with relay(context) as server:
        for options in ((), ("--ca", "system")):
            done = await cbspec_connect(server.port, *options)
            assert done.code == 2
            assert "certificate is not trusted" in done.err
            assert "--ca" in done.err
        assert server.messages == []
        done = await cbspec_connect(server.port, "--insecure")
        assert done.code == 0
        assert [type(message) for message in server.messages] == [Hello]
        assert "no token is sent" in done.out
        done = await cbspec_connect(server.port, "--insecure", "--token-env", "A_TOKEN")
        assert done.code == 0
        assert "isn't verified" in done.err
        assert tokens(server) == [TOKEN]
        assert (await cbspec_connect(server.port, "--ca", str(ca), "--server-name", "relay.example")).code == 0


async def test_a_port_without_tls_and_a_closed_port_are_distinguished(
    development: object, cbspec_connect: Command
) -> None:
    async with relay(None) as server:
        done = await cbspec_connect(server.port)
    assert (done.code, done.out) == (2, "")
    assert "no TLS 1.3 session" in done.err
    done = await cbspec_connect(server.port, "--json")
    assert (done.code, done.err) == (2, "")
    assert done.lines() == [{"outcome": "not connected", "text": f"127.0.0.1:{server.port}: connection refused"}]


async def test_a_terminal_without_arrows_is_supported(development: ssl.SSLContext) -> None:
    async with relay(development) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cbspec", "connect", f"127.0.0.1:{server.port}"),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.startswith(b'\\u2192 {"type": "hello"')


USAGE: list[tuple[Sequence[str], str]] = [
    (["nowhere"], "not HOST:PORT"),
    ([":1"], "not HOST:PORT"),
    (["::1:80"], "not HOST:PORT"),
    (["relay:0"], "0 is not a port"),
    (["relay:" + "9" * 5000], "is not a port"),
    (["127.0.0.1:1", "--tunnel", "x"], "ID:LOCAL_PORT:HOST:PORT"),
    (["127.0.0.1:1", "--tunnel", "x:1:h:0"], "0 is not a port"),
    (["127.0.0.1:1", "--heartbeats", "-1"], "not a count"),
    (["127.0.0.1:1", "--timeout", "0"], "not a time-out"),
    (["127.0.0.1:1", "--timeout", "nan"], "not a time-out"),
    (["127.0.0.1:1", "--transport", "udp"], "invalid choice"),
    (["127.0.0.1:1", "--ca", "x", "--insecure"], "not allowed with"),
    (["127.0.0.1:1", "--ca", "no-such-file.pem"], "no-such-file.pem: No such file"),
    (["127.0.0.1:1", "--server-name", ""], "refused"),
    (["127.0.0.1:1", "--server-name", ".x"], "not a valid server name"),
    (["127.0.0.1:1", "--transport", "websocket", "--path", "x"], "'x' is not a valid path"),
    (["127.0.0.1:1", "--token-env", "CBSPEC_TEST_NOTHING"], "CBSPEC_TEST_NOTHING contains no token"),
    (["127.0.0.1:1", "--token-file", "no-such-file"], "no-such-file: No such file"),
    (["127.0.0.1:1", "--token-file", "pyproject.toml"], "a token is one word"),
    (["127.0.0.1:1", "--insecure", "--tunnel", "t:1:h:2"], "--tunnel needs a token"),
    (["relay.example:8080"], "relay.example isn't loopback"),
    (["192.0.2.1:8080", "--ca", "development"], "--token-file, --token-env or --development"),
]


def test_wrong_options_are_explained_in_one_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(Path(__file__).parents[2])
    for arguments, text in USAGE:
        assert main(["connect", *arguments]) == 2, arguments
        printed = capsys.readouterr()
        assert text in printed.err, arguments
        assert printed.out == ""
