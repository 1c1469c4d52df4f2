"""The answer to auth, and whom it counts for."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from cbspec_simulator import Behaviour, Config, Simulator, deviated
from cbspec_simulator.settings.config import Listen
from tests.simulator.variations.deviations.probe import Probe, authenticating, enter, member, met, show
from tests.support.client import HELLO as HELLO_LINE
from tests.support.client import PATIENCE, context
from tests.support.client import auth as auth_line
from tests.support.client import tunnel as tunnel_line
from tests.support.memory import HELLO, NOW, Body, MemoryRelay, auth, tunnel

EXPIRED = auth(exp=NOW - 700)


def _auth(memory: MemoryRelay) -> list[Body]:
    client = memory.client()
    client.send(HELLO)
    return client.send(auth())


def _after_refusal(memory: MemoryRelay) -> list[str]:
    client = memory.client()
    client.send(HELLO)
    return [*met(client, EXPIRED), *met(client, tunnel())]


def _leak(memory: MemoryRelay) -> list[str]:
    _, other = enter(memory, "a"), memory.client()
    other.send(HELLO)
    return met(other, tunnel())


def _newest(memory: MemoryRelay) -> list[str]:
    one, _ = enter(memory, "a"), enter(memory, "b")
    return [*met(one, tunnel("x", "a")), *met(one, tunnel("y", "b"))]


_granted = ["auth_response"]

PROBES = {
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
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


ON_A_SOCKET = ("resumed-session-authenticated",)


@pytest.mark.parametrize(("ids", "answer"), [((), "error"), (ON_A_SOCKET, "tunnel_response")])
async def test_a_resumed_tls_session(ids: tuple[str, ...], answer: str) -> None:
    async with Simulator(Config(listen=Listen(port=0)), behaviour=deviated(Behaviour(), *ids)) as simulator:
        assert await asyncio.to_thread(_met_on_resuming, *simulator.address) == answer


def _met_on_resuming(host: str, port: int) -> str:
    """Authenticate, resume the TLS session on another connection, and say what a tunnel_info meets there."""
    trusting, session = context(), None
    for authenticates in (True, False):
        with (
            socket.create_connection((host, port), PATIENCE) as sock,
            trusting.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
            tls.makefile("rb") as lines,
        ):
            assert tls.session_reused is not authenticates
            tls.sendall(HELLO_LINE + (auth_line() if authenticates else b"") + tunnel_line())
            met = [json.loads(lines.readline())["type"] for _ in range(2 + authenticates)]
            session = tls.session
    return str(met[-1])
