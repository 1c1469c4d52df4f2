"""A client's visit in a soak: a session of random length that ends in a random way, and its outcome."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cbspec.cli.load_settings import invariants
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile
from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client import errors
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation
from cbspec_client.errors import ClientError, refusal
from cbspec_client.session import ClientSession, Transport
from cbspec_conformance.target.connector import context_for
from cbspec_conformance.target.tokens import secrets_of
from tests.endurance.promises import LOST, SERVED, TIMEOUT, UNCONNECTED
from tests.support.relay import reset

LIMIT = 10.0
"""Seconds for an expected answer."""
_SHORT = 0.4  # seconds for an answer that isn't expected
_LINGER = 2.0


class Place:
    """A running relay: connections to it, and valid tokens."""

    def __init__(self, profile: Profile) -> None:
        endpoint = profile.target.address
        assert endpoint is not None
        self.address = endpoint.host, endpoint.port
        self._context = context_for(profile.tls)
        self._issuer, self._lock = Issuer(profile.tokens, time.time), threading.Lock()
        self._onlookers = {tenant.id: invariants(secrets_of(profile, tenant.id)) for tenant in profile.tenants}

    def token(self, tenant: str, subject: str | None = None) -> str:
        """Return a new valid token."""
        with self._lock:
            return self._issuer.valid(tenant, subject)

    def connect(
        self, tenant: str, transport: Transport, limit: float, source: str | None = None
    ) -> tuple[BlockingClient, Conversation]:
        """Connect a client whose exchanges are checked. Raises ClientError."""
        conversation = Conversation(self._onlookers[tenant])
        conversation.tenant = tenant
        session = ClientSession(self._context, self.address[0], transport=transport, exchange=conversation.passed)
        return BlockingClient.open(session, *self.address, limit=limit, linger=_LINGER, source=source), conversation


def ask(client: BlockingClient, request: Request, limit: float) -> None:
    """Send a request, which must not be refused. Raises ClientError."""
    answer = client.ask(request, limit)
    if isinstance(answer, Error):
        raise refusal(answer)


@dataclass(slots=True)
class Visit:
    """One client's visit.

    `patient`: answers are expected. `polite`: it closes the connection properly. `more`: it reads on after the last
    answer.
    """

    place: Place
    tenant: str
    subject: str
    transport: Transport
    patient: bool = True
    polite: bool = False
    more: bool = False

    def outcome(self, chance: Random, drop: Callable[[str], None] | None = None) -> str:
        """Make the visit; return a code, a requirement, or a word of `promises`.

        `drop` is called with the subject during the session; it makes the relay end the connection.
        """
        try:
            limit = LIMIT if self.patient else _SHORT
            client, conversation = self.place.connect(self.tenant, self.transport, limit)
        except ClientError as error:
            return _named(error)
        outcome = SERVED
        try:
            self._talk(client, chance, drop)
        except ClientError as error:
            outcome = _named(error)
        client.follow(_SHORT if isinstance(client.failure, errors.RelayMisbehaved) else 0.0)
        end = "close" if self.polite or outcome != SERVED else chance.choice(("close", "close", "leave", "reset"))
        client.close() if end == "close" else client.abort(reset=end == "reset")
        if isinstance(client.failure, errors.RelayMisbehaved):
            conversation.blame(client.failure.requirement)
        found = conversation.findings()
        return found[0].requirement if found else outcome

    def _talk(self, client: BlockingClient, chance: Random, drop: Callable[[str], None] | None) -> None:
        self._ask(client, Hello())
        self._ask(client, Auth(self.place.token(self.tenant, self.subject)))
        for number in range(chance.randint(1, 4)):
            self._ask(client, TunnelInfo(f"{self.subject}-{number}", self.tenant, 3389, "127.0.0.1", 3389))
            for _ in range(chance.randint(1, 5)):
                self._ask(client, Heartbeat())
        if drop is not None:
            drop(self.subject)
        if drop is not None or self.more:
            client.listen(LIMIT)

    def _ask(self, client: BlockingClient, request: Request) -> None:
        ask(client, request, LIMIT if self.patient else _SHORT)


def _named(error: ClientError) -> str:
    """Return a requirement, a code, or a word of `promises`."""
    match error:
        case errors.RelayMisbehaved():
            return error.requirement
        case errors.RelayError():
            return error.code
        case errors.AnswerTimeout():
            return TIMEOUT
        case errors.ConnectionLost():
            return LOST
    return UNCONNECTED if isinstance(error, errors.ConnectFailed) else type(error).__name__


def intrude(place: Place, chance: Random) -> None:
    """Connect without a handshake, with the beginning of one, or with random bytes, and leave."""
    with contextlib.suppress(OSError), socket.create_connection(place.address, LIMIT) as sock:
        way = chance.randrange(4)
        if way == 1:
            sock.sendall(chance.randbytes(chance.randint(1, 600)))
        elif way == 2:
            sock.sendall(chance.choice([b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n"]))
        elif way == 3:
            reset(sock)
