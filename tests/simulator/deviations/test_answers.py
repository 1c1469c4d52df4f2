"""Answers to hello, auth and heartbeat; errors; unknown types."""

from __future__ import annotations

import json

import pytest

from tests.simulator.deviations.probe import (
    Answers,
    Look,
    Probe,
    asking,
    authenticating,
    enter,
    hello,
    member,
    met,
    show,
)
from tests.simulator.memory import BEAT, HELLO, NOW, Body, Memory, auth, token, tunnel

FIVE = ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]
EXPIRED = auth(exp=NOW - 700)
UNKNOWN: Body = {"type": "x"}
NOT_JSON = b'{"type":}\n'


def _auth(memory: Memory) -> list[Body]:
    client = memory.client()
    client.send(HELLO)
    return client.send(auth())


def _error(data: bytes | Body = UNKNOWN) -> Answers:
    return lambda memory: enter(memory).send(data)


def _after_refusal(memory: Memory) -> list[str]:
    client = memory.client()
    client.send(HELLO)
    return [*met(client, EXPIRED), *met(client, tunnel())]


def _leak(memory: Memory) -> list[str]:
    _, other = enter(memory, "a"), memory.client()
    other.send(HELLO)
    return met(other, tunnel())


def _newest(memory: Memory) -> list[str]:
    one, _ = enter(memory, "a"), enter(memory, "b")
    return [*met(one, tunnel("x", "a")), *met(one, tunnel("y", "b"))]


def _beats(memory: Memory) -> list[int]:
    client = enter(memory)
    return [len(client.send(BEAT)) for _ in range(8)]


def _quotes(memory: Memory) -> bool:
    client = memory.client()
    client.send(HELLO)
    return token(exp=NOW - 700) in json.dumps(client.send(EXPIRED))


def _lists(memory: Memory) -> bool:
    return "elsewhere" in json.dumps(enter(memory).send(tunnel(tenant="b")))


def _closes(memory: Memory) -> tuple[list[str], bool]:
    client = enter(memory)
    return met(client, UNKNOWN), client.closed


def _direct_auth(memory: Memory) -> list[str]:
    return met(memory.client(), auth())


def _of_hello(**members: object) -> Look:
    body = {key: value for key, value in {**HELLO, **members}.items() if value is not ...}
    return lambda memory: met(memory.client(), body)


_greeting, _granted, _bad = ["hello_response"], ["auth_response"], ["unknown_message_type"]

PROBES = {
    "hello-unanswered": Probe(_of_hello(), _greeting, []),
    "hello-refused": Probe(_of_hello(), _greeting, ["server_unavailable"]),
    "hello-version-missing": Probe(member(hello, "version"), ["1.0"], [...]),
    "hello-version-number": Probe(member(hello, "version"), ["1.0"], [1.0]),
    "hello-version-null": Probe(member(hello, "version"), ["1.0"], [None]),
    "hello-version-2.0": Probe(member(hello, "version"), ["1.0"], ["2.0"]),
    "hello-features-missing": Probe(member(hello, "features"), [FIVE], [...]),
    "hello-features-object": Probe(member(hello, "features"), [FIVE], [dict.fromkeys(FIVE, True)]),
    "hello-features-text": Probe(member(hello, "features"), [FIVE], [",".join(FIVE)]),
    "hello-features-number-inside": Probe(member(hello, "features"), [FIVE], [[*FIVE, 2]]),
    "hello-answered-twice": Probe(_of_hello(), _greeting, _greeting * 2),
    "hello-without-version-accepted": Probe(_of_hello(version=...), _bad, _greeting),
    "hello-with-number-version-accepted": Probe(_of_hello(version=1.0), _bad, _greeting),
    "hello-without-features-accepted": Probe(_of_hello(features=...), _bad, _greeting),
    "hello-with-text-features-accepted": Probe(_of_hello(features="tls"), _bad, _greeting),
    "hello-with-three-features-refused": Probe(_of_hello(features=FIVE[:3]), _greeting, ["server_unavailable"]),
    "auth-before-hello-accepted": Probe(_direct_auth, _bad, _granted),
    "auth-unanswered": Probe(authenticating(auth()), _granted, []),
    "auth-status-success": Probe(member(_auth, "status"), ["ok"], ["success"]),
    "auth-status-missing": Probe(member(_auth, "status"), ["ok"], [...]),
    "auth-status-true": Probe(member(_auth, "status"), ["ok"], [True]),
    "auth-client-id-missing": Probe(member(_auth, "client_id"), ["user123"], [...]),
    "auth-client-id-number": Probe(member(_auth, "client_id"), ["user123"], [42]),
    "auth-client-id-null": Probe(member(_auth, "client_id"), ["user123"], [None]),
    "auth-client-id-empty": Probe(member(_auth, "client_id"), ["user123"], [""]),
    "auth-tenant-missing": Probe(member(_auth, "tenant_id"), ["a"], [...]),
    "auth-tenant-array": Probe(member(_auth, "tenant_id"), ["a"], [["a"]]),
    "auth-tenant-of-another": Probe(member(_auth, "tenant_id"), ["a"], ["b"]),
    "auth-tenant-capitals": Probe(member(_auth, "tenant_id"), ["a"], ["A"]),
    "refused-but-authenticated": Probe(_after_refusal, ["invalid_token"] * 2, ["invalid_token", "tunnel_response"]),
    "auth-leaks": Probe(_leak, ["invalid_token"], ["tunnel_response"]),
    "identity-of-the-newest": Probe(
        _newest, ["tunnel_response", "tenant_not_found"], ["tenant_not_found", "tunnel_response"]
    ),
    "heartbeat-unanswered": Probe(_beats, [1] * 8, [0] * 8),
    "heartbeat-first-only": Probe(_beats, [1] * 8, [1] + [0] * 7),
    "heartbeat-every-seventh-lost": Probe(_beats, [1] * 8, [1] * 6 + [0, 1]),
    "heartbeat-answered-twice": Probe(_beats, [1] * 8, [2] * 8),
    "heartbeat-refused": Probe(asking(BEAT), ["heartbeat_response"], ["rate_limit_exceeded"]),
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
