"""The catalogue of a revision is the set that was frozen for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level, Requirement
from cbspec.catalogue.revision import REVISION, SET, frozen, frozen_lines

HOW_TO_GO_ON = """
The catalogue isn't the set that is frozen for revision {revision} of the specification: {changes}.
- A new requirement, or a mistake in a row's words, when or level: run `make freeze`, and name the ids in CHANGELOG.md,
  since verdicts by the new set (its digest stands in every report) can't be compared with those by the old one.
- Another demand than before: give it an id of its own, and leave the old row as it was.
- A new revision of the specification: name it in `revision` at the head of the catalogue, and run `make freeze`. It
  gets a set of its own; the old one stays.
"""


def rows(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines()}


def test_the_catalogue_is_the_frozen_set() -> None:
    before, now = rows(frozen(REVISION)), rows(frozen_lines(REQUIREMENTS))
    changed = [id_ for id_ in {**before, **now} if before.get(id_) != now.get(id_)]
    assert not changed, HOW_TO_GO_ON.format(revision=REVISION, changes=", ".join(changed))
    assert frozen(REVISION) == frozen_lines(REQUIREMENTS), "the order has changed: run make freeze"


ROW = Requirement("CB-HEL-001", Level.MUST, "s", "d.", "w.")


@pytest.mark.parametrize("changes", [{"demand": "e."}, {"when": "now"}, {"level": Level.SHOULD}], ids=str)
def test_what_a_row_means_is_in_its_line(changes: dict[str, str]) -> None:
    other = replace(ROW, **changes)  # type: ignore[arg-type] # the parameters hold the members' own types
    assert frozen_lines({ROW.id: ROW}) != frozen_lines({ROW.id: other})


def test_why_it_is_asked_may_be_said_better() -> None:
    assert frozen_lines({ROW.id: ROW}) == frozen_lines({ROW.id: replace(ROW, why="x.", section="t")})


def test_a_revision_that_nobody_froze_is_said_so() -> None:
    with pytest.raises(FileNotFoundError):
        frozen("0.0")


def test_the_digest_is_short_and_of_the_whole_set() -> None:
    assert len(SET) == 16
    int(SET, 16)
