"""Opens connections to the relay, and records whether it is reachable and answers."""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cbspec.profile.identity import development_ca_file
from cbspec.profile.profile import Endpoint, Profile, TlsSettings
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.handshake import HEAD_END, parse_headers
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tls_contexts import Trust, client_context
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.probe.channel import Channel
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure, Wire, open_wire
from cbspec_conformance.record.frames import LARGEST, StrictWebSocket
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.target.clock import ahead

NO_ANSWER = "no answer to the opening handshake"
CLOSED = "the connection was closed without an answer to the opening handshake"


class WebSocketRefused(Inconclusive):
    """No WebSocket was opened; `status` is the HTTP status of the answer, if there was one."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(f"no WebSocket was opened: {reason}")
        self.reason = reason
        self.status = status


@dataclass(slots=True)
class LifeSigns:
    """Signs that the relay may be down.

    `trouble` is the last failure to connect; `silent` says that a connection drew no answer, `slow` that a new one was
    answered late, `ended` that the relay stayed silent for longer than any pause, and `restless` that a condition began
    that may restart the relay.
    """

    trouble: Unreachable | HandshakeFailure | None = None
    silent: bool = False
    slow: bool = False
    ended: bool = False
    restless: bool = False


class Connector:
    """Opens connections to the relay of a profile, all recorded in one transcript.

    `certificate` is the relay's, in DER; empty before the first connection. `clock` are the seconds by which the
    relay's clock is ahead, by the HTTP response to an opening handshake; 0 if not notable or unknown.
    """

    def __init__(self, profile: Profile, transcript: Transcript, signs: LifeSigns) -> None:
        self._profile = profile
        self._transcript = transcript
        self._signs = signs
        self._count = 0
        self.certificate = b""
        self.clock = 0.0

    @property
    def server_name(self) -> str:
        """The host name for SNI and the certificate."""
        target = self._profile.target
        return target.server_name or (target.address.host if target.address else "")

    @property
    def source(self) -> str | None:
        """The local address to connect from, or None for the system's choice."""
        return next(iter(self._profile.target.source_addresses), None)

    def open(
        self,
        endpoint: Endpoint,
        transport: str,
        *,
        usual: bool,
        source: str | None = None,
        context: ssl.SSLContext | None = None,
        resume: ssl.SSLSession | None = None,
        narrow: bool = False,
        claimed: str = "",
    ) -> Channel:
        """Connect and return the channel; see `RelayUnderTest.connect`.

        A failure is a sign about the relay only for a `usual` connection: to its own address, from any of ours.
        """
        self._count += 1
        try:
            wire = open_wire(
                self._count,
                self._transcript,
                endpoint,
                context or context_for(self._profile.tls),
                timeout=self._profile.target.timeout,
                name=self.server_name,
                source=source or self.source,
                transport=transport,
                resume=resume,
                narrow=narrow,
                preface=_proxy_line(claimed, endpoint) if claimed and transport == "tcp" else b"",
            )
        except (Unreachable, HandshakeFailure) as error:
            if usual and (isinstance(error, Unreachable) or (context is None and error.timed_out)):
                self._signs.trouble = error
            raise
        self.certificate = wire.tls.ssl_object.getpeercert(binary_form=True) or b""
        with ExitStack() as stack:
            stack.callback(wire.close)
            framer = (
                self._websocket(wire, endpoint, claimed)
                if transport == "websocket"
                else StreamFramer(max_message=LARGEST)
            )
            stack.pop_all()  # without a failure or an interruption
        return Channel(wire, framer, self._transcript)

    def _websocket(self, wire: Wire, endpoint: Endpoint, claimed: str) -> WebSocketFramer:
        path, headers = self._profile.target.websocket_path, _proxy_headers(claimed) if claimed else {}
        framer = StrictWebSocket.client(str(endpoint), path, max_message=LARGEST, headers=headers)
        wire.send(framer.data_to_send())
        clock = self._transcript.clock
        deadline = clock.monotonic() + self._profile.target.timeout
        head = b""
        while not framer.opened and framer.failure is None and not wire.ended and clock.monotonic() < deadline:
            data = wire.receive(deadline - clock.monotonic())
            head += data
            framer.feed(data)
        date = parse_headers(head.partition(HEAD_END)[0].decode("latin-1")).get("date", "")
        self.clock = ahead(date, time.time()) or self.clock
        if not framer.opened:
            silent = framer.failure is None and not wire.ended
            self._signs.silent |= silent
            raise WebSocketRefused(str(framer.failure or (NO_ANSWER if silent else CLOSED)), framer.status)
        return framer


def _proxy_line(claimed: str, endpoint: Endpoint) -> bytes:
    """Return the line by which a proxy tells the address of a client (Source: the PROXY protocol, version 1)."""
    family, host = ("TCP6", "::1") if ":" in claimed else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {claimed} {host} 40000 {endpoint.port}\r\n".encode()


def _proxy_headers(claimed: str) -> dict[str, str]:
    """Return the headers by which proxies tell the address of a client."""
    names = ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP")
    node = f'"[{claimed}]"' if ":" in claimed else claimed
    return {**dict.fromkeys(names, claimed), "Forwarded": f"for={node}"}


@lru_cache
def context_for(tls: TlsSettings) -> ssl.SSLContext:
    """Return the context for connections to the relay, from a cache: loading CA files is slow.

    Raises OSError or ssl.SSLError for an unusable file.
    """
    trust: Path | Trust = Trust.SYSTEM if tls.ca in (None, "system") else Path(tls.ca)
    if not tls.verify:
        trust = Trust.ANY
    elif tls.ca == "development":
        trust = development_ca_file()
    context = client_context(trust)
    if tls.client_certificate is not None:
        context.load_cert_chain(tls.client_certificate, tls.client_key)
    return context
