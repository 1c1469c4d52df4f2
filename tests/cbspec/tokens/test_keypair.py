"""New key pairs."""

from __future__ import annotations

import pytest

from cbspec.tokens.jwt import ALGORITHMS, SigningKey, Verifier, mint
from cbspec.tokens.keypair import OF_KEY_PAIRS, new_pair


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "none", "es256", ""])
def test_a_new_pair_signs_with_its_algorithm(algorithm: str) -> None:
    if algorithm in OF_KEY_PAIRS:
        pair = SigningKey.from_pem(new_pair(algorithm), algorithm)
        assert Verifier(pair).verify(mint(pair, {"sub": "me"}), 0.0).subject == "me"
    else:
        with pytest.raises(ValueError, match="no key can be made for"):
            new_pair(algorithm)
