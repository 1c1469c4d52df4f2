"""The model against the simulator's relay in memory: it allows what conforms, and blames what doesn't."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.profile.target import Tenant
from cbspec_conformance.oracles.model import (
    ANY_ERROR,
    ANYTHING,
    NOTHING,
    SUCCESS,
    Allowed,
    Ask,
    Model,
    ModelConnection,
    ModelLimits,
    ModelStep,
)
from cbspec_simulator import DEVIATIONS
from cbspec_simulator.variations.parts import Change
from tests.support.memory import BEAT, HELLO, Body, MemoryClient, MemoryRelay, auth, tunnel

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


class ModelRun:
    """A relay in memory beside the model."""

    def __init__(self, change: Change) -> None:
        self.memory = MemoryRelay(*TENANTS, change=change, connection_limit=4, buffer_pool=5)
        self.model = Model(LIMITS)
        self.clients: dict[int, MemoryClient] = {}
        self.names = 0
        self.blamed = ""

    def do(self, what: str | Ask, which: int, tenant: str) -> None:
        """Take a step."""
        if what == "join":
            connection = self.model.connect()
            self.clients[id(connection)] = self.memory.client()
            for ask in (Ask.HELLO, Ask.AUTH, Ask.TUNNEL):
                if connection.step is not ModelStep.ENDED and not connection.refused:
                    self.ask(connection, ask, tenant)
        elif self.model.open:
            connection = self.model.open[which % len(self.model.open)]
            if isinstance(what, Ask):
                self.ask(connection, what, tenant)
            else:
                self.end(connection)

    def ask(self, connection: ModelConnection, ask: Ask, tenant: str) -> None:
        """Ask, and hold the answer against the model."""
        whom = connection.tenant or tenant
        self.names += 1
        client, allowed = self.clients[id(connection)], self.model.allowed(connection, ask, whom)
        sends: dict[Ask, Callable[[], Body]] = {
            Ask.HELLO: lambda: HELLO,
            Ask.AUTH: lambda: auth(whom),
            Ask.BAD_AUTH: lambda: {"type": "auth", "token": auth(whom)["token"][:-8] + "AAAAAAAA"},
            Ask.TUNNEL: lambda: tunnel(f"t{self.names}", whom),
            Ask.BAD_TUNNEL: lambda: tunnel(f"t{self.names}", whom, remote_port=0),
            Ask.FOREIGN_TUNNEL: lambda: tunnel(f"t{self.names}", f"{whom}-foreign"),
            Ask.HEARTBEAT: lambda: BEAT,
            Ask.UNKNOWN: lambda: {"type": "unknown"},
        }
        bodies = client.send(sends[ask]())
        answer = str(bodies[0].get("code", bodies[0]["type"])) if bodies else NOTHING
        is_error = bool(bodies) and bodies[0]["type"] == "error"
        self.blamed = self.blamed or allowed.breach(answer, is_error=is_error)
        if not self.blamed:
            self.model.happened(connection, ask, answer, is_error=is_error, tenant=whom)
            if client.closed:
                self.end(connection)

    def end(self, connection: ModelConnection) -> None:
        """Break a connection."""
        self.clients[id(connection)].end()
        self.model.ended(connection)


def blamed(ops: list[tuple[str | Ask, int, str]], change: Change) -> str:
    """Return the requirement that a relay with a change breaks in some steps, or ""."""
    run = ModelRun(change)
    for op in ops:
        if not run.blamed:
            run.do(*op)
    return run.blamed


@settings(max_examples=300)
@given(OPS)
def test_a_conforming_relay_is_never_blamed(ops: list[tuple[str | Ask, int, str]]) -> None:
    assert blamed(ops, lambda behaviour: behaviour) == ""


FULL: list[tuple[str | Ask, int, str]] = [("join", 0, "a"), (Ask.TUNNEL, 0, "a"), (Ask.TUNNEL, 0, "a")]
ACROSS: list[tuple[str | Ask, int, str]] = [("join", 0, "a"), ("join", 0, "a"), ("join", 0, "a")]
CONNECTIONS: list[tuple[str | Ask, int, str]] = [("join", 0, "b")] * 3
RELAY: list[tuple[str | Ask, int, str]] = [("join", 0, "c")] * 5
POOL: list[tuple[str | Ask, int, str]] = [("join", 0, "c"), *[(Ask.TUNNEL, 0, "c")] * 5]


@pytest.mark.parametrize(
    ("deviation", "ops", "requirement"),
    [
        ("tunnel-limit-ignored", FULL, "CB-LIM-002"),
        ("tenant-connections-ignored", CONNECTIONS, "CB-LIM-012"),
        ("relay-connections-ignored", RELAY, "CB-CON-002"),
        ("buffer-pool-ignored", POOL, "CB-BUF-002"),
        ("tunnel-limit-per-connection", ACROSS, "CB-LIM-005"),
        ("heartbeat-unanswered", [("join", 0, "c"), (Ask.HEARTBEAT, 0, "c")], "CB-HBT-001"),
        ("remote-port-zero-accepted", [("join", 0, "c"), (Ask.BAD_TUNNEL, 0, "c")], "CB-TUN-010"),
        ("tunnel-for-any-tenant", [("join", 0, "c"), (Ask.FOREIGN_TUNNEL, 0, "c")], "CB-TEN-006"),
        ("tunnel-refused", [("join", 0, "c")], "CB-TUN-001"),
    ],
)
def test_what_a_wrong_relay_breaks_is_blamed(
    deviation: str, ops: list[tuple[str | Ask, int, str]], requirement: str
) -> None:
    assert blamed(ops, DEVIATIONS[deviation].change) == requirement
    assert blamed(ops, lambda behaviour: behaviour) == ""


def _step(**facts: object) -> ModelConnection:
    return ModelConnection(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("ask", Ask)
def test_before_hello_everything_else_is_refused(ask: Ask) -> None:
    model = Model(LIMITS)
    allowed = model.allowed(model.connect(), ask, "a")
    assert allowed.breach(SUCCESS.get(ask, "tunnel_response"), is_error=False) != "" or ask is Ask.HELLO
    assert (allowed.breach("unknown_message_type", is_error=True) == "") == (ask is not Ask.HELLO)


@pytest.mark.parametrize("ask", [Ask.TUNNEL, Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL])
@pytest.mark.parametrize("step", [ModelStep.NEW, ModelStep.UNGREETED_OPEN, ModelStep.GREETED, ModelStep.GREETED_OPEN])
def test_no_tunnel_before_auth_whatever_came_before(ask: Ask, step: ModelStep) -> None:
    assert Model(LIMITS).allowed(_step(step=step), ask).breach("tunnel_response", is_error=False) == "CB-TUN-003"


@pytest.mark.parametrize("ask", [Ask.HELLO, Ask.AUTH, Ask.BAD_AUTH])
def test_what_comes_of_a_second_hello_or_auth_is_open(ask: Ask) -> None:
    model = Model(LIMITS)
    allowed = model.allowed(_step(step=ModelStep.AUTHENTICATED, tenant="a", tunnels=1), ask, "a")
    for answer in (NOTHING, SUCCESS[ask], "invalid_token"):
        assert allowed.breach(answer, is_error=answer == "invalid_token") == ""


def test_what_closed_a_moment_ago_may_count_or_not() -> None:
    model = Model(LIMITS)
    first, second = model.connect(), model.connect()
    for each, tunnels in ((first, 2), (second, 0)):
        each.step, each.tenant, each.tunnels = ModelStep.AUTHENTICATED, "a", tunnels
    assert model.allowed(second, Ask.TUNNEL).answers == {"tenant_limit_exceeded"}
    model.ended(first)
    assert model.allowed(second, Ask.TUNNEL).answers == {"tunnel_response", "tenant_limit_exceeded"}


def test_of_a_relay_that_gives_back_late_nothing_is_demanded_but_its_limits() -> None:
    late = Model(LIMITS, late=True)
    connection = late.connect()
    connection.step, connection.tenant = ModelStep.AUTHENTICATED, "a"
    assert late.allowed(connection, Ask.TUNNEL).answers >= {"tunnel_response", "tenant_limit_exceeded"}
    connection.tunnels = 2
    assert late.allowed(connection, Ask.TUNNEL).breach("tunnel_response", is_error=False) == "CB-LIM-002"


def test_answers_that_are_allowed() -> None:
    assert Allowed(frozenset({ANYTHING}), never={"x": "CB-1"}).breach("x", is_error=False) == "CB-1"
    assert Allowed(frozenset({ANY_ERROR}), "CB-2").breach("code", is_error=True) == ""
    assert Allowed(frozenset({ANY_ERROR}), "CB-2", {"y": "CB-3"}).breach("y", is_error=False) == "CB-3"
