"""Draining, dials and key refreshes on sessions in memory; `test_relay_model` covers the limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator import Config
from cbspec_simulator.base.steps import Dial, Refresh
from cbspec_simulator.settings.config import TokenSettings
from cbspec_simulator.variations.registry import varied
from tests.support.issuer import jwks, pair
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel


def test_a_draining_relay_refuses_new_work_only() -> None:
    memory = MemoryRelay()
    greeted, authenticated = memory.greeted(), memory.authenticated()
    memory.relay.drain(True)
    newcomer = memory.client()
    assert newcomer.type(HELLO) == ErrorCode.SERVER_UNAVAILABLE
    assert newcomer.closed
    assert greeted.type(auth()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(tunnel()) == ErrorCode.SERVER_UNAVAILABLE
    assert authenticated.type(BEAT) == "heartbeat_response"
    memory.relay.drain(False)
    assert greeted.type(auth()) == "auth_response"


def test_the_remote_end_is_dialled_before_the_answer() -> None:
    memory = MemoryRelay(probe=True, buffer_pool=1)
    client = memory.authenticated()
    assert client.send(tunnel("x")) == []
    assert client.io_requests == [Dial("192.168.1.100", 3389)]
    assert memory.relay.buffers == 1
    assert client.send(BEAT) == []
    answers = client.dialled(False)
    assert [body["type"] for body in answers] == ["error", "heartbeat_response"]
    assert answers[0]["code"] == ErrorCode.DATA_TRANSFER_FAILED
    assert memory.relay.buffers == 0
    client.send(tunnel("x"))
    assert [body["type"] for body in client.dialled(True)] == ["tunnel_response"]
    assert memory.relay.buffers == 1


def _with_keys(folder: Path) -> Config:
    file = folder / "jwks.json"
    file.write_bytes(jwks(pair()))
    return Config(tokens=TokenSettings(jwks_file=file, issuer="me"))


def test_keys_are_refreshed_before_a_token_is_verified(tmp_path: Path) -> None:
    memory, key = MemoryRelay(config=_with_keys(tmp_path)), pair()
    client = memory.greeted()
    wanted = auth(key=key, iss="me")
    assert client.send(wanted) == []
    assert client.io_requests == [Refresh(wanted["token"])]
    assert wanted["token"] not in repr(client.io_requests)
    assert client.send(BEAT) == []
    assert memory.relay.keyring is not None
    (tmp_path / "jwks.json").write_bytes(jwks(key))
    memory.relay.keyring.load(0.0)
    assert [body["type"] for body in client.refreshed()] == ["auth_response", "heartbeat_response"]


@pytest.mark.parametrize(
    ("claims", "said"), [({"iss": "me"}, "no key of the issuer's"), ({"iss": "you"}, "no key"), ({}, "no key")]
)
def test_a_token_with_an_unknown_key_is_rejected(tmp_path: Path, claims: dict[str, str], said: str) -> None:
    client = MemoryRelay(config=_with_keys(tmp_path)).greeted()
    assert client.send(auth(key=pair(), **claims)) == []
    (answer,) = client.refreshed()
    assert answer["code"] == ErrorCode.INVALID_TOKEN
    assert said in answer["message"]


def test_a_single_key_needs_no_refresh() -> None:
    client = MemoryRelay().greeted()
    assert client.type(auth()) == "auth_response"
    assert client.io_requests == []


def test_token_deviations_need_the_signing_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the key that signs them"):
        MemoryRelay(config=_with_keys(tmp_path), change=lambda behaviour: varied(behaviour, "expired-accepted"))


def test_reconfiguring_keeps_the_keys_of_the_same_source(tmp_path: Path) -> None:
    config = _with_keys(tmp_path)
    relay = MemoryRelay(config=config).relay
    keyring = relay.keyring
    relay.reconfigure(replace(config, tokens=replace(config.tokens, issuer="you")))
    assert relay.keyring is keyring
    relay.reconfigure(replace(config, tokens=replace(config.tokens, jwks_file=tmp_path / "other")))
    assert relay.keyring is not keyring
    relay.reconfigure(Config())
    assert relay.keyring is None
    assert relay.state.authority.key.symmetric
