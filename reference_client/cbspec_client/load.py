"""A client for load tests with Locust: subclass `RelayUser`, name the relay, and override `talk` if needed.

    class Restless(RelayUser):
        aim = Aim("relay.example", 8080, client_context(), tokens=lambda: (os.environ["RELAY_TOKEN"], "tenant-001"))

        def talk(self, relay: LoadClient) -> None:
            super().talk(relay)             # hello, auth, a tunnel, heartbeats for `hold` seconds
            relay.ask(Heartbeat())

Each message is a request in Locust's statistics, named by its type. A refusal is a failure named by its code, a breach
of the protocol one named by its requirement. It needs the extra: pip install 'cbspec[load]'.
"""

from __future__ import annotations

import itertools
import random
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from locust import User, task

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Answer, Auth, Error, Heartbeat, Hello, Request, TunnelInfo
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation, Onlooker, Score, sees_nothing
from cbspec_client.errors import ClientError, RelayError, RelayMisbehaved, refusal
from cbspec_client.session import ClientSession, Transport, authority

_A_DAY = 86400.0
_FOLLOW = 1.0  # seconds in which the right answer may arrive after a wrong message


class LoadFailure(Exception):
    """Why a request failed, in words that are the same for all failures of a kind and never the relay's."""

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def of(cls, error: ClientError) -> LoadFailure:
        """Return the failure for an error: its code, its requirement, or its kind."""
        if isinstance(error, RelayError):
            return cls(error.code if error.code in set(ErrorCode) else "a code that isn't one of the eleven")
        if isinstance(error, RelayMisbehaved):
            return cls(error.requirement)
        return cls(error.kind)


@dataclass(frozen=True, slots=True)
class Aim:
    """The relay, and how clients connect to it.

    `tokens` returns a token and its tenant for each client; `server_name` is the name in the certificate (default: the
    host), `path` that of the WebSocket request; clients take turns in the local addresses `sources`; `tunnel_to` is the
    remote end of tunnels; `onlooker` checks each exchange, and `websocket` is the framer.
    """

    host: str
    port: int
    context: ssl.SSLContext
    tokens: Callable[[], tuple[str, str]] = field(repr=False)
    server_name: str = ""
    transport: Transport = Transport.TCP
    path: str = "/"
    sources: tuple[str, ...] = ()
    tunnel_to: tuple[str, int] = ("127.0.0.1", 3389)
    onlooker: Onlooker = sees_nothing
    websocket: type[WebSocketFramer] = WebSocketFramer


