"""Authenticated sessions for cases that ask many times: a new one when the last is used up."""

from __future__ import annotations

from conformance.session import Session
from conformance.target import Target

_MOST = 5
"""Tunnels that one session opens at the most: a relay may have limits that the profile doesn't tell of."""


class Sessions:
    """Sessions of the main tenant on which a tunnel was accepted; each is used until it has no room or was closed."""

    def __init__(self, relay: Target) -> None:
        self._relay = relay
        self._session: Session | None = None
        self._left = 0

    def next(self) -> Session:
        """Return a session that has room for one more tunnel."""
        if self._session is None or self._session.ended or self._session.deaf or self._left == 0:
            self._relay.close()
            self._session = self._relay.authenticated()
            self._left = self._relay.tunnel_room(_MOST)
            if self._left > 1:  # where there is room for one only, that is the caller's
                self._relay.open_tunnel(self._session)
                self._left -= 1
        self._left -= 1
        return self._session
