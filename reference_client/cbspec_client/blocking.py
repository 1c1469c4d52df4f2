"""A blocking client, for threads and greenlets: transfers a session's bytes over a socket.

with BlockingClient.open(Session(context, "relay.example"), "relay.example", 8080, limit=10) as client:
    client.ask(Hello(), limit=10)
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cbspec.profile.dialling import Dialler
from cbspec.protocol.messages import Answer, Request
from cbspec_client.errors import AnswerTimeout, ClientError, ConnectFailed, ConnectionLost, RelayMisbehaved, refusal
from cbspec_client.link import reason
from cbspec_client.session import ClientSession, authority

_CHUNK = 64 * 1024


class BlockingClient:
    """One connection to a relay, created by `open`.

    `failure` is the reason why it has ended, or None. `linger` is the time-out, in seconds, for the relay's close.
    """

    def __init__(self, session: ClientSession, sock: socket.socket, linger: float) -> None:
        self.failure: ClientError | None = None
        self._session = session
        self._socket = sock
        self._linger = linger
        self._eof = False

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
        """Connect and do the handshakes within `limit` seconds, from the local address `source`.

        Raises ConnectFailed, a subclass of it, or RelayMisbehaved, and then leaves nothing open.
        """
        deadline = time.monotonic() + limit
        late = ConnectFailed(f"{authority(host, port)}: no connection within {limit:g} s")
        try:
            sock = Dialler().connect(host, port, limit, source)
        except TimeoutError:
            raise late from None
        except (OSError, ValueError, OverflowError) as error:  # the last two: an impossible host or port
            raise ConnectFailed(f"{authority(host, port)}: {reason(error)}") from None
        client = cls(session, sock, linger)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client._flush()
            client._require(lambda: session.ready, deadline - time.monotonic(), late)
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
        else:  # an interrupt or a killed greenlet doesn't wait for the relay
            self._socket.close()

    def ask(self, request: Request, limit: float) -> Answer:
        """Send a request and return its answer, which may be an Error.

        Raises AnswerTimeout after `limit` seconds, the failure that ended the connection, or the RelayError of an error
        sent without a request.
        """
        self.check()
        self._session.request(request)
        self._flush()
        late = AnswerTimeout(f"no answer to the {request.type} within {limit:g} s")
        self._require(lambda: self._session.answered, limit, late)
        return self._session.take_answer()

    def listen(self, seconds: float) -> None:
        """Read for a while; raises as `ask` does."""
        deadline = time.monotonic() + seconds
        self.check()
        while (left := deadline - time.monotonic()) > 0:
            self._receive(left)
            self.check()

    def follow(self, seconds: float) -> None:
        """After RelayMisbehaved, read on until the pending request is answered, or for `seconds`.

        If the answer arrives, the relay sent an additional message; if not, the answer itself was wrong.
        """
        deadline = time.monotonic() + seconds
        if isinstance(self.failure, RelayMisbehaved):
            with contextlib.suppress(ClientError):
                self._session.read_on()
        while not self._session.answered and not self._eof and (left := deadline - time.monotonic()) > 0:
            self._receive(left)

    def check(self) -> None:
        """Raise the failure that ended the connection, or an error sent without a request."""
        error = self._session.take_unsolicited()
        if error is not None:
            raise refusal(error)
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Close the connection; read until the relay closes too, at most for the linger time."""
        deadline = time.monotonic() + self._linger
        with contextlib.closing(self._socket):
            if self.failure is None:
                self._session.close()
                self._flush()
                self._wait(lambda: self._session.finished, deadline)
            # Closing a socket with unread bytes resets the connection, and the relay may lose our alert.
            self._session.goodbye()
            with contextlib.suppress(OSError):
                self._socket.settimeout(self._linger)
                self._socket.sendall(self._session.data_to_send())
                self._socket.shutdown(socket.SHUT_WR)
            self._wait(lambda: False, deadline)

    def _require(self, happened: Callable[[], bool], limit: float, late: ClientError) -> None:
        self._wait(happened, time.monotonic() + limit)
        if happened():
            return
        if self.failure is None:
            self.failure = late
        raise self.failure

    def _wait(self, happened: Callable[[], bool], deadline: float) -> None:
        """Read until a condition holds, the connection has ended, or the deadline has passed."""
        while not happened() and self.failure is None and (left := deadline - time.monotonic()) > 0:
            self._receive(left)

    def _receive(self, seconds: float) -> None:
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            return
        except OSError as error:
            self._eof = True
            self._fail(ConnectionLost(f"the connection broke: {reason(error)}"))
            return
        if not data:
            self._eof = True
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
