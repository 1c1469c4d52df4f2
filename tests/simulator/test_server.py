"""The real server over loopback, with bytes written by hand."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from cbspec.identity import DEVELOPMENT_TENANTS
from cbspec.tls import legacy_client_context
from simulator import Behaviour, Clock, Config, ConfigError, Simulator
from simulator.config import Certificate, Limits, Listen, MetricsRules, RelayRules, TokenRules
from tests.simulator.client import BEAT, HELLO, PATIENCE, WebSocket, Wire, accept_value, auth, tunnel, until

ANY_PORT = Config(listen=Listen(port=0))


async def test_the_specifications_examples() -> None:
    async with Simulator(ANY_PORT) as simulator, Wire(simulator.address) as wire:
        wire.write(
            b'{\n  "type": "hello",\n  "version": "1.0",\n'
            b'  "features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]\n}\n'
        )
        assert await wire.line() == (
            b'{"type":"hello_response","version":"1.0",'
            b'"features":["tls","heartbeat","tunnel_info","multi_tenancy","metrics"]}\n'
        )
        wire.write(auth())
        assert await wire.line() == (
            b'{"type":"auth_response","status":"ok","client_id":"user123","tenant_id":"tenant-001"}\n'
        )
        wire.write(
            b'{\n  "type": "tunnel_info",\n  "tunnel_id": "tunnel_001",\n  "tenant_id": "tenant-001",\n'
            b'  "local_port": 3389,\n  "remote_host": "192.168.1.100",\n  "remote_port": 3389\n}\n'
        )
        assert await wire.line() == b'{"type":"tunnel_response","status":"ok","tunnel_id":"tunnel_001"}\n'
        wire.write(b'{\n  "type": "heartbeat"\n}\n')
        assert await wire.line() == b'{"type":"heartbeat_response"}\n'


async def test_websocket_on_the_same_port() -> None:
    async with Simulator(ANY_PORT) as simulator, WebSocket(simulator.address) as wire:
        response = await wire.open(b"Sec-WebSocket-Extensions: permessage-deflate")
        assert response.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: " + accept_value() in response
        assert b"Extensions" not in response
        assert json.loads(await wire.say(HELLO))["type"] == "hello_response"
        assert json.loads(await wire.say(auth()))["type"] == "auth_response"
        wire.frame(b'{"type":"hea', fin=False)
        wire.frame(b"beat me to it", 9)
        wire.frame(b'rtbeat"}', 0)
        assert await wire.next() == (0x8A, b"beat me to it")
        assert await wire.next() == (0x81, b'{"type":"heartbeat_response"}')
        wire.frame(struct.pack(">H", 1000), 8)
        assert await wire.next() == (0x88, struct.pack(">H", 1000))
        assert await wire.rest() == b""


async def test_a_message_that_is_too_long_for_the_websocket() -> None:
    config = replace(ANY_PORT, limits=Limits(max_message=100))
    async with Simulator(config) as simulator, WebSocket(simulator.address) as wire:
        await wire.open()
        wire.frame(b"x" * 101)
        first, payload = await wire.next()
        assert (first, payload[:2]) == (0x88, struct.pack(">H", 1009))
        await wire.rest()
        await until(lambda: not simulator.relay.sessions)


async def test_http_that_is_no_websocket_is_told_so() -> None:
    async with Simulator(ANY_PORT) as simulator, Wire(simulator.address) as wire:
        wire.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.1 426 ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
async def test_an_older_version_is_refused_by_an_alert(version: ssl.TLSVersion) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = legacy_client_context(version).wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    assert hello[:1] == b"\x16"
    async with Simulator(ANY_PORT) as simulator:
        answer = await _raw(simulator, hello)
        assert answer[:1] + answer[3:] == b"\x15" + b"\x00\x02" + b"\x02\x46"
        assert not simulator.relay.sessions


async def test_plain_text_is_refused() -> None:
    async with Simulator(ANY_PORT) as simulator:
        answer = await _raw(simulator, HELLO)
        assert answer[:1] in (b"", b"\x15")


async def _raw(simulator: Simulator, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*simulator.address)
    try:
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


async def test_a_reset_gives_everything_back() -> None:
    async with Simulator(ANY_PORT) as simulator:
        async with Wire(simulator.address) as wire:
            await wire.greet()
            await wire.ask(tunnel())
            assert simulator.relay.buffers == 1
            sock = wire.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: not simulator.relay.sessions)
        assert not simulator.relay.ledger


async def test_the_remote_end_is_dialled() -> None:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    with held:
        async with Simulator(replace(ANY_PORT, relay=RelayRules(probe=True))) as simulator:
            async with Wire(simulator.address) as wire:
                await wire.greet()
                assert (await wire.ask(tunnel("x", port=simulator.address[1])))["type"] == "tunnel_response"
                wire.write(tunnel("y", port=held.getsockname()[1]) + BEAT)
                assert json.loads(await wire.line())["code"] == "data_transfer_failed"
                assert json.loads(await wire.line())["type"] == "heartbeat_response"
            await until(lambda: not simulator.relay.sessions)
            assert not simulator.relay.ledger


async def test_a_connection_that_ends_while_the_remote_end_is_dialled() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(3)]
    try:
        # A full backlog lets further attempts hang: nobody answers them and nobody refuses.
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        async with Simulator(replace(ANY_PORT, relay=RelayRules(probe=True))) as simulator:
            async with Wire(simulator.address) as wire:
                await wire.greet()
                wire.write(tunnel("x", port=listener.getsockname()[1]))
                await until(lambda: simulator.relay.buffers == 1)
            await until(lambda: not simulator.relay.sessions)
            assert not simulator.relay.ledger
    finally:
        for one in (listener, *waiting):
            one.close()


async def test_an_error_arrives_before_the_close_even_if_more_was_sent() -> None:
    config = replace(ANY_PORT, relay=RelayRules(connection_limit=0))
    async with Simulator(config) as simulator, Wire(simulator.address) as wire:
        wire.write(HELLO + BEAT * 1000)
        found = (await wire.rest()).splitlines()
        assert [json.loads(line)["code"] for line in found] == ["connection_limit_reached"]


async def test_a_handshake_that_does_not_come_is_ended() -> None:
    config = replace(ANY_PORT, limits=Limits(handshake_timeout=0.05))
    async with Simulator(config) as simulator:
        assert await _raw(simulator, b"") == b""


async def test_half_a_message_does_not_hold_a_connection_for_ever() -> None:
    config = replace(ANY_PORT, limits=Limits(idle_timeout=0.3))
    async with Simulator(config) as simulator, Wire(simulator.address) as wire:
        await wire.greet()
        wire.write(b'{"type":"heart')
        assert await wire.rest() == b""


async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async with Simulator(ANY_PORT) as simulator, Wire(simulator.address) as wire:
        await wire.greet()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        request, asked = tunnel("x" * 30_000), 0
        for _ in range(400):
            wire.write(request * 20)
            asked += 20
            try:
                async with asyncio.timeout(1.0):
                    await wire.writer.drain()
            except TimeoutError:
                break
        else:
            pytest.fail("the relay reads on for ever")
        async with Wire(simulator.address) as other:
            await other.greet()
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        answers = [await wire.line() for _ in range(asked)]
        assert set(answers) == {b'{"type":"tunnel_response","status":"ok","tunnel_id":"' + b"x" * 30_000 + b'"}\n'}


async def test_a_failure_in_one_connection_hurts_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def fail(body: object, exchange: object) -> list[bytes]:
        if "boom" in json.dumps(body):
            raise RuntimeError("a bug")
        return [json.dumps(body).encode()]

    simulator = Simulator(ANY_PORT, behaviour=Behaviour(spell=fail))
    async with simulator, Wire(simulator.address) as good, Wire(simulator.address) as bad:
        await good.greet()
        await bad.greet()
        bad.write(tunnel("boom"))
        assert await bad.rest() == b""
        assert (await good.ask(BEAT))["type"] == "heartbeat_response"
        assert simulator.relay.buffers == 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_the_clock_is_given() -> None:
    clock = Clock(epoch=lambda: 0.0)
    async with Simulator(ANY_PORT, clock=clock) as simulator, Wire(simulator.address) as wire:
        await wire.ask(HELLO)
        assert (await wire.ask(auth(exp=1)))["type"] == "auth_response"


async def test_several_at_once_share_nothing() -> None:
    async with Simulator(ANY_PORT) as one, Simulator(ANY_PORT) as two, Wire(one.address) as wire:
        await wire.greet()
        await wire.ask(tunnel())
        assert (one.relay.buffers, two.relay.buffers) == (1, 0)


async def test_the_end_closes_every_connection() -> None:
    async with Simulator(ANY_PORT) as simulator:
        wire, socket_ = Wire(simulator.address), WebSocket(simulator.address)
        await wire.__aenter__()
        await socket_.__aenter__()
        await wire.greet()
        await socket_.open()
    assert await wire.rest() == b""
    assert (await socket_.next())[0] == 0x88
    for one in (wire, socket_):
        await one.__aexit__(None, None, None)


async def test_the_profile_says_what_there_is() -> None:
    async with Simulator(ANY_PORT) as simulator:
        profile = simulator.profile()
    assert profile.tls.ca == "development"
    assert profile.tokens.development
    assert profile.tenants == DEVELOPMENT_TENANTS
    assert profile.relay.buffer_pool == 100
    assert profile.remote.reachable == profile.target.address


async def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(chain)
    leaf.private_key_pem.write_to_path(key)
    config = replace(ANY_PORT, certificate=Certificate(chain, key), tokens=TokenRules(secret="my own, and long enough"))
    async with Simulator(config) as simulator:
        profile = simulator.profile()
    assert profile.tls.ca == chain
    assert not profile.tokens.development


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(ANY_PORT, certificate=Certificate(Path("/nowhere/chain.pem"))), "/nowhere/chain.pem"),
        (replace(ANY_PORT, tokens=TokenRules(key_file=Path("/nowhere/key.pem"))), "tokens"),
        (replace(ANY_PORT, listen=Listen("127.0.0.1", 70_000)), "70000"),
        (
            replace(ANY_PORT, metrics=MetricsRules(enabled=True, port=1), listen=Listen("no.such.host.invalid", 0)),
            "no.such",
        ),
    ],
)
async def test_what_cannot_be_used_is_named(config: Config, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        async with Simulator(replace(config, development=True)):
            pass


async def test_a_port_in_use_is_named() -> None:
    async with Simulator(ANY_PORT) as simulator:
        port = simulator.address[1]
        with pytest.raises(ConfigError, match=str(port)):
            await Simulator(Config(listen=Listen(port=port))).start()
        with pytest.raises(ConfigError, match="metrics"):
            await Simulator(replace(ANY_PORT, metrics=MetricsRules(enabled=True, port=port))).start()


def test_the_development_identity_does_not_leave_loopback_unasked() -> None:
    abroad = Config(listen=Listen("192.0.2.1", 0))
    with pytest.raises(ConfigError, match=r"\[tls\] chain and \[tokens\]"):
        Simulator(abroad)
    Simulator(replace(abroad, development=True))
