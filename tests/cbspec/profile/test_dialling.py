"""Hosts with several addresses, some of which refuse connections or don't answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cbspec.profile.dialling import Dialler, resolve
from cbspec.profile.profile import Endpoint
from cbspec_client import Timeouts, connect
from cbspec_client.blocking import BlockingClient
from cbspec_client.errors import ConnectFailed
from cbspec_client.session import ClientSession
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_simulator import LocalRelay
from tests.support.relay import read_to_end, serving

LIVE, REFUSING, SILENT = "127.0.0.1", "127.0.0.7", "127.0.0.8"
NAME = "relay.example"
PATIENCE = 10.0

Named = Callable[..., None]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    """Give a function that sets the addresses of the name."""
    usual = socket.getaddrinfo

    def put(*hosts: str) -> None:
        def found(host: str, port: int, *rest: Any, **options: Any) -> list[Any]:  # noqa: ANN401 - its own
            if host != NAME:
                return list(usual(host, port, *rest, **options))
            kinds = [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in hosts]
            return [(family, socket.SOCK_STREAM, 6, "", (each, port)) for family, each in kinds]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return put


@contextlib.contextmanager
def silent(port: int) -> Iterator[None]:
    """Listen at the silent address with a full queue, so that the system drops further connections."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server((SILENT, port), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex((SILENT, port))
        yield


@pytest.mark.parametrize("first", [REFUSING, SILENT])
def test_the_address_that_answers_is_used_and_kept(first: str, named: Named) -> None:
    dialler = Dialler()
    with serving(read_to_end, LIVE) as relay, silent(relay.port):
        named(first, LIVE)
        began = time.monotonic()
        for _ in range(3):
            with dialler.connect(NAME, relay.port, PATIENCE) as sock:
                assert sock.getpeername() == (LIVE, relay.port)
            named(SILENT, LIVE)  # no longer tried
        assert time.monotonic() - began < PATIENCE / 2
    assert dialler.chosen(NAME, relay.port) == LIVE
    with pytest.raises(OSError, match="refused"):
        dialler.connect(NAME, relay.port, PATIENCE)


def test_one_address_is_no_choice(named: Named) -> None:
    dialler = Dialler()
    named(LIVE)
    with serving(read_to_end, LIVE) as relay, dialler.connect(NAME, relay.port, PATIENCE):
        assert dialler.chosen(NAME, relay.port) == ""


def test_a_failure_names_every_address(named: Named) -> None:
    with serving(read_to_end, LIVE) as relay:
        pass
    named(REFUSING, LIVE)
    with pytest.raises(Unreachable, match=rf"^{NAME}:\d+: {REFUSING}: .*refused; {LIVE}: .*refused$"):
        tcp_connect(Endpoint(NAME, relay.port), None, PATIENCE)
    named(SILENT, LIVE)
    with silent(relay.port), pytest.raises(TimeoutError, match=f"{SILENT}: timed out; {LIVE}: .*refused"):
        Dialler().connect(NAME, relay.port, 0.5)


def test_families_take_turns_and_the_source_chooses_one(named: Named) -> None:
    named("::1", "::2", "127.0.0.1", "127.0.0.2", "::1")
    assert [each.host for each in resolve(NAME, 1)] == ["::1", "127.0.0.1", "::2", "127.0.0.2"]
    assert [each.host for each in resolve(NAME, 1, "127.0.0.9")] == ["127.0.0.1", "127.0.0.2"]
    named("::1")
    with pytest.raises(OSError, match="no address of the family"):
        resolve(NAME, 1, "127.0.0.9")


def test_clients_use_the_address_that_answers(relay_module: LocalRelay, named: Named) -> None:
    context, port = relay_module.ssl_context(), relay_module.port
    named(SILENT, REFUSING, LIVE)
    with silent(port):
        session = ClientSession(context, LIVE)
        with BlockingClient.open(session, NAME, port, limit=PATIENCE) as client:
            assert client.failure is None

        async def address() -> str:
            limits = Timeouts(connect=PATIENCE)
            async with connect(NAME, port, ca=relay_module.ca_file, server_name=LIVE, timeouts=limits) as one:
                return one.address

        assert asyncio.run(address()) == LIVE
    named(REFUSING, SILENT)
    with pytest.raises(ConnectFailed, match=REFUSING):
        BlockingClient.open(ClientSession(context, LIVE), NAME, port, limit=PATIENCE)
