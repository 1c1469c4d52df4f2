"""The tap as a server: it listens, and writes the rows of all connections to a file."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Final, Self

from cbspec_conformance.tap.facts import Secrets
from cbspec_conformance.tap.rows import VERSION, Row, TapDone, TapHeader, line_of
from cbspec_conformance.tap.splice import Splice, TapTarget

_BACKLOG: Final = 256
_PAUSE: Final = 0.1  # seconds until the next attempt to accept a connection after an error of the system


class TapServer:
    """A tap during an `async with`. `address` is the one that it listens on.

    Arguments: `place` is a host and a port (0: any), `serving` the context towards clients, `file` is the open file for
    the rows, `patience` the seconds after which an answer is missing, and `follow` is called with each row. Raises
    OSError if the address can't be used.
    """

    def __init__(
        self,
        place: tuple[str, int],
        target: TapTarget,
        serving: ssl.SSLContext,
        file: IO[bytes],
        *,
        patience: float = 5.0,
        follow: Callable[[Row], object] = bool,
    ) -> None:
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self._sock = socket.create_server(place, family=family, backlog=_BACKLOG)
        self._sock.setblocking(False)
        self.address: tuple[str, int] = self._sock.getsockname()[:2]
        self._target = target
        self._serving = serving
        self._file = file
        self._patience = patience
        self._follow = follow
        self._secrets = Secrets()
        self._began = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._acceptor: asyncio.Task[None] | None = None
        self.error = ""

    async def __aenter__(self) -> Self:
        host, port = self.address
        self._began = time.monotonic()
        self._add(TapHeader(VERSION, str(self._target.endpoint), f"{host}:{port}", time.time(), self._patience))
        self._acceptor = asyncio.create_task(self._accept())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all connections, and write the last row."""
        tasks = [*self._tasks, *([self._acceptor] if self._acceptor is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sock.close()
        self._add(TapDone(self._now()))

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 6)

    async def _accept(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        while True:
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            number += 1
            splice = Splice(number, self._target, self._serving, self._add, self._now, self._secrets)
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            task = asyncio.create_task(splice.run(sock, f"{host}:{address[1]}"))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _add(self, row: Row) -> None:
        """Write a row; after an error of the file, whose text is in `error`, the traffic is only passed on."""
        if not self.error:
            try:
                self._file.write(line_of(row))
                self._file.flush()
            except OSError as error:
                self.error = f"{error.strerror}; the record of the traffic ends there"
        self._follow(row)
