"""The real server over loopback, with bytes written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from cbspec.identity import DEVELOPMENT_TENANTS
from simulator import Config, ConfigError, Simulator
from simulator.config import Certificate, Listen, MetricsRules, TokenRules
from tests.simulator.client import WebSocket, Wire, auth, tunnel

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
