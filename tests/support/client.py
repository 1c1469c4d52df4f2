"""A client of the tests' own: asyncio's TLS, and bytes written by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.tokens.jwt import SigningKey, mint

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for bytes."""

HELLO = b'{"type":"hello","version":"1.0","features":["tls"]}\n'
BEAT = b'{"type":"heartbeat"}\n'


def token(tenant: str = "tenant-001", **claims: object) -> str:
    """Mint a token that is good now."""
    said = {"sub": "user123", "tenant_id": tenant, "exp": int(time.time()) + 86_400, **claims}
    return mint(SigningKey.hmac(DEVELOPMENT_SECRET), said)


def auth(tenant: str = "tenant-001", **claims: object) -> bytes:
    """Return an auth as it goes on the wire."""
    return b'{"type":"auth","token":"' + token(tenant, **claims).encode() + b'"}\n'


def tunnel(name: str = "t", tenant: str = "tenant-001", port: object = 3389) -> bytes:
    """Return a tunnel_info as it goes on the wire."""
    return (
        f'{{"type":"tunnel_info","tunnel_id":"{name}","tenant_id":"{tenant}","local_port":3389,'
        f'"remote_host":"127.0.0.1","remote_port":{port}}}\n'
    ).encode()


def context() -> ssl.SSLContext:
    """Return a context that trusts the development CA."""
    return ssl.create_default_context(cafile=str(development_ca().ca_file))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, looking again and again."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the relay tells nobody of it
            await asyncio.sleep(0.005)


class AsyncClient:
    """A TLS connection to a relay."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        host, port = self._address
        self.reader, self.writer = await asyncio.open_connection(host, port, ssl=context(), server_hostname="localhost")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def line(self) -> bytes:
        """Return the next line, or what there is when the relay closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readline()

    async def ask(self, data: bytes) -> dict[str, Any]:
        """Send bytes and return the next line's object."""
        self.write(data)
        found: dict[str, Any] = json.loads(await self.line())
        return found

    async def rest(self) -> bytes:
        """Return everything until the relay closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def flood(self, request: bytes) -> int:
        """Send a request again and again until the relay reads no more; return how often."""
        for sent in range(20, 8020, 20):
            self.write(request * 20)
            try:
                async with asyncio.timeout(1.0):
                    await self.writer.drain()
            except TimeoutError:
                return sent
        raise AssertionError("the relay reads on for ever")

    async def greet(self, tenant: str = "tenant-001") -> None:
        """Say hello and authenticate."""
        assert (await self.ask(HELLO))["type"] == "hello_response"
        assert (await self.ask(auth(tenant)))["type"] == "auth_response"


class AsyncWebSocket(AsyncClient):
    """A WebSocket over TLS, frame by frame (Source: RFC 6455, 4.1 and 5.2)."""

    async def open(self, *headers: bytes) -> bytes:
        """Shake hands with the RFC's own example key; return the relay's response."""
        lines = [
            b"GET / HTTP/1.1",
            b"Host: localhost",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Sec-WebSocket-Version: 13",
            *headers,
        ]
        self.write(b"\r\n".join(lines) + b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b"\r\n\r\n")

    def frame(self, data: bytes, opcode: int = 1, *, fin: bool = True) -> None:
        """Send one masked frame."""
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.write(bytes([opcode | (0x80 if fin else 0)]) + size + mask + masked)

    async def next(self) -> tuple[int, bytes]:
        """Return the next frame's first byte and payload; it must not be masked."""
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            assert size < 126, "masked, or longer than any answer"
            return first, await self.reader.readexactly(size)

    async def say(self, data: bytes) -> bytes:
        """Send a text message and return the answer's payload."""
        self.frame(data.strip())
        first, payload = await self.next()
        assert first == 0x81
        return payload


def accept_value() -> bytes:
    """Return the accept value of the RFC's example key, which the RFC prints as well."""
    value = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert len(base64.b64decode(value)) == 20
    return value
