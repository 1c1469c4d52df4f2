"""TLS seen from outside, by the scanners that people trust: TLS 1.3 and nothing else, its suites, and no weakness."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.hostile.scanners import by_sslyze, by_testssl

# The scanners wait for whoever waits for them.
CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=0.5, idle_timeout=0.5))
SUITES: Final = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
OLDER: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")
GROUPS: Final = {"X25519", "X448", "prime256v1", "secp256r1", "secp384r1", "secp521r1"}
HARMLESS: Final = {"engine_problem"}  # of the machine's own openssl, which lacks ciphers of long ago


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
    assert _weaknesses(found) == []
    assert {group["name"] for group in found["elliptic_curves"]["supported_curves"]} <= GROUPS


def _weaknesses(found: dict[str, Any]) -> list[str]:
    """Name what would be one."""
    said = {
        "compression": found["tls_compression"]["supports_compression"],
        "CCS injection": found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"],
        "Heartbleed": found["heartbleed"]["is_vulnerable_to_heartbleed"],
        "ROBOT": not found["robot"]["robot_result"].startswith("NOT_VULNERABLE"),
        "renegotiation": found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"],
        "downgrade": not found["tls_fallback_scsv"]["supports_fallback_scsv"],
    }
    return [name for name, there in said.items() if there]


async def test_testssl_finds_tls_1_3_and_no_weakness(tmp_path: Path) -> None:
    runs = [("--protocols", "--server-preference"), ("--standard", "--pfs"), ("--vulnerable",)]
    async with Simulator(CONFIG) as simulator:
        scans = []
        for number, checks in enumerate(runs):  # beside each other: they wait most of the time
            folder = tmp_path / str(number)
            folder.mkdir()
            scans.append(asyncio.to_thread(by_testssl, simulator.address, folder, *checks))
        found = {name: each for scan in await asyncio.gather(*scans) for name, each in scan.items()}
    bad = {name: each for name, each in found.items() if each["severity"] not in ("OK", "INFO")}
    assert bad.keys() <= HARMLESS, bad
    assert {found[name]["finding"] for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2")} == {"not offered"}
    assert found["TLS1_3"]["finding"].startswith("offered")
    assert set(found["cipherorder_TLSv1_3"]["finding"].split()) == SUITES
    assert found["cipherlist_STRONG"]["finding"] == "offered"
    assert set(found["PFS_ECDHE_curves"]["finding"].split()) <= GROUPS
    assert {"heartbleed", "CCS", "ROBOT", "POODLE_SSL", "BEAST", "RC4"} <= found.keys()
