"""Each of the eleven codes where it is due: its type, its members, or silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.variations.deviations.probe import Probe, enter, show
from tests.support.memory import BEAT, HELLO, NOW, Body, MemoryRelay, auth, tunnel

Draw = Callable[[MemoryRelay], list[Body]]


def _auth(body: Body) -> Draw:
    def draw(memory: MemoryRelay) -> list[Body]:
        client = memory.client()
        client.send(HELLO)
        return client.send(body)

    return draw


def _hellos(number: int) -> Draw:
    return lambda memory: [memory.client().send(HELLO) for _ in range(number)][-1]


def _asked(*bodies: Body, tenant: str = "a") -> Draw:
    def draw(memory: MemoryRelay) -> list[Body]:
        client = enter(memory, tenant)
        return [client.send(body) for body in bodies][-1]

    return draw


def _out_of_reach(memory: MemoryRelay) -> list[Body]:
    client = enter(memory)
    client.send(tunnel())
    return client.dialled(False)


_THREE = [tunnel(name) for name in "xyz"]
DRAWN: dict[str, tuple[Draw, str, str, dict[str, object]]] = {
    "invalid_token": (_auth(auth(exp=NOW - 700)), "token_expired", "auth_response", {}),
    "rate_limit_exceeded": (_asked(*[BEAT] * 30, tenant="rate"), "too_many_requests", "", {}),
    "connection_limit_reached": (_hellos(3), "too_many_connections", "", {"connection_limit": 2}),
    "server_unavailable": (_hellos(1), "service_unavailable", "", {"draining": True}),
    "invalid_tunnel_info": (_asked(tunnel(remote_port=70000)), "bad_port", "tunnel_response", {}),
    "unknown_message_type": (_asked({"type": "x"}), "unsupported", "", {}),
    "tenant_limit_exceeded": (
        _asked(*[tunnel(name, "tunnels") for name in "xyz"], tenant="tunnels"), "quota_exceeded", "tunnel_response", {},
    ),
    "tenant_not_found": (_auth(auth("nobody")), "no_such_tenant", "auth_response", {}),
    "ip_not_allowed": (_auth(auth("elsewhere")), "forbidden", "auth_response", {}),
    "buffer_pool_exhausted": (_asked(*_THREE), "out_of_memory", "tunnel_response", {"buffer_pool": 2}),
    "data_transfer_failed": (_out_of_reach, "dial_failed", "tunnel_response", {"probe": True}),
}  # fmt: skip
_SHOWN_ELSEWHERE = ("rate_limit_exceeded", "connection_limit_reached", "server_unavailable", "unknown_message_type")


def _summary(draw: Draw) -> Callable[[MemoryRelay], list[tuple[object, ...]]]:
    """Say of each answer its type, its code, whether it has a message, and its status."""
    return lambda memory: [
        (body["type"], body.get("code"), "message" in body, body.get("status")) for body in draw(memory)
    ]


PROBES: dict[str, Probe] = {}
for _code, (_draw, _unlisted, _answer, _rules) in DRAWN.items():
    _wrong: dict[str, list[tuple[object, ...]]] = {
        "unlisted": [("error", _unlisted, True, None)],
        "without-code": [("error", None, True, None)],
        "without-message": [("error", _code, False, None)],
        "as-its-own-type": [(_code, None, True, None)],
        **({} if _code in _SHOWN_ELSEWHERE else {"silent": []}),
        **({"as-a-status": [(_answer, None, False, "error")]} if _answer else {}),
    }
    for _kind, _seen in _wrong.items():
        PROBES[f"{_code.replace('_', '-')}-{_kind}"] = Probe(
            _summary(_draw), [("error", _code, True, None)], _seen, _rules
        )


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
