"""Five relays of a few lines, with real sockets, TLS and the development CA: each wrong in the simplest way there is.

They speak lines of JSON or, where a connection begins as HTTP, WebSocket: by hand, with the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import random
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cbspec.profile.identity import development_ca
from cbspec.profile.profile import Endpoint
from tests.support.relay import MessageSocket, over_tls, server, serving, tolerant

Answer = Callable[[bytes], bytes | None]
"""What a relay answers to a message; None: nothing."""

Watched = Callable[[], AbstractContextManager[object]]
"""What is entered when a connection begins and left when it ends."""

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
        channel = MessageSocket(tls, upgrades=websocket)
        with watched():
            for text in channel.messages():
                if (said := answer(text)) is not None:
                    tls.sendall(channel.encode(said))

    with serving(tolerant(over_tls(context, talk))) as endpoint:
        yield endpoint
