"""Arrangements with tunnels that cases of several sections share."""

from __future__ import annotations

from cbspec_conformance.target.relay import RelayUnderTest

TUNNEL_ID_REFUSED = "the relay refuses tunnel_ids of this kind, which the specification leaves open"
"""The reason why a case about an unusual tunnel_id is not exercised."""


def open_tunnel_and_close(relay: RelayUnderTest, token: str = "") -> None:
    """Open a tunnel as a control. Its connection is closed, since CB-AUT-017 judges effects on other connections."""
    session = relay.authenticated(token=token)
    relay.open_tunnel(session)
    session.close()
