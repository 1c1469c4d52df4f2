"""`cbspec simulate`: its output, its options and its errors."""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import serialization

from cbspec.cli import main
from cbspec.profile.identity import development_ca
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


async def test_a_profile_needs_the_signing_key_of_a_key_set(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(new_pair("EdDSA"))
    (tmp_path / "jwks.json").write_bytes(jwks(pair("ES256"), SigningKey.from_pem(key)))
    tokens = {"jwks_file": str(tmp_path / "jwks.json")}
    async with Deployment(load_config({"listen": {"port": 0}, "tokens": tokens})) as deployment:
        with pytest.raises(ConfigError, match=r"\[tokens\] signing_key_file: is needed for a profile"):
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
    chain, other = development_ca().issue("localhost")[0].decode(), development_ca().issue("localhost")[1].decode()
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
