"""The client from which all others are made: a service that keeps its tunnels open, detects everything, and reconnects.

Every method and attribute is a place for a change: a change is a subclass that replaces some of them, and changes are
combined by inheritance (`registry.combined`). The loop is blocking; SIGTERM interrupts whatever it waits for.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

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
    Request,
    TunnelInfo,
    TunnelResponse,
    Violation,
    encode,
)
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jws import claims_of
from cbspec_client.errors import AnswerTimeout, ClientError, ConnectFailed, ConnectionLost, RelayError, refusal
from cbspec_client.session import Transport
from tests.adequacy.clients.wire import WireSession

_CHUNK = 64 * 1024
_LINGER = 0.3  # seconds for the relay's end of the connection
_SENT = 5.0  # seconds for a relay that reads nothing


class Stopped(BaseException):
    """SIGTERM has arrived."""


class BaseClient:
    """One run of a client. All times are in seconds.

    Attributes for changes: `limit` is the time-out of handshakes and answers, `interval` that of heartbeats, `tunnels`
    the number of tunnels, `retries` the number of attempts after the first one, `delays` the time before each of them
    (the last one is repeated), `held` the time after which a session counts as good, and the retries begin anew.
    """

    limit = 2.0
    interval = 0.7
    tunnels = 1
    retries = 3
    delays: tuple[float, ...] = (0.2, 0.4, 0.8)
    held = 5.0
    features: tuple[str, ...] = ("tls", "heartbeat", "tunnel_info", "multi_tenancy")
    version = "1.0"
    stays = True
    path = "/"
    websocket_framer = WebSocketFramer
    stream_framer = StreamFramer

    def __init__(self, host: str, port: int, ca: str, token: str, *, local_port: int, websocket: bool) -> None:
        self.host = self.server_name = host
        self.port = port
        self.ca = ca
        self.token = token
        self.local_port = local_port
        self.transport = Transport.WEBSOCKET if websocket else Transport.TCP
        self.authority = f"{host}:{port}"
        self.tenant = str(claims_of(token).get("tenant_id"))
        self.connections = 0
        self.failure: ClientError | None = None
        self.socket: socket.socket
        self.session: WireSession

    # ------------------------------------------------------------------ life
    def run(self) -> int:
        """Run until SIGTERM or the last failure; return the exit code."""
        self.prepare()
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                self.serve()
            except Stopped:
                return self.stopped()
            except ClientError as error:
                attempt = 0 if time.monotonic() - began > self.held else attempt
                try:
                    self.report(error)
                    if attempt >= self.retries or not self.worth_retrying(error):
                        return self.exit_code(error)
                    self.pause(self.delay(attempt, error))
                except Stopped:
                    return self.stopped()
                attempt += 1
            else:
                return 0

    def prepare(self) -> None:
        """Do what precedes the first connection."""
        signal.signal(signal.SIGTERM, self.on_sigterm)

    def on_sigterm(self, *_: object) -> None:
        """React to SIGTERM."""
        raise Stopped

    def stopped(self) -> int:
        """Return the exit code after SIGTERM."""
        self.say("stopped")
        return 0

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    def report(self, error: ClientError) -> None:
        """Print why a session ended."""
        self.say(f"error: {error}")

    def worth_retrying(self, error: ClientError) -> bool:
        """Whether another attempt may succeed."""
        return error.retryable if isinstance(error, RelayError) else True

    def delay(self, attempt: int, error: ClientError) -> float:
        """Return the time before the next attempt; `attempt` counts from 0."""
        return self.delays[min(attempt, len(self.delays) - 1)]

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt."""
        time.sleep(seconds)

    def exit_code(self, error: ClientError) -> int:
        """Return the exit code after the last failure."""
        return 1

    # --------------------------------------------------------------- session
    def serve(self) -> None:
        """Be one session, from its connection to its end. Raises ClientError."""
        try:
            self.connect()
            self.greet()
            self.authenticate()
            self.open_tunnels()
            self.up()
            self.stay()
        finally:
            self.disconnect()

    def greet(self) -> None:
        """Say hello."""
        self.ask(Hello(self.version, self.features))

    def authenticate(self) -> None:
        """Authenticate."""
        self.ask(Auth(self.token))
        self.say(f"authenticated for {self.tenant}")

    def open_tunnels(self) -> None:
        """Open the tunnels one after the other."""
        for number in range(self.tunnels):
            self.open_tunnel(self.tunnel(number))

    def tunnel(self, number: int) -> TunnelInfo:
        """Return the request for a tunnel."""
        return TunnelInfo(f"tunnel-{number + 1}", self.tenant, self.local_port + number, "192.168.1.100", 3389)

    def open_tunnel(self, tunnel: TunnelInfo) -> None:
        """Open a tunnel."""
        self.ask(tunnel)
        self.say(f"{tunnel.tunnel_id} is open")

    def up(self) -> None:
        """Report that everything is open."""
        self.say("up")

    def stay(self) -> None:
        """Send heartbeats for ever, or return at once."""
        while self.stays:
            self.listen(self.interval)
            self.beat()

    def beat(self) -> None:
        """Send a heartbeat, and wait for its answer."""
        self.ask(Heartbeat())

    # -------------------------------------------------------------- messages
    def spelled(self, message: Request) -> bytes:
        """Return the text of a message."""
        return encode(message)

    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        """Return what the client takes an answer for; `found` is what it is."""
        return found

    def success(self) -> Answer:
        """Return the success of the last request."""
        match self.session.asked:
            case Hello():
                return HelloResponse()
            case Auth():
                return AuthResponse("client", self.tenant)
            case TunnelInfo(tunnel_id=name):
                return TunnelResponse(name)
            case _:
                return HeartbeatResponse()

    def on_wire(self, data: bytes) -> bytes:
        """Return the bytes that carry a message or frames, as they are sent."""
        return data

    # ---------------------------------------------------------------- input and output
    def context(self) -> ssl.SSLContext:
        """Return the TLS context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.ca)
        return context

    def dial(self) -> socket.socket:
        """Return a connected socket. Raises ConnectFailed."""
        try:
            made = socket.create_connection((self.host, self.port), self.limit)
        except OSError as error:
            raise ConnectFailed(f"cannot connect: {error.strerror or error}") from None
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def connect(self) -> None:
        """Connect, and do the handshakes."""
        self.connections += 1
        self.failure = None
        self.socket = self.dial()
        self.session = WireSession(self)
        self.flush()
        self.wait(lambda: self.session.ready, self.limit, lambda: ConnectFailed("the handshake takes too long"))

    def disconnect(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError, AttributeError, ClientError):  # there may be none yet
            if self.failure is None:
                self.session.goodbye()
            self.flush()
            self.linger()
            self.socket.close()

    def linger(self) -> None:
        """Read until the relay closes, too: to close a socket with unread bytes resets the connection."""
        self.socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            if not self.socket.recv(_CHUNK):
                return

    def ask(self, message: Request) -> Answer:
        """Send a request and return its success. Raises ClientError, also for a refusal."""
        self.check()
        self.session.request(message)
        self.flush()
        late = AnswerTimeout(f"no answer to {message.type} within {self.limit:g} s")
        self.wait(lambda: self.session.answered, self.limit, lambda: late)
        answer = self.session.take_answer()
        if isinstance(answer, Error):
            raise refusal(answer)
        return answer

    def swap(self, text: bytes) -> dict[str, Any]:
        """Send a text of any kind and return the object that is answered; nothing is checked."""
        frames: list[bytes] = []
        self.session.raw = frames
        self.session.post(text)
        self.flush()
        self.wait(lambda: bool(frames), self.limit, lambda: AnswerTimeout("no answer"))
        self.session.raw = None
        answer = json.loads(frames[0])
        return answer if isinstance(answer, dict) else {}

    def listen(self, seconds: float) -> None:
        """Read for a while. Raises ClientError for the end of the connection, or an error that answers nothing."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.receive(left)
            self.check()

    def check(self) -> None:
        """Raise what has ended the connection, or an error that answers nothing."""
        if (error := self.session.take_unsolicited()) is not None:
            raise refusal(error)
        if self.failure is not None:
            raise self.failure

    def wait(self, happened: Callable[[], bool], seconds: float, late: Callable[[], ClientError]) -> None:
        """Read until something has happened. Raises ClientError."""
        deadline = time.monotonic() + seconds
        while not happened():
            if self.failure is None and (left := deadline - time.monotonic()) > 0:
                self.receive(left)
                continue
            self.failure = self.failure or late()
            raise self.failure

    def receive(self, seconds: float) -> None:
        """Read once, at most for some seconds."""
        self.socket.settimeout(seconds if seconds != float("inf") else None)
        try:
            data = self.socket.recv(_CHUNK)
        except TimeoutError:
            return
        except OSError as error:
            self.failure = ConnectionLost(f"the connection broke: {error.strerror or error}")
            return
        try:
            if data:
                self.session.receive_data(data)
            else:
                self.failure = self.session.receive_eof()
        except ClientError as error:
            self.failure = self.failure or error
        self.flush()

    def flush(self) -> None:
        """Send what is to be sent."""
        wire = self.session.data_to_send()
        if wire:
            try:
                self.socket.settimeout(_SENT)
                self.socket.sendall(wire)
            except OSError as error:
                self.failure = self.failure or ConnectionLost(f"the connection broke: {error.strerror or error}")


def end(code: int) -> None:
    """End the process without the interpreter's shutdown, which would take longer than many a session."""
    import os

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
