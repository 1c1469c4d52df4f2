"""One side of a tapped connection: a socket and its TLS layer, as plain text with its ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Final

from cbspec.protocol.client_hello import ClientHelloFacts, is_tls, read_client_hello
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.tls_alerts import plain_alert
from cbspec_conformance.tap.rows import HowEnded

_CHUNK: Final = 64 * 1024
_HELLO: Final = 4096  # bytes of the first flight that are looked at
_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


class SideEnded(Exception):
    """A side ended its half of the connection."""

    def __init__(self, how: HowEnded) -> None:
        super().__init__(str(how))
        self.how = how


class NoHandshake(Exception):
    """The TLS handshake with a side failed.

    `alert` is the one that the side sent, `plain` are its first bytes if they are no TLS, `hello` is what it offered,
    and `untrusted` says that its certificate was not accepted.
    """

    def __init__(
        self,
        reason: str,
        *,
        alert: str = "",
        plain: bytes = b"",
        hello: ClientHelloFacts = ClientHelloFacts(),  # noqa: B008 - immutable
        untrusted: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.alert, self.plain, self.hello, self.untrusted = reason, alert, plain, hello, untrusted


@dataclass(slots=True)
class TappedEnd:
    """A connected socket; `server_name` is None for a client's, whose TLS the tap terminates as a server.

    `ended` says that nothing more can be received.
    """

    sock: socket.socket
    context: ssl.SSLContext
    server_name: str | None = None
    hello: ClientHelloFacts = field(default_factory=ClientHelloFacts)
    early: bytes = b""
    _tls: TlsLayer = field(init=False, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    ended: bool = False
    _notified: bool = False
    _failed: bool = False
    _lost: bool = False

    def __post_init__(self) -> None:
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = TlsLayer(self.context, server_side=self.server_name is None, server_name=self.server_name)

    @property
    def agreed(self) -> tuple[str, str, str]:
        """The TLS version, the cipher suite and the application protocol."""
        facts = self._tls.agreement()
        return facts.version, facts.cipher, facts.protocol

    async def handshake(self) -> None:
        """Complete the TLS handshake. Raises NoHandshake."""
        loop, first = asyncio.get_running_loop(), b""
        try:
            await self._flush()
            while not self._tls.established:
                data = await loop.sock_recv(self.sock, _CHUNK)
                if not data:
                    raise NoHandshake("it closed the connection during the TLS handshake", hello=self.hello)
                first += data[: max(0, _HELLO - len(first))]
                if self.server_name is None:
                    self.hello = read_client_hello(first)
                self.early += self._tls.receive_data(data)
                await self._flush()
        except TlsFailed as failed:
            with contextlib.suppress(OSError):
                await self._flush()
            plain = b"" if is_tls(first) else first
            alert = failed.alert_received or plain_alert(first)
            reason = str(failed)
            raise NoHandshake(reason, alert=alert, plain=plain, hello=self.hello, untrusted=failed.unverified) from None
        except OSError as error:
            reason = f"the TLS handshake was cut off: {error.strerror or error}"
            raise NoHandshake(reason, hello=self.hello) from None

    async def receive(self) -> bytes:
        """Return the next plain text. Raises SideEnded, more than once if close_notify comes before the end of TCP."""
        if self.early:
            early, self.early = self.early, b""
            return early
        if self._failed:
            raise self._end(HowEnded.ALERT)
        loop = asyncio.get_running_loop()
        while True:
            if self._tls.ended and not self._notified:
                self._notified = True
                raise SideEnded(HowEnded.CLOSE_NOTIFY)
            try:
                data = await loop.sock_recv(self.sock, _CHUNK)
            except OSError:
                raise self._end(HowEnded.RESET) from None
            if not data:  # after send() has failed, recv() reports no error
                raise self._end(HowEnded.RESET if self._lost else HowEnded.FIN)
            if self._notified:
                continue
            if plain := await self._decrypt(data):
                return plain

    def _end(self, how: HowEnded) -> SideEnded:
        self.ended = True
        return SideEnded(how)

    async def _decrypt(self, data: bytes) -> bytes:
        plain = b""
        try:
            plain = self._tls.receive_data(data)
            self._tls.check()
        except TlsFailed:
            self._failed = True
            if not plain:
                raise self._end(HowEnded.ALERT) from None
        finally:
            with contextlib.suppress(OSError):
                await self._flush()
        return plain

    async def send(self, data: bytes) -> None:
        """Send plain text. Raises OSError."""
        self._tls.send(data)
        try:
            await self._flush()
        except OSError:
            self._lost = True
            raise

    async def finish(self, how: HowEnded) -> None:
        """End this half as the other side did: close_notify, or the end of TCP."""
        with contextlib.suppress(OSError):
            if how is HowEnded.CLOSE_NOTIFY:
                self._tls.close()
                await self._flush()
            else:
                self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Reset the connection."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.sock.close()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    async def _flush(self) -> None:
        async with self._lock:
            if data := self._tls.data_to_send():
                await asyncio.get_running_loop().sock_sendall(self.sock, data)
