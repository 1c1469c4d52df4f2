"""One tapped connection: the bytes of both sides are recorded and passed on, with the ends of each half."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cbspec.profile.target import Endpoint
from cbspec.redact import redact_message
from cbspec_conformance.tap.ends import NoHandshake, SideEnded, TappedEnd
from cbspec_conformance.tap.facts import Secrets
from cbspec_conformance.tap.reader import TapReader
from cbspec_conformance.tap.rows import (
    HowEnded,
    Row,
    Side,
    TapNotSecured,
    TapOpened,
    TapSecured,
    TapUnreachable,
)

_DIAL: Final = 10.0  # seconds for each address of the relay
_HANDSHAKE: Final = 60.0  # seconds for a TLS handshake: a client's own time-out is shorter


@dataclass(frozen=True, slots=True)
class TapTarget:
    """The relay: its address, the name that its certificate must have, and the context that trusts its CA."""

    endpoint: Endpoint
    server_name: str
    context: ssl.SSLContext


class _Aborted(Exception):
    """A side reset the connection, or TLS failed: nothing more can be passed on."""


class Splice:
    """One connection.

    Arguments: `number` is its own, `serving` the context towards the client, `add` is called with each row, `now`
    returns the seconds since the tap began, and `secrets` are the tokens seen so far.
    """

    def __init__(
        self,
        number: int,
        target: TapTarget,
        serving: ssl.SSLContext,
        add: Callable[[Row], None],
        now: Callable[[], float],
        secrets: Secrets,
    ) -> None:
        self._number = number
        self._target = target
        self._serving = serving
        self._add = add
        self._now = now
        self._secrets = secrets
        self._reader = TapReader(number, add, secrets)

    async def run(self, sock: socket.socket, address: str) -> None:
        """Serve a client that connected from an address, until both halves have ended."""
        self._add(TapOpened(self._now(), self._number, address))
        client = TappedEnd(sock, self._serving)
        relay: TappedEnd | None = None
        try:
            relay = await self._dial()
            if relay is None or not await self._secured(Side.RELAY, relay):
                return
            if await self._secured(Side.CLIENT, client):
                await self._pass_on({Side.CLIENT: client, Side.RELAY: relay})
            else:
                await relay.finish(HowEnded.CLOSE_NOTIFY)
        finally:
            client.close()
            if relay is not None:
                relay.close()

    async def _dial(self) -> TappedEnd | None:
        try:
            sock = await dial(self._target.endpoint)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error) or "timed out"
            self._add(TapUnreachable(self._now(), self._number, reason))
            return None
        return TappedEnd(sock, self._target.context, self._target.server_name)

    async def _secured(self, side: Side, end: TappedEnd) -> bool:
        """Complete the TLS handshake with a side, and record how it went."""
        try:
            async with asyncio.timeout(_HANDSHAKE):
                await end.handshake()
        except (NoHandshake, TimeoutError) as error:
            failure = error if isinstance(error, NoHandshake) else NoHandshake("no answer to the TLS handshake")
            plain = redact_message(failure.plain[:256])
            hello = failure.hello
            self._add(
                TapNotSecured(
                    self._now(),
                    self._number,
                    side,
                    failure.reason,
                    failure.alert,
                    plain,
                    failure.untrusted,
                    hello.server_name,
                    hello.versions,
                )
            )
            return False
        version, cipher, protocol = end.agreed
        hello, offers = end.hello, ", ".join(end.hello.protocols) or protocol
        self._add(
            TapSecured(
                self._now(), self._number, side, version, cipher, hello.server_name, offers, tuple(hello.versions)
            )
        )
        return True

    async def _pass_on(self, ends: dict[Side, TappedEnd]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for side in Side:
                    group.create_task(self._pump(side, ends[side], ends[side.other]))
        except* _Aborted:
            for end in ends.values():
                end.abort()

    async def _pump(self, side: Side, source: TappedEnd, sink: TappedEnd) -> None:
        """Pass on what a side sends, until the end of its half."""
        lost = False
        while True:
            try:
                data = await source.receive()
            except SideEnded as end:
                self._reader.ended(side, end.how, self._now())
                if end.how in (HowEnded.RESET, HowEnded.ALERT):
                    raise _Aborted from None
                await sink.finish(end.how)
                if end.how is HowEnded.FIN:
                    return
                continue
            self._reader.received(side, data, self._now())
            try:
                if not lost:
                    await sink.send(data)
            except OSError:
                if sink.ended:
                    raise _Aborted from None
                lost = True  # the other pump passes on the last bytes of the sink, and then its end


async def dial(endpoint: Endpoint) -> socket.socket:
    """Return a socket that is connected to a host; its addresses are tried in turn. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{endpoint.host} has no address")
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(_DIAL):
                await loop.sock_connect(sock, address)
        except OSError as error:  # TimeoutError, too
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
