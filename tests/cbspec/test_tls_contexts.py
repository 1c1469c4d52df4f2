"""A machine on which OpenSSL may not use TLS 1.3: every command that connects says so in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cbspec.cli import CONNECTING
from cbspec.exit_codes import ExitCode
from cbspec.tls_contexts import why_no_tls_1_3

_CONFIGURATION = """openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = system
[system]
{line}
"""
_LINES = ("MaxProtocol = TLSv1.2", "Protocol = -TLSv1.3", "Protocol = -ALL,TLSv1.2", "Ciphersuites =")
_ARGUMENTS = {
    "tap": ("--target", "127.0.0.1:1"),
    "connect": ("127.0.0.1:1",),
    "load": ("127.0.0.1:1",),
    "replay": ("failure.json",),
}
_CALL = "import sys; from cbspec.cli import main; sys.exit(main(sys.argv[1:]))"


def _run(file: Path, line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    file.write_text(_CONFIGURATION.format(line=line))
    environment = {**os.environ, "OPENSSL_CONF": str(file)}
    return subprocess.run(
        [sys.executable, "-c", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_nothing_forbids_tls_1_3_here() -> None:
    assert not why_no_tls_1_3()


@pytest.mark.parametrize("command", CONNECTING)
def test_commands_say_so(command: str, tmp_path: Path) -> None:
    done = _run(tmp_path / "o.cnf", _LINES[0], _CALL, command, *_ARGUMENTS.get(command, ()))
    assert done.returncode == ExitCode.WRONG_USE
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "o.cnf) forbids TLS 1.3" in done.stderr


@pytest.mark.parametrize("line", [*_LINES, "MinProtocol = TLSv1.2"])
def test_each_way_to_forbid_it_is_seen(line: str, tmp_path: Path) -> None:
    call = "from cbspec.tls_contexts import why_no_tls_1_3; print(why_no_tls_1_3())"
    done = _run(tmp_path / "o.cnf", line, call)
    assert ("forbids TLS 1.3" in done.stdout) is (line in _LINES)
