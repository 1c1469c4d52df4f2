"""The rules for tokens: every token that they refuse is refused by a strict verifier, and freedoms stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier, mint
from cbspec_conformance.oracles.token_rules import TokenOracle
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, Members, TokenTextChange

NOW = 1_800_000_000
KEY = SigningKey.hmac("a secret that is long enough for any hash function")
CLAIMS_OF_A = {"sub": "user", "tenant_id": "tenant-a", "iat": NOW, "exp": NOW + 3600}
VALID = mint(KEY, CLAIMS_OF_A)
RULES = TokenOracle([VALID], KEY.private, ["tenant-a", "tenant-b"], True, NOW)
WITHOUT_TENANCY = TokenOracle([VALID], KEY.private, [], False, NOW)
WITHOUT_SECRET = TokenOracle([VALID], None, ["tenant-a", "tenant-b"], True, NOW)


def minted(key: SigningKey = KEY, headers: dict[str, Any] | None = None, **claims: object) -> str:
    return mint(key, {name: value for name, value in {**CLAIMS_OF_A, **claims}.items() if value is not ...}, headers)


def requirement(token: str, rules: TokenOracle = RULES, *, signed: bool = False) -> str:
    found = rules.judge(token, signed=signed)
    return found.requirement if found else ""


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", "CB-AUT-013"),
        (VALID + ".AAAA", "CB-AUT-012"),
        ("AAAA.AAAA.AAAA", "CB-AUT-012"),
        (minted(exp=NOW - 600), "CB-AUT-005"),
        (minted(nbf=NOW + 600), "CB-AUT-006"),
        (minted(tenant_id=...), "CB-TEN-001"),
        (minted(tenant_id="tenant-a "), "CB-TEN-002"),
        (minted(SigningKey.hmac("another secret, also long enough for it")), "CB-AUT-008"),
        # Freedoms of the relay:
        (VALID, ""),
        (minted(exp=NOW - 599), ""),
        (minted(nbf=NOW + 599), ""),
        (minted(exp="never"), ""),
        (minted(tenant_id="TENANT-A"), ""),
        (minted(SigningKey.hmac(KEY.private, "HS512")), ""),
        (VALID + "=", ""),
        (f" {VALID} ", ""),
        (VALID.replace("-", "+").replace("_", "/"), ""),
    ],
)
def test_tokens_row_by_row(token: str, expected: str) -> None:
    assert requirement(token) == expected


@pytest.mark.parametrize(
    ("payload", "codes"),
    [
        (b"[]", {"invalid_token", "tenant_not_found"}),
        (b'{"tenant_id":', {"invalid_token"}),
    ],
)
def test_a_payload_that_is_no_object_has_no_tenant_either(payload: bytes, codes: set[str]) -> None:
    found = RULES.judge(str(CompactJws.signed(CompactJws.split(VALID).headers, payload, KEY.sign)))
    assert found is not None
    assert (found.requirement, set(found.codes)) == ("CB-AUT-012", codes)


def test_without_a_secret_or_tenancy_less_is_checked() -> None:
    assert requirement(VALID, WITHOUT_SECRET) == ""
    assert requirement(minted(tenant_id=...), WITHOUT_TENANCY) == ""
    assert requirement(minted(exp=0), WITHOUT_SECRET, signed=True) == "CB-AUT-005"


@given(st.one_of(CLAIMS, MEMBERS, TEXTS))
def test_a_strict_verifier_refuses_every_invalid_token(damage: Members | TokenTextChange) -> None:
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    if requirement(token) and not requirement(token).startswith("CB-TEN"):
        with pytest.raises(TokenRejected):
            Verifier(KEY).verify(token, NOW)
