"""tunnel_info: its answer, its place, and each of its members."""

from __future__ import annotations

import pytest

from tests.simulator.variations.deviations.probe import Answers, Look, Probe, asking, enter, member, met, show
from tests.support.memory import HELLO, MemoryRelay, tunnel

ODD = " Ångström\u212b_ﬁ "
_served, _refused = ["tunnel_response"], ["invalid_tunnel_info"]


def _opened(name: str) -> Answers:
    return lambda memory: enter(memory).send(tunnel(name))


def _names(*names: str) -> Look:
    def look(memory: MemoryRelay) -> list[object]:
        client = enter(memory)
        return [body.get("tunnel_id", ...) for name in names for body in client.send(tunnel(name))]

    return look


def _before_auth(memory: MemoryRelay) -> list[str]:
    client = memory.client()
    client.send(HELLO)
    return met(client, tunnel())


def _before_hello(memory: MemoryRelay) -> list[str]:
    return met(memory.client(), tunnel())


def _with(**members: object) -> Look:
    return asking(tunnel(**members))  # type: ignore[arg-type]


def _empty_id(memory: MemoryRelay) -> list[object]:
    return [body.get("tunnel_id", body["type"]) for body in enter(memory).send(tunnel(""))]


PROBES = {
    "tunnel-unanswered": Probe(_with(), _served, []),
    "tunnel-refused": Probe(_with(), _served, _refused),
    "tunnel-status-created": Probe(member(_opened("t"), "status"), ["ok"], ["created"]),
    "tunnel-status-missing": Probe(member(_opened("t"), "status"), ["ok"], [...]),
    "tunnel-answered-twice": Probe(_with(), _served, _served * 2),
    "tunnel-id-missing": Probe(_names("t"), ["t"], [...]),
    "tunnel-id-capitals": Probe(_names("Tunnel_1"), ["Tunnel_1"], ["TUNNEL_1"]),
    "tunnel-id-truncated": Probe(_names("tunnel_001"), ["tunnel_001"], ["tunnel_0"]),
    "tunnel-id-trimmed": Probe(_names(ODD), [ODD], [ODD.strip()]),
    "tunnel-id-normalised": Probe(_names(ODD), [ODD], [" ÅngströmÅ_fi "]),
    "tunnel-id-ascii-only": Probe(_names(ODD), [ODD], [" ?ngstr?m?_? "]),
    "tunnel-id-of-its-own": Probe(_names("x", "y"), ["x", "y"], ["t1", "t2"]),
    "tunnel-before-auth": Probe(_before_auth, ["invalid_token"], _served),
    "tunnel-before-hello": Probe(_before_hello, ["invalid_token"], _served),
    "tunnel-before-auth-wrong-code": Probe(_before_auth, ["invalid_token"], ["tenant_not_found"]),
    "tunnel-id-empty-accepted": Probe(_empty_id, ["error"], [""]),
    "tunnel-id-missing-wrong-code": Probe(_with(tunnel_id=...), _refused, ["unknown_message_type"]),
    "local-port-missing-wrong-code": Probe(_with(local_port=...), _refused, ["unknown_message_type"]),
    "local-port-over-65535-wrong-code": Probe(_with(local_port=65536), _refused, ["unknown_message_type"]),
    "remote-host-missing-wrong-code": Probe(_with(remote_host=...), _refused, ["unknown_message_type"]),
    "remote-port-string-wrong-code": Probe(_with(remote_port="3389"), _refused, ["unknown_message_type"]),
    "remote-port-zero-wrong-code": Probe(_with(remote_port=0), _refused, ["unknown_message_type"]),
}

_VALUES: dict[str, dict[str, object]] = {
    "port": {
        "missing": ...,
        "null": None,
        "string": "3389",
        "true": True,
        "negative": -1,
        "fraction": 3389.5,
        "over-65535": 65536,
        "zero": 0,
    },
    "id": {"missing": ..., "null": None, "number": 7, "array": ["t"]},
    "host": {"missing": ..., "null": None, "number": 7, "array": ["h"], "blank": " "},
}
_MEMBERS = ("tunnel_id", "local_port", "remote_host", "remote_port")


for _member in _MEMBERS:
    for _kind, _value in _VALUES[_member.rpartition("_")[2]].items():
        PROBES[f"{_member.replace('_', '-')}-{_kind}-accepted"] = Probe(_with(**{_member: _value}), _refused, _served)


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


def test_one_accepted_member_leaves_the_others_refused() -> None:
    for id_ in (id_ for id_ in PROBES if id_.endswith("-accepted")):
        for other, probe in PROBES.items():
            if other.endswith("-accepted") and other != id_ and not other.startswith("tunnel-id-empty"):
                show({id_: Probe(probe.look, probe.clean, probe.clean)}, id_)
