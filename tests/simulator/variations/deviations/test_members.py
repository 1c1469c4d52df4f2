"""Every member of every answer, and other answers in an answer's stead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.variations.deviations.probe import Look, Probe, enter, hello, show
from tests.support.memory import BEAT, HELLO, Body, MemoryRelay, auth, tunnel

VALUES: dict[str, tuple[str, str, object]] = {
    "hello-version-array": ("hello_response", "version", ["1.0"]),
    "hello-version-true": ("hello_response", "version", True),
    "hello-version-object": ("hello_response", "version", {"major": 1}),
    "hello-version-empty": ("hello_response", "version", ""),
    "hello-version-prefixed": ("hello_response", "version", "v1.0"),
    "hello-features-null": ("hello_response", "features", None),
    "hello-features-number": ("hello_response", "features", 5),
    "hello-features-null-inside": ("hello_response", "features", ["tls", None, "multi_tenancy"]),
    "hello-features-array-inside": ("hello_response", "features", [["tls", "multi_tenancy"]]),
    "auth-status-null": ("auth_response", "status", None),
    "auth-status-number": ("auth_response", "status", 200),
    "auth-status-array": ("auth_response", "status", ["ok"]),
    "auth-status-capitals": ("auth_response", "status", "OK"),
    "auth-status-error": ("auth_response", "status", "error"),
    "auth-client-id-true": ("auth_response", "client_id", True),
    "auth-client-id-array": ("auth_response", "client_id", ["user123"]),
    "auth-client-id-object": ("auth_response", "client_id", {"sub": "user123"}),
    "auth-tenant-null": ("auth_response", "tenant_id", None),
    "auth-tenant-number": ("auth_response", "tenant_id", 1),
    "auth-tenant-true": ("auth_response", "tenant_id", True),
    "auth-tenant-object": ("auth_response", "tenant_id", {"id": "a"}),
    "auth-tenant-empty": ("auth_response", "tenant_id", ""),
    "tunnel-status-null": ("tunnel_response", "status", None),
    "tunnel-status-true": ("tunnel_response", "status", True),
    "tunnel-status-number": ("tunnel_response", "status", 200),
    "tunnel-status-array": ("tunnel_response", "status", ["ok"]),
    "tunnel-status-capitals": ("tunnel_response", "status", "OK"),
    "tunnel-status-error": ("tunnel_response", "status", "error"),
    "tunnel-id-null": ("tunnel_response", "tunnel_id", None),
    "tunnel-id-number": ("tunnel_response", "tunnel_id", 1),
    "tunnel-id-true": ("tunnel_response", "tunnel_id", True),
    "tunnel-id-array": ("tunnel_response", "tunnel_id", ["t"]),
    "tunnel-id-object": ("tunnel_response", "tunnel_id", {"id": "t"}),
    "tunnel-id-empty": ("tunnel_response", "tunnel_id", ""),
    "tunnel-type-null": ("tunnel_response", "type", None),
    "tunnel-type-number": ("tunnel_response", "type", 3),
    "tunnel-type-capitals": ("tunnel_response", "type", "TUNNEL_RESPONSE"),
    "tunnel-type-array": ("tunnel_response", "type", ["tunnel_response"]),
    "hello-type-camel-case": ("hello_response", "type", "helloResponse"),
    "auth-type-short": ("auth_response", "type", "response"),
    "error-message-true": ("error", "message", True),
    "error-message-array": ("error", "message", ["refused"]),
    "error-message-blank": ("error", "message", " "),
    "error-code-null": ("not JSON", "code", None),
    "error-code-true": ("not JSON", "code", True),
    "error-code-array": ("not JSON", "code", ["unknown_message_type"]),
    "error-code-object": ("not JSON", "code", {"code": 1}),
    "error-code-empty": ("not JSON", "code", ""),
}
"""By id: the answer, its member, and the member's value."""


def _auth(memory: MemoryRelay) -> list[Body]:
    client = memory.client()
    client.send(HELLO)
    return client.send(auth())


def _asked(body: bytes | Body) -> Callable[[MemoryRelay], list[Body]]:
    return lambda memory: enter(memory).send(body)


ASKED: dict[str, Callable[[MemoryRelay], list[Body]]] = {
    "hello_response": hello,
    "auth_response": _auth,
    "tunnel_response": _asked(tunnel()),
    "heartbeat_response": _asked(BEAT),
    "error": _asked(tunnel(remote_port=0)),
    "not JSON": _asked(b"nonsense\n"),
}


def _is(answer: str, member: str, value: object) -> Look:
    """Say whether an answer's member is of a value, its type included."""
    return lambda memory: [repr(body.get(member, ...)) == repr(value) for body in ASKED[answer](memory)]


def _types(answer: str) -> Look:
    return lambda memory: [body.get("type") for body in ASKED[answer](memory)]


def _closing(answer: str) -> Look:
    """Say what is answered, and whether the connection ends."""

    def look(memory: MemoryRelay) -> tuple[int, bool]:
        requests = {"hello_response": [HELLO], "auth_response": [HELLO, auth()]}
        client = memory.client()
        sent = requests.get(answer, [HELLO, auth(), tunnel() if answer == "tunnel_response" else BEAT])
        answers = [client.send(body) for body in sent][-1]
        return len(answers), client.closed

    return look


def _first(look: Callable[[MemoryRelay], list[Body]], member: str) -> Look:
    return lambda memory: [body.get(member) for body in look(memory)]


PROBES = {id_: Probe(_is(*row), [False], [True]) for id_, row in VALUES.items()}
for _request, _answer, _other in (
    ("hello", "hello_response", "auth_response"),
    ("auth", "auth_response", "hello_response"),
    ("tunnel", "tunnel_response", "heartbeat_response"),
    ("heartbeat", "heartbeat_response", "hello_response"),
):
    PROBES[f"{_request}-answered-by-{_other.replace('_', '-')}"] = Probe(_types(_answer), [_answer], [_other])
    PROBES[f"{_request}-closes"] = Probe(_closing(_answer), (1, False), (0, True))
    if _request != "heartbeat":
        _echo = "tunnel_info" if _request == "tunnel" else _request
        PROBES[f"{_request}-echoed"] = Probe(_types(_answer), [_answer], [_echo])
PROBES |= {
    "tunnel-type-missing": Probe(_types("tunnel_response"), ["tunnel_response"], [None]),
    "tunnel-in-an-envelope": Probe(
        _first(ASKED["tunnel_response"], "message"),
        [None],
        [{"type": "tunnel_response", "status": "ok", "tunnel_id": "t"}],
    ),
    "auth-tenant-with-suffix": Probe(_first(_auth, "tenant_id"), ["a"], ["a@relay"]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
