"""Servers under load, each in a process whose processor time and memory are read from /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

TENANTS: Final = 10
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
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


class Server:
    """A server process; `command` prints a line of JSON with its `port` when it listens."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)  # noqa: S603 - our own
        assert self._process.stdout is not None  # noqa: S101 - piped
        ready = self._process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the server exited with {self._process.wait()}: {' '.join(command)}")
        self.port = int(json.loads(ready)["port"])
        self.initial_memory = self.memory()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def processor_time(self) -> float:
        """Return the seconds of processor time that its threads have used."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE


def simulator() -> Server:
    """Start a simulator with limits on every tenant, metrics and transcript."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(_CONFIGURATION)
        file.flush()
        command = [sys.executable, "-m", "cbspec", "simulate", "--port", "0", "--json", "--config", file.name]
        return Server(command)


def peer(name: str) -> Server:
    """Start a server of `bench.peers`."""
    return Server([sys.executable, "-m", "bench.peers", name])
