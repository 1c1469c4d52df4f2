"""Findings by an older revision of the catalogue: a newer requirement changes no verdict of a pinned run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cbspec.catalogue.requirements import Level
from cbspec.catalogue.revisions import CatalogueRevision
from cbspec_conformance.judging.verdicts import BROKEN, Finding, Outcome
from cbspec_conformance.reporting.baseline import causes_of


def pinned(findings: Iterable[Finding], revision: CatalogueRevision) -> list[Finding]:
    """Return the findings that a revision allows.

    Those on requirements that it lacks are dropped, and a breach has the level of its requirement in it. A case that a
    breach of such a requirement ended was not exercised.
    """
    if revision.is_present:
        return list(findings)
    return [_pinned(each, revision) for each in findings if each.requirement in revision.requirements]


def _pinned(finding: Finding, revision: CatalogueRevision) -> Finding:
    if finding.outcome in BROKEN:
        is_must = revision.requirements[finding.requirement].level is Level.MUST
        return replace(finding, outcome=Outcome.FAILED if is_must else Outcome.WARNED)
    if newer := sorted(causes_of(finding) - set(revision.requirements)):
        reason = f"{finding.reason}; {newer[0]} is newer than revision {revision.name}"
        return replace(finding, outcome=Outcome.NOT_EXERCISED, reason=reason)
    return finding
