"""New key pairs."""

from __future__ import annotations

import pytest

from cbspec.tokens.jwt import ALGORITHMS, SigningKey, Verifier, mint
from cbspec.tokens.keypair import OF_KEY_PAIRS, new_pair


@pytest.mark.parametrize("algorithm", OF_KEY_PAIRS)
def test_a_new_pair_signs_with_its_algorithm(algorithm: str) -> None:
    pair = SigningKey.from_pem(new_pair(algorithm), algorithm)
    assert Verifier(pair).verify(mint(pair, {"sub": "me"}), 0.0).subject == "me"


def test_a_secrets_algorithm_has_no_pair() -> None:
    assert {*ALGORITHMS} - {*OF_KEY_PAIRS} == {"HS256", "HS384", "HS512"}
    for algorithm in ("HS256", "none", "es256", ""):
        with pytest.raises(ValueError, match="no key can be made for"):
            new_pair(algorithm)
