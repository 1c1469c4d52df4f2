"""What comes when, seen on the wire."""

from __future__ import annotations

import pytest

from cbspec_simulator.variations.open_points import order
from tests.simulator.variations.deviations.probe import Probe, asking, authenticating, enter, met
from tests.simulator.variations.open_points.probe import show
from tests.support.memory import BEAT, HELLO, Body, MemoryRelay, auth, tunnel

_UNKNOWN, _TOKEN, _INFO = "unknown_message_type", "invalid_token", "invalid_tunnel_info"
_OTHER = {**HELLO, "version": "2.0"}


def _first(what: Body) -> Probe:
    return Probe(lambda memory: met(memory.client(), what), None, None)


def _in_turn(*said: Body) -> Probe:
    """Say several things on one connection."""

    def look(memory: MemoryRelay) -> list[str]:
        client = memory.client()
        return [one for what in said for one in met(client, what)]

    return Probe(look, None, None)


def _ended(*said: Body) -> Probe:
    """Say several things on one connection, and see whether it was closed behind the last."""

    def look(memory: MemoryRelay) -> list[bool]:
        client, closed = memory.client(), []
        for what in said:
            client.send(what)
            closed.append(client.closed)
        return closed

    return Probe(look, None, None)


def _version(memory: MemoryRelay) -> object:
    return [memory.client().send(hello)[0].get("version") for hello in (HELLO, _OTHER)]


def _features(memory: MemoryRelay) -> object:
    return memory.client().send(HELLO)[0]["features"]


def _client_id(memory: MemoryRelay) -> object:
    client = memory.client()
    client.send(HELLO)
    return client.send(auth("a"))[0]["client_id"]


def _after_second_auth(memory: MemoryRelay) -> list[str]:
    client = enter(memory)
    return [*met(client, auth("b")), *met(client, tunnel("x", "a")), *met(client, tunnel("y", "b"))]


def _dialled(memory: MemoryRelay) -> tuple[str, bool]:
    client = enter(memory)
    client.send(tunnel("t"))
    (answer,) = client.dialled(reached=False)
    return answer["code"], client.closed


_FIVE = ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]
_AGAIN = _in_turn(HELLO, HELLO, auth(), HELLO, tunnel("t"))
_OK = ["hello_response", "hello_response", "auth_response", "hello_response", "tunnel_response"]
_NO_VERSION = {"type": "hello", "features": ["tls"]}

PROBES = {
    "second-hello-refused": _AGAIN._replace(
        clean=_OK, wrong=["hello_response", _UNKNOWN, "auth_response", _UNKNOWN, "tunnel_response"]
    ),
    "second-hello-forgets-auth": _AGAIN._replace(clean=_OK, wrong=[*_OK[:4], _TOKEN]),
    "version-echoed": Probe(_version, ["1.0", "1.0"], ["1.0", "2.0"]),
    "other-versions-refused": _first(_OTHER)._replace(clean=["hello_response"], wrong=[_UNKNOWN]),
    "bad-hello-as-invalid-tunnel-info": _first(_NO_VERSION)._replace(clean=[_UNKNOWN], wrong=[_INFO]),
    "tunnel-before-hello-as-unknown-message-type": _first(tunnel())._replace(clean=[_TOKEN], wrong=[_UNKNOWN]),
    "heartbeat-before-hello-served": _first(BEAT)._replace(clean=[_UNKNOWN], wrong=["heartbeat_response"]),
    "features-in-common": Probe(_features, _FIVE, ["tls"]),
    "client-id-with-tenant": Probe(_client_id, "user123", "a/user123"),
    "second-auth-takes-over": Probe(
        _after_second_auth,
        [_TOKEN, "tunnel_response", "tenant_not_found"],
        ["auth_response", "tenant_not_found", "tunnel_response"],
    ),
    "second-auth-closes": _ended(HELLO, auth(), auth())._replace(clean=[False] * 3, wrong=[False, False, True]),
    "heartbeat-before-auth-served": _in_turn(HELLO, BEAT)._replace(
        clean=["hello_response", _TOKEN], wrong=["hello_response", "heartbeat_response"]
    ),
    "heartbeat-before-auth-unknown": _in_turn(HELLO, BEAT)._replace(
        clean=["hello_response", _TOKEN], wrong=["hello_response", _UNKNOWN]
    ),
    "unknown-type-before-auth-as-invalid-token": Probe(authenticating({"type": "x"}), [_UNKNOWN], [_TOKEN]),
    "tunnel-before-auth-as-invalid-tunnel-info": Probe(authenticating(tunnel()), [_TOKEN], [_INFO]),
    "close-after-unknown-type": _ended(HELLO, auth(), {"type": "x"})._replace(
        clean=[False] * 3, wrong=[False, False, True]
    ),
    "tunnel-before-auth-closes": _ended(HELLO, tunnel())._replace(clean=[False] * 2, wrong=[False, True]),
    "refused-tunnel-closes": _ended(HELLO, auth(), tunnel(tenant="b"))._replace(
        clean=[False] * 3, wrong=[False, False, True]
    ),
    "failed-transfer-closes": Probe(
        _dialled, ("data_transfer_failed", False), ("data_transfer_failed", True), {"probe": True}
    ),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {point.id for point in order.OPEN_POINTS} == set(PROBES)


def test_what_doesn_t_concern_it_is_as_before() -> None:
    assert asking(BEAT)(MemoryRelay()) == ["heartbeat_response"]
