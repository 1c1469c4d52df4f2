"""Keeps tunnels open at a relay, and reconnects after temporary failures."""

from __future__ import annotations

import asyncio
import json
import math
import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

WORTH_RETRYING = {"server_unavailable", "rate_limit_exceeded", "buffer_pool_exhausted", "data_transfer_failed"}


class Refused(Exception):
    """The relay refused permanently; `code` is the error code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the relay refuses: {code}")
        self.code = code


class GaveUp(Exception):
    """All attempts failed; the cause is the last failure."""


@dataclass
class Keeper:
    """Keeps tunnels open.

    `fetch_token` returns a new token. In seconds: the interval of `heartbeat`, the time-out `patience` for an answer,
    and the `pause` before the second attempt. It doubles with each further one, and up to half of it is left out at
    random: otherwise many keepers would return at the same moment. The keeper gives up after `attempts` failures, which
    are counted anew once the tunnels of a connection have been open for `settled` seconds. `connections` counts the
    connections.
    """

    host: str
    port: int
    context: ssl.SSLContext
    fetch_token: Callable[[], str]
    tenant: str = "tenant-001"
    tunnels: Sequence[str] = ("desktop",)
    heartbeat: float = 30.0
    patience: float = 5.0
    pause: float = 0.5
    settled: float = 60.0
    attempts: int = 5
    connections: int = 0
    beats: int = 0
    _token: str | None = None
    _opened: float = math.inf

    async def keep(self, beats: int | None = None) -> None:
        """Keep the tunnels open until `beats` heartbeats were answered (None: forever). Raises Refused or GaveUp."""
        failures = 0
        while True:
            self._opened = math.inf
            try:
                await self._connect(beats)
            except ssl.SSLCertVerificationError:
                raise  # another server than the relay
            except Refused as refused:
                if refused.code not in WORTH_RETRYING:
                    raise
                reason: Exception = refused
            except (OSError, EOFError, ValueError) as error:  # a time-out is an OSError, broken JSON a ValueError
                reason = error
            else:
                return
            failures = 1 if time.monotonic() - self._opened >= self.settled else failures + 1
            if failures >= self.attempts:
                raise GaveUp(f"{failures} attempts failed") from reason
            await asyncio.sleep(self.pause * 2 ** (failures - 1) * random.uniform(0.5, 1))  # noqa: S311 - no secret

    async def _connect(self, beats: int | None) -> None:
        async with asyncio.timeout(self.patience):
            reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.context)
        self.connections += 1
        try:
            await self._ask(
                reader, writer, "hello_response", type="hello", version="1.0", features=["tls", "heartbeat"]
            )
            await self._authenticate(reader, writer)
            for tunnel in self.tunnels:
                end = {"local_port": 3389, "remote_host": "192.168.1.100", "remote_port": 3389}
                request = {"type": "tunnel_info", "tunnel_id": tunnel, "tenant_id": self.tenant, **end}
                answer = await self._ask(reader, writer, "tunnel_response", **request)
                if answer.get("tunnel_id") != tunnel:
                    raise ValueError("the answer is about another tunnel")
            self._opened = time.monotonic()
            while beats is None or self.beats < beats:
                await self._ask(reader, writer, "heartbeat_response", type="heartbeat")
                self.beats += 1
                await asyncio.sleep(self.heartbeat)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)  # lets the transport close before the loop does

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Authenticate with the last token, or with a new one if it has expired."""
        if self._token is not None:
            try:
                await self._ask(reader, writer, "auth_response", type="auth", token=self._token)
            except Refused as refused:
                if refused.code != "invalid_token":
                    raise
            else:
                return
        self._token = self.fetch_token()
        await self._ask(reader, writer, "auth_response", type="auth", token=self._token)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wanted: str, **members: object
    ) -> dict[str, Any]:
        """Send a message and return its answer. Raises Refused, or ValueError if the answer has another type."""
        writer.write(json.dumps(members).encode() + b"\n")
        async with asyncio.timeout(self.patience):
            line = await reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the relay ended the connection")
        answer = json.loads(line)
        if isinstance(answer, dict) and answer.get("type") == "error":
            raise Refused(str(answer.get("code")))
        if not isinstance(answer, dict) or answer.get("type") != wanted:
            raise ValueError("the relay sent another message")
        return answer
