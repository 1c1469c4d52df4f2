"""Raw clients for tests: bytes written by hand, over Python's own TLS; no code of the kit's protocol layers.

`RawClient` blocks and sees each TLS record and WebSocket frame. `AsyncClient` and `AsyncWebSocket` run in the event
loop of the relay under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Self

from cbspec.profile.identity import development_ca_file
from cbspec_simulator import LocalRelay
from tests.support import messages
from tests.support.messages import Body, line, name

PATIENCE = 20.0
"""Seconds after which a test stops waiting for bytes."""

HELLO = line(messages.HELLO)
BEAT = line(messages.BEAT)
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
"""A WebSocket handshake request without its last line, with the example key of RFC 6455, 1.3."""


def auth(tenant: str = "tenant-001", **claims: object) -> bytes:
    """Return an auth as a line."""
    return line(messages.auth(tenant, **claims))


def tunnel(tunnel_id: str = "t", tenant: str = "tenant-001", port: object = 3389) -> bytes:
    """Return a tunnel_info as a line; `port` may be the text of any JSON number."""
    return line(messages.tunnel(tunnel_id, tenant, remote_port=0)).replace(
        b'"remote_port":0', f'"remote_port":{port}'.encode()
    )


def context() -> ssl.SSLContext:
    """Return a context that trusts the development CA."""
    return ssl.create_default_context(cafile=str(development_ca_file()))


def frame(payload: bytes, first: int = 0x81, mask: bytes | None = None) -> bytes:
    """Return a masked frame with this first byte (Source: RFC 6455, 5.2)."""
    mask, size = mask or os.urandom(4), len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 0x10000 else b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def until(condition: Callable[[], bool]) -> None:
    """Poll until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the relay has no event for it
            await asyncio.sleep(0.005)


