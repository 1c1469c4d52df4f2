"""Arrangements with tunnels that cases of several sections share."""

from __future__ import annotations

from collections.abc import Mapping

from cbspec_conformance.judging import judge
from cbspec_conformance.properties.damage import is_beyond_readers
from cbspec_conformance.properties.strategies import without
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

TUNNEL_ID_REFUSED = "the relay refuses tunnel_ids of this kind, which the specification leaves open"
"""The reason why a case about an unusual tunnel_id is not exercised."""


def open_tunnel_and_close(relay: RelayUnderTest, token: str = "") -> None:
    """Open a tunnel as a control. Its connection is closed, since CB-AUT-017 judges effects on other connections."""
    session = relay.authenticated(token=token)
    relay.open_tunnel(session)
    session.close()


def invalid_member_refused(relay: RelayUnderTest, member: str, values: Mapping[str, object], *codes: str) -> None:
    """Send tunnel_infos that differ from an accepted one in one member only (MISSING leaves it out); expect a code."""
    sessions = Sessions(relay)

    def check(value: object) -> None:
        session = sessions.next()
        request = without(relay.tunnel_info(session.tenant), member, value)
        exchange = session.ask(request, invalid=f"{member} is missing or invalid")
        if is_beyond_readers(value):
            judge.refused(exchange)
        else:
            judge.refused_with(exchange, *codes)

    each(values, check)
