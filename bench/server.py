"""Servers under load, each in a process of its own."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.processes import Served, running, served

TENANTS: Final = 10
_NO_LIMIT: Final = 1_000_000
_TENANT: Final = f"""
[[tenants]]
id = "tenant-%d"
tunnel_limit = {_NO_LIMIT}
connection_limit = {_NO_LIMIT}
allowed_addresses = ["127.0.0.0/8"]
rate = {{ per_second = {_NO_LIMIT}, burst = {_NO_LIMIT} }}
"""
_CONFIGURATION: Final = f"""
relay = {{ connection_limit = {_NO_LIMIT}, buffer_pool = {_NO_LIMIT} }}
metrics = {{ enabled = true, port = 0 }}
""" + "".join(_TENANT % number for number in range(TENANTS))


@contextlib.contextmanager
def simulator() -> Iterator[Served]:
    """Run a simulator with limits on every tenant, metrics and transcript."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), config=_CONFIGURATION) as relay:
        yield relay


@contextlib.contextmanager
def peer(name: str) -> Iterator[Served]:
    """Run a server of `bench.peers`."""
    command = [sys.executable, "-m", "bench.peers", name]
    with tempfile.TemporaryDirectory() as folder, running(command, Path(folder)) as server:
        yield server
