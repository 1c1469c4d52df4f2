"""Faults for a single client, and the outcome of its session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SERVED = "served"
TIMEOUT = "no answer"
LOST = "connection lost"
UNCONNECTED = "no connection"
TOO_MANY = "CB-MSG-004"


@dataclass(frozen=True, slots=True)
class Promise:
    """A fault at one type of message; `outcome` is a code, a requirement or a word above."""

    kind: str
    message: str
    outcome: str
    params: Mapping[str, Any] = field(default_factory=dict)
    transport: str = ""

    def fault(self, name: str, subject: str) -> dict[str, Any]:
        """Return the fault for the sessions of one subject."""
        return {"kind": self.kind, "name": name, **self.params, "when": {"message": self.message, "subject": subject}}


PROMISES = (
    *(
        Promise("error", message, code, {"code": code})
        for message, code in (
            ("auth", "invalid_token"),
            ("auth", "ip_not_allowed"),
            ("tunnel_info", "buffer_pool_exhausted"),
            ("tunnel_info", "data_transfer_failed"),
            ("heartbeat", "rate_limit_exceeded"),
            ("heartbeat", "server_unavailable"),
        )
    ),
    *(Promise(kind, "tunnel_response", LOST, {"bytes": 5}) for kind in ("reset", "close", "close-without-notify")),
    Promise("half-close", "heartbeat_response", LOST, {"bytes": 0}),
    Promise("websocket-close", "heartbeat_response", LOST, transport="websocket"),
    Promise("drop", "heartbeat", TIMEOUT),
    Promise("drop", "tunnel_response", TIMEOUT),
    Promise("hold", "heartbeat_response", TIMEOUT),
    Promise("latency", "heartbeat_response", SERVED, {"seconds": 0.05}),
    Promise("delay", "tunnel_response", SERVED, {"seconds": 0.05}),
    Promise("bandwidth", "auth_response", SERVED, {"bytes_per_second": 2000}),
    Promise("dribble", "heartbeat_response", SERVED, {"bytes": 3, "seconds": 0.001}),
    Promise("split", "auth_response", SERVED, {"at": [1, 7]}),
    Promise("spelling", "tunnel_response", SERVED),
    Promise("oversize", "heartbeat_response", SERVED, {"bytes": 100_000}),
    Promise("member", "tunnel_response", SERVED, {"member": "colour", "value": "blue"}),
    Promise("websocket-fragments", "tunnel_response", SERVED, transport="websocket"),
    Promise("websocket-pings", "heartbeat_response", SERVED, transport="websocket"),
    Promise("duplicate", "heartbeat_response", TOO_MANY),
    Promise("unsolicited", "tunnel_response", TOO_MANY),
    Promise("damage-utf-8", "heartbeat_response", "CB-MSG-001"),
    Promise("damage-json", "tunnel_response", "CB-MSG-002", {"how": "trailing-comma"}),
    Promise("wrong-id", "tunnel_response", "CB-TUN-002"),
    Promise("wrong-tenant", "auth_response", "CB-AUT-003"),
)
"""Faults of one subject, during which all other clients must see a conforming relay."""

STORMS: tuple[Mapping[str, Any], ...] = (
    {"kind": "reset", "when": {"direction": "connect", "probability": 0.4}},
    {"kind": "handshake-alert", "when": {"probability": 0.4}},
    {"kind": "handshake-stall", "when": {"probability": 0.2}},
    {"kind": "silent", "when": {"probability": 0.2}},
    {"kind": "certificate-expired", "when": {"probability": 0.5}},
    {"kind": "refuse"},
    {"kind": "close-without-notify", "when": {"direction": "answer", "probability": 0.2}},
    {"kind": "reset", "when": {"direction": "request", "probability": 0.2}},
    {"kind": "latency", "seconds": 0.02, "jitter": 0.02},
    {"kind": "unavailable", "when": {"probability": 0.3}},
)
"""Faults of all clients, during which no client may see another requirement broken."""
