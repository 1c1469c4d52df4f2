"""TLS contexts as the profile asks for them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from cbspec.profile.profile import Tls
from cbspec_conformance.target.contexts import context_for


def test_every_context_offers_tls_1_3_and_nothing_older(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    for tls in (Tls(ca=file), Tls(ca="system"), Tls(ca="development"), Tls(), Tls(verify=False)):
        assert context_for(tls).minimum_version is ssl.TLSVersion.TLSv1_3


def test_verifying_is_left_out_only_where_the_profile_says_so() -> None:
    for tls in (Tls(), Tls(ca="system"), Tls(ca="development")):
        context = context_for(tls)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    context = context_for(Tls(verify=False))
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_a_ca_file_s_context_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    assert context_for(Tls(ca=file)) is context_for(Tls(ca=file))


def test_a_ca_file_that_can_t_be_used_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(FileNotFoundError):
        context_for(Tls(ca=file))
    file.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        context_for(Tls(ca=file))
