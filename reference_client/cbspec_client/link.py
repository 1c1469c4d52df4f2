"""The asyncio transport of a session; it closes in bounded time.

TLS belongs to the session, so an alert is sent if the handshake fails.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable
from typing import NoReturn, Self

from cbspec_client.errors import ClientError, ConnectFailed, ConnectionLost, refusal
from cbspec_client.reach import reach
from cbspec_client.session import ClientSession, authority


class Link(asyncio.Protocol):
    """A session's connection, created by `open`.

    `failure` is the reason why it has ended, or None; after it, input is discarded. `linger` is the time-out, in
    seconds, for the relay's close.
    """

    def __init__(self, session: ClientSession, linger: float) -> None:
        self.failure: ClientError | None = None
        self._raised = False
        self._session = session
        self._linger = linger
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, session: ClientSession, host: str, port: int, *, limit: float, linger: float) -> Self:
        """Connect and do the handshakes within `limit` seconds.

        Raises ConnectFailed, a subclass of it, or RelayMisbehaved, and then leaves nothing open.
        """
        link = cls(session, linger)
        try:
            async with asyncio.timeout(limit):
                sock = await reach(host, port)
                await asyncio.get_running_loop().create_connection(lambda: link, sock=sock)
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
        except OSError as error:
            raise ConnectFailed(f"{authority(host, port)}: {reason(error)}") from None
        except (ValueError, OverflowError) as error:
            raise ConnectFailed(f"{authority(host, port)}: {reason(error)}", lasting=True) from None
        except BaseException:
            link.abort()
            raise
        return link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first bytes of the handshake."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's own promise for a socket
        self._transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the session."""
        if self.failure is None:
            try:
                self._session.receive_data(data)
            except ClientError as error:
                self.fail(error)
            self.flush()
            self._changed.set()

    def eof_received(self) -> None:
        """Treat the relay's end of output as the end of the connection."""
        if self.failure is None:
            self.fail(self._session.receive_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """Record that the socket is closed."""
        if self.failure is None:
            self.fail(ConnectionLost(f"the connection broke: {reason(exc)}" if exc else "the connection broke"))
        if self._deadline is not None:
            self._deadline.cancel()
        self._lost.set()

    def pause_writing(self) -> None:
        """Stop reading from a relay that doesn't read: its input may require answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Resume reading."""
        if self._transport is not None:
            self._transport.resume_reading()

    def flush(self) -> None:
        """Send the session's output."""
        wire = self._session.data_to_send()
        if wire and self._transport is not None and not self._transport.is_closing():
            self._transport.write(wire)

    def fail(self, error: ClientError) -> None:
        """End the connection with `error`, unless it has ended; flush the session's output."""
        if self.failure is not None:
            return
        self.failure = error
        self._changed.set()
        if self._transport is None or self._transport.is_closing():
            return
        self._session.goodbye()
        self.flush()
        # Closing a socket with unread bytes resets the connection, and the relay may lose our alert. So this half is
        # closed first, and the relay has some time to close its own.
        self._transport.write_eof()
        self._deadline = asyncio.get_running_loop().call_later(self._linger, self._transport.abort)

    def check(self) -> None:
        """Raise an error sent without a request, or the failure that ended the connection (later: ConnectionLost)."""
        error = self._session.take_unsolicited()
        if error is not None:
            raise refusal(error)
        if self.failure is None:
            return
        if self._raised:
            raise ConnectionLost(f"the connection has ended already: {self.failure}") from self.failure
        self._raised = True
        raise self.failure

    @property
    def address(self) -> str:
        """The address of the relay's end, or "" before the connection."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if peer else ""

    async def until_disturbed(self) -> NoReturn:
        """Wait for an error that answers no request, or for the end of the connection, and raise it."""
        await self.until(lambda: self._session.disturbed)
        self.check()
        raise AssertionError("an error has arrived")

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until a condition holds; raise the failure if the connection ends before."""
        while not happened():
            if self.failure is not None:
                self.check()
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Close the connection, at most within the linger time."""
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
        """Close the socket immediately."""
        if self._transport is not None:
            self._transport.abort()


def reason(error: Exception) -> str:
    """Return the system's description of a failure."""
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    tried = re.findall(r"Connect call failed \('([^']+)'", str(error))  # asyncio has only a text for several addresses
    if len(tried) > 1:
        return f"none of its addresses can be reached: {', '.join(tried)}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
