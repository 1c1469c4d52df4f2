"""Which tokens must be refused: what the rule demands no relay may accept, and it leaves every freedom alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier, mint
from cbspec_conformance.oracles.token_rules import TokenOracle
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, Members, TokenTextChange

NOW = 1_800_000_000
KEY = SigningKey.hmac("a secret that is long enough for any hash function")
CLAIMS_OF_A = {"sub": "user", "tenant_id": "tenant-a", "iat": NOW, "exp": NOW + 3600}
VALID = mint(KEY, CLAIMS_OF_A)
RULES = TokenOracle([VALID], KEY.private, ["tenant-a", "tenant-b"], True, NOW)
WITHOUT_SECRET = TokenOracle([VALID], None, ["tenant-a", "tenant-b"], True, NOW)


def _requirement(token: str, rules: TokenOracle = RULES) -> str:
    found = rules.judge(token)
    return found.requirement if found else ""


def _minted(key: SigningKey = KEY, headers: dict[str, Any] | None = None, **claims: object) -> str:
    said = {name: value for name, value in {**CLAIMS_OF_A, **claims}.items() if value is not ...}
    return mint(key, said, headers)


@pytest.mark.parametrize(
    ("token", "requirement"),
    [
        (VALID, ""),
        ("", "CB-AUT-013"),
        ("a.b", "CB-AUT-012"),
        (VALID + ".AAAA", "CB-AUT-012"),
        ("AAAA.AAAA.AAAA", "CB-AUT-012"),
        (_minted(exp=NOW - 600), "CB-AUT-005"),
        (_minted(exp=0), "CB-AUT-005"),
        (_minted(nbf=NOW + 600), "CB-AUT-006"),
        (_minted(tenant_id=...), "CB-TEN-001"),
        (_minted(tenant_id=None), "CB-TEN-001"),
        (_minted(tenant_id=""), "CB-TEN-001"),
        (_minted(tenant_id="tenant-a "), "CB-TEN-002"),
        (_minted(SigningKey.hmac("another secret, also long enough for it")), "CB-AUT-008"),
    ],
)
def test_what_must_be_refused(token: str, requirement: str) -> None:
    assert _requirement(token) == requirement


@pytest.mark.parametrize(
    ("payload", "codes"),
    [
        (b"[]", {"invalid_token", "tenant_not_found"}),
        (b'[{"tenant_id":"tenant-a"}]', {"invalid_token", "tenant_not_found"}),
        (b"null", {"invalid_token", "tenant_not_found"}),
        (b'{"tenant_id":', {"invalid_token"}),
    ],
)
def test_a_payload_that_is_no_object_names_no_tenant_either(payload: bytes, codes: set[str]) -> None:
    token = str(Compact.signed(Compact.split(VALID).headers, payload, KEY.sign))
    found = RULES.judge(token)
    assert found is not None
    assert (found.requirement, set(found.codes)) == ("CB-AUT-012", codes)


FREE = {
    "expired within the leeway": _minted(exp=NOW - 599),
    "early within the leeway": _minted(nbf=NOW + 599),
    "no exp": _minted(exp=...),
    "no sub": _minted(sub=...),
    "exp is text": _minted(exp="never"),
    "upper case": _minted(tenant_id="TENANT-A"),
    "another hash function": _minted(SigningKey.hmac(KEY.private, "HS512")),
    "crit": _minted(headers={"crit": ["x"], "x": 1}),
    "padding": VALID + "=",
    "white space": f" {VALID} ",
    "the other alphabet": VALID.replace("-", "+").replace("_", "/"),
}


@pytest.mark.parametrize("token", FREE.values(), ids=FREE)
def test_what_is_free(token: str) -> None:
    assert RULES.judge(token) is None


def test_without_tenancy_nobody_looks_at_the_tenant() -> None:
    rules = TokenOracle([VALID], KEY.private, [], False, NOW)
    assert rules.judge(_minted(tenant_id=...)) is None


def test_without_a_secret_only_what_is_known_to_be_signed_is_signed() -> None:
    assert WITHOUT_SECRET.judge(VALID) is None
    found = WITHOUT_SECRET.judge(_minted(exp=0), signed=True)
    assert found is not None
    assert found.requirement == "CB-AUT-005"


@given(st.one_of(CLAIMS, MEMBERS, TEXTS))
def test_the_strict_verifier_refuses_all_of_it(damage: Members | TokenTextChange) -> None:
    """Nothing must be refused that a verifier which takes no liberties accepts."""
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    found = RULES.judge(token)
    if found is None or found.requirement.startswith("CB-TEN"):
        return
    with pytest.raises(TokenRejected):
        Verifier(KEY).verify(token, NOW)
