"""A token, time-outs, and steps of a session with the asyncio client."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client import AuthenticatedConnection, NewConnection, Timeouts, connect
from cbspec_simulator import LocalRelay

TIMEOUTS = Timeouts(connect=20.0, answer=20.0, heartbeat=20.0, close=5.0)
"""Long enough for a busy machine; a test that waits for a time-out sets its own."""
TOKEN = mint(SigningKey.hmac("a secret of the tests, long enough for HS256"), {"sub": "u", "tenant_id": "tenant-001"})
"""A token that no relay accepts."""


def connected(relay: LocalRelay, **options: Any) -> AbstractAsyncContextManager[NewConnection]:  # noqa: ANN401 - those of `connect`
    """Connect a client."""
    return connect(*relay.address, **{"ca": relay.ca_file, "timeouts": TIMEOUTS, **options})


async def authenticate(connection: NewConnection, relay: LocalRelay) -> AuthenticatedConnection:
    """Send hello and auth."""
    return await (await connection.hello()).authenticate(relay.token())


def requests(relay: LocalRelay) -> list[str]:
    """Return the types of the requests that the relay received."""
    return [entry.type for entry in relay.transcript.requests()]
