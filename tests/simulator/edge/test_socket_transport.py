"""The socket of a connection: bytes both ways, room that runs out, and each way to end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest

from cbspec_simulator.edge.socket_transport import SocketTransport
from tests.support.client import PATIENCE, until


class Told(asyncio.Protocol):
    """Takes down what it is told."""

    def __init__(self, *, stays: bool = False) -> None:
        self.came = b""
        self.told: list[str] = []
        self.error: Exception | None = None
        self.stays = stays

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.came += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.error = exc


def joined(told: Told) -> tuple[SocketTransport, socket.socket]:
    """Return a line, and the other end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        other = socket.create_connection(listening.getsockname(), PATIENCE)
        sock, address = listening.accept()
    line = SocketTransport(asyncio.get_running_loop(), sock, address, told)
    assert line.get_extra_info("peername") == other.getsockname()
    assert line.get_extra_info("socket") is sock
    assert line.get_extra_info("sslcontext", "none") == "none"
    return line, other


async def _all(other: socket.socket) -> bytes:
    """Return everything that comes until the end."""

    def read() -> bytes:
        pieces = []
        while piece := other.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    return await asyncio.to_thread(read)


async def test_what_comes_is_handed_on_and_what_goes_out_is_sent() -> None:
    line, other = joined(told := Told())
    with other:
        other.sendall(b"asked")
        await until(lambda: told.came == b"asked")
        line.write(b"answered")
        assert other.recv(64) == b"answered"
        line.close()
        assert line.is_closing()
        line.close()
        assert await _all(other) == b""
    assert told.told == ["made", "lost"]
    assert told.error is None


async def test_nothing_is_read_while_reading_is_paused() -> None:
    line, other = joined(told := Told())
    with other:
        line.pause_reading()
        other.sendall(b"asked")
        await asyncio.sleep(0.02)
        assert told.came == b""
        line.resume_reading()
        await until(lambda: told.came == b"asked")
        line.abort()
        await until(lambda: "lost" in told.told)
        line.resume_reading()  # too late, and no harm
        line.write(b"too late")


@pytest.mark.parametrize("end", [SocketTransport.close, SocketTransport.write_eof])
async def test_all_that_waits_is_sent_before_the_end(end: Callable[[SocketTransport], None]) -> None:
    line, other = joined(told := Told(stays=True))
    large = bytes(range(256)) * 4096 * 16
    with other:
        line.write(large)
        assert line.get_write_buffer_size() > 0
        line.write(b"the rest")
        assert told.told == ["made", "pause"]
        end(line)
        assert await _all(other) == large + b"the rest"
        await until(lambda: told.told[:3] == ["made", "pause", "resume"])
        assert line.get_write_buffer_size() == 0
    line.abort()
    await until(lambda: told.told[-1] == "lost")


@pytest.mark.parametrize("stays", [True, False])
async def test_the_client_s_end_closes_the_connection_unless_there_is_more_to_say(*, stays: bool) -> None:
    line, other = joined(told := Told(stays=stays))
    with other:
        other.shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in told.told)
        if stays:
            line.resume_reading()  # nothing more comes: it isn't told twice
            line.write(b"more")
            assert other.recv(64) == b"more"
            line.close()
        assert await _all(other) == b""
    await until(lambda: told.told == ["made", "eof", "lost"])


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_reset_is_told_as_an_error(*, waiting: bool) -> None:
    line, other = joined(told := Told())
    if waiting:
        line.pause_reading()
        line.write(bytes(16 << 20))
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    await until(lambda: told.told[-1] == "lost")
    assert isinstance(told.error, OSError)
    line.write(b"nobody is there")
    assert told.told.count("lost") == 1


async def test_writing_after_a_reset_is_told_later_and_once() -> None:
    line, other = joined(told := Told())
    line.pause_reading()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    with pytest.raises(OSError, match="not connected"):
        line.write_eof()
    line.write(b"nobody is there")
    assert "lost" not in told.told, "it is told once what goes on is done"
    line.abort()
    await until(lambda: told.told == ["made", "lost"])
