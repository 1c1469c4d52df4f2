"""The model and the simulator's relay in memory: the model accepts a conforming relay, and blames deviations."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.profile.target import Tenant
from cbspec_conformance.oracles.model import (
    NOTHING,
    Ask,
    Model,
    ModelConnection,
    ModelLimits,
    ModelStep,
)
from cbspec_simulator import DEVIATIONS
from cbspec_simulator.variations.parts import Change
from tests.support.memory import BEAT, HELLO, MemoryClient, MemoryRelay, auth, tunnel

TENANTS = (Tenant("a", tunnel_limit=2), Tenant("b", connection_limit=2), Tenant("c"))
LIMITS = ModelLimits({"a": 2, "b": None, "c": None}, {"a": None, "b": 2, "c": None}, relay=4, pool=5)
OPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "end", *Ask, Ask.TUNNEL, Ask.TUNNEL]),
        st.integers(0, 7),
        st.sampled_from("abc"),
    ),
    max_size=40,
)


Op = tuple[str | Ask, int, str]


def requests(tenant: str, number: int) -> dict[Ask, Any]:
    return {
        Ask.HELLO: HELLO,
        Ask.AUTH: auth(tenant),
        Ask.BAD_AUTH: {"type": "auth", "token": auth(tenant)["token"][:-8] + "AAAAAAAA"},
        Ask.TUNNEL: tunnel(f"t{number}", tenant),
        Ask.BAD_TUNNEL: tunnel(f"t{number}", tenant, remote_port=0),
        Ask.FOREIGN_TUNNEL: tunnel(f"t{number}", f"{tenant}-foreign"),
        Ask.HEARTBEAT: BEAT,
        Ask.UNKNOWN: {"type": "unknown"},
    }


def blamed(ops: list[Op], change: Change = lambda behaviour: behaviour) -> str:
    """Return the requirement that a relay with a change breaks in some steps, or ""."""
    memory = MemoryRelay(*TENANTS, change=change, connection_limit=4, buffer_pool=5)
    model = Model(LIMITS)
    clients: dict[int, MemoryClient] = {}
    numbers = itertools.count()

    def ask(connection: ModelConnection, kind: Ask, tenant: str) -> str:
        tenant = connection.tenant or tenant
        client, allowed = clients[id(connection)], model.allowed(connection, kind, tenant)
        bodies = client.send(requests(tenant, next(numbers))[kind])
        answer = str(bodies[0].get("code", bodies[0]["type"])) if bodies else NOTHING
        is_error = bool(bodies) and bodies[0]["type"] == "error"
        if breach := allowed.breach(answer, is_error=is_error):
            return breach
        model.happened(connection, kind, answer, is_error=is_error, tenant=tenant)
        if client.closed:
            end(connection)
        return ""

    def end(connection: ModelConnection) -> None:
        clients[id(connection)].end()
        model.ended(connection)

    def do(action: str | Ask, number: int, tenant: str) -> str:
        if action == "join":
            connection = model.connect()
            clients[id(connection)] = memory.client()
            for kind in (Ask.HELLO, Ask.AUTH, Ask.TUNNEL):
                is_served = connection.step is not ModelStep.ENDED and not connection.refused
                if is_served and (breach := ask(connection, kind, tenant)):
                    return breach
        elif model.open:
            connection = model.open[number % len(model.open)]
            if isinstance(action, Ask):
                return ask(connection, action, tenant)
            end(connection)
        return ""

    return next((breach for op in ops if (breach := do(*op))), "")


@settings(max_examples=100)
@given(OPS)
def test_a_conforming_relay_is_never_blamed(ops: list[Op]) -> None:
    assert blamed(ops) == ""


FULL: list[Op] = [("join", 0, "a"), (Ask.TUNNEL, 0, "a"), (Ask.TUNNEL, 0, "a")]
POOL: list[Op] = [("join", 0, "c"), *[(Ask.TUNNEL, 0, "c")] * 5]


@pytest.mark.parametrize(
    ("deviation", "ops", "requirement"),
    [
        ("tunnel-limit-ignored", FULL, "CB-LIM-002"),
        ("tenant-connections-ignored", [("join", 0, "b")] * 3, "CB-LIM-012"),
        ("relay-connections-ignored", [("join", 0, "c")] * 5, "CB-CON-002"),
        ("buffer-pool-ignored", POOL, "CB-BUF-002"),
        ("tunnel-limit-per-connection", [("join", 0, "a")] * 3, "CB-LIM-005"),
        ("heartbeat-unanswered", [("join", 0, "c"), (Ask.HEARTBEAT, 0, "c")], "CB-HBT-001"),
        ("tunnel-for-any-tenant", [("join", 0, "c"), (Ask.FOREIGN_TUNNEL, 0, "c")], "CB-TEN-006"),
        ("tunnel-refused", [("join", 0, "c")], "CB-TUN-001"),
    ],
)
def test_a_deviation_is_blamed_on_its_requirement(deviation: str, ops: list[Op], requirement: str) -> None:
    assert blamed(ops, DEVIATIONS[deviation].change) == requirement
    assert blamed(ops) == ""


def authenticated(model: Model, tenant: str, tunnels: int) -> ModelConnection:
    connection = model.connect()
    connection.step, connection.tenant, connection.tunnels = ModelStep.AUTHENTICATED, tenant, tunnels
    return connection


@pytest.mark.parametrize("ask", [Ask.TUNNEL, Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL])
@pytest.mark.parametrize("step", [ModelStep.NEW, ModelStep.UNGREETED_OPEN, ModelStep.GREETED, ModelStep.GREETED_OPEN])
def test_no_tunnel_is_opened_before_auth(ask: Ask, step: ModelStep) -> None:
    allowed = Model(LIMITS).allowed(ModelConnection(step), ask)
    assert allowed.breach("tunnel_response", is_error=False) == "CB-TUN-003"


def test_a_tunnel_that_was_just_released_may_still_count() -> None:
    model = Model(LIMITS)
    first, second = authenticated(model, "a", 2), authenticated(model, "a", 0)
    assert model.allowed(second, Ask.TUNNEL).answers == {"tenant_limit_exceeded"}
    model.ended(first)
    assert model.allowed(second, Ask.TUNNEL).answers == {"tunnel_response", "tenant_limit_exceeded"}
    late = Model(LIMITS, late=True)
    connection = authenticated(late, "a", 0)
    assert late.allowed(connection, Ask.TUNNEL).answers >= {"tunnel_response", "tenant_limit_exceeded"}
    connection.tunnels = 2
    assert late.allowed(connection, Ask.TUNNEL).breach("tunnel_response", is_error=False) == "CB-LIM-002"
