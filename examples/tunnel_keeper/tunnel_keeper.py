"""Keeps tunnels open at a relay: it comes back whenever anything goes wrong that may be better the next time."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

WORTH_RETRYING = {"server_unavailable", "rate_limit_exceeded", "buffer_pool_exhausted", "data_transfer_failed"}


class Refused(Exception):
    """The relay refused, and would refuse again; `code` is the error's."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the relay refuses: {code}")
        self.code = code


class GaveUp(Exception):
    """Nothing has worked for so many attempts; the cause is the last one's."""


@dataclass
class Keeper:
    """Tunnels to be kept open.

    `fetch_token` gives a new token; `heartbeat`, `patience` (with an answer) and `pause` (before the second attempt,
    doubled for each one more) are in seconds; after `attempts` in vain it gives up. `connections` counts them.
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
    attempts: int = 5
    connections: int = 0
    beats: int = 0
    _token: str | None = None

    async def keep(self, beats: int | None = None) -> None:
        """Keep the tunnels open, until so many heartbeats were answered in all; raises Refused or GaveUp."""
        failures = 0
        while True:
            before = self.beats
            try:
                await self._connect(beats)
            except ssl.SSLCertVerificationError:
                raise  # whoever that is, it isn't the relay
            except Refused as refused:
                if refused.code not in WORTH_RETRYING:
                    raise
                reason: Exception = refused
            except (OSError, EOFError, ValueError) as error:  # a time-out is an OSError, broken JSON a ValueError
                reason = error
            else:
                return
            failures = 1 if self.beats > before else failures + 1
            if failures >= self.attempts:
                raise GaveUp(f"no luck in {failures} attempts") from reason
            await asyncio.sleep(self.pause * 2 ** (failures - 1))

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
                said = {"type": "tunnel_info", "tunnel_id": tunnel, "tenant_id": self.tenant, **end}
                answer = await self._ask(reader, writer, "tunnel_response", **said)
                if answer.get("tunnel_id") != tunnel:
                    raise ValueError("the answer is about another tunnel")
            while beats is None or self.beats < beats:
                await self._ask(reader, writer, "heartbeat_response", type="heartbeat")
                self.beats += 1
                await asyncio.sleep(self.heartbeat)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)  # for the transport to be gone when the loop is

    async def _authenticate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Authenticate with the token at hand; where it isn't good any more, with a new one."""
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
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wanted: str, **said: object
    ) -> dict[str, Any]:
        """Say a message and return its answer; raises Refused, or ValueError where it isn't the one that is wanted."""
        writer.write(json.dumps(said).encode() + b"\n")
        async with asyncio.timeout(self.patience):
            line = await reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the relay ended the connection")
        answer = json.loads(line)
        if isinstance(answer, dict) and answer.get("type") == "error":
            raise Refused(str(answer.get("code")))
        if not isinstance(answer, dict) or answer.get("type") != wanted:
            raise ValueError("the relay said something else")
        return answer
