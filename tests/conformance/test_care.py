"""Care for the target: a relay that counts sees no more connections and requests than the profile allows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.commands import Done, verify
from tests.conformance.tiny import accept, tiny_relay

CASES = "CB-AUT-017,CB-HBT-001,CB-LIM-002,CB-LIM-012,CB-MSG-010,CB-RAT-001,CB-ROB-001,CB-TLS-005"


LATE = 1.25
"""How many times the bound may be counted: on a busy machine what went out in turn is read together."""


class Counting:
    """A relay that accepts everything and counts: open connections, and the times of messages and connections."""

    def __init__(self) -> None:
        self.most = 0
        self.times: list[float] = []
        self._open = 0
        self._lock = threading.Lock()

    def answer(self, text: bytes) -> bytes:
        """Take note of a message, and accept it."""
        if text.startswith(b"{"):
            self._note()
        return accept(text)

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Take note of a connection."""
        self._note()
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def _note(self) -> None:
        with self._lock:
            self.times.append(time.monotonic())

    def most_in(self, seconds: float) -> int:
        """Return how many messages and connections came within so many seconds, at the most."""
        times = sorted(self.times)
        return max(sum(start <= each < start + seconds for each in times) for start in times)


def judged(counting: Counting, bounds: str, folder: Path, *options: str) -> Done:
    with tiny_relay(counting.answer, folder, watched=counting.connection) as endpoint:
        profile = folder / "profile.toml"
        profile.write_text(
            f'[target]\naddress = "{endpoint}"\n{bounds}\n'
            '[[tenants]]\nid = "tenant-001"\n[[tenants]]\nid = "tenant-002"\n'
            '[[tenants]]\nid = "few"\ntunnel_limit = 3\n[[tenants]]\nid = "small"\nconnection_limit = 5\n'
            '[[tenants]]\nid = "rated"\nrate = { per_second = 100, burst = 10, scope = "tenant" }\n'
        )
        return verify("--target-profile", str(profile), "--only", CASES, "--examples", "2", *options)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_connections_and_requests_stay_within_the_bounds(options: tuple[str, ...], tmp_path: Path) -> None:
    counting = Counting()
    done = judged(counting, 'transport = "tcp"\nconnections_at_once = 3\nrequests_per_second = 50', tmp_path, *options)
    assert done.code == 1, done.text
    text = " ".join(done.text.split())
    assert "CB-LIM-012: target.connections_at_once leaves no room for 4" in text
    assert "CB-RAT-001: target.requests_per_second leaves no room for" in text
    assert len(counting.times) > 100
    assert counting.most <= 3
    assert counting.most_in(1.0) <= 50 * LATE


def test_one_connection_at_a_time_is_enough_for_much(tmp_path: Path) -> None:
    counting = Counting()
    done = judged(counting, 'transport = "tcp"\nconnections_at_once = 1', tmp_path)
    assert done.code == 1, done.text
    assert "target.connections_at_once leaves no room for 2" in " ".join(done.text.split())
    assert counting.most == 1


def test_without_bounds_the_suite_takes_what_it_needs(tmp_path: Path) -> None:
    counting = Counting()
    done = judged(counting, 'transport = "tcp"', tmp_path)
    assert "target." not in done.text
    assert counting.most >= 5
