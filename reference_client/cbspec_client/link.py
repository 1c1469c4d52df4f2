"""The asyncio edge: carries a session's bytes over a socket, and ends in bounded time.

TLS is the session's own layer, so that an alert leaves where a handshake fails.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Self

from cbspec_client.errors import ClientError, ConnectFailed, ConnectionLost, refusal
from cbspec_client.session import ClientSession, authority


class Link(asyncio.Protocol):
    """A session's connection; made by `open`.

    `failure` is why it has ended, once it has: from then on what arrives is thrown away. `linger` is how long the
    relay may take, in seconds, to close its end.
    """

    def __init__(self, session: ClientSession, linger: float) -> None:
        self.failure: ClientError | None = None
        self._told = False
        self._session = session
        self._linger = linger
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, session: ClientSession, host: str, port: int, *, limit: float, linger: float) -> Self:
        """Connect and do the handshakes, within `limit` seconds in all.

        Raises ConnectFailed, one of its kinds, or RelayMisbehaved; nothing is left open then.
        """
        link = cls(session, linger)
        try:
            async with asyncio.timeout(limit):
                await asyncio.get_running_loop().create_connection(lambda: link, host, port)
                await link.until(lambda: session.ready)
        except ConnectionLost as error:
            await link.close()
            raise ConnectFailed(str(error)) from None
        except ClientError:
            await link.close()
            raise
        except TimeoutError:
            link.abort()
            raise ConnectFailed(f"{authority(host, port)}: no connection within {limit:g} s") from None
        except (OSError, ValueError, OverflowError) as error:  # the last two: what can be no host or port
            raise ConnectFailed(f"{authority(host, port)}: {reason(error)}") from None
        except BaseException:
            link.abort()
            raise
        return link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what begins the handshake."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's own promise for a socket
        self._transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Give bytes to the session."""
        if self.failure is None:
            try:
                self._session.receive_data(data)
            except ClientError as error:
                self.fail(error)
            self.flush()
            self._changed.set()

    def eof_received(self) -> None:
        """Take the relay's end for the connection's."""
        if self.failure is None:
            self.fail(self._session.receive_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the socket is closed."""
        if self.failure is None:
            self.fail(ConnectionLost(f"the connection broke: {reason(exc)}" if exc else "the connection broke"))
        if self._deadline is not None:
            self._deadline.cancel()
        self._lost.set()

    def pause_writing(self) -> None:
        """Read nothing from a relay that reads nothing: what it sends may demand answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def flush(self) -> None:
        """Send what the session wants to send."""
        wire = self._session.data_to_send()
        if wire and self._transport is not None and not self._transport.is_closing():
            self._transport.write(wire)

    def fail(self, error: ClientError) -> None:
        """End the connection for `error`, unless it has ended; what is still to be said goes out."""
        if self.failure is not None:
            return
        self.failure = error
        self._changed.set()
        if self._transport is None or self._transport.is_closing():
            return
        self._session.goodbye()
        self.flush()
        # Closing a socket that holds unread bytes would reset the connection, and an alert be lost with it: so the
        # relay is told that nothing more comes, and has a while to close.
        self._transport.write_eof()
        self._deadline = asyncio.get_running_loop().call_later(self._linger, self._transport.abort)

    def check(self) -> None:
        """Raise what came unasked, or what ended the connection (from the second time on, a ConnectionLost for it)."""
        unasked = self._session.take_unasked()
        if unasked is not None:
            raise refusal(unasked)
        if self.failure is None:
            return
        if self._told:
            raise ConnectionLost(f"the connection has ended already: {self.failure}") from self.failure
        self._told = True
        raise self.failure

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something happened; raise what ended the connection before."""
        while not happened():
            if self.failure is not None:
                self.check()
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End the connection, politely where the relay takes part, in any case within the time for it."""
        try:
            async with asyncio.timeout(self._linger):
                if self.failure is None:
                    self._session.close()
                    self.flush()
                    while not self._session.finished and self.failure is None:
                        self._changed.clear()
                        await self._changed.wait()
                    self.fail(ConnectionLost("the connection was closed here"))
                if self._transport is not None:
                    await self._lost.wait()
        except TimeoutError:
            self.fail(ConnectionLost("the connection was closed here"))
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the socket at once."""
        if self._transport is not None:
            self._transport.abort()


def reason(error: Exception) -> str:
    """Return in a few words what the system says of a connection that failed."""
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
