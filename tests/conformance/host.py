"""A bad host, a process of its own: `python -m tests.conformance.host KIND PORT FOLDER`.

It stands between the suite and a relay that conforms, reads what goes by, and gives the suite a bad time in one way.
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

from cbspec.identity import development_ca

PATIENT_WITH: Final = 60
"""Connections that are served before the host dies or hangs: the run is well under way then."""

_HUGE: Final = 1024**3
_TEXT: Final = 2 * 1024**2
_CHUNK: Final = 64 * 1024
_OPENED: Final = b'"tunnel_response"'

Spoil = Callable[[bytes], AsyncIterator[bytes]]
"""What is sent, record by record, in the place of what the relay said."""


async def say(said: bytes) -> AsyncIterator[bytes]:
    """Say just that."""
    yield said


async def flood(said: bytes) -> AsyncIterator[bytes]:
    """Go on behind a tunnel, for ever, with answers that nobody asked for."""
    yield said
    while _OPENED in said:
        yield b'{"type":"heartbeat_response"}\n' * 1000


async def swell(said: bytes) -> AsyncIterator[bytes]:
    """Answer a tunnel_info with a GiB."""
    if _OPENED not in said:
        yield said
        return
    yield b'{"type":"tunnel_response","status":"ok","tunnel_id":"'
    for _ in range(_HUGE // _CHUNK):
        yield b"a" * _CHUNK
    yield b'"}\n'


async def babble(said: bytes) -> AsyncIterator[bytes]:
    """Add a GiB that is no message to the answer to a tunnel_info."""
    yield said
    for _ in range(_HUGE // _CHUNK if _OPENED in said else 0):
        yield b"x" * _CHUNK


async def drip(said: bytes) -> AsyncIterator[bytes]:
    """Send each byte in a TLS record of its own."""
    for byte in said:
        yield bytes([byte])


async def explain(said: bytes) -> AsyncIterator[bytes]:
    """Give every error a text of two MB."""
    for line in said.splitlines(keepends=True):
        if b'"error"' in line:
            yield json.dumps({**json.loads(line), "message": "no " * (_TEXT // 3)}).encode() + b"\n"
        else:
            yield line


SPOILERS: Final[dict[str, Spoil]] = {
    "floods": flood,
    "swells": swell,
    "babbles": babble,
    "drips": drip,
    "explains": explain,
}
ENDINGS: Final = ("dies", "hangs")


class Host:
    """The host: of which `kind`, and the `port` of the relay behind it."""

    def __init__(self, kind: str, port: int) -> None:
        self._kind = kind
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
                async for record in self._spoil(said):
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


async def main(kind: str, port: int, folder: Path) -> None:
    """Serve until killed; say on which port."""
    chain, key = development_ca().issue("127.0.0.1")
    file = folder / "host.pem"
    file.write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(file)
    server = await asyncio.start_server(Host(kind, port).serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
