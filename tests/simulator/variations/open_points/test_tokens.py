"""Which tokens are good, seen on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.variations.open_points import tokens
from tests.simulator.variations.deviations.probe import Probe, authenticating, enter, met
from tests.simulator.variations.open_points.probe import show
from tests.support.memory import BEAT, HELLO, NOW, Body, MemoryRelay, auth, token, tunnel

_OK, _NO, _NOBODY = ["auth_response"], ["invalid_token"], ["tenant_not_found"]


def _shown(text: str) -> Body:
    return {"type": "auth", "token": text}


def _probe(message: Body, clean: object, other: object) -> Probe:
    return Probe(authenticating(message), clean, other)


def _padded() -> str:
    return token() + "="


def _with(algorithm: Any) -> Body:  # noqa: ANN401 - an algorithm's name
    return _shown(token(key=SigningKey.hmac(DEVELOPMENT_SECRET, algorithm)))


def _later(memory: MemoryRelay) -> list[str]:
    client = enter(memory)
    before = met(client, BEAT)
    memory.time = 61.0
    return [*before, *met(client, BEAT), *met(client, tunnel())]


def _twice(memory: MemoryRelay) -> list[str]:
    message = auth(jti="the same")
    found = []
    for _ in range(2):
        client = memory.client()
        client.send(HELLO)
        found += met(client, message)
    return found


_BEAT = "heartbeat_response"
PROBES = {
    "leeway-of-a-minute": _probe(auth(exp=NOW - 30), _NO, _OK),
    "longer-hashes-accepted": _probe(_with("HS512"), _NO, _OK),
    "expiry-required": _probe(auth(exp=None), _OK, _NO),
    "subject-not-required": _probe(auth(sub=None), _NO, _OK),
    "critical-extension-passed-over": _probe(_shown(token(headers={"crit": ["x"], "x": 1})), _NO, _OK),
    "padded-token-refused": _probe(_shown(_padded()), _OK, _NO),
    "expiry-ends-service": Probe(_later, [_BEAT, _BEAT, "tunnel_response"], [_BEAT, "invalid_token", "invalid_token"]),
    "token-for-once": Probe(_twice, _OK * 2, _OK + _NO),
    "future-token-refused": _probe(auth(iat=NOW + 660), _OK, _NO),
    "empty-tenant-as-tenant-not-found": _probe(auth(""), _NO, _NOBODY),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {point.id for point in tokens.OPEN_POINTS} == set(PROBES)


@pytest.mark.parametrize("id_", ["longer-hashes-accepted", "critical-extension-passed-over", "leeway-of-a-minute"])
@pytest.mark.parametrize(
    "message",
    [
        _shown(token(key=SigningKey.hmac("another"))),
        _shown(token(key=SigningKey.hmac("another", "HS512"))),
        _shown(token(key=SigningKey.hmac("another"), headers={"crit": ["x"], "x": 1})),
        _shown("no.token.at all"),
        auth(exp=NOW - 600),
    ],
)
def test_a_bad_token_stays_bad(id_: str, message: Body) -> None:
    show({id_: _probe(message, _NO, _NO)}, id_)
