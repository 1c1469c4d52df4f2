"""The server over loopback: its connections, its certificates and keys, and errors at the start."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.tokens.jwks import key_id
from cbspec.tokens.jwt import SigningKey, new_pair
from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.settings.config import Certificate, Listen, MetricsSettings, TokenSettings
from tests.support.client import HELLO, AsyncClient, AsyncWebSocket, until
from tests.support.issuer import jwks, pair, published, token

ANY_PORT = Config(listen=Listen(port=0), development=True)


def with_tokens(**settings: Any) -> Config:  # noqa: ANN401 - checked by the names of TokenSettings
    return replace(ANY_PORT, tokens=TokenSettings(**settings))


def jwks_file(folder: Path, *keys: SigningKey) -> Path:
    file = folder / "jwks.json"
    file.write_bytes(jwks(*keys))
    return file


# ---------------------------------------------------------------- connections


async def test_closing_the_server_closes_every_connection() -> None:
    simulator = Simulator(ANY_PORT)
    await simulator.start()
    async with AsyncClient(simulator.address) as wire, AsyncWebSocket(simulator.address) as websocket:
        await wire.greet()
        await websocket.open()
        await simulator.close()
        assert await wire.rest() == b""
        assert (await websocket.next())[0] == 0x88


# ---------------------------------------------------------------- profile and start


async def test_the_profile_describes_the_relay(tmp_path: Path) -> None:
    async with Simulator(ANY_PORT) as simulator:
        profile = simulator.profile()
    assert (profile.tls.ca, profile.tokens.development) == ("development", True)
    assert profile.tenants == DEVELOPMENT_TENANTS
    assert profile.relay.buffer_pool == 100
    assert profile.remote.reachable == profile.target.address
    leaf = trustme.CA().issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(chain)
    leaf.private_key_pem.write_to_path(key)
    config = replace(with_tokens(secret="my own, and long enough"), certificate=Certificate(chain, key))
    async with Simulator(config) as simulator:
        profile = simulator.profile()
    assert (profile.tls.ca, profile.tokens.development) == (chain, False)


async def test_the_profile_names_the_key_that_signs_the_suites_tokens(tmp_path: Path) -> None:
    private, file = tmp_path / "key.pem", tmp_path / "jwks.json"
    private.write_bytes(new_pair("ES256"))
    key = SigningKey.from_pem(private)
    file.write_bytes(jwks(pair("ES256"), key))
    async with Simulator(with_tokens(jwks_file=file, signing_key_file=private, issuer="me")) as simulator:
        tokens = simulator.profile().tokens
    assert (tokens.key_file, tokens.key_id, tokens.claims) == (private, key_id(key), {"iss": "me"})
    assert not tokens.development
    file.write_bytes(jwks(pair("ES256")))
    async with Simulator(with_tokens(jwks_file=file, signing_key_file=private)) as simulator:
        with pytest.raises(ConfigError, match=r"its public half \(ES256\) isn't in"):
            simulator.profile()


UNUSABLE: dict[str, Callable[[Path, int], Config]] = {
    "/nowhere/chain.pem": lambda *_: replace(ANY_PORT, certificate=Certificate(Path("/nowhere/chain.pem"))),
    "tokens": lambda *_: with_tokens(key_file=Path("/nowhere/key.pem")),
    "70000": lambda *_: replace(ANY_PORT, listen=Listen("127.0.0.1", 70_000)),
    "no.such": lambda *_: replace(
        ANY_PORT, metrics=MetricsSettings(enabled=True, port=1), listen=Listen("no.such.host.invalid", 0)
    ),
    "in use": lambda _, port: replace(ANY_PORT, listen=Listen(port=port)),
    "metrics": lambda _, port: replace(ANY_PORT, metrics=MetricsSettings(enabled=True, port=port)),
    "no such file or directory": lambda folder, _: with_tokens(jwks_file=folder / "none"),
    "key 1 is a secret (kty oct)": lambda folder, _: with_tokens(jwks_file=folder / "secret"),
    "[tokens]: issuer.example isn't loopback": lambda *_: with_tokens(jwks_url="http://issuer.example/"),
}


@pytest.mark.parametrize("error", UNUSABLE)
async def test_an_unusable_configuration_is_named(tmp_path: Path, error: str) -> None:
    (tmp_path / "secret").write_bytes(b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}')
    async with Simulator(ANY_PORT) as simulator:
        config = UNUSABLE[error](tmp_path, simulator.address[1])
        with pytest.raises(ConfigError, match=re.escape(error)):
            await Simulator(config).start()


# ---------------------------------------------------------------- the issuer's keys


async def authenticated(simulator: Simulator, key: SigningKey, **claims: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the type of the answer to an auth, or the message of the error."""
    async with AsyncClient(simulator.address) as wire:
        await wire.ask(HELLO)
        answer = await wire.ask(b'{"type":"auth","token":"' + token(key, **claims).encode() + b'"}\n')
        return str(answer.get("message", answer["type"]))


async def test_the_first_auth_after_a_key_rotation_succeeds(tmp_path: Path) -> None:
    old, new, foreign = pair("RS256"), pair("ES256"), pair()
    file = jwks_file(tmp_path, old)
    with published(jwks(old)) as address:
        for config, publish in (
            (with_tokens(jwks_file=file), file.write_bytes),
            (with_tokens(jwks_url=address.url), partial(setattr, address, "body")),
        ):
            async with Simulator(config) as simulator:
                assert await authenticated(simulator, old) == "auth_response"
                assert "names no key" in await authenticated(simulator, new)
                publish(jwks(old, new))
                assert await authenticated(simulator, new) == "auth_response"
                assert await authenticated(simulator, old) == "auth_response"
                assert "names no key" in await authenticated(simulator, foreign)


async def test_issuer_and_audience_are_checked_with_a_jwks(tmp_path: Path) -> None:
    key = pair()
    config = with_tokens(jwks_file=jwks_file(tmp_path, key), issuer="me", audience="you")
    async with Simulator(config) as simulator:
        assert await authenticated(simulator, key, iss="me", aud=["x", "you"]) == "auth_response"
        assert "issuer" in await authenticated(simulator, key, iss="you", aud="you")
        assert "audience" in await authenticated(simulator, key, iss="me", aud="me")
        assert "missing" in await authenticated(simulator, key, iss="me")


@pytest.mark.parametrize("stays", [True, False])
async def test_a_slow_issuer_delays_only_the_auth_that_needs_it(*, stays: bool) -> None:
    known = pair()
    with published(jwks(known)) as address:
        async with Simulator(with_tokens(jwks_url=address.url)) as simulator:
            async with AsyncClient(simulator.address) as waiting:
                address.held = threading.Event()
                address.reached.clear()
                await waiting.ask(HELLO)
                waiting.write(b'{"type":"auth","token":"' + token(pair()).encode() + b'"}\n')
                await asyncio.to_thread(address.reached.wait)
                assert await authenticated(simulator, known) == "auth_response"
                if stays:
                    address.held.set()
                    assert json.loads(await waiting.line())["code"] == "invalid_token"
            await until(lambda: not simulator.relay.state.connections)
            address.held.set()
