"""What clients send through the tap in tests: valid requests, and each kind of invalid one."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from collections.abc import Callable
from typing import Any

from cbspec.tokens.jws import CompactJws, dump
from tests.conformance.tap.tapping import Tapped
from tests.support import messages
from tests.support.client import UPGRADE, RawClient, frame
from tests.support.messages import BEAT, Body, auth, line, tunnel

HELLO: Body = {
    "type": "hello",
    "version": "1.0",
    "features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"],
}
Script = Callable[[Tapped, str], object]
"""What a client does on a transport."""

_DAY = 86_400


def ask(client: RawClient, body: object, *more: object, answers: int = 1) -> list[Body]:
    """Send messages in one write, and return as many answers, fewer after the end of the connection."""
    texts = [each if isinstance(each, bytes) else line(each) for each in (body, *more)]
    with contextlib.suppress(OSError):
        client.write(b"".join(text if client.transport == "tcp" else frame(text.rstrip(b"\n")) for text in texts))
    found = []
    for text in client.texts(answers):
        with contextlib.suppress(ValueError):
            found.append(json.loads(text))
    return found


def enter(client: RawClient, **claims: object) -> None:
    """Send hello and auth."""
    ask(client, HELLO)
    ask(client, auth(**claims))


def session(tap: Tapped, transport: str) -> None:
    """Send a valid session, with two tunnels and some heartbeats."""
    with tap.client(transport) as client:
        enter(client)
        for name in ("one", 'Two "é" <b> longer than sixteen'):
            ask(client, tunnel(name))
            ask(client, BEAT)
        ask(client, BEAT)


def sessions(tap: Tapped, transport: str) -> None:
    """Send two valid sessions, the second for another tenant and with fewer features."""
    session(tap, transport)
    with tap.client(transport) as client:
        ask(client, {**HELLO, "features": ["tls", "heartbeat", "tunnel_info"]})
        ask(client, auth("tenant-002"))
        ask(client, tunnel("two", "tenant-002"))


def requests(tap: Tapped, transport: str) -> None:
    """Send each kind of invalid request, after valid ones of the same types."""
    with tap.client(transport) as client:
        enter(client)
        ask(client, tunnel("one"))
        ask(client, BEAT)
        for body in INVALID:
            ask(client, body)
            ask(client, BEAT)


def tokens(tap: Tapped, transport: str) -> None:
    """Send tokens that no relay may accept, and a tunnel_info after each."""
    session(tap, transport)
    for token in bad_tokens():
        with tap.client(transport) as client:
            ask(client, HELLO)
            ask(client, {"type": "auth", **token})
            ask(client, tunnel("after a refusal"))


def openings(tap: Tapped, transport: str) -> None:
    """Send each kind of wrong first message, and then a session."""
    session(tap, transport)
    for first in (*BAD_HELLOS, auth(), BEAT):
        with tap.client(transport) as client:
            ask(client, first)
            enter(client)
    with tap.client(transport) as client:
        ask(client, HELLO)
        ask(client, tunnel("early"))


def compressed(tap: Tapped, transport: str) -> None:
    """Send a compressed heartbeat."""
    with tap.client(transport) as client:
        enter(client)
        ask(client, BEAT)
        ask(client, gzip.compress(line(BEAT)))


def pipelined(tap: Tapped, transport: str) -> None:
    """Send a tunnel_info and a heartbeat at once."""
    with tap.client(transport) as client:
        enter(client)
        ask(client, tunnel("one"), BEAT, answers=2)


def binary(tap: Tapped, transport: str) -> None:
    """Send a hello and read the answer in a frame of any kind."""
    with tap.client(transport) as client:
        client.send(HELLO)
        client.frames_up_to(1)


def pings(tap: Tapped, transport: str) -> None:
    """Send pings between heartbeats."""
    with tap.client(transport) as client:
        enter(client)
        for number in range(3):
            client.write(frame(b"ping %d" % number, 0x89))
            ask(client, BEAT)
        ask(client, BEAT)
        ask(client, BEAT)


def unmasked(tap: Tapped, transport: str) -> None:
    """Send a message in a frame without a mask."""
    with tap.client(transport) as client:
        enter(client)
        text = line(BEAT).rstrip()
        client.write(bytes((0x81, len(text))) + text)
        client.texts(1)


def reserved(tap: Tapped, transport: str) -> None:
    """Send a message in a frame with a reserved bit."""
    with tap.client(transport) as client:
        enter(client)
        client.write(frame(line(BEAT).rstrip(), 0xA1))
        client.texts(1)


def deflate(tap: Tapped, transport: str) -> None:
    """Offer compression in the opening handshake."""
    with tap.client("tcp") as client:
        client.write(UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        client.line()


def unanswered(*bodies: object, after: bool = True) -> Script:
    """Return a script that sends messages of which the first draws no answer, and the others do, all at once."""

    def run(tap: Tapped, transport: str) -> None:
        with tap.client(transport) as client:
            if after:
                enter(client)
            ask(client, *bodies, answers=len(bodies) - 1)

    return run


def _with(body: Body, name: str, *values: Any) -> list[Body]:  # noqa: ANN401 - any JSON value
    """Return copies of a message with another value of a member; `...` leaves it out."""
    changed = [{**body, name: value} for value in values]
    return [{member: value for member, value in each.items() if value is not ...} for each in changed]


BAD_HELLOS = [
    *_with(HELLO, "version", 1.0, None, [], ..., "2.0"),
    *_with(HELLO, "features", "tls", None, {}, ["tls", 1], ..., [], ["tls", "heartbeat", "tunnel_info"]),
]
"""A hello with another version, and one with fewer features, are valid."""

INVALID: list[Any] = [
    *_with(tunnel("a"), "local_port", ..., "3389", -1, 65_536, 0, True, 1.5),
    *_with(tunnel("a"), "remote_host", ..., 7, " ", None),
    *_with(tunnel("a"), "remote_port", ..., "3389", 0, 65_536, 1.5),
    *_with(tunnel("a"), "tunnel_id", ..., "", {}),
    *_with(tunnel("a"), "tenant_id", ..., "", "tenant-002"),
    *_with({}, "type", "status", "ping", "heartbeats", " heartbeat", 7),
    {"type": "hello_response", "version": "1.0", "features": []},
    {"version": "1.0"},
    b'{"type": "heartbeat",}\n',
    b"{'type': 'heartbeat'}\n",
    b'{"type": "heartbeat", "note": "\xe9"}\n',
]


def bad_tokens() -> list[dict[str, Any]]:
    """Return the member `token`, or none, with tokens that no relay may accept."""
    now = int(time.time())
    unsigned = CompactJws(dump({"alg": "none"}), dump({"sub": "u", "tenant_id": "tenant-001", "exp": now + _DAY}), b"")
    valid_token = messages.token()
    tokens: list[Any] = [
        *(messages.token(exp=time_) for time_ in (now - _DAY, 0, -1)),
        messages.token(nbf=now + _DAY),
        messages.token(None),
        str(unsigned),
        "no token",
        "",
        None,
        [valid_token],
    ]
    return [{}, *({"token": token} for token in tokens)]
