"""The preflight's results about the relay: plain data that travels between processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cbspec_conformance.probe.tempo import Latency

ODD_LETTERS = '/é"\\☃😀'


@dataclass(frozen=True, slots=True)
class Facts:
    """The results of the preflight.

    `tls`, `hello`, `auth`, `tunnel` and `heartbeat` are "" if they work, else the reason. `transport` is the transport
    of the cases; `websocket` says whether the relay answers an opening handshake with 101; `features` are those of its
    hello_response; `rejected` says that it refused every token of the suite; `odd_identifiers` whether a tunnel_id may
    hold quotes and letters beyond ASCII; `fence` is the fence after auth: "heartbeat", or "unknown" if heartbeats draw
    no answer or several; `latency` was measured.
    """

    transport: str = "tcp"
    websocket: bool = False
    tls: str = ""
    hello: str = ""
    features: tuple[str, ...] = ()
    auth: str = ""
    rejected: bool = False
    tunnel: str = ""
    heartbeat: str = ""
    odd_identifiers: bool = True
    fence: str = "heartbeat"
    latency: Latency = field(default_factory=Latency)

    @property
    def odd_letters(self) -> str:
        """Letters that need escaping, for a tunnel_id; none if the relay accepts no such identifiers."""
        return ODD_LETTERS if self.odd_identifiers else ""

    def why_not(self, request: str) -> str:
        """Return the reason why this relay never serves a type of request, or ""."""
        reasons = {"hello": self.hello, "auth": self.auth, "tunnel_info": self.tunnel, "heartbeat": self.heartbeat}
        return reasons.get(request, "")
