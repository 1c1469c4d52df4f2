"""Source: Message Types, and Notes / all fields are required: requests with one invalid member."""

from __future__ import annotations

import json

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, KitError
from cbspec_conformance.oracles.referee import broken_members
from cbspec_conformance.properties.between import ControlledRequests
from cbspec_conformance.properties.damage import NEAR_MISSES, is_beyond_readers, write_with
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.record.changes import changed
from cbspec_conformance.runner.marks import requirements
from cbspec_conformance.target.kinds import kind_of
from cbspec_conformance.target.relay import RelayUnderTest


@requirements(
    *("CB-HEL-005", "CB-HEL-006", "CB-AUT-015", "CB-TUN-005", "CB-TUN-006"),
    *("CB-TUN-007", "CB-TUN-008", "CB-TUN-009", "CB-TUN-010", "CB-TEN-005"),
)
def test_near_misses_are_refused(relay: RelayUnderTest, identifier: str, explorer: Explorer) -> None:
    """Send random invalid values of a member; a valid request before and after each is accepted."""
    miss = NEAR_MISSES[identifier]
    if miss.member == "tenant_id":
        relay.needs.tenancy()
    between = ControlledRequests(relay, miss.kind)

    def check(value: object) -> None:
        session = between.session()
        text = write_with(between.request(), miss.member, value)
        if broken_members(text) != {miss.member}:
            raise KitError(f"a {miss.kind} should be invalid in its {miss.member} only, but is not")
        request = json.loads(text)
        exchange = session.ask(request, invalid=changed(miss.member, value), encode=lambda _: text)
        try:
            if miss.codes and not is_beyond_readers(value):
                judge.refused_with(exchange, *miss.codes)
            else:
                judge.refused(exchange)
        except Broken as broken:
            broken.kinds = broken.kinds or (kind_of(request.get(miss.member, value)),)
            raise
        between.check()

    explorer.explore(miss.values, check)
