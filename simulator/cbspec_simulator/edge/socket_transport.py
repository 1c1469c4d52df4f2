"""One connection's socket on the loop: what comes is handed on; what goes out is sent, or waits until there is room.

It serves a protocol as asyncio's own transport does, in fewer steps: no task meets a connection, its address comes with
it, and nothing is asked of the kernel that nobody wants to know. That saves a tenth of what a session costs.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

_PIECE: Final = 64 * 1024  # bytes of one read; asyncio's 256 KiB take long to decrypt
_FULL: Final = 64 * 1024  # bytes that wait: with more than these the protocol is to pause,
_ROOM: Final = 16 * 1024  # and to go on once no more than these are left
_NOBODY: Final = asyncio.Protocol()


class SocketTransport(asyncio.Transport):
    """The transport of a connection that was accepted; the socket is its own from then on.

    Arguments: `address` is the client's, `protocol` is told what happens, as asyncio tells it.
    """

    __slots__ = (
        "_address",
        "_closing",
        "_ended",
        "_full",
        "_loop",
        "_lost",
        "_number",
        "_protocol",
        "_reading",
        "_shut",
        "_sock",
        "_waiting",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        address: Any,  # noqa: ANN401 - of any family
        protocol: asyncio.Protocol,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._number = sock.fileno()  # by a socket the loop's selector looks slowly: it spells out what it hasn't found
        self._address = address
        self._protocol = protocol
        self._waiting: bytearray | None = None
        self._reading = True
        self._full = False
        self._ended = False  # nothing more comes
        self._shut = False  # nothing more is to go out
        self._closing = False
        self._lost = False
        sock.setblocking(False)
        loop.add_reader(self._number, self._readable)
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own signature
        """Return the `socket`, or the `peername`: the client's address."""
        return {"socket": self._sock, "peername": self._address}.get(name, default)

    def is_closing(self) -> bool:
        """Say whether the connection is closed, or will be once all is sent."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return len(self._waiting) if self._waiting else 0

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        """Read on."""
        if not self._reading and not self._ended and not self._closing:
            self._reading = True
            self._loop.add_reader(self._number, self._readable)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, behind those that wait; nothing goes out of a connection that is closed."""
        if self._closing:
            return
        if self._waiting is None:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._lose(error)
                return
            if sent == len(data):
                return
            self._waiting = bytearray(data[sent:])
            self._loop.add_writer(self._number, self._writable)
        else:
            self._waiting += data
        if len(self._waiting) > _FULL and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        """Send nothing more behind what waits; raises OSError where the client is gone."""
        if not self._shut:
            self._shut = True
            if self._waiting is None:
                self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Read nothing more, and close once all is sent."""
        if not self._closing:
            self.pause_reading()
            self._closing = True
            if self._waiting is None:
                self._lose(None)

    def abort(self) -> None:
        """Close at once."""
        self._lose(None)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._protocol.data_received(data)
            return
        self._ended = True
        self.pause_reading()
        if not self._protocol.eof_received():
            self.close()

    def _writable(self) -> None:
        assert self._waiting is not None  # noqa: S101 - or nobody would wait for room
        try:
            sent = self._sock.send(self._waiting)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        del self._waiting[:sent]
        if self._full and len(self._waiting) <= _ROOM:
            self._full = False
            self._protocol.resume_writing()  # which may write on
        if not self._waiting:
            self._all_sent()

    def _all_sent(self) -> None:
        self._waiting = None
        self._loop.remove_writer(self._number)
        if self._closing:
            self._lose(None)
        elif self._shut:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        """Have the protocol told that the connection is gone, once whatever it does now is done."""
        if self._lost:
            return
        self.pause_reading()
        if self._waiting is not None:
            self._loop.remove_writer(self._number)
            self._waiting = None
        self._lost = self._closing = True
        self._loop.call_soon(self._gone, error)

    def _gone(self, error: OSError | None) -> None:
        protocol, self._protocol = self._protocol, _NOBODY
        try:
            protocol.connection_lost(error)
        finally:
            self._sock.close()
