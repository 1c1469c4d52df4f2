"""The socket of a connection: full buffers, and each way to end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest

from cbspec_simulator.edge.socket_transport import SocketTransport
from tests.support.client import PATIENCE, until


class ProtocolRecorder(asyncio.Protocol):
    """Records the calls of a transport."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.error = exc


def connected(protocol: ProtocolRecorder) -> tuple[SocketTransport, socket.socket]:
    """Return a transport, and the other end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        other = socket.create_connection(listening.getsockname(), PATIENCE)
        sock, address = listening.accept()
    return SocketTransport(asyncio.get_running_loop(), sock, address, protocol), other


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def rest(other: socket.socket) -> bytes:
    """Return all bytes until the end."""
    return await asyncio.to_thread(lambda: b"".join(iter(lambda: other.recv(1 << 20), b"")))


@pytest.mark.parametrize("end", [SocketTransport.close, SocketTransport.write_eof])
async def test_unsent_bytes_are_sent_before_the_end(end: Callable[[SocketTransport], None]) -> None:
    transport, other = connected(protocol := ProtocolRecorder())
    large = bytes(range(256)) * 4096 * 16
    with other:
        transport.write(large)
        assert transport.get_write_buffer_size() > 0
        transport.write(b"the rest")
        assert protocol.calls == ["made", "pause"]
        end(transport)
        assert await rest(other) == large + b"the rest"
        await until(lambda: protocol.calls[:3] == ["made", "pause", "resume"])
        assert transport.get_write_buffer_size() == 0
    transport.abort()
    await until(lambda: protocol.calls[-1] == "lost")


async def test_input_before_a_reset_is_read_although_a_write_shows_the_reset_first() -> None:
    transport, other = connected(protocol := ProtocolRecorder())
    other.sendall(b"last words")
    reset(other)
    transport.write_eof()
    await until(lambda: protocol.calls[-1] == "lost")
    assert protocol.data == b"last words"


@pytest.mark.parametrize("unsent", [True, False])
async def test_a_reset_is_reported_once_and_after_the_current_callback(*, unsent: bool) -> None:
    transport, other = connected(protocol := ProtocolRecorder())
    transport.pause_reading()
    if unsent:
        transport.write(bytes(16 << 20))
    reset(other)
    if not unsent:
        transport.write_eof()
        transport.write(b"discarded")
        assert "lost" not in protocol.calls
    await until(lambda: protocol.calls[-1] == "lost")
    assert isinstance(protocol.error, OSError)
    transport.abort()
    assert protocol.calls.count("lost") == 1
