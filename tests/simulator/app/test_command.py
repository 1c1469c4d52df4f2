"""`cbspec simulate`: its output, its options and its errors."""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization

from cbspec.cli import main
from cbspec.profile.identity import DEVELOPMENT_SECRET, DEVELOPMENT_TENANTS, development_ca
from cbspec.profile.profile import load
from cbspec.redact import has_token
from cbspec.tokens.jwt import SigningKey, new_pair
from cbspec_simulator import ConfigError, Deployment, Simulator, load_config
from cbspec_simulator.app.announce import announce
from cbspec_simulator.app.options import configure
from cbspec_simulator.observe import log
from cbspec_simulator.settings.scenarios import scenarios
from cbspec_simulator.variations.registry import OPEN_POINTS, PERSONAS, VARIANTS
from tests.support.client import PATIENCE, RawClient
from tests.support.issuer import jwks, pair
from tests.support.messages import HELLO

COMMAND: Final = (sys.executable, "-W", "error", "-m", "cbspec", "simulate", "--port", "0", "--json")


def arguments(*options: str) -> argparse.Namespace:
    """Parse the command's options."""
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(options)


def test_the_process_prints_json_and_ends_without_errors(tmp_path: Path) -> None:
    path, below = tmp_path / "profile.toml", tmp_path / "relay.toml"
    below.write_text("[relay]\nbuffer_pool = 7\n")
    options = ("--config", str(below), "--scenario", "tenant-at-its-limit", "--profile-out", str(path))
    chosen = ("--deviation", "hello-version-number", "--variant", "slow", "--open-point", "features-in-common")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, *options, *chosen], text=True, **pipes) as process:  # type: ignore[call-overload]
        facts = json.loads(process.stdout.readline())
        profile = load(path)
        assert facts["address"] == str(profile.target.address) == f"{facts['host']}:{facts['port']}"
        assert (facts["profile"], facts["metrics"]) == (str(path), profile.metrics.url)
        assert facts["control"]
        assert facts["token_secret"] == {"source": "development", "secret": DEVELOPMENT_SECRET}
        places = {name: str(found.target) for name, found in profile.conditions.items() if found.target}
        assert facts["conditions"] == places
        limits = [(tenant["id"], tenant["tunnel_limit"]) for tenant in facts["tenants"]]
        assert (limits, profile.relay.buffer_pool) == ([("tenant-001", 2), ("tenant-002", None)], 7)
        assert Path(str(facts["ca_file"])).is_file()
        with RawClient((facts["host"], facts["port"])).handshake() as client:
            assert client.ask(HELLO)["version"] == 1.0  # the deviation
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0


