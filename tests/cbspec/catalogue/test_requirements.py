"""The catalogue of requirements, the set that is frozen for its revision, and the errors of a malformed one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import pytest

from cbspec.catalogue.requirements import (
    CHAPTERS,
    CLIENT_REQUIREMENTS,
    REQUIREMENTS,
    REVISION,
    Requirement,
    UnknownRequirement,
    find,
    frozen,
    frozen_lines,
    parse,
)

REMEDY = """
The catalogue differs from the set that is frozen for revision {revision} of the specification: {changes}.
- A new requirement, or a correction of a row's demand, condition or level: run `make freeze`, and name the ids in
  CHANGELOG.md, since verdicts by the new set can't be compared with those by the old one.
- A different demand: give it an id of its own, and leave the old row as it was.
- A new revision of the specification: name it in `revision` at the head of the catalogue, and run `make freeze`.
"""


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


def rows(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines()}


@pytest.mark.parametrize(
    ("name", "requirements"), [(REVISION, REQUIREMENTS), (f"{REVISION}-clients", CLIENT_REQUIREMENTS)]
)
def test_the_catalogue_is_the_frozen_set(name: str, requirements: Mapping[str, Requirement]) -> None:
    before, now = rows(frozen(name)), rows(frozen_lines(requirements))
    changed = [id_ for id_ in {**before, **now} if before.get(id_) != now.get(id_)]
    assert not changed, REMEDY.format(revision=REVISION, changes=", ".join(changed))
    assert frozen(name) == frozen_lines(requirements), "the order has changed: run make freeze"


def test_a_revision_without_a_frozen_set_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        frozen("0.0")
