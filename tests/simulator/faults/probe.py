"""A client that shares no code with the simulator: a socket, Python's ssl over memory, and frames made by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Self

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca_file
from cbspec.profile.target import Tenant
from cbspec_simulator import Config, Simulator
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.config import Listen

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for bytes."""

HELLO = {"type": "hello", "version": "1.0", "features": ["tls"]}
BEAT = {"type": "heartbeat"}
CONFIG = Config(listen=Listen(port=0), tenants=(Tenant("a"), Tenant("b"), Tenant("one", tunnel_limit=1)))

Body = dict[str, Any]


def auth(tenant: str = "a", subject: str = "user123") -> Body:
    """Return an auth whose token is put together by hand (Source: RFC 7515, 3)."""
    claims = {"sub": subject, "tenant_id": tenant, "exp": int(time.time()) + 600}
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.digest(DEVELOPMENT_SECRET.encode(), signed, hashlib.sha256)
    return {"type": "auth", "token": b".".join((signed, _base64url(signature))).decode()}


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def tunnel(name: str = "t", tenant: str = "a") -> Body:
    """Return a tunnel_info."""
    far = {"local_port": 3389, "remote_host": "192.168.1.100", "remote_port": 3389}
    return {"type": "tunnel_info", "tunnel_id": name, "tenant_id": tenant, **far}


class ProbedRelay:
    """A simulator as a probe reaches it: by its address; and the test's own hand on its faults, from another thread."""

    def __init__(self, simulator: Simulator) -> None:
        self.address = simulator.address
        self._faults = simulator.relay.faults
        self._loop = asyncio.get_running_loop()

    def release(self, name: str) -> None:
        """Let go what a fault holds back."""
        self._loop.call_soon_threadsafe(self._faults.release, name)

    def wire(self, transport: str) -> ProbeConnection:
        """Connect, up to where messages can be exchanged."""
        return ProbeConnection(self.address, transport).shaken().upgraded()


class ProbeConnection:
    """One connection.

    `records` holds the plain text of each TLS record that came, `frames` each WebSocket frame as (first byte, masked,
    payload), `ended` how the relay ended its half: "closed", "cut" (no close_notify) or "reset".
    """

    def __init__(self, address: tuple[str, int], transport: str = "tcp") -> None:
        self.transport = transport
        self.records: list[bytes] = []
        self.frames: list[tuple[int, bool, bytes]] = []
        self.ended = ""
        self.context = ssl.create_default_context(cafile=str(development_ca_file()))
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject
        self._notified = False
        self._plain = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def greet(self) -> None:
        """Send the ClientHello."""
        self._tls = self.context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._shake()

    def shaken(self) -> Self:
        """Do the TLS handshake; raises ssl.SSLError, or OSError where the relay ends it."""
        self.greet()
        while not self._shake():
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionAbortedError
            self._incoming.write(data)
        return self

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._pump()
        return True

    @property
    def tls_version(self) -> str | None:
        """The version of TLS that was agreed."""
        return self._tls.version()

    @property
    def certificate(self) -> Mapping[str, Any]:
        """The relay's certificate."""
        return self._tls.getpeercert() or {}

    def upgraded(self) -> Self:
        """Open the WebSocket, if this is to be one (Source: RFC 6455, 4.1)."""
        if self.transport == "websocket":
            self.ask_to_upgrade()
            while b"\r\n\r\n" not in self._plain and self._take():
                pass
            head, _, self._plain = self._plain.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.records.clear()
        return self

    def ask_to_upgrade(self) -> None:
        """Ask for a WebSocket."""
        self.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._tls.write(data)
        self._pump()

    def say(self, *bodies: Body) -> None:
        """Send messages, all of them at once."""
        texts = [json.dumps(body).encode() for body in bodies]
        self.write(b"".join(text + b"\n" if self.transport == "tcp" else _frame(text) for text in texts))

    def say_no_more(self) -> None:
        """End this half of the connection."""
        self.socket.shutdown(socket.SHUT_WR)

    def hear(self, number: int) -> list[bytes]:
        """Return the texts of the next messages, fewer where the relay ends before."""
        while len(self._texts()) < number and self._take():
            pass
        texts = self._texts()
        return [self._drop_text() for _ in texts[:number]]

    def ask(self, *bodies: Body) -> list[Body]:
        """Send messages, and return as many."""
        self.say(*bodies)
        return [json.loads(text) for text in self.hear(len(bodies))]

    def met(self, *bodies: Body, number: int | None = None) -> list[str]:
        """Send messages, and name those that come back (as many, or so many): their type, or an error's code."""
        self.say(*bodies)
        return [name(text) for text in self.hear(len(bodies) if number is None else number)]

    def raw_so_far(self) -> int:
        """Return how many bytes have come by now, below TLS; nothing else reads on this connection."""
        size = 0
        while not self.ended and select.select([self.socket], [], [], 0)[0]:
            data = self.socket.recv(65_536)
            size += len(data)
            if not data:
                self.ended = "cut"
        return size

    def frames_up_to(self, size: int) -> list[tuple[int, bool, bytes]]:
        """Return the frames that come, up to where their payloads make so many bytes or one closes."""
        while not (sum(len(payload) for first, _, payload in self.frames if first & 8 == 0) >= size):
            if any(first == 0x88 for first, _, _ in self.frames) or not self._take():
                break
            self._texts()
        return self.frames

    def bytes_to_come(self, size: int) -> bytes:
        """Return the first so many bytes that come."""
        while len(self._plain) < size and self._take():
            pass
        return self._plain[:size]

    def slow(self, body: Body, *, seconds: float = 0.2, tries: int = 5) -> bool:
        """Say whether every one of some round trips takes so long."""
        for _ in range(tries):
            began = time.monotonic()
            self.ask(body)
            if time.monotonic() - began < seconds:
                return False
        return True

    def heard(self) -> list[str]:
        """Name the messages that have come by now."""
        self.so_far()
        return [name(self._drop_text()) for _ in self._texts()]

    def end(self) -> str:
        """Say how the relay ends its half of the connection."""
        while self._take():
            pass
        return self.ended

    def so_far(self) -> list[bytes]:
        """Return what has come by now, as plain text of TLS records."""
        while not self.ended and select.select([self.socket], [], [], 0)[0] and self._take():
            pass
        return [record for record in self.records if record]

    def _texts(self) -> list[bytes]:
        if self.transport == "tcp":
            return self._plain.split(b"\n")[:-1]
        while (cut := _cut(self._plain)) is not None:
            frame, self._plain = cut
            self.frames.append(frame)
        return [payload for first, _, payload in self.frames if first == 0x81]

    def _drop_text(self) -> bytes:
        if self.transport == "tcp":
            text, _, self._plain = self._plain.partition(b"\n")
            return text
        index = next(index for index, (first, _, _) in enumerate(self.frames) if first == 0x81)
        return self.frames.pop(index)[2]

    def _take(self) -> bool:
        """Take one TLS record; say whether there was one."""
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
        try:
            while chunk := self._tls.read(65_536):
                plain += chunk
            self._notified = True
        except ssl.SSLWantReadError:
            pass
        self.records.append(plain)
        self._plain += plain
        return True

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _pump(self) -> None:
        if data := self._outgoing.read():
            self.socket.sendall(data)


