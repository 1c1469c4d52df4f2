"""Scanners of TLS: programs that look at a relay from outside, and what they find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.debian import program


def by_sslyze(address: tuple[str, int], folder: Path) -> dict[str, Any]:
    """Return what sslyze finds, by the names of its checks."""
    found = Path(sys.prefix, "sslyze", "bin", "sslyze")
    if not found.exists():
        pytest.fail("sslyze is missing: make .venv/.sslyze", pytrace=False)
    file = folder / "sslyze.json"
    where = f"localhost:{address[1]}"
    subprocess.run([found, f"--json_out={file}", where], capture_output=True, check=False, timeout=100)
    (scanned,) = json.loads(file.read_text(encoding="utf-8"))["server_scan_results"]
    assert scanned["scan_status"] == "COMPLETED", scanned
    results: dict[str, Any] = scanned["scan_result"]
    return {name: check["result"] for name, check in results.items() if check["status"] == "COMPLETED"}


def by_testssl(address: tuple[str, int], folder: Path, *checks: str) -> dict[str, dict[str, str]]:
    """Return what testssl.sh finds, by the names of its findings."""
    file = folder / "testssl.json"
    quick = ["--quiet", "--color=0", "--warnings=off", "--nodns=none", "--ip=127.0.0.1", f"--jsonfile={file}"]
    command = [program("testssl", "testssl.sh"), *quick, *checks, f"localhost:{address[1]}"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=110, cwd=folder)
    return {found["id"]: found for found in json.loads(file.read_text(encoding="utf-8"))}
