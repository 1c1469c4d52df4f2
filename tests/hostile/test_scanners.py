"""TLS as two scanners see it: TLS 1.3 only, its suites, and no weakness."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.support.processes import program

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=0.5, idle_timeout=0.5))
SUITES: Final = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
OLDER: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")
GROUPS: Final = {"X25519", "X448", "prime256v1", "secp256r1", "secp384r1", "secp521r1"}
HARMLESS: Final = {"engine_problem"}  # of the installed openssl, which lacks old ciphers


def by_sslyze(address: tuple[str, int], folder: Path) -> dict[str, Any]:
    """Return the results of sslyze's completed checks."""
    sslyze = Path(sys.prefix, "sslyze", "bin", "sslyze")
    if not sslyze.exists():
        pytest.fail("sslyze is missing: make .venv/.sslyze", pytrace=False)
    file = folder / "sslyze.json"
    command = [str(sslyze), f"--json_out={file}", f"localhost:{address[1]}"]
    subprocess.run(command, capture_output=True, check=False, timeout=100)
    (scanned,) = json.loads(file.read_text(encoding="utf-8"))["server_scan_results"]
    assert scanned["scan_status"] == "COMPLETED", scanned
    return {name: check["result"] for name, check in scanned["scan_result"].items() if check["status"] == "COMPLETED"}


def by_testssl(address: tuple[str, int], folder: Path) -> dict[str, dict[str, str]]:
    """Return the findings of testssl.sh by id. The checks of sslyze, which needs a tenth of the time, are omitted."""
    file = folder / "testssl.json"
    options = ["--quiet", "--color=0", "--warnings=off", "--nodns=none", "--ip=127.0.0.1", f"--jsonfile={file}"]
    command = [program("testssl", "testssl.sh"), *options, "--protocols", f"localhost:{address[1]}"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=110, cwd=folder)
    return {found["id"]: found for found in json.loads(file.read_text(encoding="utf-8"))}


async def test_sslyze_finds_tls_1_3_and_no_weakness(tmp_path: Path) -> None:
    async with Simulator(CONFIG) as simulator:
        found = await asyncio.to_thread(by_sslyze, simulator.address, tmp_path)
    for version in OLDER:
        suites = found[f"{version}_cipher_suites"]
        assert not suites["is_tls_version_supported"]
        assert suites["rejected_cipher_suites"]
        assert not suites["accepted_cipher_suites"]
    modern = found["tls_1_3_cipher_suites"]
    assert {each["cipher_suite"]["name"] for each in modern["accepted_cipher_suites"]} == SUITES
    assert {group["name"] for group in found["elliptic_curves"]["supported_curves"]} <= GROUPS
    weaknesses = {
        "compression": found["tls_compression"]["supports_compression"],
        "CCS injection": found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"],
        "Heartbleed": found["heartbleed"]["is_vulnerable_to_heartbleed"],
        "ROBOT": not found["robot"]["robot_result"].startswith("NOT_VULNERABLE"),
        "renegotiation": found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"],
        "downgrade": not found["tls_fallback_scsv"]["supports_fallback_scsv"],
    }
    assert not any(weaknesses.values()), weaknesses


@pytest.mark.slow
async def test_testssl_finds_tls_1_3_only(tmp_path: Path) -> None:
    async with Simulator(CONFIG) as simulator:
        found = await asyncio.to_thread(by_testssl, simulator.address, tmp_path)
    bad = {name: each for name, each in found.items() if each["severity"] not in ("OK", "INFO")}
    assert bad.keys() <= HARMLESS, bad
    assert {found[name]["finding"] for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2")} == {"not offered"}
    assert found["TLS1_3"]["finding"].startswith("offered")