@pytest.mark.parametrize("json_lines", [True, False])
def test_the_end_tells_which_faults_never_struck(tmp_path: Path, json_lines: bool) -> None:
    scenario = tmp_path / "mine.toml"
    scenario.write_text(
        'faults = [{ kind = "drop", name = "lost", when = { after = "auth" } }, { kind = "member", member = "x" }]\n'
        'timeline = [{ at = 5, after = "hello", drop = "reset" }]\n'
    )
    command = [each for each in COMMAND if json_lines or each != "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "--scenario", str(scenario)], text=True, **pipes) as process:  # type: ignore[call-overload]
        first = process.stdout.readline()
        address = json.loads(first)["address"] if json_lines else re.findall(r"on (\S+) ", first)[0]
        host, _, port = address.rpartition(":")
        with RawClient((host, int(port))).handshake() as client:
            assert client.ask(HELLO)["x"] is True
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    if json_lines:
        last = json.loads(out)
        assert [(fault["name"], fault["strikes"]) for fault in last["faults"]] == [("lost", 0), ("fault-1", 1)]
        assert last["never_struck"]["timeline"] == [{"at": 5.0, "after": "hello", "do": "drop"}]
        assert ([fault["name"] for fault in last["never_struck"]["faults"]], err) == (["lost"], "")
    else:
        assert err == (
            "cbspec simulate: the fault lost (drop) never struck: nothing matched its condition\n"
            "cbspec simulate: the timeline's action drop, 5 s after hello, was never reached\n"
        )


async def test_the_text_has_a_token_only_for_the_development_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jwks.json").write_bytes(jwks(pair()))
    for tokens in ({}, {"secret": "a secret of the user"}, {"jwks_file": str(tmp_path / "jwks.json")}):
        async with Simulator(load_config({"listen": {"port": 0}, "control": {"port": 0}, "tokens": tokens})) as relay:
            announce(relay, None, arguments("--variant", "slow"))
            text = capsys.readouterr().out
            expected = ("CA file:", "tenant-001: no limits", "tenant-tunnels: 5 tunnels", "  variant: slow")
            commands = (f"pytest conformance/ --target={relay.endpoint}", f"cbspec verify {relay.endpoint}")
            for part in (*expected, *commands, f"openssl s_client -connect {relay.endpoint}", str(relay.control_url)):
                assert part in text
            assert ("valid for a day:" in text) is has_token(text) is (not tokens)
            assert "a secret of the user" not in text


def started(*options: str, **settings: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - those of Popen
    """Start the command with pipes, some of them replaced by `settings`."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*COMMAND, *options], text=True, **{**pipes, **settings})


def test_every_tenant_has_a_token_and_a_secret_of_the_user_is_only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_SECRET", secret := "a secret of the user")
    with started("--secret-env", "RELAY_SECRET", "--exit-with-parent") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert secret not in line
        facts = json.loads(line)
        assert facts["token_secret"] == {"source": "environment", "name": "RELAY_SECRET"}
        assert set(facts["tokens"]) == {tenant.id for tenant in DEVELOPMENT_TENANTS}
        for tenant, active in (("tenant-002", True), ("tenant-inactive", False)):
            with RawClient((facts["host"], facts["port"])).handshake() as client:
                client.ask(HELLO)
                answer = client.ask({"type": "auth", "token": facts["tokens"][tenant]})
                assert answer.get("tenant_id" if active else "code") == (tenant if active else "tenant_not_found")
        assert process.communicate(timeout=PATIENCE) == ("", "")  # which closes standard input
        assert process.returncode == 0


async def test_the_source_of_every_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, other, keys = tmp_path / "key.pem", tmp_path / "other.pem", tmp_path / "jwks.json"
    key.write_bytes(new_pair("EdDSA"))
    other.write_bytes(new_pair("EdDSA"))
    keys.write_bytes(jwks(SigningKey.from_pem(key)))
    for tokens, name, minted in (
        ({"secret": "a secret of the user"}, "[tokens] secret", True),
        ({"key_file": str(key)}, str(key), True),
        ({"jwks_file": str(keys)}, str(keys), False),
        ({"jwks_file": str(keys), "signing_key_file": str(key)}, str(keys), True),
        ({"jwks_file": str(keys), "signing_key_file": str(other)}, str(keys), False),
    ):
        async with Simulator(load_config({"listen": {"port": 0}, "tokens": tokens})) as relay:
            announce(relay, None, arguments("--json"))
            facts = json.loads(capsys.readouterr().out)
            assert facts["token_secret"]["name"] == name
            assert has_token(json.dumps(facts["tokens"])) is minted


def test_the_end_of_the_parent_or_of_the_time_ends_the_process() -> None:
    with started("--exit-with-parent") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("no end yet\n")
        process.stdin.flush()
        facts = json.loads(process.stdout.readline())
        with RawClient((facts["host"], facts["port"])).handshake() as client:
            client.ask(HELLO)
            assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
    with started("--max-time", "0.01") as process:
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert "the time limit ends the relay (--max-time 0.01)" in process.stderr.read()
    with started("--exit-with-parent", stdin=subprocess.DEVNULL) as process:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (4, "")
        assert "standard input must be a pipe that the parent process holds open, and it is a file or device" in err


def test_the_development_certificate_covers_additional_names() -> None:
    with started("--name", "relay", "--name", "192.0.2.7", "--exit-with-parent") as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        trusted = ssl.create_default_context(cafile=facts["ca_file"])
        for name in ("relay", "192.0.2.7", "localhost"):
            with socket.create_connection((facts["host"], facts["port"]), PATIENCE) as wire:
                trusted.wrap_socket(wire, server_hostname=name).close()
        with (
            socket.create_connection((facts["host"], facts["port"]), PATIENCE) as wire,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            trusted.wrap_socket(wire, server_hostname="other")


async def test_a_profile_needs_the_signing_key_of_a_key_set(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(new_pair("EdDSA"))
    (tmp_path / "jwks.json").write_bytes(jwks(pair("ES256"), SigningKey.from_pem(key)))
    tokens = {"jwks_file": str(tmp_path / "jwks.json")}
    async with Deployment(load_config({"listen": {"port": 0}, "tokens": tokens})) as deployment:
        with pytest.raises(ConfigError, match=r"\[tokens\] signing_key_file: is needed to mint tokens"):
            deployment.profile()
    tokens["signing_key_file"] = str(key)
    async with Deployment(load_config({"listen": {"port": 0}, "tokens": tokens})) as deployment:
        assert deployment.profile().tokens.key_file == key


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {
        "scenarios": [[name] for name, _ in scenarios()],
        "personas": [[item.id, item.requirement] for item in PERSONAS.values()],
        "deviations": [[item.id, item.requirement] for item in PERSONAS.values()],
        "variants": [[item.id] for item in VARIANTS.values()],
        "open-points": [[item.id, item.requirement] for item in OPEN_POINTS.values()],
    }
    for name, expected in rows.items():
        assert main(["simulate", f"--list-{name}"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[: len(expected[0])] for line in lines] == expected


def test_a_wrong_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        arguments("--grace=nan")
    assert caught.value.code == 2
    assert "must be a number from 0 to 31536000, not 'nan'" in capsys.readouterr().err


def test_each_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "configure", lambda *_: None)  # other tests read the log with caplog
    chain, own = (part.decode() for part in development_ca().issue("localhost"))
    other = development_ca().issue("localhost")[1].decode()
    locked = serialization.BestAvailableEncryption(b"password")
    key = serialization.load_pem_private_key(other.encode(), None)
    encrypted = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked).decode()

    def tls(name: str, pem: str, key: str = "") -> str:
        (tmp_path / f"{name}.pem").write_text(pem)
        file = tmp_path / f"{name}.toml"
        file.write_text(f"[tls]\nchain = '{name}.pem'\n" + (f"key = '{key}'\n" if key else ""))
        return str(file)

    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        rows = {
            ("--port", port): f"can't listen on 127.0.0.1:{port}: address already in use (port 0 takes a free one)",
            ("--persona", "zzz"): "--persona zzz: no such persona; --list-personas lists them",
            ("--variant", "zzz"): "no such variant; --list-variants lists them",
            ("--open-point", "second-helo-refused"): "no such open point; did you mean second-hello-refused",
            (
                "--scenario",
                "zzz",
            ): "no such file; cbspec simulate --list-scenarios lists the ready-made ones",
            ("--secret-env", "NOT_THERE"): "the environment variable NOT_THERE is not set or empty",
            ("--host", "0.0.0.0"): "or allow it with development = true (--development)",  # noqa: S104 - refused
            (
                "--config",
                tls("good", own + chain),
                "--name",
                "x",
            ): "[tls] names (--name): the certificate of [tls] chain",
            ("--config", tls("empty", "")): "is no certificate in PEM form",
            ("--config", tls("alone", chain)): "its key isn't with it; [tls] key can name another file",
            ("--config", tls("other", other + chain)): "the key isn't the certificate's",
            ("--config", tls("closed", encrypted + chain)): "the key is encrypted",
            ("--config", tls("keyless", chain, "nowhere.pem")): "nowhere.pem: no such file or directory",
        }
        for options, problem in rows.items():
            assert main(["simulate", "--port", "0", *options]) == 4
            out, err = capsys.readouterr()
            assert out == ""
            assert re.fullmatch(r"cbspec simulate: .*\n", err), err
            assert problem in err
