"""Connections are taken as they come, and descriptors that run out are waited for, with one word in the log."""

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


class Met(asyncio.Protocol):
    """What meets connections: it greets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        sock: socket.socket = transport.get_extra_info("socket")
        # Without it a second answer waits for the client's acknowledgement of the first, which takes 40 ms.
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.write(b"hello")
        transport.close()


class Listening:
    """A listening socket that fails as often as a test wants."""

    def __init__(self, failures: Iterator[OSError | None]) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.failures = failures
        self.tried = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Accept, or fail."""
        self.tried += 1
        failure = next(self.failures, None)
        if failure is not None:
            raise failure
        return self.sock.accept()

    def setblocking(self, on: bool) -> None:
        """Pass on."""
        self.sock.setblocking(on)

    def setsockopt(self, *option: int) -> None:
        """Pass on."""
        self.sock.setsockopt(*option)

    def fileno(self) -> int:
        """Pass on."""
        return self.sock.fileno()

    def close(self) -> None:
        """Pass on."""
        self.sock.close()


async def greeted(address: tuple[str, int]) -> bytes:
    """Return what comes of a connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_who_comes_while_nothing_is_left_waits_and_is_served(
    number: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    listening = Listening(iter([OSError(number, "none left")] * 20))
    acceptor = Acceptor(listening, Met)  # type: ignore[arg-type]
    began = time.process_time()
    assert await greeted(listening.sock.getsockname()) == b"hello"
    assert 20 < listening.tried < 30, "one attempt a pause, and no more"
    assert time.process_time() - began < 1.0
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert told[0].startswith("no more connections can be accepted (none left)")
    acceptor.close()


async def test_many_at_once_are_all_served_in_turns() -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=module.BACKLOG)
    acceptor = Acceptor(sock, Met)
    address = sock.getsockname()
    assert await asyncio.gather(*(greeted(address) for _ in range(3 * module._AT_ONCE))) == [b"hello"] * 192
    acceptor.close()
    with pytest.raises(ConnectionRefusedError):
        await greeted(address)


async def test_closing_in_a_pause_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    listening = Listening(iter([OSError(errno.EMFILE, "none left")] * 10_000))
    acceptor = Acceptor(listening, Met)  # type: ignore[arg-type]
    with socket.create_connection(listening.sock.getsockname()):
        await until(lambda: listening.tried > 2)
        acceptor.close()
        tried = listening.tried
        await asyncio.sleep(0.05)
        assert listening.tried == tried


async def test_a_connection_that_cannot_be_met_is_closed_and_told(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> asyncio.Protocol:
        raise OSError(errno.EMFILE, "none left")

    sock = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(sock, fail)
    assert await greeted(sock.getsockname()) == b""
    assert "a connection can't be served: [Errno 24] none left" in caplog.text
    acceptor.close()
