"""The key schedule and record protection of TLS 1.3, by the example of RFC 8448, 3, and against another library."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cbspec_conformance.probe.tls_keys import (
    APPLICATION_DATA,
    GROUPS,
    SUITES,
    Protection,
    key_share,
    private_key,
    shared_secret,
)
from cbspec_simulator.edge.tlslite_layer import FastAead

_EARLY = "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"
_DERIVED = "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"


def test_the_example_of_rfc_8448() -> None:
    suite = SUITES[0x1301]
    early = suite.mac(bytes(32), bytes(32))
    assert early.hex() == _EARLY
    assert suite.derive(early, "derived").hex() == _DERIVED


@pytest.mark.parametrize("number", [0x1301, 0x1302, 0x1303])
def test_records_are_read_by_another_implementation(number: int) -> None:
    suite = SUITES[number]
    secret = os.urandom(suite.size)
    ours, theirs = Protection(suite, secret), Protection(suite, secret)
    record = ours.seal(APPLICATION_DATA, b"hello", 3)
    cipher = FastAead(suite.expand(secret, "key", size=suite.key), number == 0x1303)
    opened = cipher.open(suite.expand(secret, "iv", size=12), record[5:], record[:5])
    assert bytes(opened or b"") == b"hello\x17\0\0\0"
    assert theirs.open(record) == (APPLICATION_DATA, b"hello")
    assert theirs.open(record) is None  # the number of the record is part of its protection
    ours.update()
    assert ours.secret == suite.expand(secret, "traffic upd") != secret


@pytest.mark.parametrize("group", GROUPS)
def test_both_ends_compute_the_same_secret(group: int) -> None:
    one, other = private_key(group), private_key(group)
    assert shared_secret(one, key_share(other)) == shared_secret(other, key_share(one))
    if isinstance(one, ec.EllipticCurvePrivateKey):
        with pytest.raises(ValueError, match=r"EC key"):
            shared_secret(one, b"\x04" + bytes(len(key_share(one)) - 1))
