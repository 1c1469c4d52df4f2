"""The real server over loopback, with bytes written by hand."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.tokens.jwks import key_id
from cbspec.tokens.jwt import SigningKey
from cbspec.tokens.keypair import new_pair
from cbspec_simulator import Clock, Config, ConfigError, Simulator
from cbspec_simulator.settings.config import Certificate, Listen, MetricsSettings, TokenSettings
from tests.support.client import HELLO, AsyncClient, AsyncWebSocket, auth, tunnel, until
from tests.support.issuer import jwks, pair, published, token

ANY_PORT = Config(listen=Listen(port=0))


async def test_the_specifications_examples() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
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
    async with Simulator(ANY_PORT) as one, Simulator(ANY_PORT) as two, AsyncClient(one.address) as wire:
        await wire.greet()
        await wire.ask(tunnel())
        assert (one.relay.buffers, two.relay.buffers) == (1, 0)


async def test_the_end_closes_every_connection() -> None:
    async with Simulator(ANY_PORT) as simulator:
        wire, socket_ = AsyncClient(simulator.address), AsyncWebSocket(simulator.address)
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
    config = replace(
        ANY_PORT, certificate=Certificate(chain, key), tokens=TokenSettings(secret="my own, and long enough")
    )
    async with Simulator(config) as simulator:
        profile = simulator.profile()
    assert profile.tls.ca == chain
    assert not profile.tokens.development


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(ANY_PORT, certificate=Certificate(Path("/nowhere/chain.pem"))), "/nowhere/chain.pem"),
        (replace(ANY_PORT, tokens=TokenSettings(key_file=Path("/nowhere/key.pem"))), "tokens"),
        (replace(ANY_PORT, listen=Listen("127.0.0.1", 70_000)), "70000"),
        (
            replace(ANY_PORT, metrics=MetricsSettings(enabled=True, port=1), listen=Listen("no.such.host.invalid", 0)),
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
            await Simulator(replace(ANY_PORT, metrics=MetricsSettings(enabled=True, port=port))).start()


async def _authenticated(simulator: Simulator, key: SigningKey, **claims: Any) -> str:  # noqa: ANN401 - any JSON
    async with AsyncClient(simulator.address) as wire:
        await wire.ask(HELLO)
        answer = await wire.ask(b'{"type":"auth","token":"' + token(key, **claims).encode() + b'"}\n')
        return str(answer.get("message", answer["type"]))


async def test_a_client_is_served_at_its_first_try_after_a_rotation(tmp_path: Path) -> None:
    old, new, foreign = pair("RS256"), pair("ES256"), pair()
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(old))
    with published(jwks(old)) as address:
        for rules, publish in (
            (TokenSettings(jwks_file=file), file.write_bytes),
            (TokenSettings(jwks_url=address.url), partial(setattr, address, "body")),
        ):
            async with Simulator(replace(ANY_PORT, tokens=rules)) as simulator:
                assert await _authenticated(simulator, old) == "auth_response"
                assert "names no key" in await _authenticated(simulator, new)
                publish(jwks(old, new))
                assert await _authenticated(simulator, new) == "auth_response"
                assert await _authenticated(simulator, old) == "auth_response"
                assert "names no key" in await _authenticated(simulator, foreign)


async def test_keys_older_than_they_may_be_are_fetched_again() -> None:
    old, new = pair(), pair()
    moved = 0.0
    clock = Clock(monotonic=lambda: time.monotonic() + moved)
    with published(jwks(old)) as address:
        rules = TokenSettings(jwks_url=address.url, jwks_max_age=3600)
        async with Simulator(replace(ANY_PORT, tokens=rules), clock=clock) as simulator:
            address.body = jwks(new)
            assert await _authenticated(simulator, old) == "auth_response"
            moved = 3600.0
            assert "names no key" in await _authenticated(simulator, old)


async def test_issuer_and_audience_are_checked_with_a_jwks_as_well(tmp_path: Path) -> None:
    key, file = pair(), tmp_path / "jwks.json"
    file.write_bytes(jwks(key))
    rules = TokenSettings(jwks_file=file, issuer="me", audience="you")
    async with Simulator(replace(ANY_PORT, tokens=rules)) as simulator:
        assert await _authenticated(simulator, key, iss="me", aud=["x", "you"]) == "auth_response"
        assert "issuer" in await _authenticated(simulator, key, iss="you", aud="you")
        assert "audience" in await _authenticated(simulator, key, iss="me", aud="me")
        assert "missing" in await _authenticated(simulator, key, iss="me")


async def test_a_slow_issuer_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    known, unknown = pair(), pair()
    with published(jwks(known)) as address:
        async with (
            Simulator(replace(ANY_PORT, tokens=TokenSettings(jwks_url=address.url))) as simulator,
            AsyncClient(simulator.address) as waiting,
        ):
            address.held = threading.Event()
            address.reached.clear()
            await waiting.ask(HELLO)
            waiting.write(b'{"type":"auth","token":"' + token(unknown).encode() + b'"}\n')
            await asyncio.to_thread(address.reached.wait)
            assert await _authenticated(simulator, known) == "auth_response"
            address.held.set()
            assert json.loads(await waiting.line())["code"] == "invalid_token"


async def test_a_client_that_leaves_while_keys_are_fetched_is_forgotten() -> None:
    with published(jwks(pair())) as address:
        async with Simulator(replace(ANY_PORT, tokens=TokenSettings(jwks_url=address.url))) as simulator:
            address.held = threading.Event()
            address.reached.clear()
            async with AsyncClient(simulator.address) as wire:
                await wire.ask(HELLO)
                wire.write(b'{"type":"auth","token":"' + token(pair()).encode() + b'"}\n')
                await asyncio.to_thread(address.reached.wait)
            await until(lambda: not simulator.relay.state.connections)
            address.held.set()


async def test_the_profile_names_the_key_that_the_suite_mints_with(tmp_path: Path) -> None:
    private, file = tmp_path / "key.pem", tmp_path / "jwks.json"
    private.write_bytes(new_pair("ES256"))
    key = SigningKey.from_pem(private)
    file.write_bytes(jwks(pair("ES256"), key))
    rules = TokenSettings(jwks_file=file, signing_key_file=private, issuer="me")
    async with Simulator(replace(ANY_PORT, tokens=rules)) as simulator:
        tokens = simulator.profile().tokens
    assert (tokens.key_file, tokens.key_id, tokens.claims) == (private, key_id(key), {"iss": "me"})
    assert not tokens.development


async def test_a_profile_without_a_key_to_mint_with_is_none(tmp_path: Path) -> None:
    private, file = tmp_path / "key.pem", tmp_path / "jwks.json"
    private.write_bytes(new_pair("ES256"))
    file.write_bytes(jwks(pair("ES256")))
    for named, said in ((None, "signing_key_file: is needed"), (private, "its public half (ES256) isn't in")):
        rules = TokenSettings(jwks_file=file, signing_key_file=named)
        async with Simulator(replace(ANY_PORT, tokens=rules)) as simulator:
            with pytest.raises(ConfigError, match=re.escape(said)):
                simulator.profile()


async def test_keys_that_cannot_be_had_at_the_start_are_named(tmp_path: Path) -> None:
    with published(b"{}") as address:
        pass
    file = tmp_path / "jwks.json"
    file.write_bytes(b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}')
    for rules, said in (
        (TokenSettings(jwks_url=address.url), f"[tokens] {address.url}: connection refused"),
        (TokenSettings(jwks_file=tmp_path / "none"), f"[tokens] {tmp_path / 'none'}: no such file or directory"),
        (TokenSettings(jwks_file=file), f"[tokens] {file}: key 1 is a secret (kty oct)"),
        (TokenSettings(jwks_url="http://issuer.example/"), "[tokens]: issuer.example isn't loopback"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            await Simulator(replace(ANY_PORT, tokens=rules)).start()


async def test_keys_that_are_at_hand_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, file = pair(), tmp_path / "jwks.json"
    file.write_bytes(jwks(key))
    async with Simulator(replace(ANY_PORT, tokens=TokenSettings(jwks_file=file))) as simulator:
        monkeypatch.setattr(simulator.relay.keyring, "refresh", None)
        assert await _authenticated(simulator, key) == "auth_response"
