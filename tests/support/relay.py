"""A relay double with real sockets: one thread for each connection, standard library only.

A script handles one connection, below TLS or above it. `MessageSocket` reads lines, or WebSocket if a connection begins
as HTTP.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cbspec.profile.profile import Endpoint
from cbspec.protocol.websocket import WebSocketFramer

PATIENCE = 20.0
"""Seconds after which a script stops waiting for its peer."""

_LARGEST_MESSAGE = 1 << 27  # bytes: more than the suite ever sends

Script = Callable[[socket.socket], object]
"""Handles a connection, which is closed when the script returns."""


@contextlib.contextmanager
def serving(script: Script, host: str = "127.0.0.1") -> Iterator[Endpoint]:
    """Run `script` for each connection on a free port; an exception of a script is raised at the end."""
    errors: list[BaseException] = []
    threads: list[threading.Thread] = []

    def run(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it each answer takes 40 ms
            try:
                script(sock)
            except BaseException as error:
                errors.append(error)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=run, args=(listener.accept()[0],))
                threads.append(thread)
                thread.start()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield Endpoint(host, listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()
    if errors:
        raise errors[0]


def server(chain: Path) -> ssl.SSLContext:
    """Return a context that accepts every TLS version that OpenSSL supports."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def over_tls(context: ssl.SSLContext, script: Callable[[ssl.SSLSocket], object]) -> Script:
    """Return a script that runs `script` after the TLS handshake."""

    def run(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True) as tls:
            script(tls)

    return run


def below_tls(context: ssl.SSLContext, script: Script) -> Script:
    """Return a script that sends "ready" over TLS and then runs `script` on the plain socket."""

    def run(sock: socket.socket) -> None:
        tls = context.wrap_socket(sock, server_side=True)
        tls.sendall(b"ready")
        with socket.socket(fileno=tls.detach()) as plain:
            plain.settimeout(PATIENCE)
            script(plain)

    return run


def tolerant(script: Script) -> Script:
    """Return a script that ignores the failure of its connection."""

    def run(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            script(sock)

    return run


def reset(sock: socket.socket) -> None:
    """End a connection with a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_to_end(sock: socket.socket) -> bytes:
    """Return all bytes until the peer closes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := sock.recv(65536):
            data += chunk
    return data


def answering(relay: Callable[[dict[str, Any]], Iterable[bytes]]) -> Callable[[ssl.SSLSocket], None]:
    """Return a script that passes each line, as JSON, to `relay` and sends the answers."""

    def run(tls: ssl.SSLSocket) -> None:
        with tls.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                try:
                    request = json.loads(line)
                except ValueError:
                    request = {}
                for answer in relay(request):
                    tls.sendall(answer)

    return run


class MessageSocket:
    """The relay's end of a connection as messages: lines, or WebSocket if the first line is an HTTP request."""

    def __init__(self, tls: ssl.SSLSocket, *, upgrades: bool = True) -> None:
        self._tls = tls
        self._upgrades = upgrades
        self._websocket = False

    def messages(self) -> Iterator[bytes]:
        """Yield each message until the connection ends."""
        with self._tls.makefile("rb") as incoming:
            line = incoming.readline()
            self._websocket = self._upgrades and line.startswith(b"GET ")
            if self._websocket:
                framer = WebSocketFramer.server(max_message=_LARGEST_MESSAGE)
                while line and not framer.ended:
                    framer.feed(line)
                    self._tls.sendall(framer.data_to_send())
                    while (message := framer.next_message()) is not None:
                        yield message.text
                    line = incoming.read1()
            while line and not self._websocket:
                yield line.rstrip(b"\r\n")
                line = incoming.readline()

    def encode(self, text: bytes) -> bytes:
        """Return a message as it is sent."""
        return frame(text) if self._websocket else text + b"\n"


def frame(data: bytes, first: int = 0x81) -> bytes:
    """Return an unmasked frame with this first byte (Source: RFC 6455, 5.2)."""
    if len(data) < 126:
        size = bytes([len(data)])
    else:
        size = b"\x7e" + struct.pack("!H", len(data)) if len(data) < 65_536 else b"\x7f" + struct.pack("!Q", len(data))
    return bytes([first]) + size + data
