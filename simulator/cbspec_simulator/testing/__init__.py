"""A relay for tests in the same process: in a thread of its own, under blocking calls."""

from __future__ import annotations

from cbspec_simulator.testing.fault import LocalFault
from cbspec_simulator.testing.relay import LocalRelay, OpenConnection
from cbspec_simulator.testing.transcript import LocalTranscript

__all__ = ["LocalFault", "LocalRelay", "LocalTranscript", "OpenConnection"]
