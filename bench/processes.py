"""The processes of a measurement: servers, whose processor time and memory are read, and clients, which load them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cbspec.profile.target import Tenant

HERE: Final = Path(__file__).parent
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Server:
    """A server in a process of its own, for the time of a `with`.

    Arguments: `command` starts it; it prints a line of JSON with its `port` once it listens.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own servers
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"a server ended with {self._process.wait()}: {' '.join(command)}")
        self.port = int(json.loads(said)["port"])
        self.began_with = self.resident()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def processor(self) -> float:
        """Return the seconds of processor time that its threads have used."""
        used = 0
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            used += int((task / "schedstat").read_text().split()[0])
        return used / 1e9

    def resident(self) -> int:
        """Return the bytes of memory that it holds."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE


class Client:
    """A client in a process of its own (`bench.client`), for the time of a `with`."""

    def __init__(self, server: Server, kind: str = "tcp", tenants: int = 1) -> None:
        command = [sys.executable, "-m", "bench.client", str(server.port), kind, str(tenants)]
        self._process = subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.server = server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def do(self, what: str, number: int) -> None:
        """Have something done so many times (see `bench.client`), and wait for it."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - asked for
        self._process.stdin.write(f"{what} {number}\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError(f"the client ended with {self._process.wait()}")

    def cost(self, what: str, number: int) -> float:
        """Have something done so many times; return the server's processor seconds for one."""
        before = self.server.processor()
        self.do(what, number)
        return (self.server.processor() - before) / number


def simulator(*options: str) -> list[str]:
    """Return the command of a simulator with metrics on a free port."""
    return [sys.executable, "-m", "cbspec", "simulate", "--port", "0", "--json", *options]


@contextlib.contextmanager
def configured(folder: Path, tenants: int) -> Iterator[Server]:
    """Start a simulator with everything on that costs: limits on each of so many tenants, metrics, transcript."""
    file = folder / f"relay-{tenants}.toml"
    file.write_text(_configuration(tenants), encoding="utf-8")
    with Server(simulator("--config", str(file))) as server:
        yield server


def peer(module: str, *arguments: str) -> list[str]:
    """Return the command of a Python server in `bench/servers/`."""
    return [sys.executable, "-m", f"bench.servers.{module}", *arguments]


def tenant_name(number: int) -> str:
    """Return the id of one of the tenants of a measurement."""
    return f"tenant-{number:04d}"


def _configuration(tenants: int) -> str:
    lines = [
        "[relay]",
        "connection_limit = 1000000",
        "buffer_pool = 1000000",
        "[metrics]",
        "enabled = true",
        "port = 0",
    ]
    for number in range(tenants):
        tenant = Tenant(tenant_name(number), tunnel_limit=1_000_000, connection_limit=1_000_000)
        values: dict[str, Any] = {
            "id": tenant.id,
            "tunnel_limit": tenant.tunnel_limit,
            "connection_limit": tenant.connection_limit,
            "allowed_addresses": ["127.0.0.0/8"],
        }
        lines += ["[[tenants]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        lines += ["rate = { per_second = 1000000, burst = 1000000 }"]
    return "\n".join(lines) + "\n"
