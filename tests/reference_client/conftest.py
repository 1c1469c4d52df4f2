"""Certificates, and a client connected to a scripted relay."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cbspec.protocol.messages import Message
from cbspec.tls_contexts import server_context
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client import Client, Timeouts, connect
from tests.support.relay import MessageScript, ScriptedRelay, Step, except_for
from tests.support.tls import write_certificates

TIMEOUTS = Timeouts(connect=20.0, answer=20.0, heartbeat=20.0, close=5.0)
"""Long enough for a busy machine; a test that waits for a time-out sets its own."""
KEY = SigningKey.hmac("a secret of the tests, long enough for HS256")
TOKEN = mint(KEY, {"sub": "user123", "tenant_id": "tenant-001"})

Script = dict[type[Message], Sequence[Step]] | MessageScript
Connected = Callable[..., AbstractAsyncContextManager[tuple[Client, ScriptedRelay]]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two CAs and a server certificate of each, `our` and `their`."""
    return write_certificates(tmp_path_factory.mktemp("certificates"), "our", "their")


@pytest.fixture(scope="session")
def ca(certificates: Path) -> Path:
    """Return the CA of the scripted relay."""
    return certificates / "our-ca.pem"


@pytest.fixture(scope="session")
def context(certificates: Path) -> ssl.SSLContext:
    """Return the scripted relay's TLS context."""
    return server_context(certificates / "our-server.pem")


@pytest.fixture
def connected(context: ssl.SSLContext, ca: Path) -> Connected:
    """Return a function that starts a scripted relay, by default a conforming one, and connects a client to it."""

    @asynccontextmanager
    async def start(script: Script | None = None, **options: Any) -> AsyncIterator[tuple[Client, ScriptedRelay]]:  # noqa: ANN401 - those of `connect`
        answers = except_for(script or {}) if script is None or isinstance(script, dict) else script
        async with ScriptedRelay(context, answers).serving() as server:
            host, settings = "127.0.0.1", {"ca": ca, "timeouts": TIMEOUTS, **options}
            async with connect(host, server.port, **settings) as client:
                yield client, server

    return start


async def authenticate(client: Client) -> None:
    """Send hello and auth."""
    await client.hello()
    await client.authenticate(TOKEN)


async def whole_session(client: Client) -> None:
    """Send each request once."""
    await authenticate(client)
    await client.open_tunnel("t", 1, "h", 2)
    await client.heartbeat()
