#!/usr/bin/env python3
"""twin: a client with two tunnels. It stays up if one of them is refused, and says so.

usage: two_tunnels.py HOST PORT CA_FILE TOKEN
Heartbeats every 1 s (env HEARTBEAT); time-outs 5 s. No reconnection: exit code 1 when the link is lost or
no tunnel is left, 2 when the relay does not let us in.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from typing import Any

TIMEOUT = 5.0
HEARTBEAT = float(os.environ.get("HEARTBEAT", "1"))
stop = threading.Event()


@dataclass
class _Tunnel:
    tunnel_id: str
    local_port: int
    remote_host: str
    remote_port: int
    up: bool = False


TUNNELS = [_Tunnel("web", 8443, "intranet.example", 443), _Tunnel("db", 15432, "192.168.7.20", 5432)]


class _Failure(Exception):
    pass


class _Refusal(_Failure):
    def __init__(self, what: str, code: object) -> None:
        self.code = code if isinstance(code, str) else "?"
        super().__init__(f"{what} refused: {self.code!a}")


def say(text: str) -> None:
    print(text, flush=True)


def own_tenant(token: str) -> str:
    try:
        _, payload, _ = token.split(".")
        tenant: str = json.loads(base64.urlsafe_b64decode(payload + "==")).get("tenant_id", "")
    except (ValueError, AttributeError) as exc:
        raise _Failure("token is not a JWT") from exc
    return tenant


class _Relay:
    def __init__(self, host: str, port: int, ca: str) -> None:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
        plain = socket.create_connection((host, port), timeout=TIMEOUT)
        self.sock = context.wrap_socket(plain, server_hostname=host)
        self.pending = bytearray()

    def call(self, request: dict[str, Any], answer_type: str) -> dict[str, Any]:
        what = request["type"]
        self.sock.settimeout(TIMEOUT)
        self.sock.sendall(json.dumps(request).encode() + b"\n")
        answer = self.read(what)
        kind = answer.get("type")
        if kind == "error":
            if not isinstance(answer.get("code"), str):
                raise _Failure(f"{what}: error without a code")
            raise _Refusal(what, answer["code"])
        if kind != answer_type:
            raise _Failure(f"{what}: answered by {str(kind)[:60]!a}")
        if answer_type.startswith(("auth", "tunnel")):
            if answer.get("status") == "error":
                raise _Refusal(what, answer.get("code") or answer.get("error"))
            if answer.get("status") != "ok":
                raise _Failure(f"{what}: bad status")
        return answer

    def read(self, what: str) -> dict[str, Any]:
        timer = threading.Timer(TIMEOUT, self.abort)
        timer.start()
        try:
            while (cut := self.pending.find(b"\n")) < 0:
                part = self.sock.recv(8192)
                if not part:
                    raise _Failure(f"{what}: connection closed")
                self.pending += part
                if len(self.pending) > 1 << 20:
                    raise _Failure(f"{what}: answer too long")
        except TimeoutError:
            raise _Failure(f"{what}: no answer") from None
        finally:
            timer.cancel()
        line = bytes(self.pending[:cut])
        del self.pending[: cut + 1]
        if not line.strip():
            return self.read(what)
        try:
            answer = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            raise _Failure(f"{what}: answer is not UTF-8 JSON") from None
        if not isinstance(answer, dict):
            raise _Failure(f"{what}: answer is not an object")
        return answer

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


def session(host: str, port: int, ca: str, token: str) -> int:
    tenant = own_tenant(token)
    relay = _Relay(host, port, ca)
    try:
        hello = relay.call(
            {"type": "hello", "version": "1.0", "features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy"]},
            "hello_response",
        )
        features = hello.get("features")
        if (
            not isinstance(hello.get("version"), str)
            or not isinstance(features, list)
            or not all(isinstance(f, str) for f in features)
        ):
            raise _Failure("hello: bad answer")
        auth = relay.call({"type": "auth", "token": token}, "auth_response")
        if not isinstance(auth.get("client_id"), str):
            raise _Failure("auth: no client_id")
        if auth.get("tenant_id") != tenant:
            raise _Failure("auth: answer is for another tenant")
    except _Refusal as exc:
        say(f"not let in: {exc}")
        return 2
    for t in TUNNELS:
        try:
            answer = relay.call(
                {
                    "type": "tunnel_info",
                    "tunnel_id": t.tunnel_id,
                    "tenant_id": tenant,
                    "local_port": t.local_port,
                    "remote_host": t.remote_host,
                    "remote_port": t.remote_port,
                },
                "tunnel_response",
            )
            if answer.get("tunnel_id") != t.tunnel_id:
                raise _Failure(f"tunnel {t.tunnel_id}: answer is for another tunnel")
            t.up = True
            say(f"tunnel {t.tunnel_id}: up")
        except _Refusal as exc:
            say(f"tunnel {t.tunnel_id}: NOT up, {exc}")
            if exc.code in ("invalid_token", "tenant_not_found", "ip_not_allowed"):
                return 2
    if not any(t.up for t in TUNNELS):
        say("no tunnel left")
        return 1
    while not stop.wait(HEARTBEAT):
        relay.call({"type": "heartbeat"}, "heartbeat_response")
    relay.sock.close()
    say("bye")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if len(sys.argv) != 5:
        sys.exit("usage: two_tunnels.py HOST PORT CA_FILE TOKEN")
    try:
        code = session(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
    except (_Failure, OSError) as exc:
        say(f"link lost: {exc}")
        code = 1
    sys.exit(code)
