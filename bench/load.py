"""The load on a server: sessions, bare handshakes, and heartbeats on open connections.

Connections are handled in batches, each step on all of a batch before the next step, so that a busy server is measured
and not the waking of an idle one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from itertools import count
from typing import Final

from bench.server import TENANTS
from cbspec.profile.identity import development_ca_file
from cbspec.tls_contexts import client_context
from tests.support import messages
from tests.support.client import BEAT, HELLO, UPGRADE, frame
from tests.support.messages import line

BATCH: Final = 25
_PER_ADDRESS: Final = 4000  # connections per source address: a port in TIME_WAIT is blocked for a minute


class Load:
    """Connections to a server. An `echo` server needs no session before heartbeats."""

    def __init__(self, address: tuple[str, int], *, websocket: bool = False, echo: bool = False) -> None:
        self._address = address
        self._websocket = websocket
        self._echo = echo
        self._tls = client_context(development_ca_file())
        self._numbers = count()
        self._open: list[ssl.SSLSocket] = []
        self._turn = 0

    def sessions(self) -> None:
        """Run a batch of whole sessions: handshake, hello, auth, tunnel_info, heartbeat, close."""
        sockets = self._connect(BATCH)
        self._enter(sockets)
        self._ask(sockets, [BEAT] * BATCH)
        _end(sockets)

    def handshakes(self) -> None:
        """Connect and close a batch."""
        _end(self._connect(BATCH))

    def open(self, number: int) -> None:
        """Open `number` connections, with a session and a tunnel each."""
        for _ in range(0, number, BATCH):
            sockets = self._connect(BATCH)
            if self._websocket:
                _upgrade(sockets)
            if not self._echo:
                self._enter(sockets)
            self._open += sockets

    def close(self) -> None:
        """Close the open connections."""
        while self._open:
            _end(self._open[-BATCH:])
            del self._open[-BATCH:]

    def heartbeats(self, at_once: int = BATCH, among: int | None = None) -> None:
        """Exchange a heartbeat on each of the next `at_once` connections, taken in turn from the first `among`."""
        chosen = [self._open[(self._turn + nth) % (among or len(self._open))] for nth in range(at_once)]
        self._turn += at_once
        self._ask(chosen, [BEAT] * at_once)

    def _connect(self, number: int) -> list[ssl.SSLSocket]:
        sockets = []
        for _ in range(number):
            source = f"127.0.0.{2 + next(self._numbers) // _PER_ADDRESS % 200}"
            plain = socket.create_connection(self._address, 60, (source, 0))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(self._tls.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False))
        for sock in sockets:
            sock.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                sock.do_handshake()
        for sock in sockets:
            sock.setblocking(True)
            sock.do_handshake()
        return sockets

    def _enter(self, sockets: Sequence[ssl.SSLSocket]) -> None:
        tenants = [f"tenant-{nth % TENANTS}" for nth in range(len(sockets))]
        auths = [line(messages.auth(tenant, sub=f"user-{nth}")) for nth, tenant in enumerate(tenants)]
        tunnels = [line(messages.tunnel(f"t-{nth}", tenant)) for nth, tenant in enumerate(tenants)]
        for texts in ([HELLO] * len(sockets), auths, tunnels):
            self._ask(sockets, texts)

    def _ask(self, sockets: Sequence[ssl.SSLSocket], texts: Sequence[bytes]) -> None:
        for sock, text in zip(sockets, texts, strict=True):
            sock.send(frame(text.strip()) if self._websocket else text)
        for sock in sockets:
            answer = sock.recv(4096)
            if not answer or b'"error"' in answer:
                raise RuntimeError(f"the server refused: {answer!r}")


def _upgrade(sockets: Sequence[ssl.SSLSocket]) -> None:
    for sock in sockets:
        sock.send(UPGRADE + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(4096)


def _end(sockets: Sequence[ssl.SSLSocket]) -> None:
    """Exchange close_notify and close."""
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
