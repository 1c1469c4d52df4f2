"""What a probe is: it takes a relay that is made with a change, and gives what was to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cbspec.profile.target import Rate, Tenant
from cbspec_simulator.variations.compose import Change
from cbspec_simulator.variations.deviations import KNOWN
from tests.support.memory import HELLO, Body, MemoryClient, MemoryRelay, auth, tunnel

Look = Callable[[MemoryRelay], object]
Answers = Callable[[MemoryRelay], list[Body]]
Met = Callable[[MemoryRelay], list[str]]
TENANTS = (
    Tenant("a"),
    Tenant("b"),
    Tenant("tunnels", tunnel_limit=2),
    Tenant("connections", connection_limit=2),
    Tenant("rate", rate=Rate(1.0, 20, "tenant")),
    Tenant("rate-2", rate=Rate(1.0, 20, "tenant")),
    Tenant("here", allowed_addresses=("127.0.0.1",)),
    Tenant("elsewhere", allowed_addresses=("192.0.2.0/24",)),
    Tenant("asleep", active=False),
)


class Probe(NamedTuple):
    """`look` sees `clean` at a relay that conforms and `wrong` at the one that deviates; `rules` are the relay's."""

    look: Look
    clean: object
    wrong: object
    rules: dict[str, Any] = {}  # noqa: RUF012 - never changed


def show(probes: dict[str, Probe], id_: str) -> None:
    """Assert that a deviation is there, and absent from the clean relay."""
    probe = probes[id_]
    assert probe.look(_relay(lambda behaviour: behaviour, probe)) == probe.clean
    assert probe.look(_relay(KNOWN[id_].change, probe)) == probe.wrong


def _relay(change: Change, probe: Probe) -> MemoryRelay:
    return MemoryRelay(*TENANTS, change=change, **probe.rules)


def met(client: MemoryClient, data: bytes | Body) -> list[str]:
    """Send, and say what came back: types, codes of errors."""
    return [
        str(body.get("code", body["type"]) if body["type"] == "error" else body["type"]) for body in client.send(data)
    ]


def enter(memory: MemoryRelay, tenant: str = "a") -> MemoryClient:
    """Connect, say hello and authenticate, whatever is answered."""
    client = memory.client()
    client.send(HELLO)
    client.send(auth(tenant))
    return client


def hello(memory: MemoryRelay) -> list[Body]:
    """Say hello."""
    return memory.client().send(HELLO)


def authenticating(what: bytes | Body) -> Met:
    """Say what an auth meets."""

    def look(memory: MemoryRelay) -> list[str]:
        client = memory.client()
        client.send(HELLO)
        return met(client, what)

    return look


def asking(what: bytes | Body, tenant: str = "a") -> Met:
    """Say what a message meets on an authenticated connection."""
    return lambda memory: met(enter(memory, tenant), what)


def opening(*names: str, tenant: str = "a") -> Met:
    """Say what tunnel_infos meet on one connection, one after another."""

    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory, tenant)
        return [one for name in names for one in met(client, tunnel(name, tenant))]

    return look


def member(look: Answers, name: str) -> Look:
    """Say what an answer's member is; `...` where it lacks it."""
    return lambda memory: [body.get(name, ...) for body in look(memory)]
