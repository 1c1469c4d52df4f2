"""The development identity: creation, agreement between processes, and errors."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from cbspec.profile.identity import IdentityError, development_ca, development_ca_file, is_loopback, state_directory
from cbspec.tokens.jwt import new_pair


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "deep" / "state"
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(path))
    return path


def test_the_identity_is_created_once_and_its_key_is_private(state: Path) -> None:
    old = os.umask(0)
    try:
        first = development_ca()
    finally:
        os.umask(old)
    before = first.ca_file.read_bytes()
    assert development_ca().ca_file.read_bytes() == before
    assert first.ca_file == development_ca_file() == state / "ca.pem"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*") if path.name != "lock"}
    assert modes == {"ca.pem": 0o644, "private": 0o700, "ca.key": 0o600}


def test_the_default_directory_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", "")
    assert state_directory().name == "cbspec"


def test_concurrent_processes_share_one_identity() -> None:
    code = "import cbspec.profile.identity as i; print(i.development_ca().ca_file.read_text())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    seen = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(seen) == 1


def complaint() -> str:
    with pytest.raises(IdentityError) as caught:
        development_ca()
    return str(caught.value)


def test_a_broken_identity_names_the_file_and_the_remedy(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    development_ca()
    certificate, key = state / "ca.pem", state / "private" / "ca.key"
    good_certificate, good_key = certificate.read_bytes(), key.read_bytes()
    remedy = f"; delete {certificate}, and a new CA will be created"

    certificate.write_bytes(b"junk")
    assert complaint() == f"{certificate}: not a certificate in PEM form{remedy}"
    certificate.write_bytes(good_certificate)
    key.write_bytes(b"junk")
    assert complaint() == f"{key}: not a private key in PEM form{remedy}"
    key.write_bytes(new_pair("ES256"))
    assert complaint() == f"{key}: not the key of {certificate}{remedy}"
    key.write_bytes(good_key)
    with monkeypatch.context() as late:
        late.setattr("cbspec.profile.identity.time", Mock(time=Mock(return_value=1e11)))
        assert re.fullmatch(rf"{certificate}: expired on \d{{4}}-\d\d-\d\d{remedy}", complaint())
    key.chmod(0o640)
    assert complaint() == f"{key}: others may read the development CA's key{remedy}"
    key.unlink()
    assert complaint() == f"{key}: the development CA's key is missing{remedy}"
    certificate.unlink()
    development_ca()


def test_an_unusable_folder_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("a file")
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(state / "below"))
    assert complaint().endswith("Not a directory; CBSPEC_STATE_DIR can name another directory")


LOOPBACK = ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.9.8.7", "::1", "[::1]", "::ffff:127.0.0.1"]
ELSEWHERE = ["", "relay.test", "localhost.relay.test", "127.0.0.1.relay.test", "127.1", "::", "128.0.0.1", "fe80::1"]


def test_loopback_addresses_are_recognised() -> None:
    assert [host for host in [*LOOPBACK, *ELSEWHERE] if is_loopback(host)] == LOOPBACK
