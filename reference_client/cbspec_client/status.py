"""The events of a session as text, and its state in one line."""

from __future__ import annotations

from typing import Any

from cbspec_client.events import (
    ConnectAttempted,
    ConnectionMade,
    HeartbeatAnswered,
    HeartbeatMissed,
    RetryScheduled,
    SessionEnded,
    SessionEvent,
    SessionLost,
    SessionUp,
    TokenAccepted,
    TokenNotRenewed,
    TokenRenewed,
    TunnelOpened,
)


class LiveStatus:
    """The state of a session, from its events. `up` is whether it is up; the times are seconds of one clock."""

    def __init__(self, relay: str) -> None:
        self.up = False
        self._relay = relay
        self._state = "starting"
        self._since = 0.0
        self._tunnels = self._beats = self._connections = 0
        self._latency = 0.0

    def observe(self, event: SessionEvent, now: float) -> None:
        """Record an event."""
        match event:
            case ConnectAttempted():
                self._change("connecting", now)
            case ConnectionMade():
                self._connections += 1
            case SessionUp(tunnels):
                self._tunnels = tunnels
                self._change("up", now)
            case TunnelOpened() if self.up:
                self._tunnels += 1
            case HeartbeatAnswered(seconds):
                self._beats += 1
                self._latency = seconds
            case SessionLost():
                self._change("lost", now)
            case RetryScheduled(number, delay):
                self._change(f"retry {number} in {delay:.1f} s", now)
            case SessionEnded():
                self._change("ended", now)

    def line(self, now: float) -> str:
        """Return the state in one line."""
        parts = [f"{self._relay}: {self._state} for {now - self._since:.0f} s", f"connection {self._connections}"]
        if self.up:
            parts.append(_tunnels(self._tunnels))
        if self._beats:
            parts.append(f"{self._beats} heartbeats, the last within {self._latency * 1000:.1f} ms")
        return ", ".join(parts)

    def _change(self, state: str, now: float) -> None:
        self._state, self._since, self.up = state, now, state == "up"


def _tunnels(number: int) -> str:
    return f"{number} tunnel{'' if number == 1 else 's'}"


def told(event: SessionEvent) -> str:
    """Return an event as a line of text; "" for one that is only in the JSON output."""
    match event:
        case ConnectionMade(address):
            return f"connected to {address}"
        case TokenAccepted(client_id, tenant_id):
            return f"authenticated as {client_id} of {tenant_id}"
        case TunnelOpened(tunnel):
            end = f"{tunnel.remote_host}:{tunnel.remote_port}"
            return f"tunnel {tunnel.tunnel_id} is open: {tunnel.local_port} to {end}"
        case SessionUp(tunnels):
            return f"up: {_tunnels(tunnels)} open"
        case HeartbeatAnswered(seconds):
            return f"heartbeat answered within {seconds * 1000:.1f} ms"
        case HeartbeatMissed(missed, allowed):
            return f"heartbeat missed: {missed} of {allowed} that may be"
        case TokenRenewed():
            return "new token, so the session reconnects"
        case TokenNotRenewed(error):
            return f"no new token: {error or 'the last one is the same, or expires no later'}"
        case RetryScheduled(number, delay):
            return f"retry {number} in {delay:.1f} s"
        case SessionEnded(None):
            return "closed"
    return ""


def facts(event: SessionEvent) -> dict[str, Any]:
    """Return the members of an event for JSON, without its errors."""
    match event:
        case ConnectAttempted(attempt):
            return {"attempt": attempt}
        case ConnectionMade(address):
            return {"address": address}
        case TokenAccepted(client_id, tenant_id):
            return {"client_id": client_id, "tenant_id": tenant_id}
        case TunnelOpened(tunnel):
            end = {"remote_host": tunnel.remote_host, "remote_port": tunnel.remote_port}
            return {"tunnel_id": tunnel.tunnel_id, "local_port": tunnel.local_port, **end}
        case SessionUp(tunnels):
            return {"tunnels": tunnels}
        case HeartbeatAnswered(seconds):
            return {"seconds": round(seconds, 6)}
        case HeartbeatMissed(missed, allowed):
            return {"missed": missed, "allowed": allowed}
        case SessionLost(was_up=was_up):
            return {"was_up": was_up}
        case RetryScheduled(number, delay):
            return {"number": number, "delay": round(delay, 3)}
    return {}
