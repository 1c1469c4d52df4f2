"""What hostile peers do, over and over for as long as they are let.

It is run as `python -m tests.hostile.attacks NAME HOST PORT [idle]`.

The process reads "on" and "off" from standard input, and says "ready", "on" and "off" when it is. While it is off an
attack stands still, its connections open.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.hostile.client_hello import hello, record
from tests.support.client import HELLO, auth, tunnel

MIB: Final = 1 << 20
PATIENCE: Final = 20.0
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
_NUMBER: Final = b'{"type":"tunnel_info","tunnel_id":"t","tenant_id":"tenant-001","local_port":%d,' % 10**29
LONG_LINE: Final = b'{"type":"heartbeat","x":"' + b"x" * MIB
DEEP: Final = b'{"type":"heartbeat","x":' + b"[" * 10**6 + b"]" * 10**6 + b"}\n"
NUMBERS: Final = _NUMBER + b'"remote_host":"h","remote_port":1}\n'
TWICE: Final = b'{"type":"heartbeat","type":"heartbeat"}\n'
MANY_TWICE: Final = b"{" + b",".join([b'"type":"heartbeat"'] * 50_000) + b"}\n"
ITEMS: Final = b'{"type":"heartbeat","x":[' + b",".join([b"[{}]"] * 200_000) + b"]}\n"
TINY: Final = b"{}\n" * 100_000
COMPRESSED: Final = b"\xc1\x85" + bytes(4) + b"hello"
EMPTY_FRAMES: Final = (b"\x01\x80" + bytes(4)) + (b"\x00\x80" + bytes(4)) * 50_000

Running = Callable[[], bool]


_PACE: Final = 0.25  # seconds between two connections: it is one peer, and no flood of them


@dataclass(slots=True)
class Target:
    """The relay under attack, and what is kept from one time to the next."""

    address: tuple[str, int]
    kept: list[ssl.SSLSocket] = field(default_factory=list)
    context: ssl.SSLContext = field(default_factory=lambda: ssl._create_unverified_context())  # noqa: S323 - our own relay

    def plain(self) -> socket.socket:
        """Connect without TLS."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def tls(self) -> ssl.SSLSocket:
        """Connect."""
        return self.context.wrap_socket(self.plain(), server_hostname="localhost")

    def greeted(self) -> ssl.SSLSocket:
        """Connect, say hello and authenticate."""
        sock = self.tls()
        for request in (HELLO, auth()):
            sock.sendall(request)
            sock.recv(4096)
        return sock

    def websocket(self) -> ssl.SSLSocket:
        """Connect, and open a WebSocket."""
        sock = self.tls()
        sock.sendall(_UPGRADE)
        sock.recv(4096)
        return sock


Connect = Callable[[Target], socket.socket]
Attack = Callable[[Target, Running], None]


