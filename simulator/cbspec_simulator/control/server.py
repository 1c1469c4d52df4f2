"""The HTTP server of the controls, in the relay's own event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from cbspec.profile.identity import is_loopback
from cbspec.profile.target import Endpoint
from cbspec_simulator.control.controls import Controls
from cbspec_simulator.control.streams import Streams
from cbspec_simulator.settings.config import ConfigError

if TYPE_CHECKING:
    from cbspec_simulator.control.http_server import HttpServer


class ControlServer:
    """Serves the controls until `close`; the first connection imports the HTTP server, which takes a tenth of a second.

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
        self._controls = controls
        self._token = token
        self._streams = Streams(controls)
        self._server: HttpServer | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._serve)

    def _serve(self) -> None:
        self._loop.remove_reader(self._socket)
        from cbspec_simulator.control.http_server import HttpServer

        self._server = HttpServer(self._socket, self._controls, self._streams, self._token)

    @property
    def url(self) -> str:
        """The URL of the API."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{Endpoint(host, port)}"

    async def close(self) -> None:
        """End the server and close its socket."""
        if self._server is None:
            self._loop.remove_reader(self._socket)
        else:
            await self._server.close()
        self._socket.close()
