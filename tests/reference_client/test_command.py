"""`cbspec connect`: its output, its exit codes, and that it never prints a token."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.profile.identity import development_ca
from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, Message, TunnelInfo, TunnelResponse
from cbspec.tls_contexts import server_context
from cbspec.tokens.jws import CompactJws
from tests.support.relay import EndStep, Raw, ScriptedRelay, Step, except_for

TOKEN = "header-of-a-token.payload-of-a-token.signature-of-a-token"


@dataclass
class Finished:
    """The exit code and the output of a command, and the relay that it used."""

    code: int
    out: str
    err: str
    server: ScriptedRelay

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def tokens(self) -> list[str]:
        return [message.token for message in self.server.messages if isinstance(message, Auth)]


Command = Callable[..., Awaitable[Finished]]
TYPES: dict[str, type[Message]] = {"hello": Hello, "auth": Auth, "tunnel_info": TunnelInfo, "heartbeat": Heartbeat}


@pytest.fixture
def development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server context with a certificate of a development CA of this test."""
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("A_TOKEN", TOKEN)
    chain, key = development_ca().issue("127.0.0.1")
    (tmp_path / "server.pem").write_bytes(key + chain)
    return server_context(tmp_path / "server.pem")


@pytest.fixture
def cbspec_connect(development: ssl.SSLContext, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command in a thread, against a relay with the given replies."""

    async def run(*options: str, context: ssl.SSLContext | None = development, **replies: list[Step]) -> Finished:
        script = except_for({TYPES[name]: steps for name, steps in replies.items()})
        async with ScriptedRelay(context, script).serving() as server:
            code = await asyncio.to_thread(main, ["connect", f"127.0.0.1:{server.port}", *options])
        done = Finished(code, *capsys.readouterr(), server)
        assert TOKEN not in done.out + done.err
        return done

    return run


async def test_a_session_is_printed_with_its_token_redacted(cbspec_connect: Command) -> None:
    tunnels = ("--tunnel", "rdp:3389:192.168.1.100:3390", "--tunnel", "a:b:1:[::1]:2")
    done = await cbspec_connect(*tunnels, "--heartbeats", "2")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith('→ {"type": "hello", ')
    assert lines[1].startswith('← {"type": "hello_response", ')
    assert lines[2] == '→ {"type": "auth", "token": "***"}'
    assert lines[-1].startswith("ok: 2 tunnels open, 2 heartbeats, each answered within ")
    assert [line[0] for line in lines[:-1]] == ["→", "←"] * 6
    assert done.server.messages[2:4] == [
        TunnelInfo("rdp", "tenant-001", 3389, "192.168.1.100", 3390),
        TunnelInfo("a:b", "tenant-001", 1, "::1", 2),
    ]
    (token,) = done.tokens
    assert token not in done.out
    claims = CompactJws.split(token).claims
    assert (claims["sub"], claims["tenant_id"]) == ("user123", "tenant-001")


async def test_the_json_output_has_a_line_per_message(cbspec_connect: Command) -> None:
    done = await cbspec_connect("--json", "--heartbeats", "0")
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


async def test_a_given_token_is_sent_and_never_printed(cbspec_connect: Command, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    for source in (("--token-file", str(tmp_path / "token")), ("--token-env", "A_TOKEN", "--json")):
        done = await cbspec_connect(*source, auth=[Error("invalid_token", f"{TOKEN} is no token")])
        assert (done.code, done.tokens, "*** is no token" in done.out) == (1, [TOKEN], True)


async def test_a_refusal_is_explained(cbspec_connect: Command) -> None:
    for code, retry in (
        ("tenant_limit_exceeded", "pointless"),
        ("server_unavailable", "10 s"),
        ("teapot", "pointless"),
    ):
        done = await cbspec_connect("--tunnel", "t:1:h:2", tunnel_info=[Error(code, "be\x1b[31mcause")])
        assert done.code == 1
        assert f"the relay refused: {code} (" in done.err
        assert re.search(f"retry.*{retry}", done.err)
        assert 'the relay says: "be\\u001b[31mcause"' in done.err
        assert "\x1b" not in done.out + done.err
        assert isinstance(done.server.messages[-1], TunnelInfo)


async def test_misbehaviour_is_printed_with_its_requirement(cbspec_connect: Command) -> None:
    for requirement, replies in (
        ("CB-HEL-001", {"hello": [TunnelResponse("t")]}),
        ("CB-MSG-002", {"auth": [b"HTTP/1.1 400 Bad Request\r\n"]}),
        ("CB-TUN-002", {"tunnel_info": [TunnelResponse("u")]}),
    ):
        done = await cbspec_connect("--tunnel", "t:1:h:2", **replies)
        assert (done.code, f"'cbspec explain {requirement}'" in done.err) == (1, True)
        done = await cbspec_connect("--tunnel", "t:1:h:2", "--json", **replies)
        *_, message, outcome = done.lines()
        assert (done.code, outcome["outcome"], outcome["requirement"]) == (1, "misbehaved", requirement)
        assert message["from"] == "relay"


async def test_a_missing_answer_or_connection_is_an_error(cbspec_connect: Command) -> None:
    for steps, timeout in (([], "0.5"), ([EndStep.CUT], "20"), ([Raw([b'{"type":']), EndStep.RESET], "20")):
        done = await cbspec_connect("--timeout", timeout, heartbeat=steps)
        assert (done.code, done.err[:8]) == (1, "cbspec: ")


async def test_an_untrusted_relay_receives_no_generated_token(
    context: ssl.SSLContext, cbspec_connect: Command, ca: Path
) -> None:
    for options in ((), ("--ca", "system")):
        done = await cbspec_connect(*options, context=context)
        assert (done.code, done.server.messages) == (2, [])
        assert "certificate is not trusted" in done.err
        assert "--ca" in done.err
    done = await cbspec_connect("--insecure", context=context)
    assert (done.code, [type(message) for message in done.server.messages]) == (0, [Hello])
    assert "no token is sent" in done.out
    done = await cbspec_connect("--insecure", "--token-env", "A_TOKEN", context=context)
    assert (done.code, done.tokens) == (0, [TOKEN])
    assert "isn't verified" in done.err
    assert (await cbspec_connect("--ca", str(ca), "--server-name", "relay.example", context=context)).code == 0


async def test_a_port_without_tls_and_a_closed_port_are_distinguished(
    cbspec_connect: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    done = await cbspec_connect(context=None)
    assert (done.code, done.out) == (2, "")
    assert "no TLS 1.3 session" in done.err
    port = done.server.port
    assert await asyncio.to_thread(main, ["connect", f"127.0.0.1:{port}", "--json"]) == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"outcome": "not connected", "text": f"127.0.0.1:{port}: connection refused"}


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
