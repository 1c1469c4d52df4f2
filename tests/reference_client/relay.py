"""A relay that does what a script says, and notes everything that reached it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto

from cbspec.protocol.connection import Framer, read_frame
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Role,
    TunnelInfo,
    TunnelResponse,
    Violation,
    encode,
)
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.websocket import WebSocketFramer


class End(Enum):
    """Ways to end a connection."""

    CLOSE = auto()  # close_notify, then the socket
    CUT = auto()  # the socket alone
    RESET = auto()  # a TCP reset


@dataclass(frozen=True)
class Raw:
    """Plain text as it is, each piece in a TLS record of its own."""

    pieces: Sequence[bytes]


Step = Answer | bytes | Raw | End
Script = Callable[[Message | Violation], Sequence[Step]]


def happy(message: Message | Violation) -> Sequence[Step]:
    """Answer as the specification's examples do."""
    match message:
        case Hello():
            return [HelloResponse()]
        case Auth():
            return [AuthResponse("user123", "tenant-001")]
        case TunnelInfo(tunnel_id=tunnel_id):
            return [TunnelResponse(tunnel_id)]
        case Heartbeat():
            return [HeartbeatResponse()]
        case _:
            return [Error("unknown_message_type", "what is this?")]


def except_for(replies: dict[type[Message], Sequence[Step]]) -> Script:
    """Answer as `happy` does, but for some types as `replies` says."""
    return lambda message: replies[type(message)] if type(message) in replies else happy(message)  # type: ignore[index]  # a Violation is no key


class ScriptedRelay:
    """What reached the relay: messages, plain text, and how connections ended."""

    def __init__(self, context: ssl.SSLContext | None, script: Script, *, websocket: bool = False) -> None:
        self.port = 0
        self.messages: list[Message | Violation] = []
        self.plain = bytearray()
        self.raw = bytearray()
        self.failures: list[str] = []
        self.endings: list[str] = []
        self.ended = asyncio.Event()
        self._reached = asyncio.Event()
        self._context = context
        self._script = script
        self._websocket = websocket

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1") -> AsyncIterator[ScriptedRelay]:
        """Serve on a free port until the context is left."""
        server = await asyncio.start_server(self._serve, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            server.close()
            async with asyncio.timeout(10):
                await self.ended.wait()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something reached the relay."""
        while not happened():
            self._reached.clear()
            await self._reached.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ended.clear()
        ending = "client"
        try:
            ending = await self._talk(reader, writer)
        except ConnectionError:
            ending = "reset by client"
        finally:
            self.endings.append(ending)
            writer.transport.abort()
            self.ended.set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        framer: Framer = WebSocketFramer.server() if self._websocket else StreamFramer()
        tls = TlsLayer(self._context, server_side=True) if self._context else None
        while data := await reader.read(65536):
            self.raw += data
            if tls is None:
                writer.write(b"220 relay.example ESMTP\r\n")
                continue
            try:
                plain = tls.receive_data(data)
            except TlsFailed as error:
                self.failures.append(str(error))
                writer.write(tls.data_to_send())
                return "TLS failed"
            self.plain += plain
            if plain:
                framer.feed(plain)
            tls.send(framer.data_to_send())
            while (frame := framer.next_frame()) is not None:
                message = read_frame(frame, Role.CLIENT)
                self.messages.append(message)
                for step in self._script(message):
                    if isinstance(step, End):
                        return await self._end(step, tls, writer)
                    await self._send(step, tls, framer, writer)
            writer.write(tls.data_to_send())
            self._reached.set()
            if tls.ended:
                return "close_notify"
        return "end of stream"

    @staticmethod
    async def _send(step: Answer | bytes | Raw, tls: TlsLayer, framer: Framer, writer: asyncio.StreamWriter) -> None:
        if isinstance(step, Raw):
            pieces = step.pieces
        else:
            pieces = [framer.encode(step if isinstance(step, bytes) else encode(step))]
        for piece in pieces:
            tls.send(piece)
            writer.write(tls.data_to_send())
            await writer.drain()

    @staticmethod
    async def _end(end: End, tls: TlsLayer, writer: asyncio.StreamWriter) -> str:
        if end is End.CLOSE:
            tls.close()
        if end is End.RESET:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(tls.data_to_send())
            await writer.drain()
            writer.write_eof()
        return end.name.lower()
