"""Requests: bad ones accepted, good ones refused, refusals withheld or with another code, answers unasked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.variations.deviations.probe import (
    Look,
    Probe,
    asking,
    authenticating,
    enter,
    hello,
    member,
    met,
    opening,
    show,
)
from tests.support.memory import BEAT, HELLO, NOW, Body, MemoryRelay, auth, tunnel

_opened, _refused, _beat = ["tunnel_response"], ["invalid_tunnel_info"], ["heartbeat_response"]
_bad, _in = ["unknown_message_type"], ["auth_response"]


def _first(body: Body) -> Look:
    """Say what the first message on a connection meets."""
    return lambda memory: met(memory.client(), body)


def _greeted(body: Body) -> Look:
    def look(memory: MemoryRelay) -> list[str]:
        client = memory.client()
        client.send(HELLO)
        return met(client, body)

    return look


def _hello(**members: object) -> Look:
    return _first({name: value for name, value in {**HELLO, **members}.items() if value is not ...})


def _tunnel(**members: Any) -> Look:  # noqa: ANN401 - any JSON value
    return asking(tunnel(**members))


ACCEPTED: dict[str, Probe] = {
    "hello-version-null": Probe(_hello(version=None), _bad, ["hello_response"]),
    "hello-version-array": Probe(_hello(version=["1.0"]), _bad, ["hello_response"]),
    "hello-features-null": Probe(_hello(features=None), _bad, ["hello_response"]),
    "hello-features-object": Probe(_hello(features={"tls": True}), _bad, ["hello_response"]),
    "hello-features-mixed": Probe(_hello(features=["tls", 1]), _bad, ["hello_response"]),
    **{
        f"{end}-port-{kind}": Probe(_tunnel(**{f"{end}_port": value}), _refused, _opened)
        for end in ("local", "remote")
        for kind, value in (
            ("array", [3389]),
            ("object", {"port": 1}),
            ("65536", 65536),
            ("modulo-16-bits", 65536 + 3389),
            ("modulo-32-bits", 2**32 + 3389),
            ("below-zero-in-16-bits", 3389 - 65536),
            ("minus-one", -1),
        )
    },
    **{
        f"{name.replace('_', '-')}-{kind}": Probe(_tunnel(**{name: value}), _refused, _opened)
        for name in ("tunnel_id", "remote_host")
        for kind, value in (("true", True), ("object", {"a": 1}))
    },
}

_no_token = {"type": "auth"}
WITHHELD: dict[str, tuple[Look, list[str], str]] = {
    "hello-without-version": (_hello(version=...), _bad, ""),
    "hello-without-features": (_hello(features=...), _bad, ""),
    "tunnel-before-auth": (_greeted(tunnel()), ["invalid_token"], ""),
    "bad-tunnel-id": (_tunnel(tunnel_id=...), _refused, ""),
    "bad-local-port": (_tunnel(local_port=...), _refused, "unknown_message_type"),
    "local-port-out-of-range": (_tunnel(local_port=65536), _refused, ""),
    "bad-remote-host": (_tunnel(remote_host=7), _refused, ""),
    "bad-remote-port": (_tunnel(remote_port="x"), _refused, "invalid_token"),
    "local-port-zero": (_tunnel(local_port=0), _refused, "tenant_not_found"),
    "tunnel-id-empty": (_tunnel(tunnel_id=""), _refused, "unknown_message_type"),
    "remote-host-blank": (_tunnel(remote_host=" "), _refused, "data_transfer_failed"),
    "bad-tunnel-tenant": (_tunnel(tenant_id=...), _refused, ""),
    "empty-token": (_greeted({**_no_token, "token": ""}), ["invalid_token"], "unknown_message_type"),
    "missing-token": (_greeted(_no_token), ["invalid_token"], "invalid_tunnel_info"),
    "token-of-wrong-type": (_greeted({**_no_token, "token": 7}), ["invalid_token"], "unknown_message_type"),
    "type-missing": (asking({"x": 1}), _bad, ""),
    "relay-type": (asking({"type": "heartbeat_response"}), _bad, ""),
}


def _two_hellos(memory: MemoryRelay) -> list[str]:
    return [one for _ in range(2) for one in met(memory.client(), HELLO)]


def _after_refused(refused: Body) -> Look:
    def look(memory: MemoryRelay) -> list[str]:
        client = memory.client()
        client.send(HELLO)
        return [*met(client, refused), *met(client, tunnel())]

    return look


def _behind(*bodies: Body) -> Look:
    """Say what the last of several messages on an authenticated connection meets."""

    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory)
        return [met(client, body) for body in bodies][-1]

    return look


def _beats_of_two(memory: MemoryRelay) -> list[str]:
    one, _ = enter(memory), enter(memory)
    return met(one, BEAT)


def _beats_until_closed(memory: MemoryRelay) -> tuple[int, bool]:
    client = enter(memory)
    return sum(len(client.send(BEAT)) for _ in range(60)), client.closed


def _tenants_told(*tenants: str) -> Look:
    def look(memory: MemoryRelay) -> list[object]:
        found = []
        for tenant in tenants:
            client = memory.client()
            client.send(HELLO)
            found += [body["tenant_id"] for body in client.send(auth(tenant))]
        return found

    return look


def _error_text(memory: MemoryRelay) -> list[object]:
    client = memory.client()
    client.send(HELLO)
    return ["asleep" in str(body["message"]) for body in client.send({"type": "auth", "token": "x"})]


_expired = auth(exp=NOW - 700)
PROBES: dict[str, Probe] = {
    **{f"{begin}-accepted": probe for begin, probe in ACCEPTED.items()},
    **{f"{begin}-unanswered": Probe(look, clean, []) for begin, (look, clean, _) in WITHHELD.items()},
    **{f"{begin}-swapped-code": Probe(look, clean, [code]) for begin, (look, clean, code) in WITHHELD.items() if code},
    "hello-without-any-feature-refused": Probe(_hello(features=[]), ["hello_response"], _bad),
    "hello-every-second-refused": Probe(_two_hellos, ["hello_response"] * 2, ["hello_response", *_bad]),
    "heartbeat-before-hello-answered": Probe(_first(BEAT), _bad, _beat),
    "before-hello-unanswered": Probe(_first(auth()), _bad, []),
    "auth-answered-twice": Probe(authenticating(auth()), _in, _in * 2),
    "auth-tenant-always-the-first": Probe(_tenants_told("b"), ["b"], ["a"]),
    "auth-tenant-of-the-one-before": Probe(_tenants_told("a", "b", "b"), ["a", "b", "b"], ["a", "a", "b"]),
    "expired-but-authenticated": Probe(_after_refused(_expired), ["invalid_token"] * 2, ["invalid_token", *_opened]),
    "missing-token-but-authenticated": Probe(
        _after_refused(_no_token), ["invalid_token"] * 2, ["invalid_token", *_opened]
    ),
    "nbf-wrong-code": Probe(authenticating(auth(nbf=NOW + 700)), ["invalid_token"], ["tenant_not_found"]),
    "tunnel-every-second-unavailable": Probe(opening(*"xyz"), _opened * 3, [*_opened, "server_unavailable", *_opened]),
    "tunnel-second-refused": Probe(opening(*"xy"), _opened * 2, _opened + _refused),
    "local-port-65535-refused": Probe(_tunnel(local_port=65535), _opened, _refused),
    "local-port-privileged-refused": Probe(_tunnel(local_port=1), _opened, _refused),
    "tunnel-for-another-tenant-unanswered": Probe(_tunnel(tenant_id="b"), ["tenant_not_found"], []),
    "tunnel-before-auth-as-invalid": Probe(_greeted(tunnel()), ["invalid_token"], _refused),
    "heartbeat-with-tunnel-unanswered": Probe(_behind(tunnel(), BEAT), _beat, []),
    "heartbeat-without-tunnel-unanswered": Probe(_behind(BEAT), _beat, []),
    "heartbeat-after-error-unanswered": Probe(_behind({"type": "x"}, BEAT), _beat, []),
    "heartbeat-fiftieth-closes": Probe(_beats_until_closed, (60, False), (50, True)),
    "heartbeat-of-the-newest-only": Probe(_beats_of_two, _beat, []),
    "heartbeat-unasked": Probe(_tunnel(), _opened, _opened + _beat),
    "error-unasked": Probe(_tunnel(), _opened, _opened + _refused),
    "error-and-success": Probe(_tunnel(local_port=-1), _refused, _refused + _beat),
    "type-trimmed": Probe(asking({"type": "heartbeat "}), _bad, _beat),
    "type-ends-at-nul": Probe(asking({"type": "heartbeat\0"}), _bad, _beat),
    "type-abbreviated": Probe(asking({"type": "heart"}), _bad, _beat),
    "type-with-more-behind": Probe(asking({"type": "heartbeats"}), _bad, _beat),
    "type-ping-understood": Probe(asking({"type": "ping"}), _bad, _beat),
    "unknown-type-echoed": Probe(asking({"type": "x"}), _bad, ["cbspec_unknown"]),
    "type-in-array-accepted": Probe(asking({"type": ["heartbeat"]}), _bad, _beat),
    "error-names-another-tenant": Probe(_error_text, [False], [True]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


def test_the_other_requests_are_served_all_the_same() -> None:
    plain = Probe(asking(tunnel()), _opened, _opened)
    for id_ in (id_ for id_ in PROBES if id_.endswith("-accepted") or id_.startswith("type-")):
        show({id_: plain}, id_)
        show({id_: Probe(member(hello, "version"), ["1.0"], ["1.0"])}, id_)
