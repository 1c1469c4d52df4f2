"""Findings that follow from another one: they are shown as such, and fail nothing.

One mistake of a relay breaks one requirement. A request that another requirement forbids to accept may draw an answer
that breaks further ones, and one check that a relay lacks may be the reason for two requirements about like members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging.judge import is_success
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.exchange import Exchange

_BROKEN: Final = (Outcome.FAILED, Outcome.WARNED)
_CONTENT: Final = (
    "CB-HEL",
    "CB-AUT",
    "CB-TUN",
    "CB-TEN",
    "CB-MSG-004",
)  # broken by what an answer says, not by its form
_CAUSES: Final = {
    "CB-TEN-001": ("CB-AUT-003",),
    "CB-TEN-002": ("CB-AUT-003",),
    "CB-TEN-003": ("CB-AUT-003",),
}
"""For each requirement, those that are broken first if a relay takes its tenant from elsewhere than the token."""

_MISSING: Final = ("CB-TUN-005", "CB-TUN-006", "CB-TUN-008", "CB-TUN-009", "CB-TEN-005", "CB-UNK-002")
_CARRIED_OVER: Final = "CB-TUN-015"
"""Requirements that a relay breaks by missing members only, if it takes them from an earlier request."""

_ALIKE: Final = (
    ("CB-TUN-006", "CB-TUN-007", "CB-TUN-009", "CB-TUN-010"),
    ("CB-TUN-005", "CB-TUN-008", "CB-TEN-005"),
    ("CB-AUT-005", "CB-AUT-006"),
)
"""Requirements about like members: they follow from the first that is broken by the same kinds of mistakes."""

_KINDS: Final = {
    **dict.fromkeys(("string", "true", "fraction"), "converted to an integer"),
    **dict.fromkeys(("negative", "zero"), "too low"),
    **dict.fromkeys(
        ("65536", *(f"{bits} bits {way}" for bits in (16, 32, 64) for way in ("over", "under"))), "too high"
    ),
}


def accepted_in_spite_of(exchange: Exchange) -> str:
    """Return the mistake in a request that the relay accepted all the same, or ""."""
    request, answer = exchange.request, exchange.answer
    if request is None or answer is None or answer.type != SUCCESS_TYPES.get(request.type) or not is_success(answer):
        return ""
    return "" if request.decoded.fault else request.meant


def of_a_mistake(finding: Finding, mistake: str, own: str) -> Finding:
    """Return the finding about an answer to a request that was accepted in spite of a mistake.

    `own` is the requirement of the case, which judges the acceptance.
    """
    if not mistake or finding.requirement == own or not _is_about_content(finding):
        return finding
    return _following(finding, f"the request is invalid ({mistake}), and was accepted (see {own})")


def of_the_same_exchange(own: Finding | None, others: Iterable[Finding]) -> Iterator[Finding]:
    """Yield a case's other findings; those about the answer that its own finding is about follow from it."""
    for finding in others:
        if (
            own is not None
            and own.outcome in _BROKEN
            and 0 <= own.number == finding.number
            and _is_about_content(finding)
        ):
            yield _following(finding, f"the same answer breaks {own.requirement}")
        else:
            yield finding


def of_a_run(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of a run; those with a cause in another requirement follow from it."""
    broken: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.outcome in _BROKEN:
            broken.setdefault(finding.requirement, []).append(finding)
    causes: dict[str, str] = {}
    for requirement, found in broken.items():
        alike = next((group for group in _ALIKE if requirement in group), ())
        first = [cause for cause in _CAUSES.get(requirement, ()) if cause in broken]
        if requirement in _MISSING and _kinds(found) == {"missing"} and _CARRIED_OVER in broken:
            first.append(_CARRIED_OVER)
        earlier = alike[: alike.index(requirement)] if alike and all(finding.kinds for finding in found) else ()
        first += [cause for cause in earlier if _kinds(found) <= _kinds(broken.get(cause, ()))]
        causes |= {requirement: first[0]} if first else {}
    return [
        _following(finding, f"the same mistake breaks {causes[finding.requirement]}")
        if finding.outcome in _BROKEN and finding.requirement in causes
        else finding
        for finding in findings
    ]


def _kinds(findings: Iterable[Finding]) -> set[str]:
    """Return the kinds of mistakes of findings."""
    return {_KINDS.get(kind, kind.rpartition("-")[2]) for finding in findings for kind in finding.kinds}


def _is_about_content(finding: Finding) -> bool:
    return finding.outcome in _BROKEN and finding.requirement.startswith(_CONTENT)


def _following(finding: Finding, why: str) -> Finding:
    return replace(finding, outcome=Outcome.FOLLOW_UP, reason=why, steps="")
