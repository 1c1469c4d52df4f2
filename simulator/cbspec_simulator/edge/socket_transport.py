"""An asyncio transport on the socket of an accepted connection.

It replaces asyncio's own transport, which creates a task and a future per connection and looks up addresses: a tenth of
the time of a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, Final

_READ: Final = 64 * 1024  # bytes per read; asyncio's 256 KiB take long to decrypt
_MOST_READS: Final = 4  # of input that a reset connection has left
_HIGH_WATER: Final = 64 * 1024  # unsent bytes above which the protocol pauses writing,
_LOW_WATER: Final = 16 * 1024  # and at which it resumes
_WOULD_BLOCK: Final = (BlockingIOError, InterruptedError)
_NO_PROTOCOL: Final = asyncio.Protocol()


class SocketTransport(asyncio.Transport):
    """Calls `protocol` as asyncio does, and owns `sock`; `address` is the client's.

    `dropped` is the number of bytes that were unsent when the connection was lost.
    """

    __slots__ = (
        "_closing",
        "_full",
        "_input_ended",
        "_loop",
        "_lost",
        "_number",
        "_output_ended",
        "_paused",
        "_protocol",
        "_sock",
        "_unsent",
        "dropped",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        address: Any,  # noqa: ANN401 - depends on the address family
        protocol: asyncio.Protocol,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._number = sock.fileno()  # the loop finds a file descriptor faster than a socket
        self._extra = {"socket": sock, "peername": address}
        self._protocol = protocol
        self._unsent: bytearray | None = None
        self.dropped = 0
        self._paused = False
        self._full = False
        self._input_ended = False
        self._output_ended = False
        self._closing = False
        self._lost = False
        sock.setblocking(False)
        loop.add_reader(self._number, self._read_ready)
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own signature
        """Return the `socket`, or the `peername`: the client's address."""
        return self._extra.get(name, default)

    def is_closing(self) -> bool:
        """Whether the connection is closed, or will be after the last byte is sent."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Return the number of unsent bytes."""
        return len(self._unsent or b"")

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`."""
        if not self._paused:
            self._paused = True
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        """Continue to read, unless the input or the connection has ended."""
        if self._paused and not self._input_ended and not self._closing:
            self._paused = False
            self._loop.add_reader(self._number, self._read_ready)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes after the unsent ones; a closed connection discards them."""
        if self._closing:
            return
        if self._unsent is None:
            try:
                sent = self._sock.send(data)
            except _WOULD_BLOCK:
                sent = 0
            except OSError as error:
                self._lose(error)
                return
            if sent == len(data):
                return
            self._unsent = bytearray(data[sent:])
            self._loop.add_writer(self._number, self._write_ready)
        else:
            self._unsent += data
        if len(self._unsent) > _HIGH_WATER and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        """End the output after the last byte."""
        if not self._output_ended:
            self._output_ended = True
            if self._unsent is None:
                self._shut_down()

    def close(self) -> None:
        """Stop reading, and close after the last byte is sent."""
        if not self._closing:
            self.pause_reading()
            self._closing = True
            if self._unsent is None:
                self._lose(None)

    def abort(self) -> None:
        """Close at once."""
        self._lose(None)

    def _read_ready(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._protocol.data_received(data)
            return
        self._input_ended = True
        self.pause_reading()
        if not self._protocol.eof_received():
            self.close()

    def _read_rest(self) -> None:
        """Read what the client sent before it reset the connection: a failed write shows the reset first."""
        with contextlib.suppress(OSError):
            for _ in range(_MOST_READS):
                if not (data := self._sock.recv(_READ)):
                    return
                self._protocol.data_received(data)

    def _write_ready(self) -> None:
        assert self._unsent is not None  # noqa: S101 - the writer is removed after the last byte
        try:
            sent = self._sock.send(self._unsent)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._lose(error)
            return
        del self._unsent[:sent]
        if self._full and len(self._unsent) <= _LOW_WATER:
            self._full = False
            self._protocol.resume_writing()  # which may write more
        if self._unsent:
            return
        self._unsent = None
        self._loop.remove_writer(self._number)
        if self._closing:
            self._lose(None)
        elif self._output_ended:
            self._shut_down()

    def _shut_down(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:  # the client has reset the connection
            self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        """Close, and call `connection_lost` after the current callback."""
        if self._lost:
            return
        self.pause_reading()
        if self._unsent is not None:
            self._loop.remove_writer(self._number)
            self.dropped, self._unsent = len(self._unsent), None
        self._lost = self._closing = True
        self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: OSError | None) -> None:
        if error is not None and not self._input_ended:
            self._read_rest()
        protocol, self._protocol = self._protocol, _NO_PROTOCOL
        try:
            protocol.connection_lost(error)
        finally:
            self._sock.close()
