"""A client for load tests with Locust: subclass `RelayUser`, say where the relay is, and write what it does.

    class Restless(RelayUser):
        aim = Aim("relay.example", 8080, client_context(), tokens=lambda: (os.environ["RELAY_TOKEN"], "tenant-001"))

        def talk(self, relay: LoadClient) -> None:
            super().talk(relay)             # hello, auth, a tunnel, heartbeats for `hold` seconds
            relay.ask(Heartbeat())

Each message is one of Locust's requests, named by its type; a refusal is a failure named by its code, a breach of the
protocol one named by the requirement. It needs the extra: pip install 'cbspec[load]'.
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
from cbspec_client.conversation import Conversation, Onlooker, sees_nothing
from cbspec_client.errors import (
    AnswerTimeout,
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    RelayError,
    RelayMisbehaved,
    TlsRefused,
    refusal,
)
from cbspec_client.score import Score
from cbspec_client.session import ClientSession, Transport, authority

_NAMES: tuple[tuple[type[ClientError], str], ...] = (
    (CertificateNotTrusted, "certificate not trusted"),
    (TlsRefused, "no TLS session"),
    (ConnectFailed, "no connection"),
    (AnswerTimeout, "no answer in time"),
    (ConnectionLost, "connection lost"),
)
_A_DAY = 86400.0
_BEHIND = 1.0  # seconds in which the right answer may come behind a wrong one


class LoadFailure(Exception):
    """Why a request of Locust's failed, in a few words that are the same for all of a kind, and never the relay's."""

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def of(cls, error: ClientError) -> LoadFailure:
        """Return how a failure is counted: by its code, its requirement, or its kind."""
        if isinstance(error, RelayError):
            return cls(error.code if error.code in set(ErrorCode) else "a code that isn't one of the eleven")
        if isinstance(error, RelayMisbehaved):
            return cls(error.requirement)
        return cls(next((name for kind, name in _NAMES if isinstance(error, kind)), type(error).__name__))


@dataclass(frozen=True, slots=True)
class Aim:
    """The relay, and how its clients come.

    `context` says whom to trust; `tokens` gives each client a token and its tenant; `server_name` is who the
    certificate must be for (default: the host), `path` is for websocket; `sources` are local addresses that clients
    take in turn, `tunnel_to` is where tunnels lead, `onlooker` looks at each exchange, and `websocket` at frames.
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
    """One connection under load: each request is counted, timed and looked at.

    Requests raise a ClientError where they don't get what they ask for; by then it is counted. `broke` is how often the
    relay broke the protocol on it.
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
        """Be connected inside, and have said goodbye and looked at all that came behind."""
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
        """Open the session."""
        return self.ask(Hello())

    def authenticate(self) -> Answer:
        """Show the client's token."""
        return self.ask(Auth(self._token))

    def open_tunnel(self) -> Answer:
        """Ask for a tunnel of this client's own."""
        host, port = self._user.aim.tunnel_to
        return self.ask(TunnelInfo(f"load-{self._number}", self.tenant, 3389, host, port))

    def heartbeat(self) -> Answer:
        """Ask whether the relay is there."""
        return self.ask(Heartbeat())

    def ask(self, request: Request) -> Answer:
        """Send a request and return its answer; raises the RelayError that refuses it."""
        assert self._client is not None  # noqa: S101 - `connected` is how a client is used
        with self._counted(request.type):
            answer = self._client.ask(request, self._user.timeout)
            if isinstance(answer, Error):
                raise refusal(answer)
        return answer

    def hold(self, seconds: float, pause: float) -> None:
        """Stay connected for so many seconds, with a heartbeat at once and after every `pause`."""
        assert self._client is not None  # noqa: S101 - as above
        deadline = time.monotonic() + seconds
        self.heartbeat()
        while (left := deadline - time.monotonic()) > 0:
            with self._noticed("unasked"):
                self._client.listen(min(pause, left))
            if left > pause:
                self.heartbeat()

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        """Count and time what happens inside as one of Locust's requests."""
        began = time.perf_counter()
        try:
            yield
        except ClientError as error:
            self._take(error)
            self._report(name, began, self._blamed() or LoadFailure.of(error))
            raise
        self._report(name, began, self._blamed())  # a greenlet that is killed in the middle counts nothing

    @contextmanager
    def _noticed(self, name: str) -> Iterator[None]:
        """Count what goes wrong inside, and nothing else."""
        try:
            yield
        except ClientError as error:
            self._take(error)
            self._report(name, time.perf_counter(), self._blamed() or LoadFailure.of(error))
            raise

    def _late(self, failure: ClientError | None) -> None:
        """Count what came behind the last answer, if it broke the protocol."""
        if failure is not None:
            self._take(failure)
        if (found := self._blamed()) is not None:
            self._report("unasked", time.perf_counter(), found)

    def _take(self, error: ClientError) -> None:
        if isinstance(error, RelayMisbehaved):
            if self._client is not None:
                self._client.follow(_BEHIND)
            self._conversation.blame(error.requirement)

    def _blamed(self) -> LoadFailure | None:
        """Score what the onlooker found; return the first of it."""
        found = self._conversation.findings()
        for blame in found:
            self.broke += 1
            self._user.score.blame(blame)
        return LoadFailure(found[0].requirement) if found else None

    def _report(self, name: str, began: float, failure: LoadFailure | None) -> None:
        self._user.report(name, (time.perf_counter() - began) * 1000, failure)


class RelayUser(User):
    """A client that comes, opens a session, holds it and goes.

    `aim` is the relay; `hold` how long a session lasts once its tunnel is open, `pause` the time between heartbeats,
    `timeout` for each answer, all in seconds; `again` whether a client comes again when its session is over. `score` is
    the process' own count. Override `talk` for other sessions.
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
        """Do one session's work: hello, auth, a tunnel, and heartbeats for as long as it is held."""
        relay.hello()
        relay.authenticate()
        relay.open_tunnel()
        relay.hold(self.hold, self.pause)

    def on_start(self) -> None:
        """Come at some time within a second: Locust lets all of a second's clients come at once."""
        time.sleep(random.random())  # noqa: S311 - no secret

    @task
    def session(self) -> None:
        """Have a session; afterwards rest, unless this client comes again."""
        self._come()
        if not self.again:
            # Locust would replace a client that ended.
            time.sleep(_A_DAY)

    def _come(self) -> None:
        # By itself, so that a client at rest keeps nothing of its connection.
        score = self.score
        score.begun += 1
        client = LoadClient(self, next(self._numbers))
        try:
            with client.connected():
                self.talk(client)
        except ClientError:
            score.failed += 1  # the request that failed is counted already
        else:
            score.failed += bool(client.broke)
            score.well += not client.broke

    def report(self, name: str, milliseconds: float, failure: LoadFailure | None) -> None:
        """Tell Locust of a request."""
        facts: dict[str, Any] = {"response_length": 0, "exception": failure, "context": {}}
        transport = str(self.aim.transport)
        self.environment.events.request.fire(request_type=transport, name=name, response_time=milliseconds, **facts)
