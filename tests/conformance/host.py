"""A bad host, a process of its own: `python -m tests.conformance.host KIND PORT FOLDER tcp|websocket`.

It stands between the suite and a relay that conforms, reads what goes by, and gives the suite a bad time in one way. A
relay's WebSocket frames aren't masked, so that what they hold shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from cbspec.profile.identity import development_ca

PATIENT_WITH: Final = 60
"""Connections that are served before the host dies or hangs: the run is well under way then."""

_HUGE: Final = 1024**3
_TEXT: Final = 2 * 1024**2
_CHUNK: Final = 64 * 1024
_OPENED: Final = b'"tunnel_response"'
_ERROR: Final = b'{"type":"error"'

Spoil = Callable[[bytes, bool], AsyncIterator[bytes]]
"""What is sent, record by record, in the place of what the relay said, in WebSocket frames or not."""


def head(size: int) -> bytes:
    """Return the header of a text frame of `size` bytes."""
    if size < 126:
        return b"\x81" + bytes([size])
    extended = size.to_bytes(2 if size < 1 << 16 else 8, "big")
    return b"\x81" + (b"\x7e" if size < 1 << 16 else b"\x7f") + extended


def message(text: bytes, framed: bool) -> bytes:
    """Return a message as it goes on the wire."""
    return head(len(text)) + text if framed else text + b"\n"


async def say(said: bytes, framed: bool) -> AsyncIterator[bytes]:
    """Say just that."""
    yield said


async def flood(said: bytes, framed: bool) -> AsyncIterator[bytes]:
    """Go on behind a tunnel, for ever, with answers that nobody asked for."""
    yield said
    while _OPENED in said:
        yield message(b'{"type":"heartbeat_response"}', framed) * 1000


async def swell(said: bytes, framed: bool) -> AsyncIterator[bytes]:
    """Answer a tunnel_info with a GiB."""
    if _OPENED not in said:
        yield said
        return
    begun = b'{"type":"tunnel_response","status":"ok","tunnel_id":"'
    yield (head(len(begun) + _HUGE + 2) if framed else b"") + begun
    for _ in range(_HUGE // _CHUNK):
        yield b"a" * _CHUNK
    yield b'"}\n'


async def babble(said: bytes, framed: bool) -> AsyncIterator[bytes]:
    """Add a GiB that is no message to the answer to a tunnel_info; in frames, one message of many fragments."""
    yield said
    for number in range(_HUGE // _CHUNK if _OPENED in said else 0):
        yield (b"\0" if number else b"\x01") + head(_CHUNK)[1:] if framed else b""
        yield b"x" * _CHUNK


async def drip(said: bytes, framed: bool) -> AsyncIterator[bytes]:
    """Send each byte in a TLS record of its own."""
    for byte in said:
        yield bytes([byte])


async def explain(said: bytes, framed: bool) -> AsyncIterator[bytes]:
    """Give every error a text of two MB."""
    while said:
        at = said.find(_ERROR)
        text, _, rest = said[max(at, 0) :].partition(b"}")
        if at < 0:
            yield said
            return
        yield said[: at - len(head(len(text) + 1)) if framed else at]
        yield message(json.dumps({**json.loads(text + b"}"), "message": "no " * (_TEXT // 3)}).encode(), framed)
        said = rest if framed else rest.removeprefix(b"\n")


SPOILERS: Final[dict[str, Spoil]] = {
    "floods": flood,
    "swells": swell,
    "babbles": babble,
    "drips": drip,
    "explains": explain,
}
ENDINGS: Final = ("dies", "hangs")


class Host:
    """The host: of which `kind`, the `port` of the relay behind it, and whether they speak WebSocket."""

    def __init__(self, kind: str, port: int, framed: bool) -> None:
        self._kind = kind
        self._framed = framed
        self._port = port
        self._spoil = SPOILERS.get(kind, say)
        self._trust = ssl.create_default_context(cafile=str(development_ca().ca_file))
        self._numbers = itertools.count(1)

    async def serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._kind in ENDINGS and next(self._numbers) > PATIENT_WITH:
            if self._kind == "dies":
                os._exit(1)
            await asyncio.sleep(3600)
        relay, requests = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._trust, server_hostname="127.0.0.1"
        )
        forward = asyncio.create_task(_forward(client, requests))
        with contextlib.suppress(OSError):
            while said := await relay.read(_CHUNK):
                async for record in self._spoil(said, self._framed):
                    if answers.is_closing():
                        break
                    answers.write(record)
                    await answers.drain()
                    await asyncio.sleep(0)  # whoever floods lets others have their turn
        for writer in (answers, requests):
            writer.close()
        await asyncio.gather(forward, answers.wait_closed(), requests.wait_closed(), return_exceptions=True)


async def _forward(client: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while asked := await client.read(_CHUNK):
            requests.write(asked)
            await requests.drain()
    requests.close()


async def main(kind: str, port: int, folder: Path, transport: str) -> None:
    """Serve until killed; say on which port."""
    chain, key = development_ca().issue("127.0.0.1")
    file = folder / "host.pem"
    file.write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(file)
    server = await asyncio.start_server(Host(kind, port, transport == "websocket").serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
