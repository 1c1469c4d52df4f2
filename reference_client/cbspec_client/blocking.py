"""The blocking edge: carries a session's bytes over a socket, for threads and greenlets.

with BlockingClient.open(Session(context, "relay.example"), "relay.example", 8080, limit=10) as client:
    client.ask(Hello(), limit=10)
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cbspec.protocol.messages import Answer, Request
from cbspec_client.errors import AnswerTimeout, ClientError, ConnectFailed, ConnectionLost, RelayMisbehaved, refusal
from cbspec_client.link import reason
from cbspec_client.session import ClientSession, authority

_CHUNK = 64 * 1024


class BlockingClient:
    """One connection to a relay; made by `open`.

    `failure` is why it has ended, once it has. `linger` is how long the relay may take, in seconds, to close its end.
    """

    def __init__(self, session: ClientSession, sock: socket.socket, linger: float) -> None:
        self.failure: ClientError | None = None
        self._session = session
        self._socket = sock
        self._linger = linger
        self._over = False  # nothing more can be read

    @classmethod
    def open(
        cls,
        session: ClientSession,
        host: str,
        port: int,
        *,
        limit: float,
        linger: float = 2.0,
        source: str | None = None,
    ) -> Self:
        """Connect and do the handshakes, within `limit` seconds; `source` is the local address to connect from.

        Raises ConnectFailed, one of its kinds, or RelayMisbehaved; nothing is left open then.
        """
        deadline = time.monotonic() + limit
        late = ConnectFailed(f"{authority(host, port)}: no connection within {limit:g} s")
        try:
            sock = socket.create_connection((host, port), limit, (source, 0) if source else None)
        except TimeoutError:
            raise late from None
        except (OSError, ValueError, OverflowError) as error:  # the last two: what can be no host or port
            raise ConnectFailed(f"{authority(host, port)}: {reason(error)}") from None
        client = cls(session, sock, linger)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client._flush()
            client._until(lambda: session.ready, deadline - time.monotonic(), late)
        except ConnectionLost as error:
            client.close()
            raise ConnectFailed(str(error)) from None
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            self.close()
        else:  # who is interrupted, or whose greenlet is killed, doesn't wait for the relay
            self._socket.close()

    def ask(self, request: Request, limit: float) -> Answer:
        """Send a request and return what answers it within `limit` seconds, an Error too.

        Raises what ended the connection, AnswerTimeout, or the RelayError that came unasked before.
        """
        self.check()
        self._session.request(request)
        self._flush()
        late = AnswerTimeout(f"no answer to the {request.type} within {limit:g} s")
        self._until(lambda: self._session.answered, limit, late)
        return self._session.take_answer()

    def listen(self, seconds: float) -> None:
        """Do nothing but read for so many seconds; raises as `ask` does."""
        deadline = time.monotonic() + seconds
        self.check()
        while (left := deadline - time.monotonic()) > 0:
            self._receive(left)
            self.check()

    def follow(self, seconds: float) -> None:
        """Read on for so many seconds behind what broke the protocol, until the answer comes all the same.

        Whether it does says what was wrong: one answer that was, or one too many.
        """
        deadline = time.monotonic() + seconds
        if isinstance(self.failure, RelayMisbehaved):
            with contextlib.suppress(ClientError):
                self._session.read_on()
        while not self._session.answered and not self._over and (left := deadline - time.monotonic()) > 0:
            self._receive(left)

    def check(self) -> None:
        """Raise what came unasked, or what ended the connection."""
        unasked = self._session.take_unasked()
        if unasked is not None:
            raise refusal(unasked)
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """End the connection, politely where the relay takes part; what it still sends is read meanwhile."""
        deadline = time.monotonic() + self._linger
        with contextlib.closing(self._socket):
            if self.failure is None:
                self._session.close()
                self._flush()
                self._wait(lambda: self._session.finished, deadline)
            # Closing a socket that holds unread bytes would reset the connection, and an alert be lost with it.
            self._session.goodbye()
            with contextlib.suppress(OSError):
                self._socket.settimeout(self._linger)
                self._socket.sendall(self._session.data_to_send())
                self._socket.shutdown(socket.SHUT_WR)
            self._wait(lambda: False, deadline)

    def vanish(self, *, reset: bool = False) -> None:
        """End the connection below TLS, without a word; `reset` breaks it off."""
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _until(self, happened: Callable[[], bool], limit: float, late: ClientError) -> None:
        self._wait(happened, time.monotonic() + limit)
        if happened():
            return
        if self.failure is None:
            self.failure = late
        raise self.failure

    def _wait(self, happened: Callable[[], bool], deadline: float) -> None:
        """Read until something happened, the connection ended, or it is too late."""
        while not happened() and self.failure is None and (left := deadline - time.monotonic()) > 0:
            self._receive(left)

    def _receive(self, seconds: float) -> None:
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            return
        except OSError as error:
            self._over = True
            self._fail(ConnectionLost(f"the connection broke: {reason(error)}"))
            return
        if not data:
            self._over = True
            self._fail(self._session.receive_eof())
            return
        try:
            self._session.receive_data(data)
        except ClientError as error:
            self._fail(error)
        self._flush()

    def _flush(self) -> None:
        wire = self._session.data_to_send()
        if not wire:
            return
        try:
            self._socket.settimeout(self._linger)
            self._socket.sendall(wire)
        except OSError as error:
            self._fail(ConnectionLost(f"the connection broke: {reason(error)}"))

    def _fail(self, error: ClientError) -> None:
        self.failure = self.failure or error