class AsyncClient:
    """A TLS connection to a relay."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        host, port = self._address
        self.reader, self.writer = await asyncio.open_connection(host, port, ssl=context(), server_hostname="localhost")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def line(self) -> bytes:
        """Return the next line, or the bytes up to the end of input."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readline()

    async def ask(self, data: bytes) -> Body:
        """Send bytes and return the next line as an object."""
        self.write(data)
        answer: Body = json.loads(await self.line())
        return answer

    async def rest(self) -> bytes:
        """Return all bytes up to the end of input."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def flood(self, request: bytes) -> int:
        """Send a request until the relay stops reading; return how often it was sent."""
        for sent in range(20, 8020, 20):
            self.write(request * 20)
            try:
                async with asyncio.timeout(1.0):
                    await self.writer.drain()
            except TimeoutError:
                return sent
        raise AssertionError("the relay doesn't stop reading")

    async def greet(self, tenant: str = "tenant-001") -> None:
        """Send hello and auth."""
        assert (await self.ask(HELLO))["type"] == "hello_response"
        assert (await self.ask(auth(tenant)))["type"] == "auth_response"


class AsyncWebSocket(AsyncClient):
    """A WebSocket over TLS, frame by frame."""

    async def open(self) -> bytes:
        """Send the handshake request; return the response."""
        self.write(UPGRADE + b"\r\n")
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b"\r\n\r\n")

    def frame(self, data: bytes, opcode: int = 1, *, fin: bool = True) -> None:
        """Send one masked frame."""
        self.write(frame(data, opcode | (0x80 if fin else 0)))

    async def next(self) -> tuple[int, bytes]:
        """Return the first byte and the payload of the next frame, which must not be masked."""
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            assert size < 126, "masked, or longer than any answer"
            return first, await self.reader.readexactly(size)

    async def say(self, data: bytes) -> bytes:
        """Send a text message and return the payload of the answer."""
        self.frame(data.strip())
        first, payload = await self.next()
        assert first == 0x81
        return payload


class RawClient:
    """A blocking connection, TCP or WebSocket.

    `records` holds the plain text of each TLS record received, `frames` each WebSocket frame as (first byte, masked,
    payload), `tls` is the session, `ended` how the relay ended its half: "closed", "cut" (no close_notify) or "reset".
    `token` mints the tokens that `enter` sends.
    """

    def __init__(self, address: tuple[str, int], transport: str = "tcp", trust: ssl.SSLContext | None = None) -> None:
        self.transport = transport
        self.records: list[bytes] = []
        self.frames: list[tuple[int, bool, bytes]] = []
        self.ended = ""
        self.token: Callable[[str], str] = messages.token
        self.context = trust or context()
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: ssl.SSLObject
        self._notified = False
        self._plain = b""

    @classmethod
    def to(cls, relay: LocalRelay, trust: ssl.SSLContext | None = None) -> Self:
        """Connect to a local relay, with its tokens."""
        client = cls(relay.address, trust=trust or relay.ssl_context())
        client.token = relay.token
        try:
            return client.handshake()
        except BaseException:
            client.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send_client_hello(self) -> None:
        """Begin the TLS handshake."""
        self.tls = self.context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._step()

    def handshake(self) -> Self:
        """Do the TLS handshake; raises ssl.SSLError, or OSError if the relay ends it."""
        self.send_client_hello()
        while not self._step():
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionAbortedError
            self._incoming.write(data)
        return self

    def _step(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def upgraded(self) -> Self:
        """Do the WebSocket handshake, if the transport is websocket."""
        if self.transport == "websocket":
            self.write(UPGRADE + b"\r\n")
            while b"\r\n\r\n" not in self._plain and self._receive():
                pass
            head, _, self._plain = self._plain.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.records.clear()
        return self

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.tls.write(data)
        self._flush()

    def finish(self) -> None:
        """Send close_notify; the relay's data can still be read."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()

    def send(self, *bodies: Body) -> None:
        """Send messages in one TLS write."""
        self.write(b"".join(line(body) if self.transport == "tcp" else frame(line(body).rstrip()) for body in bodies))

    def texts(self, number: int) -> list[bytes]:
        """Return the texts of the next messages: fewer than `number` if the connection ends before."""
        while len(self._whole()) < number and self._receive():
            pass
        return [self._drop_text() for _ in self._whole()[:number]]

    def line(self) -> bytes:
        """Return the next line, or the bytes up to the end of input."""
        while b"\n" not in self._plain and self._receive():
            pass
        text, end, self._plain = self._plain.partition(b"\n")
        return text + end

    def ask(self, body: Body) -> Body:
        """Send a message and return the answer: empty if the connection ended."""
        self.send(body)
        return next((dict(json.loads(text)) for text in self.texts(1)), {})

    def answers(self, *bodies: Body) -> list[Body]:
        """Send messages and return as many answers."""
        self.send(*bodies)
        return [json.loads(text) for text in self.texts(len(bodies))]

    def names(self, *bodies: Body, number: int | None = None) -> list[str]:
        """Send messages and return the types, or error codes, of as many answers (or of `number`)."""
        self.send(*bodies)
        return [name(text) for text in self.texts(len(bodies) if number is None else number)]

    def name(self, body: Body) -> str:
        """Send a message and return the type or error code of its answer: "" if the connection ended."""
        return next(iter(self.names(body)), "")

    def enter(self, tenant: str = "tenant-001") -> list[str]:
        """Send hello and auth; return the types or error codes of the answers."""
        return [self.name(messages.HELLO), self.name({"type": "auth", "token": self.token(tenant)})]

    def bytes_below_tls(self) -> int:
        """Return how many bytes have arrived below TLS; nothing else may read this connection."""
        size = 0
        while not self.ended and select.select([self.socket], [], [], 0)[0]:
            data = self.socket.recv(65_536)
            size += len(data)
            if not data:
                self.ended = "cut"
        return size

    def frames_up_to(self, size: int) -> list[tuple[int, bool, bytes]]:
        """Return the frames received until their payloads have `size` bytes or a close frame arrives."""
        while sum(len(payload) for first, _, payload in self.frames if first & 8 == 0) < size and self._receive():
            self._whole()
            if any(first == 0x88 for first, _, _ in self.frames):
                break
        return self.frames

    def first_bytes(self, size: int) -> bytes:
        """Return the first `size` bytes of plain text that arrive."""
        while len(self._plain) < size and self._receive():
            pass
        return self._plain[:size]

    def is_slow(self, body: Body, *, seconds: float = 0.2, tries: int = 5) -> bool:
        """Whether each of some round trips takes at least so long."""
        began = [time.monotonic()]
        for _ in range(tries):
            self.answers(body)
            began.append(time.monotonic())
        return all(after - before >= seconds for before, after in itertools.pairwise(began))

    def is_silent(self, seconds: float = 0.2) -> bool:
        """Whether no plain text arrives within `seconds`, and the connection stays open."""
        self.socket.settimeout(seconds)
        try:
            while self._receive():
                if self._plain:
                    return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def names_so_far(self) -> list[str]:
        """Return the types or error codes of the messages that have arrived."""
        self.records_so_far()
        return [name(self._drop_text()) for _ in self._whole()]

    def end(self) -> str:
        """Read to the end of input; return how the relay ended its half."""
        while self._receive():
            pass
        return self.ended

    def records_so_far(self) -> list[bytes]:
        """Return the plain text of the TLS records that have arrived."""
        while not self.ended and select.select([self.socket], [], [], 0)[0] and self._receive():
            pass
        return [record for record in self.records if record]

    def _whole(self) -> list[bytes]:
        if self.transport == "tcp":
            return self._plain.split(b"\n")[:-1]
        while (split := _split_frame(self._plain)) is not None:
            received, self._plain = split
            self.frames.append(received)
        return [payload for first, _, payload in self.frames if first == 0x81]

    def _drop_text(self) -> bytes:
        if self.transport == "tcp":
            text, _, self._plain = self._plain.partition(b"\n")
            return text
        index = next(index for index, (first, _, _) in enumerate(self.frames) if first == 0x81)
        return self.frames.pop(index)[2]

    def _receive(self) -> bool:
        """Receive one TLS record; return False at the end of input."""
        if self.ended:
            return False
        try:
            head = self._exactly(5)
            data = head + self._exactly(int.from_bytes(head[3:5], "big"))
        except ConnectionResetError:
            self.ended = "reset"
            return False
        except EOFError:
            self.ended = "closed" if self._notified else "cut"
            return False
        self._incoming.write(data)
        plain = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while chunk := self.tls.read(65_536):
                plain += chunk
            self._notified = True
        self.records.append(plain)
        self._plain += plain
        return True

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += (more := self.socket.recv(size - len(data)))
            if not more:
                raise EOFError
        return data

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self.socket.sendall(data)


def entered(relay: LocalRelay, tenant: str = "tenant-001") -> list[str]:
    """Send hello and auth on a new connection; return the types or error codes of the answers."""
    with RawClient.to(relay) as client:
        return client.enter(tenant)


def _split_frame(data: bytes) -> tuple[tuple[int, bool, bytes], bytes] | None:
    """Return the first frame and the bytes after it, or None if it is incomplete."""
    if len(data) < 2:
        return None
    masked, size, start = bool(data[1] & 0x80), data[1] & 0x7F, 2
    if extended := {126: 2, 127: 8}.get(size, 0):
        size, start = int.from_bytes(data[2 : 2 + extended], "big"), 2 + extended
    mask = data[start : start + 4] if masked else bytes(4)
    start += 4 * masked
    if len(data) < start + size:
        return None
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data[start : start + size]))
    return (data[0], masked, payload), data[start + size :]
