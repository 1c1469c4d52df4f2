"""Attacks on a relay: `python -m tests.hostile.attacks NAME HOST PORT` runs one until the process is killed.

It prints "ready" when it has opened its connections, and begins after SIGCONT.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from tests.hostile.client_hello import hello, record
from tests.support.client import HELLO, UPGRADE, auth, tunnel
from tests.support.relay import reset

MIB: Final = 1 << 20
LONG_LINE: Final = b'{"type":"heartbeat","x":"' + b"x" * MIB
DEEP: Final = b'{"type":"heartbeat","x":' + b"[" * 10**6 + b"]" * 10**6 + b"}\n"
TWICE: Final = b'{"type":"heartbeat","type":"heartbeat"}\n'
MANY_TWICE: Final = b"{" + b",".join([b'"type":"heartbeat"'] * 50_000) + b"}\n"
TINY: Final = b"{}\n" * 100_000
HANDSHAKE: Final = UPGRADE + b"\r\n"
_NUMBERS: Final = tunnel(port=10**29)
_ITEMS: Final = b'{"type":"heartbeat","x":[' + b",".join([b"[{}]"] * 200_000) + b"]}\n"
_EMPTY_FRAMES: Final = (b"\x01\x80" + bytes(4)) + (b"\x00\x80" + bytes(4)) * 50_000
_RANDOM: Final = bytes.fromhex("e1f3a79b0c5d2e8f4a6b1c9d7e0f2a3b4c5d6e7f8091a2b3")
_PATIENCE: Final = 20.0
_PAUSE: Final = 0.25  # seconds between two connections: this is one peer, not a flood of connections
_CONTEXT: Final = ssl._create_unverified_context()  # noqa: S323 - our own relay

Address = tuple[str, int]
Connect = Callable[[Address], socket.socket]
Attack = Callable[[Address], Iterator[None]]
"""Yields when the attack is ready, and attacks when it is resumed."""


def tcp(address: Address) -> socket.socket:
    """Connect without TLS."""
    return socket.create_connection(address, timeout=_PATIENCE)


def tls(address: Address) -> ssl.SSLSocket:
    """Connect with TLS."""
    return _CONTEXT.wrap_socket(tcp(address), server_hostname="localhost")


def entered(address: Address) -> ssl.SSLSocket:
    """Connect, and send hello and auth."""
    sock = tls(address)
    for request in (HELLO, auth()):
        sock.sendall(request)
        sock.recv(4096)
    return sock


def websocket(address: Address) -> ssl.SSLSocket:
    """Connect, and do the WebSocket handshake."""
    sock = tls(address)
    sock.sendall(HANDSHAKE)
    sock.recv(4096)
    return sock


def states(address: Address) -> Iterator[socket.socket]:
    """Yield connections, each in another state."""
    for data in (b"", record(hello())[:50], record(hello())):
        sock = tcp(address)
        sock.send(data)
        yield sock
    lines = (HELLO, auth(), tunnel())
    for data in (
        b"", HELLO[:9], HELLO, b"".join(lines[:2]), b"".join(lines), b"".join(lines)[:-50],
        HANDSHAKE[:40], HANDSHAKE, HANDSHAKE + b"\x81\xfe\x10\x00",
    ):  # fmt: skip
        sealed = tls(address)
        sealed.sendall(data)
        yield sealed


def _sending(connect: Connect, *data: bytes) -> Attack:
    """Connect, send data and read to the end, repeatedly."""

    def attack(address: Address) -> Iterator[None]:
        yield
        while True:
            with contextlib.suppress(OSError), connect(address) as sock:
                for piece in data:
                    sock.sendall(piece)
                sock.settimeout(1.0)
                while sock.recv(65536):
                    pass
            time.sleep(_PAUSE)

    return attack


def _asking(request: bytes) -> Attack:
    """Send a request repeatedly on one connection."""

    def attack(address: Address) -> Iterator[None]:
        yield
        while True:
            with contextlib.suppress(OSError), entered(address) as sock:
                while True:
                    sock.sendall(request)
                    if not sock.recv(65536):
                        break

    return attack


def _slow_senders(address: Address) -> Iterator[None]:
    """Send a byte a second on each of a thousand connections."""
    senders = [tls(address) for _ in range(1000)]
    yield
    for at in itertools.count():
        for number, sock in enumerate(senders):
            with contextlib.suppress(OSError):
                sock.send(HELLO[at % (len(HELLO) - 1) :][:1])
            if number % 10 == 0:
                time.sleep(0.01)


def _begun_handshakes(address: Address) -> Iterator[None]:
    """Begin handshakes and never end them, a hundred at a time."""
    begun: list[socket.socket] = []
    yield
    for data in itertools.cycle((b"", b"\x16", record(hello())[:-1], record(hello()))):
        begun.append(tcp(address))
        begun[-1].send(data)
        if len(begun) > 100:
            begun.pop(0).close()
        time.sleep(_PAUSE)


def _resets(address: Address) -> Iterator[None]:
    """Reset connections in every state."""
    yield
    while True:
        for sock in states(address):
            reset(sock)
            time.sleep(_PAUSE)


def _unread(address: Address) -> Iterator[None]:
    """Send requests without reading the answers."""
    yield
    while True:
        with contextlib.suppress(OSError), entered(address) as sock:
            sock.settimeout(_PAUSE)
            while True:
                sock.sendall(tunnel("x" * 30_000) * 20)


ATTACKS: Final[dict[str, Attack]] = {
    "1,000 slow senders": _slow_senders,
    "handshakes begun": _begun_handshakes,
    "half messages": _sending(entered, tunnel()[:40]),
    "64 MiB lines": _sending(entered, LONG_LINE[:-MIB], *[LONG_LINE[-MIB:]] * 64),
    "10^6-deep JSON": _sending(entered, DEEP),
    "30-digit numbers": _asking(_NUMBERS),
    "duplicate keys": _asking(TWICE),
    "50,000 duplicate keys": _asking(MANY_TWICE),
    "200,000 nested items": _asking(_ITEMS),
    "100,000 tiny messages": _sending(entered, TINY, TINY, TINY),
    "compressed frames": _sending(websocket, b"\xc1\x85" + bytes(4) + b"hello"),
    "50,000 empty frames": _sending(websocket, *[_EMPTY_FRAMES] * 3),
    "resets in every state": _resets,
    "plain HTTP": _sending(tcp, b"GET / HTTP/1.1\r\n\r\n"),
    "random bytes": _sending(tcp, _RANDOM),
    "answers unread": _unread,
}


def main() -> None:
    """Attack."""
    name, host, port = sys.argv[1:]
    os.nice(10)  # the attacker's own work isn't measured
    attack = ATTACKS[name]((host, int(port)))
    next(attack)
    print("ready", flush=True)
    next(attack)


if __name__ == "__main__":
    main()
