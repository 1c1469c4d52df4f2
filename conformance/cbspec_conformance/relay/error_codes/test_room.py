"""Source: Error Codes / tenant_limit_exceeded: nothing that has ended or was refused keeps a tenant's room."""

from __future__ import annotations

from functools import partial

import pytest

from cbspec.profile.profile import Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes import refusals
from cbspec_conformance.runner.marks import all_limits, final, first, limits, requirement, requirements
from cbspec_conformance.target.capacity import (
    AT_THE_END,
    FULL,
    LimitKey,
    keeps_room,
    tenants_limits,
    whole_at_the_end,
)
from cbspec_conformance.target.relay import RelayUnderTest

_SESSIONS = 20  # a relay may lose room for one auth in many
_TOGETHER = 10


@first
@pytest.mark.parametrize("key", [pytest.param(key, marks=limits(key)) for key in ("tunnel_limit", "connection_limit")])
@requirements("CB-LIM-016", "CB-LIM-007", "CB-LIM-003", "CB-LIM-008", "CB-LIM-009", "CB-LIM-010", "CB-LIM-015")
def test_room_is_not_lost(relay: RelayUnderTest, identifier: str, key: LimitKey) -> None:
    """Measure a tenant's room before and after actions whose connections have ended, such as a close or a refusal.

    A relay may give room back late: it is lost if it isn't back after 19 seconds.
    """
    keeps_room(relay, identifier, (key,))


@limits("tunnel_limit")
@requirement("CB-LIM-017")
def test_a_close_releases_its_own_tunnels_only(relay: RelayUnderTest) -> None:
    """Open a tunnel of the same tunnel_id on two connections and close the first; the other's must still count."""
    tenant, limit = refusals.shared_tunnel_limit(relay)
    request, sessions = relay.tunnel_info(tenant.id), dict[str, ProbeSession]()

    def ask(subject: str) -> Exchange:
        if subject not in sessions or sessions[subject].ended:
            sessions[subject] = relay.authenticated(tenant, subject=relay.tokens.subject(subject))
        exchange = sessions[subject].ask(request)
        if judge.error_code(exchange) == FULL:  # the room of earlier cases may come back late
            judge.accepted(exchange, FULL)
        return exchange

    with relay.control("a valid tunnel_info on each of two connections"):
        judge.accepted(relay.soon(lambda: ask("first")))
        if not judge.served(relay.soon(lambda: ask("second"))):
            raise NotExercised("the relay refuses a tunnel_id that another connection uses, which the page leaves open")
    first, second = sessions["first"], sessions["second"]
    first.close()
    second = refusals.fill_tunnels(relay, second, limit)
    refusals.tunnel_refused(relay, second)


@final
@all_limits("tunnel_limit", "connection_limit")
@requirement("CB-LIM-019")
def test_room_at_the_end(relay: RelayUnderTest) -> None:
    """Open and close many connections of a tenant, and compare every tenant's room with the beginning of the run."""
    found = [limit for limit in tenants_limits(relay) if limit.name in relay.facts.room]
    if not found:
        raise NotExercised("no limit of a tenant was measured at the beginning; give tenants.tunnel_limit")

    def use(tenant: Tenant) -> None:
        relay.authenticated(tenant).close()

    for tenant in {limit.tenant.id: limit.tenant for limit in found}.values():
        together = min(tenant.connection_limit or _TOGETHER, _TOGETHER)
        for _ in range(0, _SESSIONS, together):
            at_once([partial(use, tenant)] * together)
    whole_at_the_end(relay)
    relay.log.judge_invariant(AT_THE_END)
