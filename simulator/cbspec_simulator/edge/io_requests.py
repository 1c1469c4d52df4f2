"""The I/O that a session needs before it can answer: dialling the remote end, and updating the issuer's keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.steps import Dial, IoRequest
from cbspec_simulator.relay.relay import Relay


class IoPerformer:
    """Performs the I/O requests of one connection, one at a time."""

    __slots__ = ("_clock", "_relay", "_task")

    def __init__(self, relay: Relay, clock: Clock) -> None:
        self._relay = relay
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a request is being performed."""
        return self._task is not None

    def perform(self, request: IoRequest, done: Callable[[bool], None]) -> None:
        """Perform a request; call `done` with its success."""
        if isinstance(request, Dial):
            self._start(self._dial(request), done)
            return
        keyring = self._relay.keyring
        if keyring is not None and keyring.stale(request.token, self._clock.monotonic()):
            self._start(keyring.refresh(request.token, self._clock.monotonic()), done)
        else:
            done(True)

    def cancel(self) -> None:
        """Cancel the current request, if any."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _start(self, work: Coroutine[Any, Any, bool | None], done: Callable[[bool], None]) -> None:
        async def run() -> None:
            success = await work
            self._task = None
            done(success is not False)

        self._task = asyncio.get_running_loop().create_task(run())

    async def _dial(self, request: Dial) -> bool:
        try:
            async with asyncio.timeout(self._relay.config.relay.probe_timeout):
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_connection(asyncio.Protocol, request.host, request.port)
        except (OSError, ValueError):  # a time-out is an OSError, an impossible host name a ValueError
            return False
        transport.abort()
        return True
