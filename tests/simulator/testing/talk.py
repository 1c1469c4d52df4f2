"""A blocking client of the tests' own: the standard library, and JSON written by hand."""

from __future__ import annotations

import json
import socket
import ssl
from types import TracebackType
from typing import Any, Self

from cbspec_simulator import LocalRelay
from tests.support.client import PATIENCE

HELLO = {"type": "hello", "version": "1.0", "features": ["tls"]}
BEAT = {"type": "heartbeat"}

Body = dict[str, Any]


def tunnel(name: str = "t", tenant: str = "tenant-001") -> Body:
    """Return a tunnel_info."""
    ends = {"local_port": 3389, "remote_host": "127.0.0.1", "remote_port": 3389}
    return {"type": "tunnel_info", "tunnel_id": name, "tenant_id": tenant, **ends}


class Talk:
    """A connection to a local relay, for the time of a `with`."""

    def __init__(self, relay: LocalRelay, context: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(relay.address, PATIENCE)
        try:
            self.socket = (context or relay.ssl_context()).wrap_socket(plain, server_hostname=relay.host)
        except BaseException:
            plain.close()
            raise
        self._relay = relay
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.socket.close()

    def say(self, *bodies: Body) -> None:
        """Send messages, one behind the other."""
        self.socket.sendall(b"".join(json.dumps(body).encode() + b"\n" for body in bodies))

    def line(self) -> bytes:
        """Return the next line; nothing, or less than a line, where the relay ended."""
        try:
            return self._file.readline()
        except (ConnectionError, ssl.SSLEOFError):
            return b""

    def ask(self, body: Body) -> Body:
        """Send a message and return the answer; empty where the relay ended."""
        self.say(body)
        line = self.line()
        return dict(json.loads(line)) if line else {}

    def asked(self, body: Body) -> str:
        """Send a message; return the answer's type, an error's code, or "" where the relay ended."""
        answer = self.ask(body)
        return str(answer.get("code", answer.get("type", "")))

    def auth(self, tenant: str = "tenant-001") -> Body:
        """Return an auth for the relay."""
        return {"type": "auth", "token": self._relay.token(tenant)}

    def enter(self, tenant: str = "tenant-001") -> list[str]:
        """Say hello and authenticate; return what was answered."""
        return [self.asked(HELLO), self.asked(self.auth(tenant))]


def enters(relay: LocalRelay, tenant: str = "tenant-001") -> list[str]:
    """Say hello and authenticate on a connection of its own; return what was answered."""
    with Talk(relay) as talk:
        return talk.enter(tenant)
