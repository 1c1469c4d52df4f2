"""The HTTP server of the controls, in the relay's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from cbspec.profile.identity import is_loopback
from cbspec.profile.target import Endpoint
from cbspec_simulator.control.api import make_api
from cbspec_simulator.control.controls import Controls
from cbspec_simulator.control.streams import Streams
from cbspec_simulator.settings.config import ConfigError


class _Server(uvicorn.Server):
    """Installs no signal handlers: the relay has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ControlServer:
    """Serves the controls until `close`.

    Arguments: `host` and `port` (0: a free one) are the address; `token` is required of every client, and mandatory on
    an address that isn't loopback. Raises ConfigError if it can't start.
    """

    def __init__(self, controls: Controls, host: str, port: int, token: str | None) -> None:
        if token is None and not is_loopback(host):
            raise ConfigError(f"[control] host {host} can be reached from other machines: set [control] token_env")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen()  # now, since clients may connect as soon as they know the address
        except (OSError, OverflowError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"[control] can't listen on {Endpoint(host, port)}: {reason.lower()}") from None
        self._streams = Streams(controls)
        config = uvicorn.Config(
            make_api(controls, self._streams, token),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve([self._socket]))

    @property
    def url(self) -> str:
        """The URL of the API."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{Endpoint(host, port)}"

    async def close(self) -> None:
        """End the server and close its socket."""
        self._server.should_exit = True
        self._streams.end()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._socket.close()
