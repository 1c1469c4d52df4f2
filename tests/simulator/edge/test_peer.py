"""One connection over loopback: transports, alerts, time-outs, resets, backpressure."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from dataclasses import replace

import pytest

from cbspec_simulator import Behaviour, Config, Simulator
from cbspec_simulator.edge import peer as peer_module
from cbspec_simulator.edge import read_throttle
from cbspec_simulator.settings.config import LimitSettings, Listen, RelaySettings
from tests.support import client
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, AsyncWebSocket, tunnel, until

ANY_PORT = Config(listen=Listen(port=0))


async def test_an_oversized_websocket_message_and_http_without_an_upgrade_are_refused() -> None:
    config = replace(ANY_PORT, limits=LimitSettings(max_message=100))
    async with Simulator(config) as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        wire.frame(b"x" * 101)
        first, payload = await wire.next()
        assert (first, payload[:2]) == (0x88, struct.pack(">H", 1009))
        await wire.rest()
        await until(lambda: not simulator.relay.state.connections)
        async with AsyncClient(simulator.address) as plain:
            plain.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await plain.rest()).startswith(b"HTTP/1.1 426 ")


async def test_plain_text_and_silence_end_the_connection() -> None:
    async with Simulator(replace(ANY_PORT, limits=LimitSettings(handshake_timeout=0.05))) as simulator:
        for data in (HELLO, b""):
            reader, writer = await asyncio.open_connection(*simulator.address)
            writer.write(data)
            async with asyncio.timeout(PATIENCE):
                assert (await reader.read())[:1] in (b"", b"\x15")
            writer.transport.abort()


async def test_a_reset_releases_everything() -> None:
    async with Simulator(ANY_PORT) as simulator:
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
            await wire.ask(tunnel())
            assert simulator.relay.buffers == 1
            sock = wire.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: not simulator.relay.state.connections)
        assert not simulator.relay.state.usage


async def test_closing_a_connection_that_the_client_has_reset() -> None:
    async with Simulator(ANY_PORT) as simulator:
        edge = simulator.server.edge
        with socket.create_connection(simulator.address) as sock:
            await until(lambda: bool(edge.peers))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        edge.peers[1].finish()  # before the loop notices the reset
        await simulator.server.emptied(PATIENCE)
        assert not edge.peers


async def test_the_remote_end_is_dialled_before_the_answer() -> None:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    with held:
        async with Simulator(replace(ANY_PORT, relay=RelaySettings(probe=True))) as simulator:
            async with AsyncClient(simulator.address) as wire:
                await wire.greet()
                assert (await wire.ask(tunnel("x", port=simulator.address[1])))["type"] == "tunnel_response"
                wire.write(tunnel("y", port=held.getsockname()[1]) + BEAT)
                assert json.loads(await wire.line())["code"] == "data_transfer_failed"
                assert json.loads(await wire.line())["type"] == "heartbeat_response"
            await until(lambda: not simulator.relay.state.connections)
            assert not simulator.relay.state.usage


async def test_requests_after_a_dial_are_handled_in_turns_and_in_order() -> None:
    config = replace(ANY_PORT, relay=RelaySettings(probe=True))
    async with (
        Simulator(config) as simulator,
        AsyncClient(simulator.address) as wire,
        AsyncClient(simulator.address) as other,
    ):
        await wire.greet()
        await other.greet()
        (asking,) = (connection for connection in simulator.relay.state.connections if connection.number == 1)
        for times in (1, 2, 40, 4000):
            before = asking.sent["heartbeat_response"]
            wire.write(tunnel(f"t{times}", port=simulator.address[1]) + BEAT * times)
            assert (await other.ask(BEAT))["type"] == "heartbeat_response"
            assert json.loads(await wire.line())["type"] == "tunnel_response"
            for _ in range(times):
                assert json.loads(await wire.line())["type"] == "heartbeat_response"
            assert asking.sent["heartbeat_response"] == before + times


async def test_a_connection_that_ends_while_the_remote_end_is_dialled() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(3)]
    try:
        # With a full backlog, further attempts are neither accepted nor refused.
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        async with Simulator(replace(ANY_PORT, relay=RelaySettings(probe=True))) as simulator:
            async with AsyncClient(simulator.address) as wire:
                await wire.greet()
                wire.write(tunnel("x", port=listener.getsockname()[1]))
                await until(lambda: simulator.relay.buffers == 1)
            await until(lambda: not simulator.relay.state.connections)
            assert not simulator.relay.state.usage
    finally:
        for one in (listener, *waiting):
            one.close()


async def test_input_after_a_close_is_read_so_that_the_last_answer_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_throttle, "_TURN", 0.0)  # reading pauses after each piece
    monkeypatch.setattr(peer_module, "LINGER", 2 * PATIENCE)

    def send_all_and_receive(address: tuple[str, int]) -> bytes:
        with (
            socket.create_connection(address, PATIENCE) as sock,
            client.context().wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            tls.sendall(b'{"type":"' + b"x" * 9_000_000)  # more than the buffers of both sockets hold
            return tls.recv(4096)

    async with Simulator(replace(ANY_PORT, limits=LimitSettings(max_message=100_000))) as simulator:
        assert b"longer than" in await asyncio.to_thread(send_all_and_receive, simulator.address)


async def test_an_incomplete_message_does_not_keep_a_connection_open() -> None:
    config = replace(ANY_PORT, limits=LimitSettings(idle_timeout=0.3))
    async with Simulator(config) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.write(b'{"type":"heart')
        assert await wire.rest() == b""


async def test_backpressure_pauses_reading_and_loses_nothing() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        request = tunnel("x" * 30_000)
        asked = await wire.flood(request)
        async with AsyncClient(simulator.address) as other:
            await other.greet()
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        answers = [await wire.line() for _ in range(asked)]
        assert set(answers) == {b'{"type":"tunnel_response","status":"ok","tunnel_id":"' + b"x" * 30_000 + b'"}\n'}


async def test_a_failure_ends_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail(body: object, exchange: object) -> list[bytes]:
        if "boom" in json.dumps(body):
            raise RuntimeError("a bug")
        return [json.dumps(body).encode()]

    simulator = Simulator(ANY_PORT, behaviour=Behaviour(spell=fail))
    async with simulator, AsyncClient(simulator.address) as good, AsyncClient(simulator.address) as bad:
        await good.greet()
        await bad.greet()
        bad.write(tunnel("boom"))
        assert await bad.rest() == b""
        assert (await good.ask(BEAT))["type"] == "heartbeat_response"
        assert simulator.relay.buffers == 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
