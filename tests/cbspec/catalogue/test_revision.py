"""The catalogue is the set that is frozen for its revision."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, REVISION, frozen, frozen_lines

REMEDY = """
The catalogue differs from the set that is frozen for revision {revision} of the specification: {changes}.
- A new requirement, or a correction of a row's demand, condition or level: run `make freeze`, and name the ids in
  CHANGELOG.md, since verdicts by the new set can't be compared with those by the old one.
- A different demand: give it an id of its own, and leave the old row as it was.
- A new revision of the specification: name it in `revision` at the head of the catalogue, and run `make freeze`.
"""


def rows(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines()}


def test_the_catalogue_is_the_frozen_set() -> None:
    before, now = rows(frozen(REVISION)), rows(frozen_lines(REQUIREMENTS))
    changed = [id_ for id_ in {**before, **now} if before.get(id_) != now.get(id_)]
    assert not changed, REMEDY.format(revision=REVISION, changes=", ".join(changed))
    assert frozen(REVISION) == frozen_lines(REQUIREMENTS), "the order has changed: run make freeze"
    with pytest.raises(FileNotFoundError):
        frozen("0.0")
