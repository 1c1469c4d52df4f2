"""A client's visit in a soak: a session of random length that ends in a random way, and its outcome."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from cbspec.protocol.messages import Auth, Error, Heartbeat, Hello, Request, TunnelInfo
from cbspec_client.blocking import BlockingClient
from cbspec_client.conversation import Conversation, Onlooker
from cbspec_client.errors import (
    AnswerTimeout,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    RelayError,
    RelayMisbehaved,
    refusal,
)  # fmt: skip
from cbspec_client.session import ClientSession, Transport
from tests.endurance.promises import LOST, SERVED, TIMEOUT, UNCONNECTED
from tests.support.relay import reset

LIMIT = 10.0
"""Seconds for an expected answer."""
_SHORT = 0.4  # seconds for an answer that isn't expected
_LINGER = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """The relay's address and trust, valid tokens by tenant and subject, and the onlooker of a tenant."""

    address: tuple[str, int]
    context: ssl.SSLContext
    token: Callable[[str, str], str]
    onlooker: Callable[[str], Onlooker]


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
        conversation = Conversation(self.place.onlooker(self.tenant))
        conversation.tenant = self.tenant
        host = self.place.address[0]
        session = ClientSession(self.place.context, host, transport=self.transport, exchange=conversation.passed)
        try:
            limit = LIMIT if self.patient else _SHORT
            client = BlockingClient.open(session, *self.place.address, limit=limit, linger=_LINGER)
        except ClientError as error:
            return _named(error)
        outcome = SERVED
        try:
            self._talk(client, chance, drop)
        except ClientError as error:
            outcome = _named(error)
        client.follow(_SHORT if isinstance(client.failure, RelayMisbehaved) else 0.0)
        end = "close" if self.polite or outcome != SERVED else chance.choice(("close", "close", "leave", "reset"))
        client.close() if end == "close" else client.abort(reset=end == "reset")
        if isinstance(client.failure, RelayMisbehaved):
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
        answer = client.ask(request, LIMIT if self.patient else _SHORT)
        if isinstance(answer, Error):
            raise refusal(answer)


def _named(error: ClientError) -> str:
    """Return a requirement, a code, or a word of `promises`."""
    match error:
        case RelayMisbehaved():
            return error.requirement
        case RelayError():
            return error.code
        case AnswerTimeout():
            return TIMEOUT
        case ConnectionLost():
            return LOST
    return UNCONNECTED if isinstance(error, ConnectFailed) else type(error).__name__


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
