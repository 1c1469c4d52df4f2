"""The development identity is made once, agrees between processes and explains itself when it is broken."""

from __future__ import annotations

import datetime
import os
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.identity import (
    DEVELOPMENT_SECRET,
    IdentityError,
    development_ca,
    development_ca_file,
    is_loopback,
    state_directory,
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "deep" / "state"
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(path))
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_state_directory_is_named_or_the_users(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_directory() == state
    monkeypatch.setenv("CBSPEC_STATE_DIR", "")
    assert state_directory().name == "cbspec"
    monkeypatch.delenv("CBSPEC_STATE_DIR")
    assert state_directory().name == "cbspec"


def test_it_is_made_once_and_its_key_is_the_owners(state: Path) -> None:
    old = os.umask(0)
    try:
        first = development_ca()
    finally:
        os.umask(old)
    before = first.ca_file.read_bytes()
    assert development_ca().ca_file.read_bytes() == before
    assert first.ca_file == development_ca_file() == state / "ca.pem"
    assert mode(state / "ca.pem") == 0o644
    assert mode(state / "private") == 0o700
    assert mode(state / "private" / "ca.key") == 0o600
    assert sorted(path.name for path in state.rglob("*")) == ["ca.key", "ca.pem", "lock", "private"]


def test_the_certificate_is_readable_under_a_narrow_mask(state: Path) -> None:
    old = os.umask(0o077)
    try:
        development_ca()
    finally:
        os.umask(old)
    assert mode(state / "ca.pem") == 0o644


def test_processes_that_start_at_once_agree() -> None:
    code = "import cbspec.profile.identity as i; print(i.development_ca().ca_file.read_text())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    seen = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(seen) == 1


def test_a_handshake_with_an_issued_certificate_works(tmp_path: Path) -> None:
    authority = development_ca()
    chain, key = development_ca().issue("localhost", "127.0.0.1", "::1", "relay.test")
    file = tmp_path / "server.pem"
    file.write_bytes(chain + key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cafile=str(authority.ca_file))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1", "::1", "relay.test"):
        shake_hands(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "elsewhere.test")


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=name)
    far = server.wrap_bio(up, down, server_side=True)
    for end in (near, far, near, far):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = near.getpeercert(binary_form=True)
    assert certificate is not None
    assert isinstance(x509.load_der_x509_certificate(certificate).public_key(), ec.EllipticCurvePublicKey)


def expired_pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    day = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1, not_valid_before=day, not_valid_after=day.replace(year=2021)
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return certificate, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def complaint() -> str:
    with pytest.raises(IdentityError) as caught:
        development_ca()
    return str(caught.value)


def test_a_broken_identity_names_the_file_and_the_way_out(state: Path) -> None:
    development_ca()
    certificate, key = state / "ca.pem", state / "private" / "ca.key"
    good_certificate, good_key = certificate.read_bytes(), key.read_bytes()
    old_certificate, old_key = expired_pair()
    way_out = f"; delete {certificate}, and it will be made anew"

    certificate.write_bytes(b"junk")
    assert complaint() == f"{certificate}: not a certificate in PEM form{way_out}"
    certificate.write_bytes(good_certificate)
    key.write_bytes(b"junk")
    assert complaint() == f"{key}: not a private key in PEM form{way_out}"
    key.write_bytes(old_key)
    assert complaint() == f"{key}: not the key of {certificate}{way_out}"
    certificate.write_bytes(old_certificate)
    assert complaint() == f"{certificate}: expired on 2021-01-01{way_out}"
    key.write_bytes(good_key)
    key.chmod(0o640)
    assert complaint() == f"{key}: others may read the development CA's key{way_out}"
    key.unlink()
    assert complaint() == f"{key}: the development CA's key is missing{way_out}"
    certificate.unlink()
    development_ca()


def test_a_place_that_is_none_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("a file")
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(state / "below"))
    assert complaint().endswith("Not a directory; CBSPEC_STATE_DIR can name another directory")


def test_the_secret_says_what_it_is() -> None:
    assert DEVELOPMENT_SECRET.startswith("cbspec-development-secret-")
    assert len(DEVELOPMENT_SECRET) >= 32


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.9.8.7", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "relay.test",
        "localhost.relay.test",
        "127.0.0.1.relay.test",
        "127.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "::",
        "::ffff:10.0.0.1",
        "128.0.0.1",
        "fe80::1",
    ],
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@given(st.text())
def test_any_text_has_an_answer(host: str) -> None:
    assert is_loopback(host) in {True, False}
