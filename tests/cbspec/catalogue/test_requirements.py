"""The catalogue of requirements, and the errors of a malformed one."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import (
    CHAPTERS,
    REQUIREMENTS,
    CatalogueError,
    Level,
    UnknownRequirement,
    find,
    parse,
)

ROW = 'level = "MUST"\nsection = "s"\ndemand = "d"\nwhy = "w"\n'


@pytest.mark.parametrize("spelling", ["CB-TUN-004", "cb-tun-004", " Cb-Tun-004 "])
def test_an_id_is_found_in_upper_and_lower_case(spelling: str) -> None:
    requirement = find(spelling)
    assert requirement.id == "CB-TUN-004"
    assert requirement.level is Level.SHOULD


def test_every_chapter_has_rows() -> None:
    assert {requirement.chapter for requirement in REQUIREMENTS.values()} == set(CHAPTERS)


def test_an_unknown_id_names_similar_ones_or_the_list() -> None:
    with pytest.raises(UnknownRequirement, match="unknown requirement 'CB-TUN-04'; did you mean CB-TUN-"):
        find("CB-TUN-04")
    with pytest.raises(UnknownRequirement, match="'cbspec explain' lists them all"):
        find("~")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[CB-HEL-001", "not TOML"),
        (f"[CB-HEL-1]\n{ROW}", "CB-HEL-1: an id is"),
        (f"[CB-XXX-001]\n{ROW}", "CB-XXX-001: an id is"),
        ("CB-HEL-001 = 3", "CB-HEL-001: Expected `object`"),
        ('[CB-HEL-001]\nlevel = "MUST"', "CB-HEL-001: .* required field `section`"),
        (f"[CB-HEL-001]\n{ROW}demnad = 'd'", "CB-HEL-001: .* unknown field `demnad`"),
        (f"[CB-HEL-001]\n{ROW}needs = 'tenants'", r"Expected `array`, got `str` - at `\$\.needs`"),
        ("[CB-HEL-001]\n" + ROW.replace("MUST", "MAY"), r"Invalid enum value 'MAY' - at `\$\.level`"),
        ("[CB-HEL-001]\n" + ROW.replace('"w"', '""'), r"length >= 1 - at `\$\.why`"),
    ],
)
def test_a_malformed_row_is_named(text: str, complaint: str) -> None:
    with pytest.raises(CatalogueError, match="^.*" + complaint):
        parse(text)
