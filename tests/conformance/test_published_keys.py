"""The suite judges a relay that verifies tokens by an issuer's published keys."""

from __future__ import annotations

from pathlib import Path

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.tokens.jwt import SigningKey
from cbspec.tokens.keypair import new_pair
from tests.conformance.commands import simulator, verdict, verify
from tests.support.issuer import jwks, pair, published

ABOUT_TOKENS = [id_ for id_ in REQUIREMENTS if id_.startswith(("CB-AUT", "CB-TEN"))]
NEEDS_A_SECRET = "CB-AUT-105"
NEEDS_TIME = "CB-AUT-110"


def test_the_suite_is_green(tmp_path: Path) -> None:
    private, config = tmp_path / "key.pem", tmp_path / "relay.toml"
    private.write_bytes(new_pair("RS256"))
    # As after a rotation, another key of the same algorithm comes first: the key id distinguishes them.
    with published(jwks(pair("RS256"), SigningKey.from_pem(private))) as address:
        source = f"jwks_url = '{address.url}'\nsigning_key_file = 'key.pem'"
        config.write_text(f"[tokens]\n{source}\nissuer = 'me'\naudience = 'you'\n")
        with simulator(tmp_path, "--config", str(config)) as profile:
            done = verify("--target-profile", str(profile), "--effort", "quick", "--only", ",".join(ABOUT_TOKENS))
    judged = sum(REQUIREMENTS[id_].level != "INFO" for id_ in ABOUT_TOKENS)
    counts = [verdict(done.text, column) for column in ("passed", "failed", "warned", "inconclusive", "observed")]
    assert counts == [judged, 0, 0, 0, len(ABOUT_TOKENS) - judged - len({NEEDS_A_SECRET, NEEDS_TIME})], done.text
    assert done.code == 0, done.text
