"""Opens a tunnel at a CloudBridge relay, and keeps it up with heartbeats until SIGTERM.

usage: python client.py HOST PORT CA TOKEN [TENANT]

Environment: HEARTBEAT, seconds between heartbeats (30); TIMEOUT, seconds to wait for an answer (5).
Exit code: 0 after SIGTERM, 1 if the relay refuses, breaks the protocol, is silent or is lost, 2 for wrong arguments.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import ssl
import sys
import time
from typing import Any, NoReturn

HEARTBEAT = float(os.environ.get("HEARTBEAT", "30"))
TIMEOUT = float(os.environ.get("TIMEOUT", "5"))
LONGEST = 1 << 20  # bytes of a message


class Failed(Exception):
    """The session can't go on; the text gives the reason, without the token."""


class Session:
    """A connection to a relay whose certificate is verified; one request at a time."""

    def __init__(self, host: str, port: int, ca: str) -> None:
        context = ssl.create_default_context(cafile=ca)  # trusts this CA alone
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.socket = context.wrap_socket(socket.create_connection((host, port), TIMEOUT), server_hostname=host)
        self.received = b""

    def ask(self, wanted: str, **request: object) -> dict[str, Any]:
        """Send a request, and return its answer of the type `wanted`."""
        about = str(request["type"])
        self.socket.settimeout(TIMEOUT)
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        try:
            answer = self.receive(TIMEOUT, about)
        except TimeoutError:
            raise Failed(f"{about}: no answer within {TIMEOUT:g} seconds") from None
        check(answer.get("type") == wanted, f"{about}: the answer is no {wanted}")
        return answer

    def receive(self, seconds: float, about: str) -> dict[str, Any]:
        """Return the next message. Raises TimeoutError if it is not complete after `seconds`, Failed for an error."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.received:
            check(len(self.received) <= LONGEST, f"{about}: the answer is too long")
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            data = self.socket.recv(65536)
            check(data != b"", f"{about}: the relay closed the connection")
            self.received += data
        line, _, self.received = self.received.partition(b"\n")
        try:
            message = json.loads(line.decode(), parse_constant=_no_json)
        except (ValueError, RecursionError):
            raise Failed(f"{about}: the answer is not JSON in UTF-8") from None
        check(isinstance(message, dict), f"{about}: the answer is not an object")
        check(message.get("type") != "error", f"{about}: the relay reports {message.get('code')}")
        return dict(message)


def keep(session: Session, token: str, tenant: str) -> NoReturn:
    """Open a tunnel, and keep it up. Raises Failed when it is lost."""
    hello = session.ask("hello_response", type="hello", version="1.0", features=["tls", "heartbeat", "tunnel_info"])
    features = hello.get("features")
    known = isinstance(features, list) and all(isinstance(each, str) for each in features)
    check(known and isinstance(hello.get("version"), str), "hello: the answer lacks version or features")

    auth = session.ask("auth_response", type="auth", token=token)
    check(auth.get("status") == "ok" and isinstance(auth.get("client_id"), str), "auth: the relay does not say ok")
    check(auth.get("tenant_id") == tenant, "auth: the answer is about another tenant")

    remote = {"local_port": 3389, "remote_host": "192.168.1.100", "remote_port": 3389}
    tunnel = session.ask("tunnel_response", type="tunnel_info", tunnel_id="tunnel_001", tenant_id=tenant, **remote)
    check(tunnel.get("status") == "ok", "tunnel_info: the relay does not say ok")
    check(tunnel.get("tunnel_id") == "tunnel_001", "tunnel_info: the answer is about another tunnel")
    print("tunnel_001 is up", flush=True)

    while True:
        try:
            session.receive(HEARTBEAT, "between heartbeats")  # so that the end of the connection is noticed at once
        except TimeoutError:
            session.ask("heartbeat_response", type="heartbeat")
        else:
            raise Failed("the relay sent a message without a request")


def check(good: bool, problem: str) -> None:
    """Raise Failed unless all is good."""
    if not good:
        raise Failed(problem)


def tenant_of(token: str) -> str:
    """Return the tenant that a token names."""
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=="))["tenant_id"])


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)  # Python's json would read NaN and Infinity


def main() -> int:
    """Run the client; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        host, port, ca, token, *rest = sys.argv[1:]
        tenant = rest[0] if rest else tenant_of(token)
        address = host, int(port)
    except (ValueError, LookupError):
        print("usage: python client.py HOST PORT CA TOKEN [TENANT]", file=sys.stderr)
        return 2
    try:
        keep(Session(*address, ca), token, tenant)
    except (Failed, OSError) as error:
        print(f"client: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
