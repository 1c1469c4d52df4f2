"""TLS contexts made from the profile."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from cbspec.profile.profile import TlsSettings
from cbspec_conformance.target.contexts import context_for


def test_contexts_offer_only_tls_1_3(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    for tls in (
        TlsSettings(ca=file),
        TlsSettings(ca="system"),
        TlsSettings(ca="development"),
        TlsSettings(),
        TlsSettings(verify=False),
    ):
        assert context_for(tls).minimum_version is ssl.TLSVersion.TLSv1_3


def test_only_an_explicit_setting_disables_verification() -> None:
    for tls in (TlsSettings(), TlsSettings(ca="system"), TlsSettings(ca="development")):
        context = context_for(tls)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    context = context_for(TlsSettings(verify=False))
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_context_of_a_ca_file_is_cached(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    assert context_for(TlsSettings(ca=file)) is context_for(TlsSettings(ca=file))


def test_unusable_ca_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(FileNotFoundError):
        context_for(TlsSettings(ca=file))
    file.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        context_for(TlsSettings(ca=file))
