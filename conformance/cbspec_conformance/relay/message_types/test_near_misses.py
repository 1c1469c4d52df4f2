"""Source: Message Types, and Notes / all fields are required: requests of which one member is broken."""

from __future__ import annotations

import json

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import KitError
from cbspec_conformance.oracles.referee import broken_members
from cbspec_conformance.properties.between import ControlledRequests
from cbspec_conformance.properties.damage import NEAR_MISSES, is_beyond_readers, spell_with
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param("CB-HEL-005", marks=requirement("CB-HEL-005")),
        pytest.param("CB-HEL-006", marks=requirement("CB-HEL-006")),
        pytest.param("CB-AUT-015", marks=requirement("CB-AUT-015")),
        pytest.param("CB-TUN-005", marks=requirement("CB-TUN-005")),
        pytest.param("CB-TUN-006", marks=requirement("CB-TUN-006")),
        pytest.param("CB-TUN-007", marks=requirement("CB-TUN-007")),
        pytest.param("CB-TUN-008", marks=requirement("CB-TUN-008")),
        pytest.param("CB-TUN-009", marks=requirement("CB-TUN-009")),
        pytest.param("CB-TUN-010", marks=requirement("CB-TUN-010")),
        pytest.param("CB-TEN-005", marks=requirement("CB-TEN-005")),
    ],
)
def test_near_misses_are_refused(relay: RelayUnderTest, identifier: str, explorer: Explorer) -> None:
    """Hypothesis draws values that a member must not have; each such request stands between two that are accepted."""
    miss = NEAR_MISSES[identifier]
    if miss.member == "tenant_id":
        relay.needs.tenancy()
    between = ControlledRequests(relay, miss.kind)

    def check(value: object) -> None:
        session = between.session()
        text = spell_with(between.request(session), miss.member, value)
        if broken_members(text) != {miss.member}:
            raise KitError(f"a {miss.kind} that was to be broken in its {miss.member} is not, or elsewhere, too")
        why = f"{miss.member} is not as it must be"
        exchange = session.ask(json.loads(text), invalid=why, encode=lambda _: text)
        if miss.codes and not is_beyond_readers(value):
            judge.refused_with(exchange, *miss.codes)
        else:
            judge.refused(exchange)
        between.after()

    explorer.explore(miss.values, check)
