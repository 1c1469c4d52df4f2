"""Servers of a few lines, each connection in a thread of its own: what the suite's wire and preflight meet."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cbspec.profile.profile import Endpoint

Script = Callable[[socket.socket], None]
"""What a server does with a connection; it is closed when the script returns."""

PATIENCE = 20.0
"""Seconds after which a script that waits for its peer gives up."""


@contextlib.contextmanager
def serving(script: Script) -> Iterator[Endpoint]:
    """Run `script` for every connection on a free port; what a script raises is raised in the end."""
    errors: list[BaseException] = []
    threads: list[threading.Thread] = []

    def run(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer costs 40 ms
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

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield Endpoint("127.0.0.1", listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()
    if errors:
        raise errors[0]


def server(chain: Path) -> ssl.SSLContext:
    """Return a context that serves any version that OpenSSL still has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def over_tls(context: ssl.SSLContext, script: Callable[[ssl.SSLSocket], None]) -> Script:
    """Return a script that does `script` once TLS is up."""

    def run(sock: socket.socket) -> None:
        tls = context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True)
        with tls:
            script(tls)

    return run


def below_tls(context: ssl.SSLContext, script: Script) -> Script:
    """Return a script that says "ready" over TLS and then does `script` on the plain socket."""

    def run(sock: socket.socket) -> None:
        tls = context.wrap_socket(sock, server_side=True)
        tls.sendall(b"ready")
        with socket.socket(fileno=tls.detach()) as plain:
            plain.settimeout(PATIENCE)
            script(plain)

    return run


def wait_for_end(sock: socket.socket) -> None:
    """Read until the other end closes."""
    read_to_end(sock)


def tolerant(script: Script) -> Script:
    """Return a script whose connection may fail: the other end breaks it off."""

    def run(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            script(sock)

    return run


def reset(sock: socket.socket) -> None:
    """Break a connection off with a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    sock.close()


def read_to_end(sock: socket.socket) -> bytes:
    """Return all that comes until the other end closes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := sock.recv(65536):
            data += chunk
    return data


def answering(relay: Callable[[dict[str, Any]], Iterable[bytes]]) -> Callable[[ssl.SSLSocket], None]:
    """Return a script that gives every line to `relay`, as JSON, and sends what that returns."""

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
