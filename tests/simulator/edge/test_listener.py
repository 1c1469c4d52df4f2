"""Accepting connections: without free file descriptors, and while a `refuse` fault closes the port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.edge import listener as module
from cbspec_simulator.edge.listener import Acceptor, Listener
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.relay.events import ConnectionEnding
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, PATIENCE, AsyncClient, AsyncWebSocket, until

REFUSE = Fault.read({"kind": "refuse"})
ANY_PORT = Config(listen=Listen(port=0))


async def greeting(address: tuple[str, int]) -> bytes:
    """Return everything that a server sends."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


# ---------------------------------------------------------------------------- accepting


class Greeter(asyncio.Protocol):
    """Sends a greeting and closes."""

    def __init__(self, address: str) -> None:
        assert address in ("127.0.0.1", "::1")

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


async def test_connections_wait_for_free_file_descriptors(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    listening = FailingSocket(iter([OSError(errno.EMFILE, "none left")] * 20))
    acceptor = Acceptor(listening, Greeter)
    began = time.process_time()
    assert await greeting(listening.getsockname()) == b"hello"
    assert 20 < listening.tried < 30, "one attempt per pause"
    assert time.process_time() - began < 1.0
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert logged.startswith("no more connections can be accepted (none left)")
    listening.failures = iter([OSError(errno.ENFILE, "none left")] * 10_000)
    with socket.create_connection(listening.getsockname()):
        await until(lambda: listening.tried > 40)
        acceptor.close()
        assert acceptor._pausing is not None
        assert acceptor._pausing.cancelled()


async def test_a_connection_without_a_protocol_is_closed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: str) -> asyncio.Protocol:
        raise OSError(errno.EMFILE, "none left")

    sock = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(sock, fail)
    assert await greeting(sock.getsockname()) == b""
    assert "a connection can't be served: [Errno 24] none left" in caplog.text
    acceptor.close()


# ---------------------------------------------------------------------------- refusing


async def accepts(address: tuple[str, int]) -> bool:
    try:
        return await greeting(address) == b"hello"
    except ConnectionRefusedError:
        return False


@contextlib.asynccontextmanager
async def opened(faults: Faults, clock: Clock, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    listener = Listener(Greeter, faults, clock)
    await listener.open(host, 0)
    try:
        yield listener
    finally:
        listener.close()


async def test_the_fault_refuses_new_connections_only() -> None:
    async with Simulator(replace(ANY_PORT, faults=(REFUSE,))) as simulator:
        address = simulator.address
        assert not await accepts(address)
        simulator.relay.faults.reset()
        async with AsyncClient(address) as before:
            await before.greet()
            for _ in range(2):
                name = simulator.relay.faults.add(REFUSE, simulator.clock.monotonic())
                assert not await accepts(address)
                assert (await before.ask(BEAT))["type"] == "heartbeat_response"
                assert simulator.address == address
                simulator.relay.faults.remove(name)
                async with AsyncClient(address) as after:
                    await after.greet()


async def test_the_fault_resets_connections_in_their_handshake_and_counts_them() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as open_one:
        await open_one.greet()
        ends: list[ConnectionEnding] = []
        simulator.relay.tell.add(ends.append, ConnectionEnding)
        async with AsyncWebSocket(simulator.address) as upgrading:
            upgrading.write(b"GET / HTTP/1.1\r\n")
            await until(lambda: len(simulator.relay.state.connections) == 2)
            shaking = [await asyncio.open_connection(*simulator.address) for _ in range(2)]
            await until(lambda: len(simulator.server.connections) == 4)
            simulator.controls.add_fault({"kind": "refuse", "name": "down"})
            for reader, writer in shaking:
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                writer.transport.abort()
            await until(lambda: len(simulator.server.connections) == 1)
        assert [event[:3] for event in ends] == [(number, "fault", "reset") for number in (2, 3, 4)]
        assert simulator.controls.fault("down")["strikes"] == 4
        assert [entry.connection for entry in simulator.transcript.entries() if entry.event == "fault"] == [0, 2, 3, 4]
        assert (await open_one.ask(BEAT))["type"] == "heartbeat_response"


async def test_the_fault_begins_and_ends_by_the_clock() -> None:
    clock = Clock(lambda: 0.0)
    async with opened(faults := Faults(), clock) as listener:
        faults.add(Fault.read({"kind": "refuse", "when": {"begin": 10, "end": 20}}), clock.monotonic())
        seen = []
        for _ in range(5):
            seen.append(await accepts(listener.addresses[0]))
            clock.advance(5.0)
        assert seen == [True, True, False, False, True]


async def test_the_fault_begins_and_ends_by_a_timer() -> None:
    async with opened(faults := Faults(), clock := Clock()) as listener:
        faults.add(Fault.read({"kind": "refuse", "when": {"begin": 0.05, "end": 0.1}}), clock.monotonic())
        began = clock.monotonic()
        await until(lambda: clock.monotonic() - began > 0.05 and not listener.listening)
        await until(lambda: listener.listening)
        assert clock.monotonic() - began >= 0.1


async def test_every_address_of_the_host_is_refused_and_its_port_held() -> None:
    faults, clock = Faults(), Clock()
    async with opened(faults, clock, "localhost") as listener:
        for _ in range(2):
            assert all([await accepts(address) for address in listener.addresses])
            faults.add(REFUSE, 0.0)
            assert not any([await accepts(address) for address in listener.addresses])
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(next(address for address in listener.addresses if address[0] == "127.0.0.1"))
            faults.reset()
        address = listener.addresses[0]
    clock.advance(10.0)
    assert not await accepts(address), "a closed listener ignores the clock"


async def test_the_relay_listens_again_when_another_process_releases_the_port(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.01)
    async with opened(faults := Faults(), Clock()) as listener:
        faults.add(REFUSE, 0.0)
        for sock in listener._held:
            sock.close()
        with socket.socket() as other:
            other.bind(listener.addresses[0])
            other.listen()
            faults.reset()
            assert not listener.listening
            assert f"can't listen on port {listener.addresses[0][1]} again: Address already in use" in caplog.text
        await until(lambda: listener.listening)
        assert await accepts(listener.addresses[0])
