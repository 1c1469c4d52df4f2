"""Heartbeats, errors, unknown types."""

from __future__ import annotations

import json

import pytest

from tests.simulator.variations.deviations.probe import Answers, Probe, asking, enter, member, met, show
from tests.support.memory import BEAT, HELLO, NOW, Body, MemoryRelay, auth, token, tunnel

EXPIRED = auth(exp=NOW - 700)
UNKNOWN: Body = {"type": "x"}
NOT_JSON = b'{"type":}\n'


def _error(data: bytes | Body = UNKNOWN) -> Answers:
    return lambda memory: enter(memory).send(data)


def _beats(memory: MemoryRelay) -> list[int]:
    client = enter(memory)
    return [len(client.send(BEAT)) for _ in range(8)]


def _quotes(memory: MemoryRelay) -> bool:
    client = memory.client()
    client.send(HELLO)
    return token(exp=NOW - 700) in json.dumps(client.send(EXPIRED))


def _quotes_what_is_broken(memory: MemoryRelay) -> bool:
    client = memory.client()
    client.send(HELLO)
    return token() in json.dumps(client.send(f"{{'token':{token()}}}\n".encode()))


def _lists(memory: MemoryRelay) -> bool:
    return "elsewhere" in json.dumps(enter(memory).send(tunnel(tenant="b")))


def _closes(memory: MemoryRelay) -> tuple[list[str], bool]:
    client = enter(memory)
    return met(client, UNKNOWN), client.closed


_bad = ["unknown_message_type"]

PROBES = {
    "heartbeat-unanswered": Probe(_beats, [1] * 8, [0] * 8),
    "heartbeat-first-only": Probe(_beats, [1] * 8, [1] + [0] * 7),
    "heartbeat-every-seventh-lost": Probe(_beats, [1] * 8, [1] * 6 + [0, 1]),
    "heartbeat-every-seventh-held-back": Probe(_beats, [1] * 8, [1] * 6 + [0, 2]),
    "heartbeat-answered-twice": Probe(_beats, [1] * 8, [2] * 8),
    "heartbeat-refused": Probe(asking(BEAT), ["heartbeat_response"], ["invalid_token"]),
    "heartbeat-answered-by-tunnel-response": Probe(asking(BEAT), ["heartbeat_response"], ["tunnel_response"]),
    "heartbeat-echoed": Probe(asking(BEAT), ["heartbeat_response"], ["heartbeat"]),
    "heartbeat-answered-by-pong": Probe(asking(BEAT), ["heartbeat_response"], ["pong"]),
    "error-code-unlisted": Probe(asking(NOT_JSON), _bad, ["malformed_json"]),
    "error-code-capitals": Probe(asking(NOT_JSON), _bad, ["UNKNOWN_MESSAGE_TYPE"]),
    "error-code-missing": Probe(member(_error(NOT_JSON), "code"), _bad, [...]),
    "error-code-number": Probe(member(_error(NOT_JSON), "code"), _bad, [400]),
    "error-message-missing": Probe(member(_error(), "message"), ["the message is of no known type"], [...]),
    "error-message-number": Probe(member(_error(), "message"), ["the message is of no known type"], [1]),
    "error-message-null": Probe(member(_error(), "message"), ["the message is of no known type"], [None]),
    "error-message-object": Probe(
        member(_error(), "message"), ["the message is of no known type"], [{"text": "refused"}]
    ),
    "error-message-empty": Probe(member(_error(), "message"), ["the message is of no known type"], [""]),
    "error-quotes-what-is-no-json": Probe(_quotes_what_is_broken, False, True),
    "error-quotes-token": Probe(_quotes, False, True),
    "error-lists-tenants": Probe(_lists, False, True),
    "error-of-another-type": Probe(member(_error(), "type"), ["error"], ["failure"]),
    "error-sent-twice": Probe(asking(UNKNOWN), _bad, _bad * 2),
    "unknown-type-unanswered": Probe(asking(UNKNOWN), _bad, []),
    "unknown-type-wrong-code": Probe(asking(UNKNOWN), _bad, ["invalid_tunnel_info"]),
    "unknown-type-answered-ok": Probe(asking(UNKNOWN), _bad, ["heartbeat_response"]),
    "unknown-type-closes": Probe(_closes, (_bad, False), ([], True)),
    "type-missing-wrong-code": Probe(asking({"x": 1}), _bad, ["invalid_tunnel_info"]),
    "relay-type-wrong-code": Probe(asking({"type": "heartbeat_response"}), _bad, ["invalid_token"]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
