"""Findings that follow from another one fail nothing, and only these."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec.tokens.forgery import MISSING
from cbspec_conformance.judging.follow_ups import accepted_in_spite_of, of_a_mistake, of_a_run, of_the_same_exchange
from cbspec_conformance.judging.judge import NO_ERROR
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.target.kinds import kind_of
from tests.conformance.build import HEARTBEAT_RESPONSE, TUNNEL, TUNNEL_RESPONSE, error, exchange

FAILED, FOLLOWS = Outcome.FAILED, Outcome.FOLLOW_UP


def meant(seen: Exchange, mistake: str) -> Exchange:
    assert seen.request is not None
    return replace(seen, request=replace(seen.request, meant=mistake))


@pytest.mark.parametrize(
    ("seen", "mistake"),
    [
        (meant(exchange(TUNNEL, TUNNEL_RESPONSE), "tunnel_id is missing"), "tunnel_id is missing"),
        (meant(exchange(TUNNEL, error(), TUNNEL_RESPONSE), "tunnel_id is missing"), "tunnel_id is missing"),
        (meant(exchange(TUNNEL, error(), HEARTBEAT_RESPONSE), "tunnel_id is missing"), ""),
        (meant(exchange(TUNNEL, {**TUNNEL_RESPONSE, "status": "no"}), "tunnel_id is missing"), ""),
        (exchange(TUNNEL, TUNNEL_RESPONSE), ""),
        (exchange(None, TUNNEL_RESPONSE), ""),
    ],
)
def test_a_request_counts_as_accepted_in_spite_of_its_mistake(seen: Exchange, mistake: str) -> None:
    assert accepted_in_spite_of(seen) == mistake


@pytest.mark.parametrize(
    ("requirement", "mistake", "outcome"),
    [
        ("CB-TUN-002", "tunnel_id is null", FOLLOWS),
        ("CB-MSG-004", "tunnel_id is null", FOLLOWS),
        ("CB-TUN-002", "", FAILED),
        ("CB-TUN-005", "tunnel_id is null", FAILED),  # the case's own
        ("CB-ERR-002", "tunnel_id is null", FAILED),
    ],
)
def test_the_answer_to_an_invalid_request_breaks_one_requirement(
    requirement: str, mistake: str, outcome: Outcome
) -> None:
    found = Finding(requirement, FAILED, number=4)
    assert of_a_mistake(found, mistake, "CB-TUN-005").outcome is outcome


def test_other_breaches_of_the_same_answer_follow() -> None:
    own = Finding("CB-MSG-008", FAILED, number=4)
    others = [Finding("CB-TUN-002", FAILED, number=4), Finding("CB-TUN-002", FAILED, number=3)]
    assert [found.outcome for found in of_the_same_exchange(own, others)] == [FOLLOWS, FAILED]
    assert list(of_the_same_exchange(replace(own, outcome=Outcome.PASSED), others)) == others
    assert list(of_the_same_exchange(None, others)) == others


KINDS: list[tuple[object, str]] = [
    *((None, "null"), (True, "true"), (False, "true"), (-1, "negative"), (-(10**400), "negative"), (0, "zero")),
    *((65536, "65536"), (10**400, "65536"), (3389.5, "fraction"), ("3389", "string"), ([], "array"), ({}, "object")),
    *((float("inf"), "65536"), (MISSING, "missing")),
]


@pytest.mark.parametrize(("value", "kind"), KINDS)
def test_kinds_of_values(value: object, kind: str) -> None:
    assert kind_of(value) == kind


RUNS: dict[str, tuple[dict[str, tuple[str, ...]], list[str]]] = {
    "a port of any size": (
        {"CB-TUN-007": ("65536", "64 bits over"), "CB-TUN-010": ("65536", "16 bits over")},
        ["CB-TUN-010"],
    ),
    "any sign": ({"CB-TUN-007": ("negative",), "CB-TUN-010": ("zero", "negative")}, ["CB-TUN-010"]),
    "converted": (
        {"CB-TUN-006": ("true", "string"), "CB-TUN-007": ("fraction",), "CB-TUN-010": ("fraction",)},
        ["CB-TUN-007", "CB-TUN-010"],
    ),
    "unchecked ports": (
        {
            "CB-TUN-006": ("missing", "null", "true", "string"),
            "CB-TUN-007": ("negative", "fraction", "half", "65535.5"),
            "CB-TUN-009": ("missing", "null", "true", "string"),
            "CB-TUN-010": ("zero", "negative", "fraction", "half"),
        },
        ["CB-TUN-007", "CB-TUN-009", "CB-TUN-010"],
    ),
    "unchecked members": (
        {
            "CB-TUN-005": ("missing", "null", "true", "number"),
            "CB-TUN-006": ("missing", "null", "true", "string"),
            "CB-TUN-007": ("negative", "65536"),
        },
        ["CB-TUN-006", "CB-TUN-007"],
    ),
    "different mistakes": ({"CB-TUN-007": ("negative",), "CB-TUN-010": ("65536",)}, []),
    "one more mistake": ({"CB-TUN-007": ("negative",), "CB-TUN-010": ("negative", "65536")}, []),
    "the second alone": ({"CB-TUN-010": ("negative",)}, []),
    "converted, of several kinds": (
        {"CB-TUN-006": ("string", "array"), "CB-TUN-007": ("fraction", "half", "65535.5"), "CB-TUN-010": ("65535.5",)},
        ["CB-TUN-007", "CB-TUN-010"],
    ),
    "converted, and of any size": ({"CB-TUN-006": ("string",), "CB-TUN-007": ("fraction", "65536")}, []),
    "members of any type": (
        {"CB-TUN-005": ("missing", "null"), "CB-TUN-006": ("null", "string"), "CB-TEN-005": ("missing",)},
        ["CB-TEN-005"],
    ),
    "fractional times": (
        {"CB-AUT-005": ("expired-a-fraction",), "CB-AUT-006": ("early-a-fraction",)},
        ["CB-AUT-006"],
    ),
    "times of any form": (
        {
            "CB-AUT-005": ("expired-a-fraction", "expired-at-an-exponent"),
            "CB-AUT-006": ("early-a-fraction", "early-2-63", "early-1e309", "fraction"),
        },
        ["CB-AUT-006"],
    ),
    "times at all": ({"CB-AUT-005": ("expired-a-day",), "CB-AUT-006": ("early-11-minutes",)}, ["CB-AUT-006"]),
    "the time zero": ({"CB-AUT-005": ("expired-at-zero",), "CB-AUT-006": ("early-1e309",)}, []),
    "any TLS version": ({"CB-TLS-002": (), "CB-TLS-003": (), "CB-TLS-004": ()}, ["CB-TLS-003", "CB-TLS-004"]),
    "bytes decoded as they are read": ({"CB-MSG-006": (), "CB-MSG-009": ("altered letters",)}, ["CB-MSG-009"]),
    "pieces lost": ({"CB-MSG-006": (), "CB-MSG-009": ()}, []),
    "another connection's identity": ({"CB-AUT-017": (), "CB-RAT-004": ()}, ["CB-RAT-004"]),
    "signatures that are not verified": (
        {
            "CB-AUT-007": ("payload-other-tenant",),
            "CB-AUT-008": ("signature-first-byte", "signature-truncated"),
            "CB-AUT-009": ("another-key",),
            "CB-AUT-012": ("two-segments",),
            "CB-AUT-018": (),
        },
        ["CB-AUT-007", "CB-AUT-009", "CB-AUT-012", "CB-AUT-018"],
    ),
    "any text as a token": ({"CB-AUT-008": ("signature-first-byte",), "CB-AUT-012": ("two-segments", "dots")}, []),
    "a short signature": ({"CB-AUT-008": ("signature-truncated",), "CB-AUT-009": ("another-key",)}, []),
    "any tenant": ({"CB-TEN-002": ("tenant-prefix", "tenant-new"), "CB-TEN-003": ()}, ["CB-TEN-003"]),
    "a tenant's prefix": ({"CB-TEN-002": ("tenant-prefix",), "CB-TEN-003": ()}, []),
    "tunnels without auth": ({"CB-TUN-003": (), "CB-AUT-016": (), "CB-AUT-017": ()}, ["CB-AUT-016", "CB-AUT-017"]),
    "one wrong code": (
        {"CB-TUN-005": ("code invalid_token",), "CB-TUN-010": ("code invalid_token",)},
        ["CB-TUN-010"],
    ),
    "refusals by the usual response": (
        {"CB-TUN-004": (NO_ERROR,), "CB-TUN-005": (NO_ERROR,), "CB-AUT-005": (NO_ERROR,), "CB-TUN-007": ()},
        ["CB-TUN-004", "CB-TUN-005"],
    ),
    "several wrong codes": ({"CB-AUT-005": ("code ip_not_allowed",), "CB-AUT-009": ("code tenant_not_found",)}, []),
    "seen by other cases": ({"CB-TUN-007": (), "CB-TUN-010": ()}, []),
    "members of an earlier request": (
        {"CB-TUN-005": ("missing",), "CB-TUN-008": ("missing", "null"), "CB-TUN-015": (), "CB-UNK-002": ("missing",)},
        ["CB-TUN-005", "CB-UNK-002"],
    ),
    "the tenant of a token": ({"CB-AUT-003": (), "CB-TEN-001": ("missing",)}, ["CB-TEN-001"]),
    "a token of no tenant": ({"CB-TEN-001": ("missing",)}, []),
}


@pytest.mark.parametrize("run", RUNS)
def test_one_mistake_of_a_run_breaks_one_requirement(run: str) -> None:
    kinds, following = RUNS[run]
    findings = [Finding(requirement, FAILED, kinds=names) for requirement, names in kinds.items()]
    assert [found.requirement for found in of_a_run(findings) if found.outcome is FOLLOWS] == following
    assert all(found.reason for found in of_a_run(findings) if found.outcome is FOLLOWS)
