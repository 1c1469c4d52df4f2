"""A new key pair serves the algorithm that it was made for."""

from __future__ import annotations

import pytest

from cbspec.tokens.jwt import ALGORITHMS, SigningKey, Verifier, mint
from cbspec.tokens.keypair import OF_KEY_PAIRS, new_pair


@pytest.mark.parametrize("algorithm", OF_KEY_PAIRS)
def test_a_new_pair_signs_by_its_algorithm(algorithm: str) -> None:
    pair = SigningKey.from_pem(new_pair(algorithm), algorithm)
    assert pair.algorithm == algorithm
    assert Verifier(pair).verify(mint(pair, {"sub": "me"}), 0.0).subject == "me"
    assert new_pair(algorithm) != new_pair(algorithm)


def test_every_algorithm_but_those_of_secrets_is_served() -> None:
    assert {*ALGORITHMS} - {*OF_KEY_PAIRS} == {"HS256", "HS384", "HS512"}
    for algorithm in ("HS256", "none", "es256", ""):
        with pytest.raises(ValueError, match="can be made for: RS256"):
            new_pair(algorithm)
