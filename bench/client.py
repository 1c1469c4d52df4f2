"""The load, a process of its own: `python -m bench.client PORT KIND TENANTS`, told on standard input what to do.

A line there is an act and a number: `sessions` and `handshakes` are begun and ended together, twenty-five
at a time, each step on all of them before the next one; with `lonely` and `lonely-handshakes` there is only one at a
time, so that both ends fall asleep between the steps. `open` has so
many connections open and authenticated with a tunnel each, `beats` are exchanged on those in turn, fifty at a time,
`drop` closes so many. It answers each line with one of its own. KIND is tcp, websocket, echo (TLS and nothing else) or
websocket-echo.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from bench.processes import tenant_name
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.protocol.tls import client_context
from cbspec.tokens.jwt import SigningKey, mint

BEAT: Final = b'{"type":"heartbeat"}'
_HELLO: Final = b'{"type":"hello","version":"1.0","features":["tls","heartbeat","tunnel_info"]}'
_AT_ONCE: Final = 50
_TOGETHER: Final = 25
_PER_ADDRESS: Final = 4000  # connections from one source address: a port in TIME_WAIT can't be had again for a minute
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Load:
    """What one client process does.

    Arguments: `port` of 127.0.0.1, `kind` of server, and among how many `tenants` the connections are spread.
    """

    def __init__(self, port: int, kind: str, tenants: int) -> None:
        self._port = port
        self._websocket = kind.startswith("websocket")
        self._silent = kind.endswith("echo")
        self._tenants = tenants
        self._tls = client_context(development_ca().ca_file)
        self._key = SigningKey.hmac(DEVELOPMENT_SECRET)
        self._numbers = count()
        self._open: list[ssl.SSLSocket] = []
        self._next = 0
        self.acts: dict[str, Callable[[int], None]] = {
            "sessions": self._sessions,
            "handshakes": self._handshakes,
            "lonely": self._lonely,
            "lonely-handshakes": self._lonely_handshakes,
            "open": self._open_all,
            "beats": self._beats,
            "tens": lambda number: self._beats(number, 10),
            "same-ten": lambda number: self._beats(number, 10, 10),
            "drop": self._drop,
        }

    def _sessions(self, number: int) -> None:
        for _ in range(0, number, _TOGETHER):
            sockets = self._connected(_TOGETHER)
            asked = [self._opening(nth) for nth in range(_TOGETHER)]
            for texts in zip(*asked, strict=True):
                _ask(sockets, [self._spelt(text) for text in texts])
            _ask(sockets, [self._spelt(BEAT)] * _TOGETHER)
            _end(sockets)

    def _lonely(self, number: int) -> None:
        for nth in range(number):
            sockets = self._connected(1)
            for text in (*self._opening(nth), BEAT):
                _ask(sockets, [self._spelt(text)])
            _end(sockets)

    def _handshakes(self, number: int) -> None:
        for _ in range(0, number, _TOGETHER):
            _end(self._connected(_TOGETHER))

    def _lonely_handshakes(self, number: int) -> None:
        for _ in range(number):
            _end(self._connected(1))

    def _open_all(self, number: int) -> None:
        for nth in range(number):
            (sock,) = self._connected(1)
            if self._websocket:
                _upgrade(sock)
            for text in () if self._silent else self._opening(nth):
                _ask([sock], [self._spelt(text)])
            self._open.append(sock)

    def _beats(self, number: int, at_once: int = _AT_ONCE, among: int | None = None) -> None:
        beat, among = self._spelt(BEAT), among or len(self._open)
        for _ in range(0, number, at_once):
            batch = [self._open[(self._next + nth) % among] for nth in range(at_once)]
            self._next += at_once
            _ask(batch, [beat] * at_once)

    def _drop(self, number: int) -> None:
        for _ in range(number):
            _end([self._open.pop()])

    def _connected(self, number: int) -> list[ssl.SSLSocket]:
        """Connect so many and shake hands, each step on all before the next."""
        sockets = [self._connect() for _ in range(number)]
        for sock in sockets:
            sock.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                sock.do_handshake()
        for sock in sockets:
            sock.setblocking(True)
            sock.do_handshake()
        return sockets

    def _connect(self) -> ssl.SSLSocket:
        source = f"127.0.0.{2 + next(self._numbers) // _PER_ADDRESS % 200}"
        plain = socket.create_connection(("127.0.0.1", self._port), 60, (source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._tls.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False)

    def _opening(self, nth: int) -> tuple[bytes, ...]:
        """Return a session's hello, auth and tunnel_info."""
        tenant = tenant_name(nth % self._tenants)
        claims = {"sub": f"user-{nth}", "tenant_id": tenant, "exp": int(time.time()) + 3600}
        auth = {"type": "auth", "token": mint(self._key, claims)}
        ports = {"local_port": 3389, "remote_host": "127.0.0.1", "remote_port": 3389}
        tunnel = {"type": "tunnel_info", "tunnel_id": f"tunnel-{nth}", "tenant_id": tenant, **ports}
        return _HELLO, json.dumps(auth).encode(), json.dumps(tunnel).encode()

    def _spelt(self, text: bytes) -> bytes:
        """Return a message as it goes on the wire; a WebSocket's mask of zeros leaves the bytes as they are."""
        if not self._websocket:
            return text + b"\n"
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
        return b"\x81" + size + bytes(4) + text


def _ask(sockets: Sequence[ssl.SSLSocket], texts: Sequence[bytes]) -> None:
    """Send each its text, then wait for each answer."""
    for sock, text in zip(sockets, texts, strict=True):
        sock.send(text)
    for sock in sockets:
        said = sock.recv(4096)
        if not said or b'"error"' in said:
            raise RuntimeError(f"the server refused: {said!r}")


def _upgrade(sock: ssl.SSLSocket) -> None:
    sock.send(_UPGRADE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        came = sock.recv(4096)
        if not came:
            raise RuntimeError(f"the server opened no WebSocket: {head!r}")
        head += came


def _end(sockets: Sequence[ssl.SSLSocket]) -> None:
    """Say close_notify, wait for the server's, and close."""
    waiting = []
    for sock in sockets:
        sock.setblocking(False)
        try:
            sock.unwrap().close()
        except ssl.SSLWantReadError:
            waiting.append(sock)
    for sock in waiting:
        sock.setblocking(True)
        sock.unwrap().close()


def main() -> None:
    """Do what standard input says."""
    port, kind, tenants = sys.argv[1:]
    load = Load(int(port), kind, int(tenants))
    for line in sys.stdin:
        act, _, number = line.partition(" ")
        load.acts[act](int(number))
        os.write(1, b"done\n")


if __name__ == "__main__":
    main()