def reset(sock: socket.socket) -> None:
    """Break a connection off."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _each(
    connect: Callable[[Target], socket.socket], *sent: bytes, times: int = 1
) -> Callable[[Target, Running], None]:
    """Return what connects, sends something so many times and reads to the end, again and again."""

    def attack(target: Target, running: Running) -> None:
        while running():
            with contextlib.suppress(OSError), connect(target) as sock:
                for _ in range(times):
                    for data in sent:
                        sock.sendall(data)
                sock.settimeout(1.0)
                while running() and sock.recv(65536):
                    pass
            time.sleep(_PACE)

    return attack


def _asking(connect: Connect, request: bytes) -> Attack:
    """Return what asks again and again on one connection."""

    def attack(target: Target, running: Running) -> None:
        while running():
            with contextlib.suppress(OSError), connect(target) as sock:
                while running():
                    sock.sendall(request)
                    if not sock.recv(65536):
                        break

    return attack


def slow_senders(target: Target, running: Running) -> None:
    """Send a byte a second on each of a thousand connections."""
    for at in range(10**9):
        for number, sock in enumerate(target.kept):
            with contextlib.suppress(OSError):
                sock.send(HELLO[at % (len(HELLO) - 1) :][:1])
            if number % 10 == 0:
                if not running():
                    return
                time.sleep(0.01)


def many(target: Target, count: int = 1000) -> None:
    """Open the connections of slow senders."""
    target.kept = [target.tls() for _ in range(count)]


def begun_handshakes(target: Target, running: Running) -> None:
    """Begin handshakes and never end them, a hundred open at a time."""
    begun: list[socket.socket] = []
    parts = (b"", b"\x16", record(hello())[:-1], record(hello()))
    while running():
        sock = target.plain()
        sock.send(parts[len(begun) % 4])
        begun.append(sock)
        if len(begun) > 100:
            begun.pop(0).close()
        time.sleep(_PACE)
    for sock in begun:
        sock.close()


def half_messages(target: Target, running: Running) -> None:
    """Send halves of messages, and leave."""
    while running():
        with contextlib.suppress(OSError), target.greeted() as sock:
            sock.sendall(tunnel()[:40])
            time.sleep(_PACE)


def _states(target: Target) -> Iterator[socket.socket]:
    """Give connections, each in another state."""
    yield target.plain()
    half = target.plain()
    half.send(record(hello())[:50])
    yield half
    shaking = target.plain()
    shaking.send(record(hello()))
    yield shaking
    yield target.tls()
    for sent in ((HELLO,), (HELLO[:9],), (HELLO, auth()), (HELLO, auth(), tunnel()), (HELLO, auth(), tunnel()[:50])):
        sock = target.tls()
        for data in sent:
            sock.sendall(data)
        yield sock
    for raw in (_UPGRADE[:40], _UPGRADE, _UPGRADE + b"\x81\xfe\x10\x00"):
        sock = target.tls()
        sock.sendall(raw)
        yield sock


def resets(target: Target, running: Running) -> None:
    """Break connections off in every state."""
    while running():
        for sock in _states(target):
            reset(sock)
            time.sleep(_PACE)
            if not running():
                return


def unread(target: Target, running: Running) -> None:
    """Ask for as long as anything is taken, and never read an answer."""
    while running():
        with contextlib.suppress(OSError), target.greeted() as sock:
            sock.settimeout(_PACE)
            while running():
                sock.sendall(tunnel("x" * 30_000) * 20)


ATTACKS: Final[dict[str, Attack]] = {
    "1,000 slow senders": slow_senders,
    "handshakes begun": begun_handshakes,
    "half messages": half_messages,
    "64 MiB lines": _each(Target.greeted, LONG_LINE[:-MIB], *[LONG_LINE[-MIB:]] * 64),
    "10^6-deep JSON": _each(Target.greeted, DEEP),
    "30-digit numbers": _asking(Target.greeted, NUMBERS),
    "duplicate keys": _asking(Target.greeted, TWICE),
    "50,000 duplicate keys": _asking(Target.greeted, MANY_TWICE),
    "200,000 nested items": _asking(Target.greeted, ITEMS),
    "100,000 tiny messages": _each(Target.greeted, TINY, times=3),
    "compressed frames": _each(Target.websocket, COMPRESSED),
    "50,000 empty frames": _each(Target.websocket, EMPTY_FRAMES, times=3),
    "resets in every state": resets,
    "plain HTTP": _each(Target.plain, b"GET / HTTP/1.1\r\n\r\n"),
    "random bytes": _each(Target.plain, bytes.fromhex("e1f3a79b0c5d2e8f4a6b1c9d7e0f2a3b4c5d6e7f8091a2b3")),
    "answers unread": unread,
}


def main() -> None:
    """Attack while standard input says so."""
    name, host, port, *idle = sys.argv[1:]
    # The attacker's own work is not what is measured: it gives way to the others on a processor. Where other programs
    # leave no processor idle, it would never come to attack.
    if idle:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(10)
    target, on, end = Target((host, int(port))), threading.Event(), threading.Event()
    if name == "1,000 slow senders":
        many(target)

    def running() -> bool:
        on.wait()
        return not end.is_set()

    def work() -> None:
        while running():
            ATTACKS[name](target, running)

    thread = threading.Thread(target=work)
    thread.start()
    print("ready", flush=True)
    for line in sys.stdin:
        (on.set if line.strip() == "on" else on.clear)()
        print(line.strip(), flush=True)
    end.set()
    on.set()
    thread.join()


if __name__ == "__main__":
    main()
