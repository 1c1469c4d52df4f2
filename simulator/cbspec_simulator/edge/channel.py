"""TLS on the socket of one connection: plain bytes in and out, and each way to close."""

from __future__ import annotations

import asyncio
import socket
import struct

from cbspec.protocol.tls import TlsLayer


class TlsChannel:
    """A TLS layer on a socket transport, which `connection_made` sets.

    Arguments: after `stall_after` bytes nothing more is sent (None: no limit). `write_closed`: the relay has ended its
    half of the connection. `client_ended`: the client has ended its half. `flushed`: all bytes of TLS since the last
    `receive` are sent.
    """

    __slots__ = ("_stall_after", "_written", "client_ended", "flushed", "layer", "transport", "write_closed")

    def __init__(self, layer: TlsLayer, stall_after: int | None) -> None:
        self.transport: asyncio.Transport
        self.client_ended = False
        self.write_closed = False
        self.layer = layer
        self.flushed = False
        self._stall_after = stall_after
        self._written = 0

    def receive(self, data: bytes) -> bytes:
        """Return the plain text of received bytes; raises TlsFailed."""
        self.flushed = False
        return self.layer.receive_data(data)

    def send(self, data: bytes) -> bool:
        """Send plain text; return whether all of it was passed to the socket."""
        self.layer.send(data)
        sent = self.flush()
        return bool(sent) and (self._stall_after is None or self._written < self._stall_after)

    def flush(self) -> bytes:
        """Send the bytes that TLS has ready; return those that were passed to the socket."""
        self.flushed = True
        data = self.layer.data_to_send()
        if self._stall_after is not None:
            data = data[: max(0, self._stall_after - self._written)]
            self._written += len(data)
        if not data or self.write_closed or self.transport.is_closing():
            return b""
        self.transport.write(data)
        return b"" if self.transport.is_closing() else data  # the client may have reset the connection

    def end_writing(self, *, notify: bool) -> None:
        """End the relay's half of the connection, with or without a close_notify."""
        if notify:
            self.layer.close()
        self.flush()
        if self.client_ended:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()

    def reset(self) -> None:
        """Close by a TCP reset."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
