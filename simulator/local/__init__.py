"""A relay for tests in the same process: in a thread of its own, under blocking calls."""

from __future__ import annotations

from simulator.local.fault import LocalFault
from simulator.local.relay import LocalRelay, OpenConnection
from simulator.local.transcript import LocalTranscript

__all__ = ["LocalFault", "LocalRelay", "LocalTranscript", "OpenConnection"]
