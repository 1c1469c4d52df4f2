"""The suite judges a relay that verifies tokens by an issuer's public keys, from a file or an address."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.tokens.jwt import SigningKey
from cbspec.tokens.keypair import new_pair
from tests.conformance.commands import simulator, verdict, verify
from tests.support.issuer import jwks, pair, published

ABOUT_TOKENS = [id_ for id_ in REQUIREMENTS if id_.startswith(("CB-AUT", "CB-TEN"))]
NEEDS_A_SECRET = "CB-AUT-105"
NEEDS_TIME = "CB-AUT-110"


@pytest.mark.parametrize(("algorithm", "at"), [("RS256", "file"), ("EdDSA", "address")])
def test_the_suite_is_green(algorithm: str, at: str, tmp_path: Path) -> None:
    private, file = tmp_path / "key.pem", tmp_path / "jwks.json"
    private.write_bytes(new_pair(algorithm))
    # As after a rotation, another key of the same algorithm comes first: the key id distinguishes them.
    keys = jwks(pair(algorithm), SigningKey.from_pem(private))
    file.write_bytes(keys)
    with published(keys) if at == "address" else nullcontext() as address:
        source = f"jwks_url = '{address.url}'" if address else "jwks_file = 'jwks.json'"
        config = tmp_path / "relay.toml"
        config.write_text(f"[tokens]\n{source}\nsigning_key_file = 'key.pem'\nissuer = 'me'\naudience = 'you'\n")
        with simulator(tmp_path, "--config", str(config)) as profile:
            done = verify("--target-profile", str(profile), "--effort", "quick", "--only", ",".join(ABOUT_TOKENS))
    judged = sum(REQUIREMENTS[id_].level != "INFO" for id_ in ABOUT_TOKENS)
    counts = [verdict(done.text, column) for column in ("passed", "failed", "warned", "inconclusive", "observed")]
    assert counts == [judged, 0, 0, 0, len(ABOUT_TOKENS) - judged - len({NEEDS_A_SECRET, NEEDS_TIME})], done.text
    assert done.code == 0, done.text
