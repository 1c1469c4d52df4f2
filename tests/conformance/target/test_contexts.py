"""TLS contexts for the profile's settings."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from cbspec.profile.profile import TlsSettings
from cbspec_conformance.target.connector import context_for


def test_every_context_offers_only_tls_1_3_and_verifies_unless_told_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    for tls in (
        TlsSettings(ca=file),
        TlsSettings(),
        TlsSettings(verify=False),
    ):
        context = context_for(tls)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is (ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE)
        assert context.check_hostname is tls.verify
    assert context_for(TlsSettings(ca=file)) is context_for(TlsSettings(ca=file))


def test_an_unusable_ca_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(FileNotFoundError):
        context_for(TlsSettings(ca=file))
    file.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        context_for(TlsSettings(ca=file))
