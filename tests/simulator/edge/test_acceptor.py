"""Accepting connections in batches, and without free file descriptors: a pause, and one entry in the log."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Iterator

import pytest

from cbspec_simulator.edge import acceptor as module
from cbspec_simulator.edge.acceptor import Acceptor
from tests.support.client import PATIENCE, until


class Greeter(asyncio.Protocol):
    """Sends a greeting and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # Without it, a second answer waits for the client's acknowledgement of the first, which takes 40 ms.
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.write(b"hello")
        transport.close()


class FailingSocket(socket.socket):
    """A listening socket whose first attempts to accept fail."""

    def __init__(self, failures: Iterator[OSError]) -> None:
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.listen()
        self.failures = failures
        self.tried = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        if (failure := next(self.failures, None)) is not None:
            raise failure
        return super().accept()


async def greeting(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_connections_wait_for_free_file_descriptors(
    number: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    listening = FailingSocket(iter([OSError(number, "none left")] * 20))
    acceptor = Acceptor(listening, Greeter)
    began = time.process_time()
    assert await greeting(listening.getsockname()) == b"hello"
    assert 20 < listening.tried < 30, "one attempt per pause"
    assert time.process_time() - began < 1.0
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert logged.startswith("no more connections can be accepted (none left)")
    acceptor.close()


async def test_many_connections_at_once_are_all_served() -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=module.BACKLOG)
    acceptor = Acceptor(sock, Greeter)
    address, number = sock.getsockname(), 3 * module._BATCH
    assert await asyncio.gather(*(greeting(address) for _ in range(number))) == [b"hello"] * number
    acceptor.close()
    with pytest.raises(ConnectionRefusedError):
        await greeting(address)


async def test_closing_ends_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    listening = FailingSocket(iter([OSError(errno.EMFILE, "none left")] * 10_000))
    acceptor = Acceptor(listening, Greeter)
    with socket.create_connection(listening.getsockname()):
        await until(lambda: listening.tried > 2)
        acceptor.close()
        assert acceptor._pausing is not None
        assert acceptor._pausing.cancelled()


async def test_a_connection_without_a_protocol_is_closed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> asyncio.Protocol:
        raise OSError(errno.EMFILE, "none left")

    sock = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(sock, fail)
    assert await greeting(sock.getsockname()) == b""
    assert "a connection can't be served: [Errno 24] none left" in caplog.text
    acceptor.close()