class LoadClient:
    """One connection of a load test: each request is counted, timed and checked.

    A failed request raises a ClientError after it was counted. `broke` is how often the relay broke the protocol.
    """

    def __init__(self, user: RelayUser, number: int) -> None:
        self._user = user
        self._number = number
        self._token, self.tenant = user.aim.tokens()
        self._conversation = Conversation(user.aim.onlooker)
        self._conversation.tenant = self.tenant
        self._client: BlockingClient | None = None
        self.broke = 0

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Connect for the context; close and check late messages at its end."""
        aim = self._user.aim
        session = ClientSession(
            aim.context,
            aim.server_name or aim.host,
            transport=aim.transport,
            authority=authority(aim.server_name or aim.host, aim.port),
            path=aim.path,
            exchange=self._conversation.passed,
            websocket=aim.websocket,
        )
        source = aim.sources[self._number % len(aim.sources)] if aim.sources else None
        self._client = None
        with self._counted("connect"):
            self._client = BlockingClient.open(session, aim.host, aim.port, limit=self._user.timeout, source=source)
        try:
            with self._client:
                yield
        finally:
            self._late(self._client.failure)

    def hello(self) -> Answer:
        """Send a hello."""
        return self.ask(Hello())

    def authenticate(self) -> Answer:
        """Send the client's token."""
        return self.ask(Auth(self._token))

    def open_tunnel(self) -> Answer:
        """Open a tunnel with an id of this client."""
        host, port = self._user.aim.tunnel_to
        return self.ask(TunnelInfo(f"load-{self._number}", self.tenant, 3389, host, port))

    def heartbeat(self) -> Answer:
        """Send a heartbeat."""
        return self.ask(Heartbeat())

    def ask(self, request: Request) -> Answer:
        """Send a request and return its answer; raises RelayError for a refusal."""
        assert self._client is not None  # noqa: S101 - used within `connected`
        with self._counted(request.type):
            answer = self._client.ask(request, self._user.timeout)
            if isinstance(answer, Error):
                raise refusal(answer)
        return answer

    def hold(self, seconds: float, pause: float) -> None:
        """Stay connected for some seconds, with a heartbeat at once and after each `pause`."""
        assert self._client is not None  # noqa: S101 - as above
        deadline = time.monotonic() + seconds
        self.heartbeat()
        while (left := deadline - time.monotonic()) > 0:
            with self._counted("unasked", failures_only=True):
                self._client.listen(min(pause, left))
            if left > pause:
                self.heartbeat()

    @contextmanager
    def _counted(self, name: str, *, failures_only: bool = False) -> Iterator[None]:
        """Count and time the context as one request."""
        began = time.perf_counter()
        try:
            yield
        except ClientError as error:
            self._take(error)
            self._report(name, time.perf_counter() if failures_only else began, self._blamed() or LoadFailure.of(error))
            raise
        if not failures_only:  # not reached in a killed greenlet
            self._report(name, began, self._blamed())

    def _late(self, failure: ClientError | None) -> None:
        """Count a breach of the protocol after the last answer."""
        if failure is not None:
            self._take(failure)
        if (found := self._blamed()) is not None:
            self._report("unasked", time.perf_counter(), found)

    def _take(self, error: ClientError) -> None:
        if isinstance(error, RelayMisbehaved):
            if self._client is not None:
                self._client.follow(_FOLLOW)
            self._conversation.blame(error.requirement)

    def _blamed(self) -> LoadFailure | None:
        """Add the findings to the score; return the first."""
        found = self._conversation.findings()
        for blame in found:
            self.broke += 1
            self._user.score.blame(blame)
        return LoadFailure(found[0].requirement) if found else None

    def _report(self, name: str, began: float, failure: LoadFailure | None) -> None:
        """Add a request to Locust's statistics."""
        facts: dict[str, Any] = {"response_length": 0, "exception": failure, "context": {}}
        milliseconds, transport = (time.perf_counter() - began) * 1000, str(self._user.aim.transport)
        request = self._user.environment.events.request
        request.fire(request_type=transport, name=name, response_time=milliseconds, **facts)


class RelayUser(User):
    """A client that connects, holds a session and closes it.

    In seconds: `hold` is how long a session lasts after its tunnel is open, `pause` the time between heartbeats,
    `timeout` that for each answer. `again`: the client reconnects after its session. `score` counts the sessions of
    this process. Override `talk` for other sessions.
    """

    abstract = True
    aim: ClassVar[Aim]
    hold: ClassVar[float] = 0.0
    pause: ClassVar[float] = 10.0
    timeout: ClassVar[float] = 10.0
    again: ClassVar[bool] = False
    score: ClassVar[Score] = Score()

    _numbers: ClassVar[Iterator[int]] = itertools.count()

    def talk(self, relay: LoadClient) -> None:
        """Run a session: hello, auth, a tunnel, and heartbeats."""
        relay.hello()
        relay.authenticate()
        relay.open_tunnel()
        relay.hold(self.hold, self.pause)

    def on_start(self) -> None:
        """Wait up to a second: Locust starts all clients of a second at once."""
        time.sleep(random.random())  # noqa: S311 - not a secret

    @task
    def session(self) -> None:
        """Run a session, then sleep unless the client reconnects."""
        self._run_session()
        if not self.again:
            time.sleep(_A_DAY)  # Locust would replace a client that has ended

    def _run_session(self) -> None:
        # A function of its own, so that a sleeping client keeps no connection objects.
        score = self.score
        score.begun += 1
        client = LoadClient(self, next(self._numbers))
        try:
            with client.connected():
                self.talk(client)
        except ClientError:
            score.failed += 1  # the failed request was counted
        else:
            score.failed += bool(client.broke)
            score.well += not client.broke
