"""The I/O that a session needs before it can answer: dialling the remote end, and updating the issuer's keys."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.steps import Dial, IoRequest
from cbspec_simulator.relay.relay import Relay


def io_work(request: IoRequest, relay: Relay, clock: Clock) -> Coroutine[None, None, bool | None] | None:
    """Return the I/O of a request, which returns False if it fails; None if the keys are known."""
    if isinstance(request, Dial):
        return _dial(request, relay.config.relay.probe_timeout)
    now = clock.monotonic()
    if relay.keyring is not None and relay.keyring.stale(request.token, now):
        return relay.keyring.refresh(request.token, now)
    return None


async def _dial(request: Dial, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(asyncio.Protocol, request.host, request.port)
    except (OSError, ValueError):  # a time-out is an OSError, an impossible host name a ValueError
        return False
    transport.abort()
    return True
