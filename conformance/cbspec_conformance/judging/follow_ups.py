"""Findings that follow from another one: they are shown as such, and fail nothing.

One mistake of a relay breaks one requirement. A request that another requirement forbids to accept may draw an answer
that breaks further ones, and one check that a relay lacks may be the reason for two requirements about like members.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging.judge import NO_ERROR, is_success
from cbspec_conformance.judging.verdicts import BROKEN, Finding, Outcome
from cbspec_conformance.record.exchange import Exchange

_CONTENT: Final = (
    "CB-HEL",
    "CB-AUT",
    "CB-TUN",
    "CB-TEN",
    "CB-MSG-004",
)  # broken by what an answer says, not by its form
_MEMBERS: Final = ("CB-TUN-005", "CB-TUN-006", "CB-TUN-008", "CB-TUN-009", "CB-TEN-005")
_PORTS: Final = ("CB-TUN-006", "CB-TUN-007", "CB-TUN-009", "CB-TUN-010")
_TUNNELS: Final = (*_MEMBERS[:2], "CB-TUN-007", *_MEMBERS[2:4], "CB-TUN-010", "CB-TEN-005")
_TIMES: Final = ("CB-AUT-005", "CB-AUT-006")
_SIGNATURES: Final = ("CB-AUT-007", "CB-AUT-009", "CB-AUT-010", "CB-AUT-011", "CB-AUT-018")
_TOKENS: Final = (*_TIMES, "CB-AUT-008", *_SIGNATURES, "CB-AUT-012", "CB-AUT-013", "CB-AUT-014", "CB-AUT-015")
_TENANTS: Final = ("CB-TEN-001", "CB-TEN-002", "CB-TEN-003")
_BY_LEVEL: Final = tuple(sorted(REQUIREMENTS, key=lambda id_: REQUIREMENTS[id_].level is not Level.MUST))
_MISTAKES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("CB-TLS-002", "CB-TLS-003", "CB-TLS-004"), ".*"),  # no lowest version is set
    *((("CB-AUT-003", id_), ".*") for id_ in _TENANTS),  # the tenant isn't the token's
    (("CB-TEN-002", "CB-TEN-003"), "tenant-new|"),  # the tenant isn't looked up
    *((("CB-AUT-003", id_), ".*") for id_ in ("CB-AUT-017", "CB-LIM-004", "CB-LIM-013", "CB-ADR-001", "CB-ADR-002")),
    (_BY_LEVEL, NO_ERROR),  # what is refused draws its usual response, with another status
    *((("CB-TUN-003", id_), ".*") for id_ in ("CB-AUT-016", "CB-AUT-017", "CB-WSK-006")),  # no auth is needed
    *((("CB-AUT-008", id_), "signature-first-byte|(?!signature|code ).*") for id_ in _SIGNATURES),  # not verified
    (("CB-AUT-008", "CB-AUT-012"), "signature-first-byte|(two|four)-segments|header-cut|not-base64"),
    (("CB-AUT-017", "CB-RAT-004"), ".*"),  # an identity is another connection's
    (("CB-MSG-006", "CB-MSG-009"), "altered letters"),  # each read is decoded by itself
    (_TIMES, r"\w+-(11-minutes|a-day)"),
    (_TIMES, r"fraction|\w+-(?!11-|a-day|at-zero|at-minus-one).+"),  # not read as a number of any form and size
    *((("CB-TUN-015", id_), "missing") for id_ in (*_MEMBERS, "CB-UNK-002")),  # taken from an earlier request
    *((_MEMBERS, kind) for kind in ("missing", "null", "true", "number|string", "array", "object")),
    (_PORTS, r"string|array|true|fraction|half|65535\.5"),  # converted to an integer
    *((("CB-TUN-006", id_), r"null|object|negative|zero|65536|1e18|\d+ bits \w+") for id_ in _PORTS[1:]),  # not checked
    (_PORTS, r"negative|zero|\d+ bits under"),  # no lower bound
    (_PORTS, r"65536|1e18|\d+ bits over"),  # no upper bound
    *((group, f"code {code}") for group in (_TOKENS, _TENANTS, _TUNNELS) for code in ErrorCode),
)
"""Requirements that a relay breaks by one mistake, the first of which fails, and the kinds of input that show it."""


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
            and own.outcome in BROKEN
            and 0 <= own.number == finding.number
            and _is_about_content(finding)
        ):
            yield _following(finding, f"the same answer breaks {own.requirement}")
        else:
            yield finding


def of_a_run(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of a run; those with a cause in another requirement follow from it."""
    broken: dict[str, set[str]] = {}
    for finding in findings:
        if finding.outcome in BROKEN:
            broken.setdefault(finding.requirement, set()).update(finding.kinds)
    causes = [_cause(finding, broken) if finding.outcome in BROKEN else "" for finding in findings]
    return [
        _following(finding, f"the same mistake breaks {cause}") if cause else finding
        for finding, cause in zip(findings, causes, strict=True)
    ]


def _cause(finding: Finding, broken: Mapping[str, Collection[str]]) -> str:
    """Return the requirement that a relay breaks first by all the mistakes that a finding shows, or "".

    `broken` holds the kinds of input that break each requirement.
    """
    causes = [next(_earlier(finding.requirement, kind, broken), "") for kind in finding.kinds or ("",)]
    return causes[0] if all(causes) else ""


def _earlier(requirement: str, kind: str, broken: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield the requirements that a relay breaks earlier by the mistake that a kind of input shows."""
    for requirements, kinds in _MISTAKES:
        unnamed = () if kinds == NO_ERROR else (kind,)  # other cases than those of a table name no kinds
        if requirement in requirements and re.fullmatch(kinds, kind):
            for earlier in requirements[: requirements.index(requirement)]:
                if earlier in broken and any(re.fullmatch(kinds, other) for other in broken[earlier] or unnamed):
                    yield earlier


def _is_about_content(finding: Finding) -> bool:
    return finding.outcome in BROKEN and finding.requirement.startswith(_CONTENT)


def _following(finding: Finding, why: str) -> Finding:
    return replace(finding, outcome=Outcome.FOLLOW_UP, reason=why, steps="")
