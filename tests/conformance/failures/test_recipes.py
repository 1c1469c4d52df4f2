"""Tokens as recipes: no text in a file contains a token."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_conformance.failures.recipes import PLACEHOLDER, RUN, NotPortable, Recipe, Recipes

VALID = mint(SigningKey.hmac(DEVELOPMENT_SECRET), {"sub": "user123", "tenant_id": "tenant-001"})
FORGED = VALID[:-4] + "AAAA"


def recipes() -> Recipes:
    known = Recipes()
    known.valid(VALID, "tenant-001", None)
    known.forged(FORGED, "spoiled", VALID)
    return known


def revealed(text: str) -> str:
    return PLACEHOLDER.sub(lambda match: {"token-1": VALID, "token-2": FORGED, "run": RUN}[match[1]], text)


@given(before=st.text(max_size=20), after=st.text(max_size=20), token=st.sampled_from([VALID, FORGED]))
def test_a_hidden_token_is_restored(before: str, after: str, token: str) -> None:
    text = json.dumps({"type": "auth", "token": [before, token, after]}, ensure_ascii=False)
    hidden = recipes().hide(text)
    assert VALID[-43:] not in hidden
    assert token not in hidden
    assert revealed(hidden) == text


def test_the_run_s_identifiers_are_new_in_each_run() -> None:
    text = f'{{"tunnel_id":"cbspec-{RUN}-7"}}'
    assert recipes().hide(text) == '{"tunnel_id":"cbspec-<<run>>-7"}'
    assert revealed(recipes().hide(text)) == text


@pytest.mark.parametrize("text", [VALID[:-1], VALID.replace("e", "f", 1), "<<run>>", "a <<token-9>> b"])
def test_a_possible_token_or_placeholder_goes_to_no_file(text: str) -> None:
    with pytest.raises(NotPortable):
        Recipes().hide(text)


def test_the_recipe_of_a_forgery_comes_with_that_of_its_original() -> None:
    expected = {"token-1": Recipe("tenant-001"), "token-2": Recipe(forgery="spoiled", of="token-1")}
    assert recipes().used_in("<<token-2>>") == expected
    assert recipes().used_in("nothing <<run>>") == {}


def test_no_token_is_in_a_repr() -> None:
    assert VALID[-43:] not in repr(recipes())
