"""Authenticated sessions for cases with many requests."""

from __future__ import annotations

from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.relay import RelayUnderTest

_MOST = 5  # most tunnels of one session: a relay may have limits that the profile doesn't declare


class Sessions:
    """Sessions of the main tenant on which a tunnel was accepted; each is used until it is full or was closed.

    Arguments: `transport` is their transport ("": the run's).
    """

    def __init__(self, relay: RelayUnderTest, transport: str = "") -> None:
        self._relay = relay
        self._transport = transport
        self._session: ProbeSession | None = None
        self._left = 0
        self._asked: set[str] = set()

    def next(self, tunnel_id: str = "") -> ProbeSession:
        """Return a session with room for another tunnel, on which no tunnel of this name was requested."""
        used_up = self._left == 0 or (tunnel_id and tunnel_id in self._asked)
        if self._session is None or self._session.ended or self._session.unresponsive or used_up:
            self._relay.close()
            self._asked.clear()
            self._session = None  # stays so if no tunnel is accepted
            session = self._relay.authenticated(transport=self._transport)
            self._left = self._relay.room.tunnels(_MOST)
            if self._left > 1:  # the only tunnel would be the caller's
                self._relay.open_tunnel(session)
                self._left -= 1
            self._session = session
        self._left -= 1
        self._asked.add(tunnel_id)
        return self._session