def _frame(text: bytes) -> bytes:
    """Return a masked text frame (Source: RFC 6455, 5.2)."""
    mask = os.urandom(4)
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack("!H", len(text))
    return b"\x81" + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))


def _cut(data: bytes) -> tuple[tuple[int, bool, bytes], bytes] | None:
    """Return the first frame and what is behind it, if it is there whole."""
    if len(data) < 2:
        return None
    masked, size, start = bool(data[1] & 0x80), data[1] & 0x7F, 2
    wide = {126: 2, 127: 8}.get(size, 0)
    if wide:
        size, start = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
    mask = data[start : start + 4] if masked else bytes(4)
    start += 4 * masked
    if len(data) < start + size:
        return None
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data[start : start + size]))
    return (data[0], masked, payload), data[start + size :]


def name(text: bytes) -> str:
    """Name a message: its type, an error's code, or "?" where it is none."""
    try:
        body = json.loads(text)
    except ValueError:
        return "?"
    if not isinstance(body, dict):
        return "?"
    return str(body["code"] if body.get("type") == "error" else body.get("type", "?"))


class Show(NamedTuple):
    """How a kind shows: `look` sees `clean` on a relay without faults, and `wrong` with this one.

    `fault` holds parameters and condition, `config` the relay's configuration.
    """

    look: Callable[[ProbedRelay, str], object]
    clean: object
    wrong: object
    fault: Mapping[str, Any] = {}
    config: Config = CONFIG


def cases(shows: Mapping[str, tuple[Show, ...]]) -> list[Any]:
    """Return kind, show and transport of each, as parameters of a test."""
    return [
        pytest.param(kind, shown, transport, id=f"{kind}-{number}-{transport}")
        for kind, several in shows.items()
        for number, shown in enumerate(several, 1)
        for transport in KINDS[kind].transports
    ]


async def show(kind: str, shown: Show, transport: str) -> None:
    """Assert that a fault does what it says, and that nothing of it is to be seen without it."""
    fault = Fault.read({"kind": kind, "name": "it", **shown.fault})
    with _no_errors():
        await _show(fault, shown, transport)


@contextlib.contextmanager
def _no_errors() -> Iterator[None]:
    """Fail where the relay's own code failed: then it closes the connection, which may look as if it were meant."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert found == []


async def _show(fault: Fault, shown: Show, transport: str) -> None:
    for faults, expected in (((), shown.clean), ((fault,), shown.wrong)):
        async with Simulator(replace(shown.config, faults=faults)) as simulator:
            seen = await asyncio.to_thread(shown.look, ProbedRelay(simulator), transport)
            assert seen == expected, seen
