"""Five relays of a few lines, with real sockets, TLS and the development CA: each wrong in the simplest way there is.

They speak lines of JSON or, where a connection begins as HTTP, WebSocket: by hand, with the standard library only.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cbspec.profile.identity import development_ca
from cbspec.profile.profile import Endpoint
from tests.conformance.sockets import over_tls, server, serving, tolerant

Answer = Callable[[bytes], bytes | None]
"""What a relay answers to a message; None: nothing."""

Watched = Callable[[], AbstractContextManager[object]]
"""What is entered when a connection begins and left when it ends."""

_LARGEST_FRAME = 1 << 27  # bytes: more than the suite ever sends
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_SUCCESSES: dict[str, dict[str, Any]] = {
    "hello": {"type": "hello_response", "version": "1.0", "features": ["tls", "multi_tenancy"]},
    "auth": {"type": "auth_response", "status": "ok", "client_id": "anybody", "tenant_id": "tenant-001"},
    "tunnel_info": {"type": "tunnel_response", "status": "ok"},
}
_chance = random.Random(1)  # noqa: S311 - nobody is to be kept from guessing it


def refuse(_: bytes) -> bytes:
    """Refuse whatever comes."""
    return json.dumps({"type": "error", "code": "invalid_token", "message": "no"}).encode()


def accept(text: bytes) -> bytes:
    """Serve whatever comes, as what it resembles most."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        request = {}
    request = request if isinstance(request, dict) else {}
    answer = _SUCCESSES.get(str(request.get("type")), {"type": "heartbeat_response"})
    return json.dumps({**answer, "tunnel_id": request.get("tunnel_id") or "any"}).encode()


def echo(text: bytes) -> bytes:
    """Say what was said."""
    return text


def say_nothing(_: bytes) -> None:
    """Say nothing."""


def babble(_: bytes) -> bytes:
    """Send what comes to mind."""
    return bytes(_chance.randrange(256) for _ in range(40))


RELAYS: dict[str, Answer] = {
    "refuses": refuse,
    "accepts": accept,
    "echoes": echo,
    "is silent": say_nothing,
    "babbles": babble,
}


@contextlib.contextmanager
def tiny_relay(
    answer: Answer, folder: Path, *, websocket: bool = False, watched: Watched = contextlib.nullcontext
) -> Iterator[Endpoint]:
    """Run a relay; `websocket` says whether it answers opening handshakes, too, `watched` is around each connection."""
    chain, key = development_ca().issue("127.0.0.1")
    (folder / "server.pem").write_bytes(key + chain)

    context = server(folder / "server.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    def talk(tls: ssl.SSLSocket) -> None:
        with watched(), tls.makefile("rb") as incoming:
            first = incoming.readline()
            if websocket and first.startswith(b"GET "):
                _open(tls, list(iter(incoming.readline, b"\r\n")))
                while (text := _message(tls, incoming.read)) is not None:
                    _send(tls, answer(text), frame=True)
                return
            while first:
                _send(tls, answer(first.rstrip(b"\r\n")), frame=False)
                first = incoming.readline()

    with serving(tolerant(over_tls(context, talk))) as endpoint:
        yield endpoint


def _send(tls: ssl.SSLSocket, text: bytes | None, *, frame: bool) -> None:
    if text is not None:
        tls.sendall(_frame(0x81, text) if frame else text + b"\n")


def _open(tls: ssl.SSLSocket, headers: list[bytes]) -> None:
    keys = [line.split(b":")[1].strip() for line in headers if line.lower().startswith(b"sec-websocket-key:")]
    key = next(iter(keys), b"")
    accept_key = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    tls.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key + b"\r\n\r\n"
    )


def _message(tls: ssl.SSLSocket, read: Callable[[int], bytes]) -> bytes | None:
    """Return the next message, its fragments put together; None where the connection ends.

    Behind a frame without a mask, of which these relays know nothing, any bytes are taken for the next one's head: a
    frame beyond all measure ends the connection, too.
    """
    text = b""
    while len(head := read(2)) == 2:
        size = head[1] & 0x7F
        size = int.from_bytes(read(2 if size == 126 else 8), "big") if size > 125 else size
        if size > _LARGEST_FRAME:
            return None
        mask, data = read(4), read(size)
        plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        kind = head[0] & 0x0F
        if kind == 8:
            return None
        if kind == 9:
            tls.sendall(_frame(0x8A, plain))
        elif kind < 8:
            text += plain
            if head[0] & 0x80:
                return text
    return None


def _frame(head: int, data: bytes) -> bytes:
    if len(data) < 126:
        size = bytes([len(data)])
    elif len(data) < 65_536:
        size = b"\x7e" + len(data).to_bytes(2, "big")
    else:
        size = b"\x7f" + len(data).to_bytes(8, "big")
    return bytes([head]) + size + data
