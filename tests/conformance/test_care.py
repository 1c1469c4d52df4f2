"""Consideration for the target: no more connections and requests than the profile allows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.commands import verify
from tests.conformance.tiny import accept, tiny_relay

CASES = "CB-AUT-017,CB-LIM-002,CB-LIM-012,CB-RAT-001,CB-TLS-005"
TENANTS = """
[[tenants]]
id = "tenant-001"
[[tenants]]
id = "tenant-002"
[[tenants]]
id = "few"
tunnel_limit = 3
[[tenants]]
id = "small"
connection_limit = 5
[[tenants]]
id = "rated"
rate = { per_second = 100, burst = 10, scope = "tenant" }
"""


class CountingRelay:
    """Accepts everything; counts open connections, and records the times of messages and connections."""

    def __init__(self) -> None:
        self.most = self._open = 0
        self.times: list[float] = []
        self._lock = threading.Lock()

    def answer(self, text: bytes) -> bytes:
        """Accept a message."""
        if text.startswith(b"{"):
            self.times.append(time.monotonic())
        return accept(text)

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection."""
        with self._lock:
            self.times.append(time.monotonic())
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1


REASONS = (
    "CB-LIM-012: target.connections_at_once leaves no room for 4",
    "CB-RAT-001: target.requests_per_second leaves no room for",
)


def test_connections_and_requests_stay_within_the_bounds(tmp_path: Path) -> None:
    relay, profile = CountingRelay(), tmp_path / "profile.toml"
    bounds = "connections_at_once = 3\nrequests_per_second = 50"
    with tiny_relay(relay.answer, tmp_path, around=relay.connection) as endpoint:
        profile.write_text(f'[target]\naddress = "{endpoint}"\ntransport = "tcp"\n{bounds}\n{TENANTS}')
        done = verify("--target-profile", str(profile), "--only", CASES, "--examples", "2", "-n", "2")
    assert done.code == 1, done.text
    assert all(reason in " ".join(done.text.split()) for reason in REASONS)
    assert relay.most == 3
    assert len(relay.times) > 100
    assert len(relay.times) / (max(relay.times) - min(relay.times)) <= 50
