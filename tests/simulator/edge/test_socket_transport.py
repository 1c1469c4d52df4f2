"""The socket of a connection: bytes in both directions, full buffers, and each way to end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest

from cbspec_simulator.edge.socket_transport import SocketTransport
from tests.support.client import PATIENCE, until


class ProtocolRecorder(asyncio.Protocol):
    """Records the calls of a transport; `half_closed`: keep the connection open after the end of input."""

    def __init__(self, *, half_closed: bool = False) -> None:
        self.data = b""
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.half_closed = half_closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.half_closed

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
    transport = SocketTransport(asyncio.get_running_loop(), sock, address, protocol)
    assert transport.get_extra_info("peername") == other.getsockname()
    assert transport.get_extra_info("socket") is sock
    assert transport.get_extra_info("sslcontext", "none") == "none"
    return transport, other


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def rest(other: socket.socket) -> bytes:
    """Return all bytes until the end."""
    return await asyncio.to_thread(lambda: b"".join(iter(lambda: other.recv(1 << 20), b"")))


async def test_bytes_pass_in_both_directions() -> None:
    transport, other = connected(protocol := ProtocolRecorder())
    with other:
        transport.pause_reading()
        other.sendall(b"asked")
        await asyncio.to_thread(lambda: transport.get_extra_info("socket").recv(1, socket.MSG_PEEK))
        assert protocol.data == b""
        transport.resume_reading()
        await until(lambda: protocol.data == b"asked")
        transport.write(b"answered")
        assert other.recv(64) == b"answered"
        transport.close()
        assert transport.is_closing()
        transport.close()
        assert await rest(other) == b""
    assert protocol.calls == ["made", "lost"]
    assert protocol.error is None
    transport.resume_reading()
    transport.write(b"too late")


@pytest.mark.parametrize("end", [SocketTransport.close, SocketTransport.write_eof])
async def test_unsent_bytes_are_sent_before_the_end(end: Callable[[SocketTransport], None]) -> None:
    transport, other = connected(protocol := ProtocolRecorder(half_closed=True))
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


@pytest.mark.parametrize("half_closed", [True, False])
async def test_the_end_of_input_closes_the_connection_unless_the_protocol_keeps_it(*, half_closed: bool) -> None:
    transport, other = connected(protocol := ProtocolRecorder(half_closed=half_closed))
    with other:
        other.shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in protocol.calls)
        if half_closed:
            transport.resume_reading()  # the end is reported once
            transport.write(b"more")
            assert other.recv(64) == b"more"
            transport.close()
        assert await rest(other) == b""
    await until(lambda: protocol.calls == ["made", "eof", "lost"])


@pytest.mark.parametrize("unsent", [True, False])
async def test_a_reset_is_reported_as_an_error(*, unsent: bool) -> None:
    transport, other = connected(protocol := ProtocolRecorder())
    if unsent:
        transport.pause_reading()
        transport.write(bytes(16 << 20))
    reset(other)
    await until(lambda: protocol.calls[-1] == "lost")
    assert isinstance(protocol.error, OSError)
    transport.write(b"discarded")
    assert protocol.calls.count("lost") == 1


async def test_writing_after_a_reset_reports_the_loss_once_and_after_the_current_callback() -> None:
    transport, other = connected(protocol := ProtocolRecorder())
    transport.pause_reading()
    reset(other)
    with pytest.raises(OSError, match="not connected"):
        transport.write_eof()
    transport.write(b"discarded")
    assert "lost" not in protocol.calls
    transport.abort()
    await until(lambda: protocol.calls == ["made", "lost"])
