"""What the preflight found out about the relay, before any case ran; plain data that travels between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cbspec_conformance.probe.tempo import Latency


@dataclass(frozen=True, slots=True)
class Facts:
    """What works at all. For each of `tls`, `hello`, `auth`, `tunnel` and `heartbeat`: "" where it works, else why not.

    `transport` is what the cases speak; `websocket` whether the relay answers an opening handshake with 101;
    `features` what its hello_response listed; `rejected` that every token of the suite's was refused as invalid;
    `odd_identifiers` whether a tunnel_id may hold quotes and letters beyond ASCII; `fence` the request that is good for
    a fence after auth: "heartbeat", or "unknown" where heartbeats draw no answer or more than one; `latency` what the
    relay was measured to need.
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

    def why_not(self, request: str) -> str:
        """Return why a type of request is never served on this relay, or "" where it is."""
        reasons = {"hello": self.hello, "auth": self.auth, "tunnel_info": self.tunnel, "heartbeat": self.heartbeat}
        return reasons.get(request, "")

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Facts:
        """Return the facts that `to_dict` made."""
        return cls(**{**data, "features": tuple(data["features"]), "latency": Latency(**data["latency"])})
