"""The catalogue of requirements, and the errors of a malformed one."""

from __future__ import annotations

import tomllib

import pytest

from cbspec.catalogue.requirements import (
    CHAPTERS,
    CLIENT_REQUIREMENTS,
    REQUIREMENTS,
    UnknownRequirement,
    find,
    parse,
)


def test_an_id_is_found_in_upper_and_lower_case() -> None:
    assert find("CB-TUN-004") is find(" Cb-Tun-004 ") is REQUIREMENTS["CB-TUN-004"]
    assert find("cc-ref-001") is CLIENT_REQUIREMENTS["CC-REF-001"]
    rows = [*REQUIREMENTS.values(), *CLIENT_REQUIREMENTS.values()]
    assert {requirement.chapter for requirement in rows} == set(CHAPTERS)
    assert {requirement.id[:2]: requirement.role for requirement in rows} == {"CB": "relay", "CC": "client"}


def test_an_unknown_id_names_similar_ones_or_the_list() -> None:
    with pytest.raises(UnknownRequirement, match="unknown requirement 'CB-TUN-04'; did you mean CB-TUN-"):
        find("CB-TUN-04")
    with pytest.raises(UnknownRequirement, match="'cbspec explain' lists them all"):
        find("~")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("CB-HEL-1 = {}", "CB-HEL-1: an id is"),
        ("CB-HEL-001 = 3", "CB-HEL-001: Expected `object`"),
        ("CB-HEL-001 = { demnad = 'd' }", "CB-HEL-001: .* unknown field `demnad`"),
    ],
)
def test_a_malformed_row_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(tomllib.loads(text))
