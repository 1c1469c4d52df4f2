"""Authenticated sessions for cases that ask many times: a new one when the last is used up."""

from __future__ import annotations

from cbspec_conformance.probe.session import Session
from cbspec_conformance.target.target import Target

_MOST = 5
"""Tunnels that one session opens at the most: a relay may have limits that the profile doesn't tell of."""


class Sessions:
    """Sessions of the main tenant on which a tunnel was accepted; each is used until it has no room or was closed.

    `transport` is what they speak ("": what the run speaks).
    """

    def __init__(self, relay: Target, transport: str = "") -> None:
        self._relay = relay
        self._transport = transport
        self._session: Session | None = None
        self._left = 0
        self._asked: set[str] = set()

    def next(self, tunnel_id: str = "") -> Session:
        """Return a session that has room for one more tunnel, and was not asked for one of this name, if it has one."""
        used_up = self._left == 0 or (tunnel_id and tunnel_id in self._asked)
        if self._session is None or self._session.ended or self._session.deaf or used_up:
            self._relay.close()
            self._asked.clear()
            self._session = None  # one on which the tunnel isn't accepted is good for nothing
            session = self._relay.authenticated(transport=self._transport)
            self._left = self._relay.tunnel_room(_MOST)
            if self._left > 1:  # where there is room for one only, that is the caller's
                self._relay.open_tunnel(session)
                self._left -= 1
            self._session = session
        self._left -= 1
        self._asked.add(tunnel_id)
        return self._session
