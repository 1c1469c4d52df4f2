"""The stages of a connection, each a class with the requests that are in order, so that no other can be written.

NewConnection ── hello() ──> GreetedConnection ── authenticate() ──> AuthenticatedConnection ── open_tunnel(),
heartbeat(), heartbeats()

Calls may come from several tasks. Only one request is pending at a time; other calls wait for their turn. After a
cancelled request, the next one waits for its answer, which is discarded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Request,
    TunnelInfo,
    TunnelResponse,
)
from cbspec.protocol.state import State
from cbspec_client.errors import AnswerTimeout, ClientError, refusal
from cbspec_client.keepalive import Heartbeats, kept_alive
from cbspec_client.link import Link
from cbspec_client.session import ClientSession

A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time-outs in seconds: for the handshakes, an answer, a heartbeat's answer, and the relay's close.

    All defaults except that of `close` are those of deployed clients.
    """

    connect: float = 10.0
    answer: float = 30.0
    heartbeat: float = 5.0
    close: float = 2.0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel that the relay opened."""

    tunnel_id: str
    tenant_id: str
    local_port: int
    remote_host: str
    remote_port: int


class RequestChannel:
    """Sends requests over a link, one at a time, and returns their answers."""

    def __init__(self, session: ClientSession, link: Link, timeouts: Timeouts) -> None:
        self.link = link
        self.timeouts = timeouts
        self._session = session
        self._lock = asyncio.Lock()
        self._abandoned: tuple[Request, float] | None = None

    @property
    def state(self) -> State:
        """The protocol state."""
        return State.CLOSED if self.link.failure is not None else self._session.state

    async def ask(
        self,
        request: Request,
        expected: type[A],
        limit: float,
        missed: Callable[[int], object] = bool,
        allowed: int = 0,
    ) -> A:
        """Send a request and return its answer.

        Arguments: the time-out `limit` in seconds may pass `allowed` times, each of which is reported to `missed` with
        its number, before the next one ends the connection.
        """
        async with self._lock:
            if self._abandoned is not None:
                await self._discard_answer(*self._abandoned)
            self.link.check()
            self._session.request(request)
            self.link.flush()
            deadline = asyncio.get_running_loop().time() + limit * (allowed + 1)
            try:
                await self._until_answered(request, limit, missed, allowed)
            except BaseException:
                self._abandoned = request, deadline
                raise
            answer = self._session.take_answer()
        if isinstance(answer, Error):
            raise refusal(answer)
        assert isinstance(answer, expected)  # noqa: S101 - the connection lets no other answer through
        return answer

    async def _discard_answer(self, request: Request, deadline: float) -> None:
        """Wait for the answer to a cancelled request: it could be mistaken for the answer to the next one."""
        if self.link.failure is None:
            await self._until_answered(request, max(0.0, deadline - asyncio.get_running_loop().time()))
            self._session.take_answer()
        self._abandoned = None

    async def _until_answered(
        self, request: Request, limit: float, missed: Callable[[int], object] = bool, allowed: int = 0
    ) -> None:
        for number in range(1, allowed + 2):
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self.link.until(lambda: self._session.answered)
            # The answer may have arrived while this process was suspended.
            if self._session.answered:
                return
            if number <= allowed:
                missed(number)
        self.link.fail(AnswerTimeout(f"no answer to the {request.type} within {limit * (allowed + 1):.4g} s"))
        self.link.check()


class ConnectionStage:
    """The part that all stages have: the state of the connection."""

    def __init__(self, channel: RequestChannel) -> None:
        self._channel = channel

    @property
    def state(self) -> State:
        """The protocol state."""
        return self._channel.state

    @property
    def address(self) -> str:
        """The address that answered first, of those that the relay's host name has."""
        return self._channel.link.address

    @property
    def failure(self) -> ClientError | None:
        """The reason why the connection has ended, or None."""
        return self._channel.link.failure

    async def until_disturbed(self) -> NoReturn:
        """Wait for an error that answers no request, or for the end of the connection, and raise it."""
        await self._channel.link.until_disturbed()


class NewConnection(ConnectionStage):
    """A connection after its handshakes, yielded by `connect`."""

    async def hello(self, features: Iterable[str] = Hello().features) -> GreetedConnection:
        """Send a hello with the features that this client supports. Source: Message Types / 1. Hello."""
        channel = self._channel
        answer = await channel.ask(Hello(features=tuple(features)), HelloResponse, channel.timeouts.answer)
        return GreetedConnection(channel, answer)


class GreetedConnection(ConnectionStage):
    """A connection after hello; `greeting` is the relay's answer."""

    def __init__(self, channel: RequestChannel, greeting: HelloResponse) -> None:
        super().__init__(channel)
        self.greeting = greeting

    async def authenticate(self, token: str) -> AuthenticatedConnection:
        """Send a token; raises RelayMisbehaved if the answer names another tenant than the token.

        After a refusal, the call may be repeated. Source: Message Types / 2. Authentication.
        """
        answer = await self._channel.ask(Auth(token), AuthResponse, self._channel.timeouts.answer)
        return AuthenticatedConnection(self._channel, answer)


class AuthenticatedConnection(ConnectionStage):
    """A connection after auth, with the relay's answer: `client_id` and `tenant_id`, which is that of the token."""

    def __init__(self, channel: RequestChannel, identity: AuthResponse) -> None:
        super().__init__(channel)
        self.client_id = identity.client_id
        self.tenant_id = identity.tenant_id

    async def open_tunnel(
        self, tunnel_id: str, local_port: int, remote_host: str, remote_port: int, *, tenant_id: str | None = None
    ) -> Tunnel:
        """Open a tunnel; the default `tenant_id` is that of the token.

        Source: Message Types / 3. Tunnel Management; Notes / multi-tenancy.
        """
        tenant = self.tenant_id if tenant_id is None else tenant_id
        request = TunnelInfo(tunnel_id, tenant, local_port, remote_host, remote_port)
        await self._channel.ask(request, TunnelResponse, self._channel.timeouts.answer)
        return Tunnel(tunnel_id, tenant, local_port, remote_host, remote_port)

    async def heartbeat(
        self, *, limit: float | None = None, misses: int = 0, missed: Callable[[int], object] = bool
    ) -> float:
        """Send a heartbeat; return the seconds until its answer.

        Arguments: `limit` is the time-out in seconds (default: that of the connection). It may pass `misses` times,
        each of which is reported to `missed`, before the next one ends the connection.
        Source: Message Types / 4. Heartbeat.
        """
        clock = asyncio.get_running_loop().time
        sent = clock()
        seconds = self._channel.timeouts.heartbeat if limit is None else limit
        await self._channel.ask(Heartbeat(), HeartbeatResponse, seconds, missed, misses)
        return clock() - sent

    def heartbeats(self, plan: Heartbeats | None = None) -> AbstractAsyncContextManager[None]:
        """Return a context in which heartbeats are sent as planned.

        If one is refused or not answered, the body is cancelled and the context raises the error.
        """
        beats = plan or Heartbeats()
        return kept_alive(lambda: self.heartbeat(limit=beats.timeout, misses=beats.misses), beats.interval)
