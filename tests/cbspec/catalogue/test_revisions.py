"""The frozen revisions of the catalogue, and the changelog, which names what each of them changes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from cbspec.catalogue import revisions as module
from cbspec.catalogue.requirements import CATALOGUE, SPECIFICATION, JudgedRole, Level
from cbspec.catalogue.revisions import (
    PRESENT,
    CatalogueRevision,
    UnknownRevision,
    frozen,
    frozen_lines,
    revision,
    revisions,
)
from tests.repo.freeze import is_released, section
from tests.repo.tree import ROOT, text

CHANGELOG = text(ROOT / "CHANGELOG.md")
REMEDY = """
The catalogue differs from its frozen revision {name}: {changes}.
- A new requirement, or a correction of a row's demand, condition or level: run `make freeze`, and name the ids in
  CHANGELOG.md, since verdicts by the new set can't be compared with those by the old one.
- A different demand: give it an id of its own, and leave the old row as it was.
- After a release: raise `revision` at the head of requirements.toml first. A new version of the specification: name it
  in `specification`.
"""


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [id_ for id_ in {**before, **after} if before.get(id_) != after.get(id_)]


def test_the_catalogue_is_its_frozen_revision() -> None:
    lines = frozen_lines(PRESENT.requirements)
    now = {line.split()[0]: tuple(line.split()[1:]) for line in lines.splitlines()}
    changed = differing(frozen(CATALOGUE), now)
    assert not changed, REMEDY.format(name=CATALOGUE, changes=", ".join(changed))
    assert list(frozen(CATALOGUE)) == list(now), "the order has changed: run make freeze"
    assert revisions()[-1] == CATALOGUE
    assert revision(CATALOGUE) is PRESENT


def unnamed(revision: str, changed: list[str], changelog: str) -> list[str]:
    """Return the changed requirements that the changelog's section on a revision doesn't name."""
    return [id_ for id_ in changed if id_ not in section(revision, changelog)]


def test_the_changelog_names_the_requirements_that_each_revision_changes() -> None:
    assert [name for name in revisions() if not section(name, CHANGELOG)] == []
    for before, after in pairwise(revisions()):
        assert unnamed(after, differing(frozen(before), frozen(after)), CHANGELOG) == [], after


def test_a_changelog_that_lacks_a_changed_requirement_is_noticed() -> None:
    text = "## Unreleased\n### Catalogue 1.0-r2\n- CB-TUN-001\n### Fixed\n- CB-TUN-002\n## 1.0\n### Catalogue 1.0-r1\n"
    assert unnamed("1.0-r2", ["CB-TUN-001", "CB-TUN-002"], text) == ["CB-TUN-002"]
    assert [is_released(name, text) for name in ("1.0-r1", "1.0-r2")] == [True, False]


def older(folder: Path, *, without: str, level: tuple[str, Level]) -> CatalogueRevision:
    """Freeze a revision before the first one, which lacks a requirement and has another level of one."""
    rows = {id_: row for id_, row in PRESENT.requirements.items() if id_ != without}
    rows[level[0]] = msgspec.structs.replace(rows[level[0]], level=level[1])
    (folder / f"{SPECIFICATION}-r0.txt").write_text("# Frozen\n" + frozen_lines(rows))
    return CatalogueRevision(f"{SPECIFICATION}-r0", rows)


def test_a_revision_has_its_own_requirements_and_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = older(tmp_path, without="CB-TUN-015", level=("CC-TLS-004", Level.MUST))
    monkeypatch.setattr(module, "FROZEN", tmp_path)
    pinned = revision(made.name)
    assert pinned == made
    digests = [(each.digest(JudgedRole.RELAY), each.digest(JudgedRole.CLIENT)) for each in (pinned, PRESENT)]
    assert all(before != after for before, after in zip(*digests, strict=True))
    assert f"catalogue {made.name} (pinned; the newest is {CATALOGUE})" in str(pinned)


def test_an_unknown_revision_lists_the_known_ones() -> None:
    with pytest.raises(UnknownRevision, match=rf"no revision '0\.9-r1' of the catalogue; there are .*{CATALOGUE}"):
        revision("0.9-r1")
