"""Broken requests, each between two valid ones of its kind that are accepted in the same conditions."""

from __future__ import annotations

from typing import Any

from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.target.relay import RelayUnderTest

_MOST = 6
"""Tunnels that one session opens at the most: a relay may have limits that the profile doesn't tell of."""


class ControlledRequests:
    """Gives sessions on which a broken request of a kind may be sent. The control after one is that before the next.

    Each control is one: Inconclusive where it doesn't work.
    """

    def __init__(self, relay: RelayUnderTest, kind: str) -> None:
        self._relay = relay
        self._kind = kind
        self._tunnels: ProbeSession | None = None
        self._left = 0
        self._controlled = False
        self._control()

    def session(self) -> ProbeSession:
        """Return a session in the state in which a valid request would be accepted now.

        Where nobody saw that behind the last broken request, since that one failed, it is seen now on a new one:
        the relay may have closed the old connection, or have opened a tunnel on it.
        """
        if not self._controlled:
            self._relay.close()
            self._tunnels = None
            self._control()
        self._controlled = False
        if self._kind == "hello":
            return self._relay.connect()
        if self._kind == "auth":
            return self._relay.greeted()
        if self._tunnels is None:
            return self._relay.authenticated()
        return self._tunnels

    def request(self, session: ProbeSession) -> dict[str, Any]:
        """Return the valid request."""
        if self._kind == "hello":
            return dict(HELLO)
        if self._kind == "auth":
            return {"type": "auth", "token": self._relay.tokens.valid(self._relay.tenant)}
        return self._relay.tunnel_info(session.tenant)

    def after(self) -> None:
        """See that a valid request is accepted, behind the broken one."""
        self._control()

    def _control(self) -> None:
        if self._kind == "tunnel_info":
            self._open_tunnel()
        else:
            self._relay.close()
            (self._relay.greeted() if self._kind == "hello" else self._relay.authenticated()).close()
        self._controlled = True

    def _open_tunnel(self) -> None:
        """Open a tunnel, on the same session where it has room for that and for another one behind it."""
        session = self._tunnels
        if session is None or session.ended or session.unresponsive or self._left < 2:
            self._relay.close()
            session = self._relay.authenticated()
            self._left = self._relay.room.tunnels(_MOST)
        self._relay.open_tunnel(session)
        self._left -= 1
        self._tunnels = session
        if self._left == 0:  # where there is room for one only, that is the broken request's
            self._relay.close()
            self._tunnels = None
