"""The HTTP API on uvicorn; this module is imported on demand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from cbspec_simulator.control.api import make_api
from cbspec_simulator.control.controls import Controls
from cbspec_simulator.control.streams import Streams


class HttpServer(uvicorn.Server):
    """Serves the controls on a listening socket until `close`; it installs no signal handlers: the relay has its own.

    `token`, if not None, is required of every client.
    """

    def __init__(self, listening: socket.socket, controls: Controls, streams: Streams, token: str | None) -> None:
        api = make_api(controls, streams, token)
        super().__init__(
            uvicorn.Config(
                api, ws="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
        )
        self._streams = streams
        self._task = asyncio.get_running_loop().create_task(self.serve([listening]))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield

    async def close(self) -> None:
        """End the streams and the server."""
        self.should_exit = True
        self._streams.end()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
