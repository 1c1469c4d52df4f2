"""Invalid requests, each between two valid ones of its type that are accepted under the same conditions."""

from __future__ import annotations

from typing import Any

from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.relay import RelayUnderTest

_MOST = 6  # most tunnels of one session: a relay may have limits that the profile doesn't declare


class ControlledRequests:
    """Sessions for invalid requests of the type `kind`; the control after one request is that before the next.

    A control that fails raises Inconclusive.
    """

    def __init__(self, relay: RelayUnderTest, kind: str) -> None:
        self._relay = relay
        self._kind = kind
        self._tunnels: ProbeSession | None = None
        self._left = 0
        self._controlled = False
        self.check()

    def session(self) -> ProbeSession:
        """Return a session in the state in which a valid request would be accepted now.

        If the control after the last request was skipped, since that failed, it is made up for on a new session: the
        relay may have closed the old one, or have opened a tunnel on it.
        """
        if not self._controlled:
            self._relay.close()
            self._tunnels = None
            self.check()
        self._controlled = False
        if self._kind == "hello":
            return self._relay.connect()
        if self._kind == "auth":
            return self._relay.greeted()
        return self._tunnels or self._relay.authenticated()

    def request(self) -> dict[str, Any]:
        """Return the valid request."""
        return self._relay.request(self._kind)

    def check(self) -> None:
        """Check that a valid request is accepted, after an invalid one. A control."""
        if self._kind == "tunnel_info":
            self._open_tunnel()
        else:
            self._relay.close()
            (self._relay.greeted() if self._kind == "hello" else self._relay.authenticated()).close()
        self._controlled = True

    def _open_tunnel(self) -> None:
        """Open a tunnel, on the same session if it has room for this one and the next."""
        session = self._tunnels
        if session is None or session.ended or session.unresponsive or self._left < 2:
            self._relay.close()
            session = self._relay.authenticated()
            self._left = self._relay.room.tunnels(_MOST)
        self._relay.open_tunnel(session)
        self._left -= 1
        self._tunnels = session
        if self._left == 0:  # room for one tunnel only: it is the invalid request's
            self._relay.close()
            self._tunnels = None
