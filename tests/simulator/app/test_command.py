"""`cbspec simulate` as a process."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from cbspec.profile.identity import development_ca
from cbspec.profile.profile import load
from cbspec.redact import has_token
from cbspec.tokens.jwt import SigningKey
from cbspec.tokens.keypair import new_pair
from cbspec_simulator.app.options import configure
from cbspec_simulator.settings.scenarios import scenarios
from cbspec_simulator.variations.registry import OPEN_POINTS, PERSONAS, VARIANTS
from tests.support.client import HELLO, PATIENCE, AsyncClient
from tests.support.issuer import jwks, pair

COMMAND = (sys.executable, "-W", "error", "-m", "cbspec", "simulate")


def _run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
        env={**os.environ, **environment},
    )


@contextmanager
def _serving(*options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command beside the test."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[str, str]:
    """End the process by a signal; return what it still wrote."""
    process.send_signal(number)
    rest = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return rest


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_of_json_and_a_clean_end(number: int, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    with _serving("--json", "--profile-out", str(path)) as process:
        facts = json.loads(_first_line(process))
        profile = load(path)
        assert facts["address"] == str(profile.target.address) == f"{facts['host']}:{facts['port']}"
        assert facts["profile"] == str(path)
        assert facts["metrics"] == profile.metrics.url
        assert facts["control"]
        places = {name: str(found.target) for name, found in profile.conditions.items() if found.target}
        assert facts["conditions"] == places
        assert [tenant["id"] for tenant in facts["tenants"]] == [tenant.id for tenant in profile.tenants]
        assert Path(facts["ca_file"]).is_file()
        asyncio.run(_greet(facts["host"], facts["port"]))
        assert _end(process, number) == ("", "")


async def _greet(host: str, port: int) -> None:
    async with AsyncClient((host, port)) as wire:
        assert (await wire.ask(HELLO))["type"] == "hello_response"


def test_the_text_for_people() -> None:
    with _serving() as process:
        assert process.stdout
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Stop it"):
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        text = "".join(lines)
        _end(process)
    address = re.search(r"127\.0\.0\.1:\d+", text)
    assert address
    for said in ("CA file:", "tenant-001: no limits", "tenant-tunnels: 5 tunnels", "openssl s_client -connect"):
        assert said in text
    assert f"pytest conformance/ --target={address[0]}" in text
    assert f"cbspec verify {address[0]}" in text
    assert re.search(r"valid for a day:\n  eyJ[\w-]+\.[\w-]+\.[\w-]+\n", text)


def test_no_token_is_shown_for_a_secret_of_ones_own() -> None:
    with _serving("--secret-env", "MINE", MINE="a secret that nobody knows") as process:
        text = "".join(_first_line(process) for _ in range(12))
        rest = "".join(_end(process))
    assert not has_token(text + rest)
    assert "a secret that nobody knows" not in text + rest


def test_a_set_of_keys_and_the_profile_that_mints_by_it(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(new_pair("EdDSA"))
    (tmp_path / "jwks.json").write_bytes(jwks(pair("ES256"), SigningKey.from_pem(tmp_path / "key.pem")))
    keys = "[tokens]\njwks_file = 'jwks.json'\n"
    profile = tmp_path / "profile.toml"
    found = _run("--port", "0", "--config", _config(tmp_path, keys), "--profile-out", str(profile))
    assert (found.returncode, found.stderr) == (
        2,
        "cbspec simulate: [tokens] signing_key_file: is needed for a profile, or the suite couldn't mint tokens\n",
    )
    config = _config(tmp_path, f"{keys}signing_key_file = 'key.pem'")
    with _serving("--config", config, "--profile-out", str(profile)) as process:
        text = "".join(_first_line(process) for _ in range(12))
        assert load(profile).tokens.key_file == tmp_path / "key.pem"
        assert load(profile).tokens.key_id
        assert not has_token(text + "".join(_end(process)))


def test_deviations_variants_and_open_points_can_be_chosen_and_listed() -> None:
    listed = _run("--list-deviations").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(PERSONAS)
    assert all(PERSONAS[line.split()[0]].requirement == line.split()[1] for line in listed)
    assert [line.split()[0] for line in _run("--list-variants").stdout.splitlines()] == list(VARIANTS)
    points = [line.split()[:2] for line in _run("--list-open-points").stdout.splitlines()]
    assert points == [[point.id, point.requirement] for point in OPEN_POINTS.values()]
    chosen = ("--deviation", "hello-version-number", "--variant", "slow", "--open-point", "features-in-common")
    with _serving(*chosen, "--json") as process:
        json.loads(_first_line(process))
        _end(process)


def _config(folder: Path, text: str) -> str:
    path = folder / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _tls(folder: Path, name: str, pem: str, key: str = "") -> Path:
    """Write a certificate's file and a configuration that names it, and return the configuration."""
    (folder / f"{name}.pem").write_text(pem)
    file = folder / f"{name}.toml"
    file.write_text(f"[tls]\nchain = '{name}.pem'\n" + (f"key = '{key}'\n" if key else ""))
    return file


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--port", "65536", "must be a port from 0 to 65535, not '65536'"),
        ("--port", "http", "must be a port from 0 to 65535, not 'http'"),
        ("--control", "-1", "must be a port from 0 to 65535, not '-1'"),
        ("--seed", "-1", "must be a whole number, 0 or more, not '-1'"),
        ("--seed", "1.5", "must be a whole number, 0 or more, not '1.5'"),
        ("--grace", "-1", "must be a number from 0 to 31536000, not '-1'"),
        ("--grace", "nan", "must be a number from 0 to 31536000, not 'nan'"),
        ("--grace", "soon", "must be a number from 0 to 31536000, not 'soon'"),
    ],
)
def test_a_number_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], option: str, value: str, said: str
) -> None:
    parser = argparse.ArgumentParser()
    configure(parser)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args([f"{option}={value}"])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_what_is_wrong_is_one_clear_line_each(tmp_path: Path) -> None:
    chain, other = development_ca().issue("localhost")[0].decode(), development_ca().issue("localhost")[1].decode()
    locked = serialization.BestAvailableEncryption(b"password")
    encrypted = (
        serialization.load_pem_private_key(other.encode(), None)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        .decode()
    )
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        rows = {
            ("--port", port): f"can't listen on 127.0.0.1:{port}: address already in use (port 0 takes a free one)",
            ("--deviation", "hello-versoin-missing"): "no such persona; did you mean hello-version-missing",
            ("--persona", "zzz"): "--persona zzz: no such persona; --list-personas lists them",
            ("--variant", "zzz"): "no such variant; --list-variants lists them",
            ("--open-point", "second-helo-refused"): "no such open point; did you mean second-hello-refused",
            ("--open-point", "zzz"): "--list-open-points lists them",
            ("--secret-env", "NOT_THERE"): "the environment variable NOT_THERE is not set or empty",
            ("--host", "0.0.0.0"): "or allow it with development = true (--development)",  # noqa: S104 - refused
            ("--config", str(tmp_path / "none.toml")): "can't be read: No such file or directory",
            ("--config", _config(tmp_path, "[tls]\nchain = 'none.pem'")): "none.pem: no such file or directory",
            ("--config", str(_tls(tmp_path, "empty", ""))): "is no certificate in PEM form",
            ("--config", str(_tls(tmp_path, "alone", chain))): "its key isn't with it; [tls] key can name another file",
            ("--config", str(_tls(tmp_path, "other", other + chain))): "the key isn't the certificate's",
            ("--config", str(_tls(tmp_path, "closed", encrypted + chain))): "the key is encrypted",
            (
                "--config",
                str(_tls(tmp_path, "keyless", chain, "nowhere.pem")),
            ): "nowhere.pem: no such file or directory",
        }
        for options, said in rows.items():
            found = _run("--port", "0", *options)
            assert (found.returncode, found.stdout) == (2, "")
            assert found.stderr.startswith("cbspec simulate: ")
            assert said in found.stderr
            assert len(found.stderr.splitlines()) == 1


def test_a_scenario_is_served_by_its_name(tmp_path: Path) -> None:
    below = tmp_path / "relay.toml"
    below.write_text("[relay]\nbuffer_pool = 7\n")
    with _serving("--config", str(below), "--scenario", "tenant-at-its-limit", "--json") as process:
        tenants = json.loads(_first_line(process))["tenants"]
        assert [(tenant["id"], tenant["tunnel_limit"]) for tenant in tenants] == [
            ("tenant-001", 2),
            ("tenant-002", None),
        ]
        _end(process)
    listed = _run("--list-scenarios").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [name for name, _ in scenarios()]
    done = _run("--scenario", "flaky")
    assert (done.returncode, done.stdout) == (2, "")
    said = "scenario flaky: no such scenario and no such file; did you mean flaky-network or slow-relay?"
    assert done.stderr == f"cbspec simulate: {said}\n"
